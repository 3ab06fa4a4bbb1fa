"""Unheld sessions: a record of those that no caller has, so that none is lost silently.

A session is unheld from its creation until the caller gets it, and again while the library deletes
it for the caller. If deleting is interrupted, by a third Ctrl-C for example, one warning names the
sessions that are left: when their client is closed, or at the exit of the interpreter.
"""

from __future__ import annotations

import atexit
import logging
import os
from asyncio import get_running_loop
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeVar

from agentbay_async._lifecycle.processes import this_process
from agentbay_async._lifecycle.reserved_labels import RUN
from agentbay_async.config import LOCAL

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Iterable

    from agentbay_async._api import Api

    Origin = tuple[Api, AbstractEventLoop]

Key = TypeVar("Key")

logger = logging.getLogger("agentbay")

# Plain dictionaries and sets: every create changes them, and clients of several threads share
# them. Each operation on them is atomic.

#: The client's API and the event loop of each unheld session, by the session's id.
sessions: dict[str, Origin] = {}
#: Called with ``(session_id, None)`` for each session that a method returns. A blocking caller has
#: it only when its thread has read the result, which a Ctrl-C may prevent. So for the length of a
#: blocking call this also notes them, to record them again then.
hand_over: ContextVar[Callable[[str, None], object]] = ContextVar(
    "agentbay_hand_over", default=sessions.pop
)
#: The creates that wait for an answer, by their idempotency key.
creates: dict[object, Origin] = {}
#: The creates that ended without an answer or an error, so that the ids of their sessions are
#: unknown.
cut_off: dict[object, Origin] = {}
#: The ids of sessions that creates of this process returned and that are not deleted.
created: set[str] = set()
#: The ids of sessions that callers looked up or listed, since the first create of this process.
found: set[str] = set()
#: The most ids that `created` and `found` keep, each. If a set is full, an id that is missing from
#: it may still be known.
MAX_KNOWN = 100_000


def add(api: Api, session_id: str) -> None:
    """Record a session that no caller has, unless it ends with this process."""
    if api.settings.endpoint != LOCAL:
        sessions[session_id] = api, get_running_loop()


def remember_found(session_ids: Iterable[str]) -> None:
    """Record that a caller learned of sessions by a look-up or a listing."""
    if (created or creates or cut_off) and len(found) < MAX_KNOWN:
        found.update(session_ids)


def forget(session_id: str) -> None:
    """Remove a session that is gone from all records."""
    sessions.pop(session_id, None)
    created.discard(session_id)
    found.discard(session_id)


def warn_of_unheld(api: Api | None = None) -> None:
    """Log one warning with the unheld sessions of one client, or of all, and forget them."""
    ids = _take(sessions, api)
    uncertain = [*_take(creates, api), *_take(cut_off, api)]
    named = []
    if ids:
        named.append(f"{len(ids)} sessions that could not be deleted: {', '.join(ids)}")
    if uncertain:
        label = f"{RUN}={this_process().run}"
        named.append(f"the sessions of {len(uncertain)} creates that were cut off (label {label})")
    if named:
        logger.warning(
            "these may still exist and cost money: %s; `agentbay reap` deletes them once this"
            " process has ended",
            ", and ".join(named),
        )


def _take(origins: dict[Key, Origin], api: Api | None) -> list[Key]:
    taken = [key for key, (owner, _loop) in list(origins.items()) if api is None or owner is api]
    for key in taken:
        origins.pop(key, None)
    return taken


def _forget_all() -> None:
    # The calls of the parent continue in the parent, which deletes its own sessions. Sessions that
    # the forked child creates carry another label.
    for record in (sessions, creates, cut_off, created, found):
        record.clear()


atexit.register(warn_of_unheld)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
