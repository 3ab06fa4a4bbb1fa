"""Which files of a session the browser toolset may upload and show."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from anthropic.tools import ToolsetConfigError
from anthropic.tools.browser import UploadRefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anthropic.tools.browser import BetaURLContext

__all__ = ["DOWNLOADS", "SessionFilePolicy"]

#: Where the browser of a session saves downloads.
DOWNLOADS = "/home/wuying/Downloads"


class SessionFilePolicy:
    """A file policy for paths of the session; a ``BetaFilePolicy`` of the package ``anthropic``.

    It compares paths as text. A link in a directory of the session is followed there.

    Args:
        upload_roots: Absolute directories of the session. ``file_upload`` may send the files in
            them to pages. Default: none.
        expose_download_paths: Whether the model learns where a download is in the session.

    Raises:
        ToolsetConfigError: A directory is not absolute, or contains downloads: a page could have a
            file saved there, and sent to another page.

    Example:
        ::

            policy = SessionFilePolicy(upload_roots=["/tmp/uploads"], expose_download_paths=True)
            toolset = AgentBayBrowserToolset(
                file_policy=policy,
                configs={"file_upload": {"enabled": True}},
                confirm=lambda call: True,
            )
    """

    def __init__(
        self, *, upload_roots: Sequence[str] = (), expose_download_paths: bool = False
    ) -> None:
        if isinstance(upload_roots, str):
            raise ToolsetConfigError("upload_roots must be a sequence of paths, not one path")
        self._roots = [PurePosixPath(root) for root in upload_roots]
        for root in self._roots:
            if not root.is_absolute() or ".." in root.parts:
                raise ToolsetConfigError(f"upload_roots must be absolute paths, not {str(root)!r}")
            _check_apart(root)
        self._expose = expose_download_paths

    def resolve_upload_paths(self, context: BetaURLContext, paths: Sequence[str]) -> list[str]:
        """Return the paths, if each is below an upload root.

        Raises:
            UploadRefusedError: One is not.
        """
        return [self._resolve(path) for path in paths]

    def _resolve(self, text: str) -> str:
        path = PurePosixPath(text)
        if ".." in path.parts or not any(root in path.parents for root in self._roots):
            raise UploadRefusedError("file_upload path is outside the configured upload roots")
        return str(path)

    def resolve_upload_documents(
        self, context: BetaURLContext, document_ids: Sequence[str]
    ) -> list[str]:
        """Refuse documents of the Files API.

        Raises:
            UploadRefusedError: Always: a session has files, and they have paths.
        """
        raise UploadRefusedError("file_upload takes paths of the session, and no document_ids")

    def is_path_visible(self, path: str) -> bool:
        """Return whether the model may learn the path of a download."""
        return self._expose and PurePosixPath(DOWNLOADS) in PurePosixPath(path).parents


def _check_apart(root: PurePosixPath) -> None:
    downloads = PurePosixPath(DOWNLOADS)
    if root == downloads or root in downloads.parents or downloads in root.parents:
        raise ToolsetConfigError(
            f"upload_roots must be apart from {DOWNLOADS}, where pages save files; {str(root)!r} is"
            " not: copy what may be uploaded to a directory of its own, such as /tmp/uploads"
        )
