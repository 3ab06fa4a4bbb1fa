"""A temporary ledger, so that benchmarks do not write into the ledger of the user."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def temporary_ledger() -> Iterator[None]:
    """Let this process and its children record sessions in a temporary file."""
    with TemporaryDirectory(prefix="agentbay-bench-") as home:
        os.environ["AGENTBAY_LEDGER"] = str(Path(home) / "ledger.jsonl")
        yield
