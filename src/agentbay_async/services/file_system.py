"""Files of a session."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import anyio

from agentbay_async import _check, _transfers
from agentbay_async._reporting import reports
from agentbay_async.context_results import TransferResult
from agentbay_async.errors import (
    AgentBayError,
    ArgumentTypeError,
    CommandError,
    InvalidArgumentError,
)
from agentbay_async.results import OperationResult
from agentbay_async.services import _file_answers as answers
from agentbay_async.services._files import Files
from agentbay_async.services._pieces import below
from agentbay_async.services.command import AsyncCommand
from agentbay_async.tool_records import FileTexts
from agentbay_async.tool_results import (
    BoolResult,
    DirectoryListResult,
    EditResult,
    FileContentResult,
    FileInfoResult,
    FileSearchResult,
    MultipleFileContentResult,
)

if TYPE_CHECKING:
    import builtins
    import threading
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
    from datetime import timedelta

    from agentbay_async._api import Api
    from agentbay_async.context_records import TransferProgress
    from agentbay_async.services._carrying import Carrier
    from agentbay_async.services.watch import AsyncDirectoryWatch
    from agentbay_async.tool_records import FileChange

# How many files are read at once.
_AT_ONCE = 8
_TRANSFER_TIMEOUT = 300.0


class AsyncFileSystem:
    """Reads and writes the files of one session.

    Paths are those of the session; a relative path is relative to the home directory. What the
    file tools cannot do (bytes, large files, directories) is done by short scripts of ``sh``, so
    it needs an image that has one; Windows images do not.
    """

    __slots__ = ("__weakref__", "_api", "_carrier", "_files", "_session_id", "_tells_diffs")

    def __init__(self, api: Api, session_id: str) -> None:
        self._api = api
        self._session_id = session_id
        self._files = Files(api, session_id, AsyncCommand(api, session_id))
        self._carrier: Carrier | None = None
        self._tells_diffs = False

    @overload
    async def read_file(
        self, path: str, *, format: Literal["text"] = "text"
    ) -> FileContentResult[str]: ...

    @overload
    async def read_file(
        self, path: str, *, format: Literal["bytes"]
    ) -> FileContentResult[bytes]: ...

    @reports(FileContentResult)
    async def read_file(
        self, path: str, *, format: Literal["text", "bytes"] = "text"
    ) -> FileContentResult[Any]:
        """Read a whole file, of any size.

        Args:
            path: The file.
            format: ``"text"`` reads UTF-8, ``"bytes"`` what is there.

        Raises:
            InvalidArgumentError: `format` is neither of the two.
        """
        if format not in ("text", "bytes"):
            raise InvalidArgumentError(f"format must be 'text' or 'bytes', not {format!r}")
        path = _check.text(path, "path")
        if format == "bytes":
            return FileContentResult.ok(*await self._files.read(path))
        return FileContentResult.ok(*await self._text(path))

    async def _text(self, path: str) -> tuple[str, str]:
        content, request_id = await self._files.read(path)
        try:
            return content.decode("utf-8"), request_id
        except UnicodeDecodeError as error:
            raise self._files.error(
                f"{path} is not UTF-8 text (byte {error.start})", path, request_id
            ) from None

    @reports(MultipleFileContentResult)
    async def read_many(self, paths: Sequence[str]) -> MultipleFileContentResult:
        """Read several files of UTF-8 text at once.

        Args:
            paths: The files.

        Returns:
            A result whose ``contents`` has the text of each path. If some cannot be read, it is a
            failed result that has the others all the same, and the reasons in ``errors``.
        """
        wanted = [
            _check.text(path, "each of paths") for path in _check.sequence(paths, "paths", str)
        ]
        read: dict[str, str] = {}
        errors: dict[str, AgentBayError] = {}
        turn = anyio.Semaphore(_AT_ONCE)

        async def fetch(path: str) -> None:
            async with turn:
                try:
                    read[path], _ = await self._text(path)
                except AgentBayError as error:
                    errors[path] = error

        async with anyio.create_task_group() as group:
            for path in dict.fromkeys(wanted):
                group.start_soon(fetch, path)
        texts = FileTexts({path: read[path] for path in wanted if path in read}, errors)
        first = next((errors[path] for path in wanted if path in errors), None)
        return MultipleFileContentResult(texts, first)

    @reports(BoolResult)
    async def write_file(
        self, path: str, content: str | bytes, mode: Literal["overwrite", "append"] = "overwrite"
    ) -> BoolResult:
        """Write a file, of any size; missing directories are made.

        What does not fit into one call is written beside the file and takes its place when it is
        complete, so a failure on the way leaves the file as it was.

        Args:
            path: The file.
            content: Text (written as UTF-8) or bytes.
            mode: ``"overwrite"`` or ``"append"``.

        Raises:
            InvalidArgumentError: `mode` is neither of the two.
            ArgumentTypeError: `content` is neither text nor bytes.
        """
        if mode not in ("overwrite", "append"):
            raise InvalidArgumentError(f"mode must be 'overwrite' or 'append', not {mode!r}")
        path = _check.text(path, "path")
        if isinstance(content, str):
            whole = _check.encodable(content, "content")
            return BoolResult.ok(True, await self._files.write_text(path, whole, mode))
        if isinstance(content, (bytes, bytearray, memoryview)):
            return BoolResult.ok(True, await self._files.write_bytes(path, bytes(content), mode))
        raise ArgumentTypeError(f"content must be str or bytes, not {type(content).__name__}")

    @reports(EditResult)
    async def edit_file(
        self, path: str, edits: Sequence[Mapping[str, str]], dry_run: bool = False
    ) -> EditResult:
        """Replace texts in a file of UTF-8 text.

        Args:
            path: The file.
            edits: What to replace by what, one after the other, each at its first match:
                ``{"oldText": "...", "newText": "..."}``.
            dry_run: Only say what would change.

        Returns:
            A result whose ``diff`` says what changed.

        Raises:
            ArgumentTypeError: `edits` is not a list of such mappings.
            InvalidArgumentError: There is no edit, or one has nothing to look for.

        Example:
            ::

                edits = [{"oldText": "debug = true", "newText": "debug = false"}]
                print((await session.file_system.edit_file("app.ini", edits)).diff)
        """
        path = _check.text(path, "path")
        checked = answers.checked_edits(edits)
        dry_run = _check.boolean(dry_run, "dry_run")
        # Not every image's tool tells the difference; where it did once, nothing is read for it.
        old = "" if self._tells_diffs else (await self._text(path))[0]
        args = {"path": path, "edits": checked, "dryRun": dry_run}
        answer = await self._files.call("edit_file", path, args)
        diff = answers.told_diff(answer.data)
        self._tells_diffs = self._tells_diffs or diff is not None
        if diff is None and not self._tells_diffs:
            new = answers.edited(old, checked) if dry_run else (await self._text(path))[0]
            diff = answers.difference(path, old, new)
        return EditResult.ok(diff or "", answer.request_id)

    @reports(DirectoryListResult)
    async def list_directory(self, path: str) -> DirectoryListResult:
        """List the names in a directory, not those below it, in the order of their names.

        Names are told exactly, line breaks included, where the session has GNU ``find``; elsewhere
        as the image's own tool writes them.
        """
        path = _check.text(path, "path")
        listed = await self._files.command(answers.LIST, {"D": below(path)})
        if isinstance(listed.error, CommandError) and listed.error.exit_code == _NO_DIRECTORY:
            raise self._files.error(listed.error.message, path, listed.request_id)
        entries = answers.found_entries(listed.stdout) if listed.success else None
        if entries is not None:
            return DirectoryListResult.ok(entries, listed.request_id)
        if not isinstance(listed.error, CommandError | None):
            raise listed.error
        answer = await self._files.call("list_directory", path, {"path": path})
        return DirectoryListResult.ok(answers.marked_entries(answer.data), answer.request_id)

    @reports(FileInfoResult)
    async def get_file_info(self, path: str) -> FileInfoResult:
        """Ask for size, kind, times and permissions of a file or directory."""
        path = _check.text(path, "path")
        answer = await self._files.call("get_file_info", path, {"path": path})
        return FileInfoResult.ok(answers.file_info(path, answer.data), answer.request_id)

    @reports(FileSearchResult)
    async def search_files(
        self, path: str, pattern: str, exclude_patterns: Sequence[str] | None = None
    ) -> FileSearchResult:
        """Find files by name in a directory and all those below it.

        The tool answers one path on a line, so a name with a line break comes as two.

        Args:
            path: The directory.
            pattern: What the name must match, with ``*`` and ``?``, such as ``"*.py"``.
            exclude_patterns: Names to leave out.

        Raises:
            InvalidArgumentError: An exclude pattern has a comma, which the tool would cut it at.
        """
        path = _check.text(path, "path")
        args = {"path": path, "pattern": _check.text(pattern, "pattern")}
        excludes = [] if exclude_patterns is None else _excludes(exclude_patterns)
        if excludes:
            args["excludePatterns"] = ",".join(excludes)
        answer = await self._files.call("search_files", path, args)
        return FileSearchResult.ok(answers.matches(answer.data), answer.request_id)

    @reports(BoolResult)
    async def create_directory(self, path: str) -> BoolResult:
        """Make a directory, and those above it. One that is there already is a success."""
        path = _check.text(path, "path")
        answer = await self._files.call("create_directory", path, {"path": path})
        return BoolResult.ok(True, answer.request_id)

    @reports(BoolResult)
    async def delete_file(self, path: str) -> BoolResult:
        """Delete a file."""
        path = _check.text(path, "path")
        answer = await self._files.call("delete_file", path, {"path": path})
        return BoolResult.ok(True, answer.request_id)

    @reports(BoolResult)
    async def delete_directory(self, path: str, *, recursive: bool = False) -> BoolResult:
        """Delete a directory. A link to one is not a directory.

        Args:
            path: The directory.
            recursive: Delete all that is in it as well; otherwise it must be empty.

        Raises:
            InvalidArgumentError: `path` is the root.
        """
        path = _check.text(path, "path")
        if not path.strip("/."):
            raise InvalidArgumentError(f"path must name a directory of its own, not {path!r}")
        remove = "rm -rf" if _check.boolean(recursive, "recursive") else "rmdir"
        variables = {"D": below(path.rstrip("/"))}
        done = await self._files.shell(f'{_DELETE}{remove} -- "$D"', path, variables)
        return BoolResult.ok(True, done.request_id)

    @reports(BoolResult)
    async def move_file(self, source: str, destination: str) -> BoolResult:
        """Move or rename a file or directory."""
        args = {
            "source": _check.text(source, "source"),
            "destination": _check.text(destination, "destination"),
        }
        answer = await self._files.call("move_file", source, args)
        return BoolResult.ok(True, answer.request_id)

    @reports(TransferResult)
    async def upload_file(
        self,
        local_path: str | os.PathLike[str] | bytes,
        remote_path: str,
        *,
        progress: Callable[[TransferProgress], Awaitable[None] | None] | None = None,
        timeout: float | timedelta = _TRANSFER_TIMEOUT,
    ) -> TransferResult:
        """Bring a file of this machine into the session, streamed and verified.

        It takes its place when it is complete; until then, and after a failure, what was there
        stays. Large files go through the service's store for files, where there is one.

        Args:
            local_path: The file of this machine, or bytes.
            remote_path: Where in the session; missing directories are made.
            progress: Told of every chunk.
            timeout: Seconds (or a timedelta) to wait for the store to hand the file over.

        Raises:
            InvalidArgumentError: `local_path` is a path and there is no such file.

        Example:
            ::

                receipt = (await session.file_system.upload_file("in.csv", "data/in.csv")).unwrap()
                print(receipt.size, receipt.verified)
        """
        source = _transfers.check_source(local_path)
        path, limit = _check.text(remote_path, "remote_path"), _check.seconds(timeout, "timeout")
        return TransferResult.ok(await self._carry().upload(source, path, progress, limit))

    @reports(TransferResult)
    async def download_file(
        self,
        remote_path: str,
        local_path: str | os.PathLike[str],
        *,
        progress: Callable[[TransferProgress], Awaitable[None] | None] | None = None,
        timeout: float | timedelta = _TRANSFER_TIMEOUT,
    ) -> TransferResult:
        """Bring a file of the session to this machine, streamed and verified.

        The target is replaced when all has arrived, and left alone otherwise.

        Args:
            remote_path: The file of the session.
            local_path: Where on this machine; its directory must exist.
            progress: Told of every chunk.
            timeout: Seconds (or a timedelta) to wait for the store to take the file over.

        Raises:
            InvalidArgumentError: The target's directory does not exist.
        """
        target = _transfers.check_target(local_path)
        path, limit = _check.text(remote_path, "remote_path"), _check.seconds(timeout, "timeout")
        return TransferResult.ok(await self._carry().download(path, target, progress, limit))

    @reports(TransferResult)
    async def upload_directory(
        self,
        local_path: str | os.PathLike[str],
        remote_path: str,
        *,
        progress: Callable[[TransferProgress], Awaitable[None] | None] | None = None,
        timeout: float | timedelta = _TRANSFER_TIMEOUT,
    ) -> TransferResult:
        """Bring all that is in a directory of this machine into one of the session.

        What is there already and has another name stays. The session needs ``tar``.

        Args:
            local_path: The directory of this machine.
            remote_path: The directory of the session; it is made if it is missing.
            progress: Told of every chunk of the archive.
            timeout: Seconds (or a timedelta) to wait for the store.

        Raises:
            InvalidArgumentError: `local_path` is not a directory.
        """
        source = _local_directory(local_path)
        path, limit = _check.text(remote_path, "remote_path"), _check.seconds(timeout, "timeout")
        return TransferResult.ok(await self._carry().upload_tree(source, path, progress, limit))

    @reports(TransferResult)
    async def download_directory(
        self,
        remote_path: str,
        local_path: str | os.PathLike[str],
        *,
        progress: Callable[[TransferProgress], Awaitable[None] | None] | None = None,
        timeout: float | timedelta = _TRANSFER_TIMEOUT,
    ) -> TransferResult:
        """Bring all that is in a directory of the session into one of this machine.

        What the session packs is not trusted: an archive with names or links that lead out of the
        directory is refused whole. The session needs ``tar``.

        Args:
            remote_path: The directory of the session.
            local_path: An existing directory of this machine; other files in it stay.
            progress: Told of every chunk of the archive.
            timeout: Seconds (or a timedelta) to wait for the store.

        Raises:
            InvalidArgumentError: `local_path` is not a directory.
        """
        target = _local_directory(local_path)
        path, limit = _check.text(remote_path, "remote_path"), _check.seconds(timeout, "timeout")
        return TransferResult.ok(await self._carry().download_tree(path, target, progress, limit))

    @reports(OperationResult)
    async def get_file_transfer_context_path(self) -> OperationResult[str | None]:
        """Ask where the session sees the service's store for files; ``None`` if there is none.

        Nobody needs it to carry files: they may lie anywhere.
        """
        store = await self._carry().store()
        return OperationResult.ok(None if store is None else store.path)

    def watch(self, path: str, *, interval: float = 0.5) -> AsyncIterator[FileChange]:
        """Yield each change below a directory, for as long as one iterates.

        Changes are pushed where the session offers that, also after its line broke and was made
        anew; otherwise the session is asked for them. A new file is a creation and a modification.

        Args:
            path: The directory. What changes before the first iteration is not told.
            interval: Seconds between two questions, where changes are not pushed.

        Raises:
            InvalidArgumentError: `path` is blank, or `interval` is not above 0.
            AgentBayError: The session cannot tell, or is gone: raised while iterating.

        Example:
            ::

                async for change in session.file_system.watch("/workspace"):
                    print(change.event_type, change.path)
        """
        from agentbay_async.services.watch import one_by_one

        pause = _check.seconds(interval, "interval")
        return one_by_one(self._api, self._session_id, _check.text(path, "path"), pause)

    def watch_directory(
        self,
        path: str,
        callback: Callable[[builtins.list[FileChange]], Awaitable[None] | None],
        interval: float = 0.5,
        stop_event: threading.Event | None = None,
    ) -> AsyncDirectoryWatch:
        """Make a watch that calls back with the changes below a directory; it is to be started.

        The official client hands out a thread; this looks like one, but runs in the event loop.

        Args:
            path: The directory.
            callback: Called with the changes that came together.
            interval: Seconds between two looks at the stop event, and between two questions where
                changes are not pushed.
            stop_event: Setting it ends the watch; by default one of its own.

        Raises:
            InvalidArgumentError: `path` is blank, or `interval` is not above 0.

        Example:
            ::

                watch = session.file_system.watch_directory("/workspace", print)
                await watch.start()
                await watch.stop()
        """
        from agentbay_async.services.watch import AsyncDirectoryWatch

        pause = _check.seconds(interval, "interval")
        place = _check.text(path, "path")
        return AsyncDirectoryWatch(self._api, self._session_id, place, callback, pause, stop_event)

    read = read_file
    write = write_file
    edit = edit_file
    list = ls = list_directory
    info = get_file_info
    search = search_files
    mkdir = create_directory
    delete = remove = rm = delete_file
    move = move_file
    read_multiple_files = read_many
    upload_dir = upload_directory
    download_dir = download_directory

    def _carry(self) -> Carrier:
        if self._carrier is None:
            from agentbay_async.services._carrying import Carrier

            self._carrier = Carrier(self._files)
        return self._carrier


# What the script that lists a directory ends with when it cannot enter it.
_NO_DIRECTORY = 101
_DELETE = """\
{ [ -d "$D" ] && [ ! -L "$D" ]; } || { printf '%s: Not a directory\\n' "$D" >&2; exit 20; }
"""


def _excludes(patterns: Sequence[str]) -> builtins.list[str]:
    checked = _check.sequence(patterns, "exclude_patterns", str)
    for pattern in checked:
        if "," in _check.text(pattern, "each of exclude_patterns"):
            raise InvalidArgumentError(
                f"exclude_patterns must not contain commas: {pattern!r}; use '?' instead"
            )
    return checked


def _local_directory(path: object) -> Path:
    if not isinstance(path, (str, os.PathLike)):
        raise ArgumentTypeError(f"local_path must be a path, not {type(path).__name__}")
    directory = Path(path)
    if not directory.is_dir():
        raise InvalidArgumentError(
            f"local_path must be an existing directory: {str(directory)!r} is none"
        )
    return directory
