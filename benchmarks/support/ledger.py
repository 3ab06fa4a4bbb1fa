"""A ledger of the benchmarks' own: their sessions are no business of the user's."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def own_ledger() -> Iterator[None]:
    """Let this process and its children write sessions down in a file that goes again."""
    with TemporaryDirectory(prefix="agentbay-bench-") as home:
        os.environ["AGENTBAY_LEDGER"] = str(Path(home) / "ledger.jsonl")
        yield
