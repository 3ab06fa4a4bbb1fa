"""Push a directory of this machine to a folder of a context, or pull it from there."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import attrs
from anyio import to_thread

from agentbay_async._sync.context_plan import Checksums, LocalFiles, RemoteFile, make_plan
from agentbay_async._sync.ignore_file import IgnorePatterns
from agentbay_async._sync.transfers import failed
from agentbay_async.errors import AgentBayError, ArgumentTypeError, InvalidArgumentError
from agentbay_async.models.context_changes import ContextChangesResult

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from agentbay_async.errors import TransferError
    from agentbay_async.models.context_changes import ContextChange
    from agentbay_async.models.contexts import ContextFileEntry, TransferResult
    from agentbay_async.models.results import OperationResult

IGNORE_FILE = ".agentbayignore"
# Failed files that an error names.
_NAMED = 3


class ContextFiles(Protocol):
    """The files of contexts, as :class:`AsyncContextService` has them."""

    def iterate_files(
        self, context_id: str, parent_folder_path: str = "/", *, recursive: bool = False
    ) -> AsyncIterator[ContextFileEntry]:
        """Yield every entry of a folder."""
        ...

    def upload_file(
        self, context_id: str, file_path: str, source: Path
    ) -> Awaitable[TransferResult]:
        """Upload a file."""
        ...

    def download_file(
        self, context_id: str, file_path: str, target: Path
    ) -> Awaitable[TransferResult]:
        """Download a file."""
        ...

    def delete_file(self, context_id: str, file_path: str) -> Awaitable[OperationResult[bool]]:
        """Delete a file."""
        ...


@attrs.frozen
class Sides:
    """A directory of this machine and a folder of a context.

    Attributes:
        root: The directory.
        context_id: The context.
        folder: The folder, from ``/``.
        ignored: What is left out on both sides.
        is_push: Change the context; otherwise the directory.
    """

    root: Path
    context_id: str
    folder: str
    ignored: IgnorePatterns
    is_push: bool


def check_directory(directory: object, *, is_push: bool) -> Path:
    """Check the directory of a push, which must exist, or of a pull, which may be new.

    Raises:
        InvalidArgumentError: There is no such directory, or it is something else.
        ArgumentTypeError: It is no path.
    """
    try:
        root = Path(directory)  # type: ignore[arg-type]  # callers may pass anything
    except TypeError:
        raise ArgumentTypeError(
            f"directory must be a path, not {type(directory).__name__}"
        ) from None
    if not root.is_dir() and (is_push or root.exists()):
        raise InvalidArgumentError(f"directory: there is no directory {str(root)!r}")
    return root


def read_patterns(root: Path, exclude: Sequence[str]) -> IgnorePatterns:
    """Return the patterns of the ignore file of a directory, and some more.

    Raises:
        InvalidArgumentError: The file cannot be read.
    """
    path = root / IGNORE_FILE
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        lines = []
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgumentError(f"{path} cannot be read: {error}") from None
    return IgnorePatterns([*lines, *exclude])


class DirectoryTransfer:
    """One push or pull.

    Args:
        files: The files of contexts.
        sides: What is compared.
        endpoint: The service, to which the noted checksums belong.
    """

    def __init__(self, files: ContextFiles, sides: Sides, endpoint: str) -> None:
        self._files = files
        self._sides = sides
        self._checksums = Checksums(endpoint, f"{sides.context_id}{sides.folder}")

    async def plan(self, *, delete: bool) -> list[ContextChange]:
        """Return what is to be done.

        Raises:
            AgentBayError: The files of the context cannot be listed.
        """
        remote = await self._remote()
        # Looks at all files of the directory, and hashes those that may differ.
        return await to_thread.run_sync(self._compare, remote, delete)

    def _compare(
        self, remote: dict[str, RemoteFile], delete: bool
    ) -> list[ContextChange]:  # run_sync passes no keywords
        sides = self._sides
        self._checksums.load()
        local = LocalFiles(sides.root, sides.ignored)
        return make_plan(local, remote, self._checksums, is_push=sides.is_push, delete=delete)

    async def carry_out(
        self,
        plan: Sequence[ContextChange],
        on_change: Callable[[ContextChange], Awaitable[None] | None] | None,
    ) -> ContextChangesResult:
        """Do what is planned; a file that fails does not stop the others.

        Raises:
            AgentBayError: The files cannot be listed afterwards.
        """
        done: list[ContextChange] = []
        try:
            for change in plan:
                done.append(await self._try(change))
                awaitable = None if on_change is None else on_change(done[-1])
                if awaitable is not None:
                    await awaitable
            if done:
                self._checksums.settle(await self._remote())
        finally:
            # Also after a cancel: the next run goes on where this one has ended. The file is small.
            self._checksums.save()
        return ContextChangesResult.of(done, _summary(done))

    async def _try(self, change: ContextChange) -> ContextChange:
        try:
            await self._do(change)
        except (AgentBayError, OSError) as error:
            return attrs.evolve(change, error=error)
        return change

    async def _do(self, change: ContextChange) -> None:
        if self._sides.is_push:
            await self._change_context(change)
        else:
            await self._change_directory(change)

    async def _change_context(self, change: ContextChange) -> None:
        files, context_id = self._files, self._sides.context_id
        remote = posixpath.join(self._sides.folder, change.path)
        if change.action == "delete":
            (await files.delete_file(context_id, remote)).unwrap()
            self._checksums.forget(change.path)
            return
        local = self._sides.root / change.path
        receipt = (await files.upload_file(context_id, remote, local)).unwrap()
        self._checksums.note(change.path, receipt.size, receipt.md5)

    async def _change_directory(self, change: ContextChange) -> None:
        local = place_inside(self._sides.root, change.path)
        if change.action == "delete":
            local.unlink(missing_ok=True)
            return
        local.parent.mkdir(parents=True, exist_ok=True)
        remote = posixpath.join(self._sides.folder, change.path)
        download = await self._files.download_file(self._sides.context_id, remote, local)
        receipt = download.unwrap()
        self._checksums.note(change.path, receipt.size, receipt.md5)

    async def _remote(self) -> dict[str, RemoteFile]:
        """Return all files below the folder that are not left out, by their path from there."""
        sides = self._sides
        entries = self._files.iterate_files(sides.context_id, sides.folder, recursive=True)
        found = {
            posixpath.relpath(entry.file_path, sides.folder): RemoteFile(
                entry.size, entry.gmt_modified
            )
            async for entry in entries
            if entry.file_type != "FOLDER"
        }
        return {path: one for path, one in found.items() if not sides.ignored.is_ignored(path)}


def place_inside(root: Path, path: str) -> Path:
    """Return the place of a file of a context, which is not trusted, below a directory.

    Raises:
        TransferError: It would be elsewhere, by its name or by a link.
    """
    place = root / path
    parts = posixpath.normpath(path).split("/")
    is_below = not posixpath.isabs(path) and ".." not in parts and "\0" not in path
    if not is_below or not place.parent.resolve().is_relative_to(root.resolve()):
        raise failed(f"{path!r} would be outside of {root}", path)
    return place


def _summary(changes: Sequence[ContextChange]) -> TransferError | None:
    wrong = [one for one in changes if one.error is not None]
    if not wrong:
        return None
    named = "; ".join(f"{one.path}: {one.error}" for one in wrong[:_NAMED])
    more = f"; and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
    return failed(f"{len(wrong)} of {len(changes)} files failed: {named}{more}", wrong[0].path)
