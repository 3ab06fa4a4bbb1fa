"""Fault rules in a JSON file, read again whenever it changes: for tests that only have a shell."""

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
        ValueError: The text is invalid; the message names the field.
    """
    try:
        document = json.loads(text or "[]")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the faults are not JSON: {error!s:.200}") from error
    entries = document if isinstance(document, list) else [document]
    return [fault_from_json(entry) for entry in entries]


@attrs.define
class FaultFile:
    """A file that adds its rules to those of a service; a missing file has none.

    Attributes:
        path: The file.
        faults: The rules of the service.
    """

    path: Path
    faults: Faults
    _stamp: FileStamp | None = None
    _rules: list[Fault] = attrs.field(factory=list)

    def refresh(self) -> None:
        """Replace the rules of the file if it has changed.

        A file that cannot be read leaves the rules as they are, with a warning: it may be half
        written. It is read again after its next change.
        """
        stamp = self._read_stamp()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._replace(faults_from_text(self.path.read_bytes()) if stamp else [])
            except (OSError, ValueError) as error:
                _log.warning("the faults in %s stay as they were: %s", self.path, error)

    def reset(self) -> None:
        """Read the file again at the next `refresh`, even if it has not changed."""
        self._stamp, self._rules = None, []

    def _read_stamp(self) -> FileStamp | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def _replace(self, rules: list[Fault]) -> None:
        self.faults.remove(*self._rules)
        self.faults.include(*rules)
        self._rules = rules
