"""Unheld sessions: those that exist and that no caller has, so that none is lost without a word.

A session is unheld from its creation until the caller gets it, and again while the library deletes
it for the caller. If deleting is cut short, by a second Ctrl-C for example, what is left is named
in one warning: when its client is closed, or at the exit of the interpreter.
"""

from __future__ import annotations

import atexit
import logging
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agentbay_async._lifecycle.processes import this_process
from agentbay_async._lifecycle.reserved_labels import RUN
from agentbay_async.errors import AgentBayError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agentbay_async._api import Api

logger = logging.getLogger("agentbay")

# Each operation on these is atomic: clients of several threads share them.
_sessions: dict[str, Api] = {}
_creates: dict[object, Api] = {}


@contextmanager
def sending_create(api: Api) -> Iterator[None]:
    """Count a create that is cut off in this block: nobody knows the id of its session."""
    token = object()
    _creates[token] = api
    try:
        yield
    except AgentBayError:
        # The caller learns from the error whether there may be a session.
        _creates.pop(token, None)
        raise
    _creates.pop(token, None)


def add(api: Api, session_ids: Iterable[str]) -> None:
    """Record sessions that no caller has."""
    _sessions.update(dict.fromkeys(session_ids, api))


def discard(session_id: str) -> None:
    """Forget a session: a caller has it, or it is deleted, or its user was warned of it."""
    _sessions.pop(session_id, None)


def warn_of_unheld(api: Api | None = None) -> None:
    """Name all unheld sessions in one warning, those of one client or of all, and forget them."""
    sessions = [one for one, owner in list(_sessions.items()) if api is None or owner is api]
    creates = [one for one, owner in list(_creates.items()) if api is None or owner is api]
    for session_id in sessions:
        _sessions.pop(session_id, None)
    for create in creates:
        _creates.pop(create, None)
    found = []
    if sessions:
        found.append(f"{len(sessions)} sessions that could not be deleted: {', '.join(sessions)}")
    if creates:
        label = f"{RUN}={this_process().run}"
        found.append(f"the sessions of {len(creates)} creates that were cut off (label {label})")
    if found:
        logger.warning(
            "these may still exist and cost money: %s; `agentbay reap` deletes them once this"
            " process has ended",
            ", and ".join(found),
        )


def _forget() -> None:
    # A forked child has none of the calls of its parent, which still deletes its sessions.
    _sessions.clear()
    _creates.clear()


atexit.register(warn_of_unheld)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
