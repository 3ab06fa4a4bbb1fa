"""Files of a session."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import anyio

from agentbay_async import _check
from agentbay_async._protocol.text_diff import unified_diff
from agentbay_async._sync import transfers
from agentbay_async.errors import (
    AgentBayError,
    ArgumentTypeError,
    CommandError,
    InvalidArgumentError,
    RemoteFileNotFoundError,
    RemoteNotADirectoryError,
)
from agentbay_async.models._later import ClosingIterator
from agentbay_async.models.contexts import TransferResult
from agentbay_async.models.files import (
    DirectoryListResult,
    EditResult,
    FileChangeResult,
    FileContentResult,
    FileInfoResult,
    FileSearchResult,
    FileTexts,
    MultipleFileContentResult,
)
from agentbay_async.models.results import returns_result
from agentbay_async.models.tools import BoolResult
from agentbay_async.services._files import parsing
from agentbay_async.services._files.chunking import escape_dash
from agentbay_async.services._files.remote_io import RemoteFiles

if TYPE_CHECKING:
    import builtins
    import threading
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from datetime import timedelta

    from agentbay_async._api import Api
    from agentbay_async._sync.transfers import Progress
    from agentbay_async.models.contexts import TransferProgress
    from agentbay_async.models.files import DirectoryEntry, FileChange
    from agentbay_async.services._files.file_store import Options
    from agentbay_async.services._files.transfer import FileTransfer
    from agentbay_async.services.watch import AsyncDirectoryWatch
    from agentbay_async.session import AsyncSession

logger = logging.getLogger("agentbay")

# Files that are read at the same time.
_CONCURRENT_READS = 8
# Seconds for finding out the sizes of the entries of a directory.
_FIND_TIMEOUT = 10.0
# Seconds for the service to move a file between its store and the session.
_TRANSFER_TIMEOUT = 300.0
#: Bytes that a file may have to be read into memory.
MAX_READ = 256 * 1024 * 1024
# rm would also delete a file or a link; this method must not.
_CHECK_DIRECTORY = """\
{ [ -d "$D" ] && [ ! -L "$D" ]; } || { printf '%s: Not a directory\\n' "$D" >&2; exit 20; }
"""


class AsyncFileSystem:
    """Read and write the files of one session.

    Paths are paths in the session; a relative path starts at the home directory. Bytes, large
    files and directories need ``sh`` in the session, because the file tools do not cover them;
    Windows images have no ``sh``.
    """

    __slots__ = (
        "__weakref__",
        "_api",
        "_files",
        "_find_session",
        "_has_find",
        "_session_id",
        "_tool_returns_diff",
        "_transfer",
    )

    def __init__(self, api: Api, session_id: str) -> None:
        self._api = api
        self._session_id = session_id
        self._find_session: Callable[[], AsyncSession]
        self._files = RemoteFiles(api, session_id)
        self._transfer: FileTransfer | None = None
        self._tool_returns_diff = False
        self._has_find = True

    def __repr__(self) -> str:
        return f"{type(self).__name__}(session {self._session_id!r})"

    @property
    def session(self) -> AsyncSession:
        """The session; another object for it if the program has dropped the first one."""
        return self._find_session()

    @overload
    async def read_file(
        self, path: str, *, format: Literal["text"] = "text", max_size: int = MAX_READ
    ) -> FileContentResult[str]: ...

    @overload
    async def read_file(
        self, path: str, *, format: Literal["bytes"], max_size: int = MAX_READ
    ) -> FileContentResult[bytes]: ...

    @returns_result(FileContentResult)
    async def read_file(
        self, path: str, *, format: Literal["text", "bytes"] = "text", max_size: int = MAX_READ
    ) -> FileContentResult[Any]:
        """Read a whole file into memory; :meth:`download_file` streams a large one to disk.

        Args:
            path: The file.
            format: ``"text"`` decodes UTF-8; ``"bytes"`` returns the content as it is.
            max_size: The most bytes to read, 256 MiB by default; a larger file is an error.

        Raises:
            InvalidArgumentError: `format` is neither of the two, or `max_size` is not positive.
        """
        if format not in ("text", "bytes"):
            raise InvalidArgumentError(f"format must be 'text' or 'bytes', not {format!r}")
        path = _check.text(path, "path")
        limit = _check.positive_int(max_size, "max_size")
        if format == "bytes":
            return FileContentResult.ok(*await self._files.read(path, limit))
        return FileContentResult.ok(*await self._read_text(path, limit))

    @returns_result(MultipleFileContentResult)
    async def read_many(self, paths: Sequence[str]) -> MultipleFileContentResult:
        """Read several files of UTF-8 text concurrently.

        Args:
            paths: The files.

        Returns:
            A result whose ``contents`` maps each path to its text. If some files cannot be read,
            the result has failed, but it still has the others, and the reasons in ``errors``.
        """
        wanted = [
            _check.text(path, "each of paths") for path in _check.sequence(paths, "paths", str)
        ]
        contents: dict[str, str] = {}
        errors: dict[str, AgentBayError] = {}
        limiter = anyio.Semaphore(_CONCURRENT_READS)

        async def fetch(path: str) -> None:
            async with limiter:
                try:
                    contents[path], _ = await self._read_text(path)
                except AgentBayError as error:
                    errors[path] = error

        async with anyio.create_task_group() as group:
            for path in dict.fromkeys(wanted):
                group.start_soon(fetch, path)
        texts = FileTexts({path: contents[path] for path in wanted if path in contents}, errors)
        first = next((errors[path] for path in wanted if path in errors), None)
        return MultipleFileContentResult(texts, first)

    @returns_result(BoolResult)
    async def write_file(
        self, path: str, content: str | bytes, mode: Literal["overwrite", "append"] = "overwrite"
    ) -> BoolResult:
        """Write a file of any size, and create missing directories.

        Content that does not fit into one call is written to a part file first, which replaces the
        file when it is complete. A failure leaves the file as it was.

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
            text = _check.encodable(content, "content")
            return BoolResult.ok(True, await self._files.write_text(path, text, mode))
        if isinstance(content, (bytes, bytearray, memoryview)):
            return BoolResult.ok(True, await self._files.write_bytes(path, bytes(content), mode))
        raise ArgumentTypeError(f"content must be str or bytes, not {type(content).__name__}")

    @returns_result(EditResult)
    async def edit_file(
        self, path: str, edits: Sequence[Mapping[str, str]], dry_run: bool = False
    ) -> EditResult:
        """Replace text in a file of UTF-8 text.

        Args:
            path: The file.
            edits: Replacements such as ``{"oldText": "...", "newText": "..."}``, applied in order,
                each at its first match.
            dry_run: Only return the diff; change nothing.

        Returns:
            A result whose ``diff`` is a unified diff of the change.

        Raises:
            ArgumentTypeError: `edits` is not a list of such mappings.
            InvalidArgumentError: `edits` is empty, or an ``oldText`` is.

        Example:
            ::

                edits = [{"oldText": "debug = true", "newText": "debug = false"}]
                print((await session.file_system.edit_file("app.ini", edits)).diff)
        """
        path = _check.text(path, "path")
        checked = parsing.check_edits(edits)
        dry_run = _check.boolean(dry_run, "dry_run")
        # Not every image's tool returns a diff; without one, the file is read before and after.
        # Once the tool has returned a diff, the file need not be read any more.
        old = "" if self._tool_returns_diff else (await self._read_text(path))[0]
        args = {"path": path, "edits": checked, "dryRun": dry_run}
        answer = await self._files.call("edit_file", path, args)
        diff = parsing.parse_diff(answer.data)
        self._tool_returns_diff = self._tool_returns_diff or diff is not None
        if diff is None and not self._tool_returns_diff:
            new = parsing.apply_edits(old, checked) if dry_run else (await self._read_text(path))[0]
            diff = unified_diff(path, old, new)
        return EditResult.ok(diff or "", answer.request_id)

    @returns_result(DirectoryListResult)
    async def list_directory(self, path: str) -> DirectoryListResult:
        """List the entries of a directory, sorted by name; not recursive.

        If the session has GNU ``find``, names are exact, line breaks included, and entries have a
        size. Otherwise they are as the image's own tool writes them.
        """
        path = _check.text(path, "path")
        answer = await self._files.call("list_directory", path, {"path": path})
        entries = sorted(parsing.parse_entries(answer.data), key=lambda entry: entry.name)
        if entries and self._has_find:
            entries = await self._find(path) or entries
        return DirectoryListResult.ok(entries, answer.request_id)

    async def _find(self, path: str) -> builtins.list[DirectoryEntry] | None:
        """Return the entries of a directory with their sizes; ``None`` if the session cannot.

        The tool has answered already, so nothing is lost if this fails.
        """
        try:
            output, _ = await self._files.run_script(
                parsing.LIST, {"D": escape_dash(path)}, _FIND_TIMEOUT
            )
        except CommandError as error:
            # One that ran out of time says nothing about the image.
            self._has_find = error.timed_out
        except AgentBayError as error:
            logger.debug("%s: the entries of %s have no sizes: %s", self._session_id, path, error)
        else:
            return parsing.parse_find(output)
        return None

    @returns_result(FileInfoResult)
    async def get_file_info(self, path: str) -> FileInfoResult:
        """Return size, type, times and permissions of a file or directory."""
        path = _check.text(path, "path")
        return FileInfoResult.ok(*await self._files.info(path))

    async def exists(self, path: str) -> bool:
        """Return whether there is a file or directory at `path`.

        Args:
            path: A path in the session. The session's tool decides whether a link counts whose
                target does not exist; in the local service it does.

        Raises:
            FileError: It cannot be known, for example because a directory on the way is closed to
                the session's user.
            AgentBayError: The session could not be asked.

        Example:
            ::

                if not await session.file_system.exists("/tmp/report.csv"):
                    await session.command.run("make report")
        """
        path = _check.text(path, "path")
        try:
            await self._files.info(path)
        except (RemoteFileNotFoundError, RemoteNotADirectoryError):
            return False
        return True

    @returns_result(FileSearchResult)
    async def search_files(
        self, path: str, pattern: str, exclude_patterns: Sequence[str] | None = None
    ) -> FileSearchResult:
        """Find files by name, in a directory and below.

        A name with a line break comes as two paths, because the tool writes one path on each line.

        Args:
            path: The directory.
            pattern: Pattern of the name, with ``*`` and ``?``, such as ``"*.py"``.
            exclude_patterns: Patterns of names to leave out.

        Raises:
            InvalidArgumentError: An exclude pattern has a comma, the separator of the tool.
        """
        path = _check.text(path, "path")
        args = {"path": path, "pattern": _check.text(pattern, "pattern")}
        excludes = [] if exclude_patterns is None else _check_excludes(exclude_patterns)
        if excludes:
            args["excludePatterns"] = ",".join(excludes)
        answer = await self._files.call("search_files", path, args)
        return FileSearchResult.ok(parsing.parse_matches(answer.data), answer.request_id)

    @returns_result(BoolResult)
    async def create_directory(self, path: str) -> BoolResult:
        """Create a directory and its parents. An existing directory is a success."""
        path = _check.text(path, "path")
        answer = await self._files.call("create_directory", path, {"path": path})
        return BoolResult.ok(True, answer.request_id)

    @returns_result(BoolResult)
    async def delete_file(self, path: str) -> BoolResult:
        """Delete a file."""
        path = _check.text(path, "path")
        answer = await self._files.call("delete_file", path, {"path": path})
        return BoolResult.ok(True, answer.request_id)

    @returns_result(BoolResult)
    async def delete_directory(self, path: str, *, recursive: bool = False) -> BoolResult:
        """Delete a directory. A link to a directory is not deleted.

        Args:
            path: The directory.
            recursive: Delete its content as well; otherwise it must be empty.

        Raises:
            InvalidArgumentError: `path` is the root, or has only dots.
        """
        path = _check.text(path, "path")
        if not path.strip("/."):
            raise InvalidArgumentError(f"path must name a directory below the root, not {path!r}")
        remove = "rm -rf" if _check.boolean(recursive, "recursive") else "rmdir"
        variables = {"D": escape_dash(path.rstrip("/"))}
        script = f'{_CHECK_DIRECTORY}{remove} -- "$D"'
        _, request_id = await self._files.run_on(path, script, variables)
        return BoolResult.ok(True, request_id)

    @returns_result(BoolResult)
    async def move_file(self, source: str, destination: str) -> BoolResult:
        """Move or rename a file or directory."""
        args = {
            "source": _check.text(source, "source"),
            "destination": _check.text(destination, "destination"),
        }
        answer = await self._files.call("move_file", source, args)
        return BoolResult.ok(True, answer.request_id)

    @returns_result(TransferResult)
    async def upload_file(
        self,
        local_path: str | os.PathLike[str] | bytes,
        remote_path: str,
        *,
        content_type: str | None = None,
        wait: bool = True,
        wait_timeout: float | timedelta | None = None,
        poll_interval: float | None = None,
        progress_cb: Callable[[int], Awaitable[None] | None] | None = None,
        progress: Callable[[TransferProgress], Awaitable[None] | None] | None = None,
        timeout: float | timedelta = _TRANSFER_TIMEOUT,
    ) -> TransferResult:
        """Upload a file of this machine into the session, streamed and verified.

        The file replaces its target when it is complete; after a failure the target is as before.
        Large files go through the service's file store, if it offers one.

        Args:
            local_path: The file of this machine, or bytes.
            remote_path: The target in the session; missing directories are created.
            content_type: The content type of the file in the service's store, if it goes there.
            wait: Whether to wait for the move between the store and the session. Without it, the
                file comes later, is not verified, and replaces its target in place. Without a store
                the file has always arrived on return.
            wait_timeout: The official client's name of `timeout`.
            poll_interval: Longest pause between two looks whether the move is done, in seconds.
            progress_cb: Called after every chunk with the number of bytes so far.
            progress: Called after every chunk.
            timeout: Seconds (or a timedelta) for the move from the store into the session.

        Raises:
            InvalidArgumentError: `local_path` is a path, and there is no such file.

        Example:
            ::

                receipt = (await session.file_system.upload_file("in.csv", "data/in.csv")).unwrap()
                print(receipt.size, receipt.verified)
        """
        source = transfers.check_source(local_path)
        path = _check.text(remote_path, "remote_path")
        limit = timeout if wait_timeout is None else wait_timeout
        options = _options(progress, limit, poll_interval, progress_cb, wait, content_type)
        return TransferResult.ok(await self._file_transfer().upload(source, path, options))

    @returns_result(TransferResult)
    async def download_file(
        self,
        remote_path: str,
        local_path: str | os.PathLike[str],
        *,
        overwrite: bool = True,
        wait: bool = True,
        wait_timeout: float | timedelta | None = None,
        poll_interval: float | None = None,
        progress_cb: Callable[[int], Awaitable[None] | None] | None = None,
        progress: Callable[[TransferProgress], Awaitable[None] | None] | None = None,
        timeout: float | timedelta = _TRANSFER_TIMEOUT,
    ) -> TransferResult:
        """Download a file of the session to this machine, streamed and verified.

        The target is replaced when the file is complete; after a failure it is as before.

        Args:
            remote_path: The file of the session.
            local_path: The target on this machine; its directory must exist.
            overwrite: Whether to replace an existing target; otherwise it is a failure.
            wait: Whether to wait until the session has moved the file into the store. Without it,
                what the store has already is downloaded. Without a store it has no effect.
            wait_timeout: The official client's name of `timeout`.
            poll_interval: Longest pause between two looks whether the move is done, in seconds.
            progress_cb: Called after every chunk with the number of bytes so far.
            progress: Called after every chunk.
            timeout: Seconds (or a timedelta) for the move from the session into the store.

        Raises:
            InvalidArgumentError: The target's directory does not exist.
        """
        target = transfers.check_target(local_path)
        path = _check.text(remote_path, "remote_path")
        limit = timeout if wait_timeout is None else wait_timeout
        options = _options(progress, limit, poll_interval, progress_cb, wait)
        if not overwrite and target.exists():
            raise transfers.failed(f"download of {path}: {target} exists already", path)
        return TransferResult.ok(await self._file_transfer().download(path, target, options))

    @returns_result(TransferResult)
    async def upload_directory(
        self,
        local_path: str | os.PathLike[str],
        remote_path: str,
        *,
        progress: Callable[[TransferProgress], Awaitable[None] | None] | None = None,
        timeout: float | timedelta = _TRANSFER_TIMEOUT,
    ) -> TransferResult:
        """Upload the content of a directory of this machine into one of the session.

        Other files in the session's directory stay. The session needs ``tar``.

        Args:
            local_path: The directory of this machine.
            remote_path: The directory of the session; it is created if it is missing.
            progress: Called after every chunk of the archive.
            timeout: Seconds (or a timedelta) for the move from the store into the session.

        Raises:
            InvalidArgumentError: `local_path` is not a directory.
        """
        source = _check_local_directory(local_path)
        path, options = _check.text(remote_path, "remote_path"), _options(progress, timeout)
        return TransferResult.ok(await self._file_transfer().upload_tree(source, path, options))

    @returns_result(TransferResult)
    async def download_directory(
        self,
        remote_path: str,
        local_path: str | os.PathLike[str],
        *,
        progress: Callable[[TransferProgress], Awaitable[None] | None] | None = None,
        timeout: float | timedelta = _TRANSFER_TIMEOUT,
    ) -> TransferResult:
        """Download the content of a directory of the session into one of this machine.

        The session is not trusted: an archive with names or links that lead out of the directory
        is refused as a whole. The session needs ``tar``.

        Args:
            remote_path: The directory of the session.
            local_path: An existing directory of this machine; other files in it stay.
            progress: Called after every chunk of the archive.
            timeout: Seconds (or a timedelta) for the move from the session into the store.

        Raises:
            InvalidArgumentError: `local_path` is not a directory.
        """
        target = _check_local_directory(local_path)
        path, options = _check.text(remote_path, "remote_path"), _options(progress, timeout)
        return TransferResult.ok(await self._file_transfer().download_tree(path, target, options))

    async def get_file_transfer_context_path(self) -> str | None:
        """Return the path of the service's file store in the session; ``None`` without one.

        Transfers do not require it: a file may be anywhere in the session.

        Raises:
            AgentBayError: It cannot be found out.
        """
        store = await self._file_transfer().store()
        return None if store is None else store.path

    def watch(self, path: str, *, interval: float = 0.5) -> ClosingIterator[FileChange]:
        """Yield the changes below a directory, one by one, until the iteration ends.

        As a context manager, the iterator ends with its block.

        The session pushes changes if it can, and after a lost connection again; otherwise it is
        polled. A new file is reported as a creation and a modification.

        Args:
            path: The directory. Changes before the first iteration are not reported.
            interval: Seconds between two polls.

        Raises:
            InvalidArgumentError: `path` is blank, or `interval` is not above 0.
            AgentBayError: The session cannot watch, or is gone; raised while iterating.

        Example:
            ::

                async for change in session.file_system.watch("/workspace"):
                    print(change.event_type, change.path)
        """
        from agentbay_async.services._file_changes import iter_changes

        seconds = _check.seconds(interval, "interval")
        changes = ClosingIterator(
            iter_changes(self._api, self._session_id, _check.text(path, "path"), seconds)
        )
        return self._api.access.hold(changes, self._session_id)

    def watch_directory(
        self,
        path: str,
        callback: Callable[[builtins.list[FileChange]], Awaitable[None] | None],
        interval: float = 0.5,
        stop_event: threading.Event | None = None,
    ) -> AsyncDirectoryWatch:
        """Create a watch that calls back with the changes below a directory; call its ``start()``.

        The official client returns a thread. This has the methods of one, but runs in the event
        loop, so a program must not block the loop while it waits for a change.

        Args:
            path: The directory.
            callback: Called with each batch of changes.
            interval: Seconds between two checks of the stop event, and between two polls if the
                session does not push changes.
            stop_event: Setting it ends the watch; by default a new event.

        Raises:
            InvalidArgumentError: `path` is blank, or `interval` is not above 0.

        Example:
            ::

                watch = session.file_system.watch_directory("/workspace", print)
                await watch.start()
                await watch.stop()
        """
        from agentbay_async.services.watch import AsyncDirectoryWatch

        seconds = _check.seconds(interval, "interval")
        directory = _check.text(path, "path")
        watch = AsyncDirectoryWatch(
            self._api, self._session_id, directory, callback, seconds, stop_event
        )
        return self._api.access.hold(watch, self._session_id)

    @returns_result(FileChangeResult)
    async def get_file_change(self, path: str) -> FileChangeResult:
        """Return the changes below a directory since they were last asked for.

        :meth:`watch_directory` and :meth:`watch` ask for them, too.

        Args:
            path: The directory.

        Example:
            ::

                result = await session.file_system.get_file_change("/workspace")
                print(result.get_modified_files())
        """
        from agentbay_async.services._file_changes import fetch_changes

        directory = _check.text(path, "path")
        return FileChangeResult.ok(*await fetch_changes(self._api, self._session_id, directory))

    async def _read_text(self, path: str, limit: int = MAX_READ) -> tuple[str, str]:
        found = await self._files.read_text(path, limit)
        if found is not None:
            return found
        content, request_id = await self._files.read(path, limit)
        try:
            return content.decode("utf-8"), request_id
        except UnicodeDecodeError as error:
            raise self._files.file_error(
                f"not UTF-8 text at byte {error.start}: {path}; read it as bytes", path, request_id
            ) from None

    def _file_transfer(self) -> FileTransfer:
        if self._transfer is None:
            from agentbay_async.services._files.transfer import FileTransfer

            self._transfer = FileTransfer(self._files)
        return self._transfer

    # Names of the official client, from scripts/official_names.toml.
    read = read_file
    write = write_file
    edit = edit_file
    read_multiple_files = read_many
    list = list_directory
    ls = list_directory
    info = get_file_info
    search = search_files
    mkdir = create_directory
    delete = delete_file
    remove = delete_file
    rm = delete_file
    move = move_file
    upload_dir = upload_directory
    download_dir = download_directory
    upload = upload_file
    download = download_file


