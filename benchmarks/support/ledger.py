"""A temporary ledger, so that benchmarks do not write into the ledger of the user."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


_VARIABLE = "AGENTBAY_LEDGER"


@contextmanager
def temporary_ledger() -> Iterator[None]:
    """Let this process and its children record sessions in a temporary file."""
    before = os.environ.get(_VARIABLE)
    with TemporaryDirectory(prefix="agentbay-bench-") as home:
        os.environ[_VARIABLE] = str(Path(home) / "ledger.jsonl")
        try:
            yield
        finally:
            del os.environ[_VARIABLE]
            if before is not None:
                os.environ[_VARIABLE] = before
