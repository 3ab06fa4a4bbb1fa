"""What the page of a session shows. Everything that the session says is bounded text.

Looking at a session changes nothing: no sandbox starts, and the session does not count as used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from agentbay_local.clock import iso
from agentbay_local.dashboard.calls import calls_after
from agentbay_local.dashboard.terminals import Terminals
from agentbay_local.sandbox.base import HOME
from agentbay_local.sandbox.errors import SandboxError
from agentbay_local.single_flight import SingleFlight

if TYPE_CHECKING:
    from agentbay_local.dashboard.pictures import Pictures
    from agentbay_local.sandbox.base import Sandbox
    from agentbay_local.state import ServiceState
    from agentbay_local.store import Session
    from agentbay_local.websocket.hub import Hub
    from agentbay_local.websocket.pty_session import PtySession

__all__ = ["SessionFacts"]

_MOST_FILES = 500
_MOST_PROCESSES = 300
_MOST_TERMINALS = 8


class SessionFacts:
    """The facts of all sessions, for any number of viewers.

    Args:
        state: The service.
        hub: The terminals of the sessions.
        pictures: Tells what of a session can be seen.
    """

    def __init__(self, state: ServiceState, hub: Hub, pictures: Pictures) -> None:
        self._state = state
        self._hub = hub
        self._pictures = pictures
        self._terminals = Terminals()
        self._inside: SingleFlight[dict[str, Any]] = SingleFlight()

    async def collect(self, session: Session, after: int, directory: str) -> dict[str, Any]:
        """Return what is known of a session now.

        Args:
            session: The session.
            after: See `calls_after`.
            directory: The directory whose files to list; "" for the home.
        """
        return {
            "id": session.id,
            "image": session.image,
            "status": session.status,
            "created": iso(session.created),
            "isolation": self._state.sandboxes.isolation.value,
            "labels": self._state.store.sessions.labels(session.id),
            "sandbox": await self._look(session, directory or HOME),
            **calls_after(self._state.instruments.journal, after, session.id),
        }

    async def usage(self, session: Session) -> dict[str, Any] | None:
        """Return the memory, disk and processor time of a session; None if nothing runs in it."""
        sandbox = self._state.sandboxes.alive(session.id)
        if sandbox is None:
            return None
        # However many people look, one measurement runs at a time.
        return await _measure(sandbox)

    async def _look(self, session: Session, directory: str) -> dict[str, Any] | None:
        """Return what happens in a session; None if nothing has run in it yet."""
        sandbox = self._state.sandboxes.alive(session.id)
        if sandbox is None:
            return None
        return await self._inside.run(
            (session.id, directory), lambda: self._look_into(session, sandbox, directory)
        )

    async def _look_into(
        self, session: Session, sandbox: Sandbox, directory: str
    ) -> dict[str, Any]:
        ptys = self._hub.terminals(session.id)[-_MOST_TERMINALS:]
        # In this order: the agent may start a process to list the files.
        processes = await sandbox.processes()
        files = await _list(sandbox, directory)
        return {
            "excess": sandbox.excess,
            "desktop": self._pictures.has_desktop(session.id),
            "browser": self._pictures.has_browser(session.id),
            "process_count": len(processes),
            "processes": [attrs.asdict(one) for one in processes[:_MOST_PROCESSES]],
            "directory": directory,
            "files": files,
            "terminals": [await self._describe_terminal(pty) for pty in ptys],
        }

    async def _describe_terminal(self, pty: PtySession) -> dict[str, Any]:
        ended = pty.end_event is not None  # before its screen, which then has all that it wrote
        return {"id": pty.id, "ended": ended, "lines": await self._terminals.lines(pty)}


async def _measure(sandbox: Sandbox) -> dict[str, Any]:
    try:
        measured = await sandbox.consumption()
    except SandboxError as error:
        return {"error": str(error)}
    return {
        "memory": [measured.memory_bytes, measured.memory_most],
        "disk": [measured.disk_bytes, measured.disk_most],
        "files": [measured.files, measured.files_most],
        "cpu_seconds": round(measured.cpu_seconds, 2),
    }


async def _list(sandbox: Sandbox, directory: str) -> dict[str, Any]:
    try:
        entries = await sandbox.list(directory)
    except SandboxError as error:
        return {"error": f"{error!s:.300}"}
    shown = [
        {
            "name": one.name,
            "directory": one.is_dir,
            "size": one.size,
            # A session may set any time, also one that no calendar has.
            "modified": one.modified,
        }
        for one in entries[:_MOST_FILES]
    ]
    return {"count": len(entries), "entries": shown}
