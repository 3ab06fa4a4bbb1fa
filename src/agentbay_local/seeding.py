"""Seeding: create sessions and contexts without a client."""

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

__all__ = ["ContextSeeds", "Seeded", "SessionSeeds", "seed"]

# Enough sessions in one transaction to be quick, few enough that requests are served in between.
_BATCH = 500

SessionSeeds = int | Sequence[Mapping[str, str]]
"""The number of sessions without labels, or the labels of each."""

ContextSeeds = Sequence[str] | Mapping[str, Mapping[str, bytes | str]]
"""Names of contexts, or for each name its files: path and content."""


@attrs.frozen
class Seeded:
    """The ids of seeded sessions and contexts.

    Attributes:
        sessions: The ids of the sessions, in the order of their seeds.
        contexts: The id of each context, by its name.
    """

    sessions: list[str]
    contexts: dict[str, str]


async def seed(state: ServiceState, sessions: SessionSeeds, contexts: ContextSeeds) -> Seeded:
    """Create sessions and contexts under the rules that clients meet.

    Raises:
        ValueError: The service rejects a label, a name, a path, or the number of sessions.
    """
    files = contexts if isinstance(contexts, Mapping) else {name: {} for name in contexts}
    labels = [{}] * sessions if isinstance(sessions, int) else sessions
    try:
        ids = {name: await _seed_context(state, name, content) for name, content in files.items()}
        return Seeded(await _seed_sessions(state, labels), ids)
    except ApiError as error:
        raise ValueError(error.message) from error


async def _seed_sessions(state: ServiceState, several: Sequence[Mapping[str, str]]) -> list[str]:
    session_actions.check_quota(state, len(several))
    ids = []
    for start in range(0, len(several), _BATCH):
        batch = [_new_session(state, labels) for labels in several[start : start + _BATCH]]
        state.lifecycle.admit(batch)
        ids += [new.id for new in batch]
        await asyncio.sleep(0)
    return ids


def _new_session(state: ServiceState, labels: Mapping[str, str]) -> NewSession:
    request = schema.CreateMcpSession(labels=dict(labels) or None)
    return session_actions.new_session(state, request)


async def _seed_context(state: ServiceState, name: str, content: Mapping[str, bytes | str]) -> str:
    request = schema.GetContext(name=name, allow_create=True)
    context_id = str((await context_actions.get(state, request)).data.id)
    for path, data in content.items():
        whole = data.encode() if isinstance(data, str) else data
        await _add_file(state, context_id, file_actions.check_path(path, "path"), whole)
    return context_id


async def _add_file(state: ServiceState, context_id: str, path: str, content: bytes) -> None:
    with state.files.incoming_file(context_id) as file:
        await asyncio.to_thread(file.write_bytes, content)
        await state.files.publish(context_id, _one_file(path, file))


def _one_file(path: str, file: Path) -> Change:
    return Change(
        added={path: Stamp(FILE)}, write=lambda writer, name: writer.link_file(name, file)
    )
