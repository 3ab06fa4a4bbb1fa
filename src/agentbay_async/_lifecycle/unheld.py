"""Unheld sessions: those that exist and that no caller has, so that none is lost without a word.

A session is unheld from its creation until the caller gets it, and again while the library deletes
it for the caller. If deleting is cut short, by a second Ctrl-C for example, what is left is named
in one warning: when its client is closed, or at the exit of the interpreter.
"""

from __future__ import annotations

import atexit
import logging
import os
from typing import TYPE_CHECKING

from agentbay_async._lifecycle.processes import this_process
from agentbay_async._lifecycle.reserved_labels import RUN
from agentbay_async.config import LOCAL

if TYPE_CHECKING:
    from agentbay_async._api import Api

logger = logging.getLogger("agentbay")

# Plain dictionaries: every create changes them, and clients of several threads share them. Each
# operation on them is atomic.

#: The client's API of each unheld session, by the session's id.
sessions: dict[str, Api] = {}
#: The creates whose answer is not here yet, so that the ids of their sessions are unknown.
creates: dict[object, Api] = {}


def add(api: Api, session_id: str) -> None:
    """Record a session that no caller has, unless it ends with this process."""
    if api.settings.endpoint != LOCAL:
        sessions[session_id] = api


def warn_of_unheld(api: Api | None = None) -> None:
    """Name all unheld sessions in one warning, those of one client or of all, and forget them."""
    ids = [one for one, owner in list(sessions.items()) if api is None or owner is api]
    cut_off = [one for one, owner in list(creates.items()) if api is None or owner is api]
    for session_id in ids:
        sessions.pop(session_id, None)
    for create in cut_off:
        creates.pop(create, None)
    found = []
    if ids:
        found.append(f"{len(ids)} sessions that could not be deleted: {', '.join(ids)}")
    if cut_off:
        label = f"{RUN}={this_process().run}"
        found.append(f"the sessions of {len(cut_off)} creates that were cut off (label {label})")
    if found:
        logger.warning(
            "these may still exist and cost money: %s; `agentbay reap` deletes them once this"
            " process has ended",
            ", and ".join(found),
        )


def _forget() -> None:
    # A forked child has none of the calls of its parent, which still deletes its sessions.
    sessions.clear()
    creates.clear()


atexit.register(warn_of_unheld)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
