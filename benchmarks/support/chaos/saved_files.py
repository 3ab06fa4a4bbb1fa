"""Files that an answer said were saved, and their comparison with what the contexts have."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from agentbay_async import AsyncAgentBay
    from support.chaos.scenario import Trial

_SUBDIRECTORIES = ("contexts", "lost+found")


class SavedFiles:
    """The files that must be there.

    Args:
        bay: The client for comparisons; may be replaced.
        trial: The run whose tally counts the bytes that are lost.
    """

    def __init__(self, bay: AsyncAgentBay, trial: Trial) -> None:
        self.bay = bay
        self._trial = trial
        self._files: dict[tuple[str, str], bytes] = {}

    @property
    def contexts(self) -> set[str]:
        """The ids of all contexts with such files."""
        return {context for context, _ in self._files}

    def expect(self, context: str, path: str, content: bytes) -> None:
        """Expect a file from now on."""
        self._files[context, path] = content

    def forget(self, context: str) -> None:
        """Expect nothing more of a context that is deleted."""
        self._files = {key: value for key, value in self._files.items() if key[0] != context}

    async def compare(self) -> None:
        """Download each file, and count the bytes of those that are gone or different."""
        target = self._trial.directory / "compared"
        for (context, path), content in self._files.items():
            result = await self.bay.context.download_file(context, path, target)
            if not result.success or target.read_bytes() != content:
                self._lost(context, path, content, result.error_message)

    def compare_home(self, home: Path) -> None:
        """As `compare`, in the home of a service that is stopped; lost+found counts as well."""
        for (context, path), content in self._files.items():
            places = [home / name / context / "current/tree" / path for name in _SUBDIRECTORIES]
            if content not in [place.read_bytes() for place in places if place.is_file()]:
                self._lost(context, path, content, "not in the home")

    def _lost(self, context: str, path: str, content: bytes, reason: str) -> None:
        tally = self._trial.tally
        tally.bytes_lost += len(content)
        where = f"{path} of {context}"
        tally.problems.append(f"{self._trial.variant}: {where} is lost: {reason or 'different'}")
