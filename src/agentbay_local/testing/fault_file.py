"""Rules of faults in a file, read again whenever it changes: for whoever has only a shell."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import attrs

from agentbay_local.testing.faults import Fault, Faults, fault_from_json

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FaultFile", "faults_from_text"]

_log = logging.getLogger(__name__)

FileStamp = tuple[int, int, int]


def faults_from_text(text: str | bytes) -> list[Fault]:
    """Read a JSON list of rules, or a single one.

    Raises:
        ValueError: It is not that; the message says what is wrong.
    """
    try:
        document = json.loads(text or "[]")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the faults are not JSON: {error!s:.200}") from error
    entries = document if isinstance(document, list) else [document]
    return [fault_from_json(entry) for entry in entries]


@attrs.define
class FaultFile:
    """A file whose rules are among the rules of a service; a missing file has none.

    Attributes:
        path: The file.
        faults: The rules of the service.
    """

    path: Path
    faults: Faults
    _mark: FileStamp | None = None
    _rules: list[Fault] = attrs.field(factory=list)

    def refresh(self) -> None:
        """Take over what has changed.

        A file that cannot be read leaves the rules as they are, and is warned of: it may be half
        written. It is looked at again when it has changed again.
        """
        mark = self._marked()
        if mark != self._mark:
            self._mark = mark
            try:
                self._replace(faults_from_text(self.path.read_bytes()) if mark else [])
            except (OSError, ValueError) as error:
                _log.warning("the faults in %s stay as they were: %s", self.path, error)

    def reset(self) -> None:
        """Read the file anew at the next look, whatever has become of its rules."""
        self._mark, self._rules = None, []

    def _marked(self) -> FileStamp | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def _replace(self, rules: list[Fault]) -> None:
        self.faults.remove(*self._rules)
        self.faults.include(*rules)
        self._rules = rules
