"""Tools for the files of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentbay_mcp.open_sessions import OpenSessions

__all__ = ["FileTools"]

# Bytes of a file that a model can be expected to read.
_LARGEST_TEXT = 256 * 1024


class FileTools:
    """The tools.

    Args:
        sessions: The sessions of the server.
    """

    def __init__(self, sessions: OpenSessions) -> None:
        self._sessions = sessions

    def tools(self) -> list[Callable[..., Any]]:
        """Return the functions to offer."""
        always: list[Callable[..., Any]] = [
            self.read_file,
            self.write_file,
            self.edit_file,
            self.list_files,
            self.search_files,
        ]
        with_files = [self.upload, self.download]
        return [*always, *(with_files if self._sessions.options.files is not None else [])]

    async def read_file(self, session_id: str, path: str) -> str:
        """Read a file of UTF-8 text, of at most 256 KiB. Read parts of larger ones by commands."""
        files = self._sessions.get(session_id).file_system
        return (await files.read_file(path, max_size=_LARGEST_TEXT)).unwrap()

    async def write_file(self, session_id: str, path: str, content: str) -> str:
        """Write a text file, and create missing directories. An existing file is replaced."""
        files = self._sessions.get(session_id).file_system
        (await files.write_file(path, content)).unwrap()
        return f"wrote {len(content.encode())} bytes to {path}"

    async def edit_file(self, session_id: str, path: str, old_text: str, new_text: str) -> str:
        """Replace the first occurrence of a text in a file; return the change as a diff."""
        files = self._sessions.get(session_id).file_system
        edits = [{"oldText": old_text, "newText": new_text}]
        result = await files.edit_file(path, edits)
        result.unwrap()
        return result.diff

    async def list_files(self, session_id: str, path: str = ".") -> list[dict[str, Any]]:
        """List the entries of a directory."""
        files = self._sessions.get(session_id).file_system
        entries = (await files.list_directory(path)).unwrap()
        return [
            {"name": one.name, "directory": one.is_directory, "size": one.size} for one in entries
        ]

    async def search_files(self, session_id: str, pattern: str, path: str = ".") -> list[str]:
        """Find files below a directory by a pattern of their names, such as "*.py"."""
        files = self._sessions.get(session_id).file_system
        return (await files.search_files(path, pattern)).unwrap()

    async def upload(self, session_id: str, local_path: str, remote_path: str) -> str:
        """Copy a file of the machine of this server into the session."""
        source = self._sessions.options.place(local_path)
        files = self._sessions.get(session_id).file_system
        (await files.upload_file(str(source), remote_path)).unwrap()
        return f"copied {local_path} to {remote_path}"

    async def download(self, session_id: str, remote_path: str, local_path: str) -> str:
        """Copy a file of the session to the machine of this server."""
        target = self._sessions.options.place(local_path)
        files = self._sessions.get(session_id).file_system
        (await files.download_file(remote_path, str(target))).unwrap()
        return f"copied {remote_path} to {local_path}"
