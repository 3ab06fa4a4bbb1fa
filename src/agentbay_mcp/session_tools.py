"""Tools for sessions: create, list and delete them, and link to their ports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentbay_mcp.open_sessions import OpenSessions

__all__ = ["SessionTools"]


class SessionTools:
    """The tools.

    Args:
        sessions: The sessions of the server.
    """

    def __init__(self, sessions: OpenSessions) -> None:
        self._sessions = sessions

    def tools(self) -> list[Callable[..., Any]]:
        """Return the functions to offer."""
        return [self.session_create, self.session_list, self.session_delete, self.link]

    async def session_create(
        self,
        image: str | None = None,
        labels: dict[str, str] | None = None,
        envs: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        """Create an isolated Linux session (a sandbox), and return its id for the other tools.

        Delete it with session_delete when it is no longer needed.

        Args:
            image: The image, such as "code_latest" for code or "browser_latest" for a browser.
            labels: Labels to tell the session from others.
            envs: Environment variables of everything that runs in it.
        """
        session = await self._sessions.create(image, labels or {}, envs or {})
        return {"session_id": session.session_id, "image": session.image_id}

    async def session_list(self) -> list[dict[str, Any]]:
        """List the sessions of this server that are still alive."""
        found = []
        for session in self._sessions:
            status = await session.get_status()
            found.append(
                {
                    "session_id": session.session_id,
                    "image": session.image_id,
                    "status": status.status if status.success else status.error_message,
                }
            )
        return found

    async def session_delete(self, session_id: str) -> str:
        """Delete a session, with its files and processes."""
        await self._sessions.delete(session_id)
        return f"{session_id} is deleted"

    async def link(self, session_id: str, port: int) -> str:
        """Return a URL for a server that listens on a port of the session (30100 to 30199).

        Keep the URL secret: anyone who has it can use the port.
        """
        session = self._sessions.get(session_id)
        return (await session.get_link("https", port)).unwrap()