def _options(
    progress: Progress | None,
    timeout: float | timedelta,
    poll_interval: float | None = None,
    progress_cb: Callable[[int], Awaitable[None] | None] | None = None,
    wait: bool = True,
    content_type: str | None = None,
) -> Options:
    """Return the options of a transfer, of which two have another name in the official client."""
    from agentbay_async.services._files.file_store import Options

    if progress is not None and progress_cb is not None:
        raise InvalidArgumentError("progress and progress_cb exclude each other; give one")
    return Options(
        progress if progress_cb is None else lambda state: progress_cb(state.done),
        _check.seconds(timeout, "timeout"),
        None if poll_interval is None else _check.seconds(poll_interval, "poll_interval"),
        _check.boolean(wait, "wait"),
        "" if content_type is None else _check.text(content_type, "content_type"),
    )


def _check_excludes(patterns: Sequence[str]) -> list[str]:
    checked = _check.sequence(patterns, "exclude_patterns", str)
    for pattern in checked:
        if "," in _check.text(pattern, "each of exclude_patterns"):
            raise InvalidArgumentError(
                f"exclude_patterns must not contain commas: {pattern!r}; use '?' instead"
            )
    return checked


def _check_local_directory(path: object) -> Path:
    if not isinstance(path, (str, os.PathLike)):
        raise ArgumentTypeError(f"local_path must be a path, not {type(path).__name__}")
    directory = Path(path)
    if not directory.is_dir():
        raise InvalidArgumentError(
            f"local_path must be an existing directory, not {str(directory)!r}"
        )
    return directory
