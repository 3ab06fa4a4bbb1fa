"""Everything a service holds: looked at, filled for a test, and dropped after it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from agentbay_async._protocol import schema
from agentbay_local.actions import contexts as context_actions
from agentbay_local.actions import files as file_actions
from agentbay_local.actions import sessions as session_actions
from agentbay_local.contexts.versions import Change
from agentbay_local.protocol.errors import ApiError
from agentbay_local.trees.manifest import FILE, Stamp

if TYPE_CHECKING:
    from pathlib import Path

    from agentbay_local.state import ServiceState
    from agentbay_local.store import NewSession

__all__ = ["ContextSeeds", "Seeded", "Seeding", "SessionSeeds"]

_GRACE = 10.0
# Sessions stored in one step: enough to be quick, so few that others are answered meanwhile.
_AT_ONCE = 500

SessionSeeds = int | Sequence[Mapping[str, str]]
"""How many sessions without labels, or the labels of each."""

ContextSeeds = Sequence[str] | Mapping[str, Mapping[str, bytes | str]]
"""Names of contexts, or for each name its files: path and content."""


@attrs.frozen
class Seeded:
    """What was made.

    Attributes:
        sessions: The ids of the sessions, in the order they were asked for.
        contexts: The id of each context, by its name.
    """

    sessions: list[str]
    contexts: dict[str, str]


@attrs.frozen
class Seeding:
    """The holdings of one running service.

    Attributes:
        state: Its parts.
    """

    state: ServiceState

    def living(self) -> dict[str, dict[str, str]]:
        """Return the labels of each session that is neither released nor on its way there."""
        releasing = self.state.lifecycle.releasing
        labels = self.state.store.sessions.labels_of_live()
        return {name: labels[name] for name in labels if name not in releasing}

    async def reset(self) -> None:
        """Drop sessions, contexts, faults and entries of the journal; limits are as at first."""
        self.state.kit.reset()
        await self.drop()
        self.state.lifecycle.begin()

    async def drop(self) -> None:
        """End all work, with the sweeper, and drop sessions and contexts."""
        await self.state.background.close(_GRACE)
        sandboxes = self.state.sandboxes
        ids = sandboxes.known | {place.name for place in sandboxes.directory.iterdir()}
        await asyncio.gather(*(sandboxes.remove(name) for name in ids))
        self.state.syncing.forget_all()
        self.state.store.wipe()
        await self.state.files.recover([])

    async def seed(self, sessions: SessionSeeds = 0, contexts: ContextSeeds = ()) -> Seeded:
        """Make sessions and contexts, as if clients had asked for them.

        Raises:
            ValueError: What is asked for is refused.
        """
        files = contexts if isinstance(contexts, Mapping) else {name: {} for name in contexts}
        labels = [{}] * sessions if isinstance(sessions, int) else sessions
        try:
            made = {name: await self._context(name, content) for name, content in files.items()}
            return Seeded(await self._sessions(labels), made)
        except ApiError as problem:
            raise ValueError(problem.message) from problem

    async def _sessions(self, several: Sequence[Mapping[str, str]]) -> list[str]:
        session_actions.within_quota(self.state, len(several))
        ids = []
        for start in range(0, len(several), _AT_ONCE):
            part = [self._session(labels) for labels in several[start : start + _AT_ONCE]]
            self.state.lifecycle.admit_all(part)
            ids += [new.id for new in part]
            await asyncio.sleep(0)
        return ids

    def _session(self, labels: Mapping[str, str]) -> NewSession:
        request = schema.CreateMcpSession(labels=dict(labels) or None)
        return session_actions.checked(self.state, request)

    async def _context(self, name: str, content: Mapping[str, bytes | str]) -> str:
        request = schema.GetContext(name=name, allow_create=True)
        context_id = str((await context_actions.get(self.state, request)).data.id)
        for path, data in content.items():
            whole = data.encode() if isinstance(data, str) else data
            await self._file(context_id, file_actions.checked_path(path, "path"), whole)
        return context_id

    async def _file(self, context_id: str, path: str, content: bytes) -> None:
        with self.state.files.incoming(context_id) as file:
            await asyncio.to_thread(file.write_bytes, content)
            await self.state.files.publish(context_id, _one_file(path, file))


def _one_file(path: str, file: Path) -> Change:
    return Change(added={path: Stamp(FILE)}, fetch=lambda landing, name: landing.adopt(name, file))
