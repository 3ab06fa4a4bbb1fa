"""Tools for contexts: files that outlive a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentbay_async import ContextSync

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentbay_async import ContextChangesResult
    from agentbay_mcp.open_sessions import OpenSessions

__all__ = ["ContextTools"]

_MOST = 500


class ContextTools:
    """The tools.

    Args:
        sessions: The sessions of the server.
    """

    def __init__(self, sessions: OpenSessions) -> None:
        self._sessions = sessions

    def tools(self) -> list[Callable[..., Any]]:
        """Return the functions to offer."""
        always: list[Callable[..., Any]] = [
            self.context_list,
            self.context_create,
            self.context_bind,
            self.context_save,
            self.context_files,
            self.context_delete,
        ]
        with_files = [self.context_push, self.context_pull]
        return [*always, *(with_files if self._sessions.options.files is not None else [])]

    async def context_list(self) -> list[dict[str, Any]]:
        """List the contexts, which keep files for longer than a session; 500 at most."""
        found = []
        async for one in self._sessions.bay.context.iterate():
            found.append({"context_id": one.id, "name": one.name})
            if len(found) == _MOST:
                break
        return found

    async def context_create(self, name: str) -> dict[str, Any]:
        """Create a context, or return the one of this name."""
        context = (await self._sessions.bay.context.get(name, create=True)).unwrap()
        return {"context_id": context.id, "name": context.name}

    async def context_bind(self, session_id: str, context_id: str, path: str) -> str:
        """Put the files of a context into a session, at a path such as /mnt/data."""
        session = self._sessions.get(session_id)
        (await session.context.bind(ContextSync.new(context_id, path))).unwrap()
        return f"the files of {context_id} are at {path}"

    async def context_save(self, session_id: str) -> str:
        """Save the files of all contexts of a session; return when they are saved."""
        session = self._sessions.get(session_id)
        (await session.context.sync()).unwrap()
        return "saved"

    async def context_files(self, context_id: str, path: str = "/") -> list[dict[str, Any]]:
        """List the files of a context in a directory."""
        found = (await self._sessions.bay.context.list_files(context_id, path)).unwrap()
        return [{"path": one.file_path, "size": one.size} for one in found.entries]

    async def context_delete(self, context_id: str) -> str:
        """Delete a context, with all its files."""
        (await self._sessions.bay.context.delete(context_id)).unwrap()
        return f"{context_id} is deleted"

    async def context_push(
        self, context_id: str, local_path: str, folder: str = "/", dry_run: bool = False
    ) -> list[dict[str, Any]]:
        """Send what differs in a directory of the machine of this server to a folder of a context.

        Returns what was changed, or with dry_run what would be.
        """
        source = self._sessions.options.place(local_path)
        files = self._sessions.bay.context
        return _steps(await files.push(context_id, source, folder=folder, dry_run=dry_run))

    async def context_pull(
        self, context_id: str, local_path: str, folder: str = "/", dry_run: bool = False
    ) -> list[dict[str, Any]]:
        """Fetch what differs in a folder of a context to a directory of the machine of this server.

        Returns what was changed, or with dry_run what would be.
        """
        target = self._sessions.options.place(local_path)
        files = self._sessions.bay.context
        return _steps(await files.pull(context_id, target, folder=folder, dry_run=dry_run))


def _steps(result: ContextChangesResult) -> list[dict[str, Any]]:
    return [{"action": one.action, "path": one.path, "size": one.size} for one in result.unwrap()]
