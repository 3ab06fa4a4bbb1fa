"""Contexts (``bay.context``): named, persistent stores of files, and the files in them."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

import attrs

from agentbay_async import _check
from agentbay_async._clock import poll
from agentbay_async._protocol import schema
from agentbay_async._sync import convert, transfers
from agentbay_async.errors import (
    ArgumentTypeError,
    BadAnswerError,
    ClearanceTimeoutError,
    ContextNotFoundError,
    InvalidArgumentError,
    OperationTimeoutError,
)
from agentbay_async.models._later import ClosingIterator
from agentbay_async.models.context_changes import ContextChangesResult
from agentbay_async.models.contexts import (
    ClearContextResult,
    Clearing,
    Context,
    ContextFileEntry,
    ContextFileListResult,
    ContextFilePage,
    ContextListParams,
    ContextListResult,
    ContextPage,
    ContextResult,
    FileUrl,
    FileUrlResult,
    TransferProgress,
    TransferResult,
)
from agentbay_async.models.results import OperationResult, returns_result

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
    from datetime import timedelta

    from agentbay_async._api import Api
    from agentbay_async._sync.directory import Sides
    from agentbay_async.client import AsyncAgentBay
    from agentbay_async.models.context_changes import ContextChange

# Entries on each page of an iteration: the usual upper bound of the service's gateway.
_PAGE = 100
# Deeper folders are a mistake, or meant to keep programs busy.
_MAX_DEPTH = 64


class AsyncContextService:
    """Contexts of the account: named stores of files that outlive sessions.

    Example:
        ::

            context = (await bay.context.get("models", create=True)).context
            await bay.context.upload_file(context.id, "/weights.bin", "weights.bin")
    """

    __slots__ = ("__weakref__", "_api")

    def __init__(self, api: Api) -> None:
        self._api = api

    @property
    def agent_bay(self) -> AsyncAgentBay:
        """The client; another object for it if the program has dropped the first one."""
        client: AsyncAgentBay = self._api.find_client()
        return client

    @returns_result(ContextResult)
    async def get(
        self, name: str | None = None, create: bool = False, context_id: str | None = None
    ) -> ContextResult:
        """Look a context up by its name or its id.

        Args:
            name: Its name.
            create: Create it if there is no context of that name.
            context_id: Its id, instead of `name` and `create`.

        Raises:
            InvalidArgumentError: Both `name` and `context_id` are given, or neither, or `create`
                together with an id.
        """
        if (name is None) == (context_id is None):
            raise InvalidArgumentError("give either name or context_id")
        if context_id is not None and create:
            raise InvalidArgumentError("create=True needs a name: the service chooses the id")
        request = schema.GetContext(
            allow_create=_check.boolean(create, "create"),
            name=None if name is None else _check.text(name, "name"),
            context_id=None if context_id is None else _check.identifier(context_id, "context_id"),
            login_region_id=self._api.settings.region_id if create else None,
        )
        return await self._get(request)

    async def create(self, name: str) -> ContextResult:
        """Return the context called `name`; create it if there is none."""
        return await self.get(name, create=True)

    @returns_result(ContextListResult)
    async def list(self, params: ContextListParams | None = None) -> ContextListResult:
        """Return one page of the account's contexts.

        Args:
            params: Page size and token. Default: the first page of 10.
        """
        params = ContextListParams() if params is None else params
        if not isinstance(params, ContextListParams):
            raise ArgumentTypeError(
                f"params must be ContextListParams, not {type(params).__name__}"
            )
        request = schema.ListContexts(
            max_results=params.max_results,
            next_token=params.next_token or None,
            session_id=params.session_id,
        )
        answer = await self._api.call(request)
        contexts = [convert.context(record) for record in answer.data or () if record.id]
        page = ContextPage(contexts, answer.next_token, answer.max_results, answer.total_count)
        return ContextListResult.ok(page, answer.request_id)

    def iterate(self) -> ClosingIterator[Context]:
        """Yield every context of the account, fetching page after page.

        Raises:
            AgentBayError: A page cannot be fetched; the pages before it were yielded.
        """
        return ClosingIterator(self._iterate())

    async def _iterate(self) -> AsyncGenerator[Context, None]:
        async with aclosing(self._api.pages(schema.ListContexts(max_results=_PAGE))) as pages:
            async for page in pages:
                for record in page.data or ():
                    if record.id:
                        yield convert.context(record)

    @returns_result(OperationResult)
    async def update(self, context: Context) -> OperationResult[bool]:
        """Rename a context to ``context.name``.

        Args:
            context: The context with its new name, for example from ``attrs.evolve``.
        """
        if not isinstance(context, Context):
            raise ArgumentTypeError(f"context must be a Context, not {type(context).__name__}")
        request = schema.ModifyContext(
            id=_check.identifier(context.id, "context.id"),
            name=_check.text(context.name, "context.name"),
        )
        answer = await self._api.call(request)
        return OperationResult.ok(True, answer.request_id)

    @returns_result(OperationResult)
    async def delete(self, context: Context | str) -> OperationResult[bool]:
        """Delete a context and all its files. It is a success if the context is gone already.

        Args:
            context: The context, or its id.
        """
        try:
            answer = await self._api.call(schema.DeleteContext(id=_context_id(context)))
        except ContextNotFoundError as gone:
            return OperationResult.ok(True, gone.request_id)
        return OperationResult.ok(True, answer.request_id)

    @returns_result(ClearContextResult)
    async def clear(
        self, context_id: str, timeout: float | timedelta = 60, poll_interval: float = 2.0
    ) -> ClearContextResult:
        """Delete all files of a context and wait until they are gone. The context keeps its id.

        Args:
            context_id: The context.
            timeout: Seconds (or a timedelta) to wait.
            poll_interval: Longest pause between two polls, in seconds.
        """
        limit = _check.seconds(timeout, "timeout")
        interval = _check.seconds(poll_interval, "poll_interval")
        deadline = self._api.deadline(limit)
        started = (await self.start_clear(context_id)).status

        async def ask() -> ClearContextResult:
            return await self.get_clear_status(context_id)

        try:
            return await poll(
                ask,
                lambda state: state.status not in (started, "pre-available", ""),
                clock=self._api.clock,
                timeout=min(limit, deadline - self._api.clock.monotonic()),
                what=f"the clearing of {context_id}",
                interval=interval,
            )
        except OperationTimeoutError as error:
            raise ClearanceTimeoutError(error.message) from None

    @returns_result(ClearContextResult)
    async def start_clear(self, context_id: str) -> ClearContextResult:
        """Start to delete all files of a context, without waiting."""
        request = schema.ClearContext(id=_check.identifier(context_id, "context_id"))
        answer = await self._api.call(request)
        return ClearContextResult.ok(Clearing(context_id, "clearing"), answer.request_id)

    @returns_result(ClearContextResult)
    async def get_clear_status(self, context_id: str) -> ClearContextResult:
        """Return the state of a context: ``"clearing"``, then ``"available"``."""
        result = await self.get(context_id=context_id)
        state = Clearing(context_id, result.context.state)
        return ClearContextResult.ok(state, result.request_id)

    @returns_result(ContextFileListResult)
    async def list_files(
        self,
        context_id: str,
        parent_folder_path: str = "/",
        page_number: int = 1,
        page_size: int = 50,
        max_results: int | None = None,
        next_token: str | None = None,
    ) -> ContextFileListResult:
        """List one page of a folder of a context, by page number or by token.

        Args:
            context_id: The context.
            parent_folder_path: The folder; ``"/"`` or ``""`` is the root.
            page_number: Number of the page, from 1.
            page_size: Entries on a page.
            max_results: Entries on a page, when paging by token.
            next_token: Token from the previous page.
        """
        request = schema.DescribeContextFiles(
            context_id=_check.identifier(context_id, "context_id"),
            parent_folder_path=_folder(parent_folder_path),
        )
        if max_results is not None or next_token:
            size = page_size if max_results is None else max_results
            request.max_results = _check.positive_int(size, "max_results")
            request.next_token = next_token
        else:
            request.page_number = _check.positive_int(page_number, "page_number")
            request.page_size = _check.positive_int(page_size, "page_size")
        answer = await self._api.call(request)
        entries = [convert.file_entry(record) for record in answer.data or ()]
        page = ContextFilePage(entries, answer.count, answer.next_token)
        return ContextFileListResult.ok(page, answer.request_id)

    def iterate_files(
        self, context_id: str, parent_folder_path: str = "/", *, recursive: bool = False
    ) -> ClosingIterator[ContextFileEntry]:
        """Yield every entry of a folder of a context, fetching page after page.

        Args:
            context_id: The context.
            parent_folder_path: The folder; ``"/"`` or ``""`` is the root.
            recursive: Yield what is in its folders too, folder by folder, 64 levels deep at
                most. Paths of entries are from the root of the context then.

        Raises:
            ArgumentTypeError: An argument has the wrong type.
            InvalidArgumentError: `context_id` is blank, or `parent_folder_path` has ``..`` in it.
            AgentBayError: A page cannot be fetched; the pages before it were yielded.
        """
        name, folder = _check.identifier(context_id, "context_id"), _folder(parent_folder_path)
        if _check.boolean(recursive, "recursive"):
            return ClosingIterator(self._iterate_tree(name, f"/{folder.strip('/')}"))
        return ClosingIterator(self._iterate_folder(name, folder))

    async def _iterate_tree(
        self, context_id: str, top: str
    ) -> AsyncGenerator[ContextFileEntry, None]:
        # What is still to be listed; the last is next.
        waiting = [(top, 0)]
        while waiting:
            folder, depth = waiting.pop()
            folders = []
            async with aclosing(self._iterate_folder(context_id, folder)) as entries:
                async for entry in entries:
                    path = f"{folder.rstrip('/')}/{entry.file_name}"
                    yield attrs.evolve(entry, file_path=path)
                    if entry.file_type == "FOLDER" and depth < _MAX_DEPTH:
                        folders.append((path, depth + 1))
            waiting += reversed(folders)

    async def _iterate_folder(
        self, context_id: str, folder: str
    ) -> AsyncGenerator[ContextFileEntry, None]:
        request = schema.DescribeContextFiles(
            context_id=context_id, parent_folder_path=folder, max_results=_PAGE
        )
        async with aclosing(self._api.pages(request)) as pages:
            async for page in pages:
                for record in page.data or ():
                    yield convert.file_entry(record)

    @returns_result(FileUrlResult)
    async def get_file_upload_url(self, context_id: str, file_path: str) -> FileUrlResult:
        """Return a URL to PUT a file to. Anyone who has it may use it: keep it secret."""
        kind = schema.GetContextFileUploadUrl
        return await self._url(kind(**_file_fields(context_id, file_path)))

    @returns_result(FileUrlResult)
    async def get_file_download_url(self, context_id: str, file_path: str) -> FileUrlResult:
        """Return a URL to GET a file from. Anyone who has it may use it: keep it secret."""
        kind = schema.GetContextFileDownloadUrl
        return await self._url(kind(**_file_fields(context_id, file_path)))

    @returns_result(TransferResult)
    async def upload_file(
        self,
        context_id: str,
        file_path: str,
        source: str | os.PathLike[str] | bytes,
        *,
        progress: Callable[[TransferProgress], Awaitable[None] | None] | None = None,
    ) -> TransferResult:
        """Upload a file to a context, streamed and verified.

        Args:
            context_id: The context.
            file_path: Path in the context.
            source: A local file, or the content as bytes.
            progress: Called after every chunk.

        Raises:
            InvalidArgumentError: `source` is a path without a file.
        """
        content = transfers.check_source(source)
        _file_fields(context_id, file_path)

        async def url() -> str:
            return (await self.get_file_upload_url(context_id, file_path)).url

        receipt = await transfers.upload(self._api, file_path, url, content, progress)
        return TransferResult.ok(receipt)

    @returns_result(TransferResult)
    async def download_file(
        self,
        context_id: str,
        file_path: str,
        target: str | os.PathLike[str],
        *,
        progress: Callable[[TransferProgress], Awaitable[None] | None] | None = None,
    ) -> TransferResult:
        """Download a file of a context, streamed and verified.

        A complete download replaces the target in one step; a failed one leaves it unchanged.

        Args:
            context_id: The context.
            file_path: Path in the context.
            target: A local file; its directory must exist.
            progress: Called after every chunk.

        Raises:
            InvalidArgumentError: The target's directory does not exist.
        """
        path = transfers.check_target(target)
        _file_fields(context_id, file_path)

        async def url() -> str:
            return (await self.get_file_download_url(context_id, file_path)).url

        receipt = await transfers.download(self._api, file_path, url, path, progress)
        return TransferResult.ok(receipt)

    @returns_result(OperationResult)
    async def delete_file(self, context_id: str, file_path: str) -> OperationResult[bool]:
        """Delete a file of a context."""
        request = schema.DeleteContextFile(**_file_fields(context_id, file_path))
        answer = await self._api.call(request)
        return OperationResult.ok(True, answer.request_id)

    async def push(
        self,
        context: Context | str,
        directory: str | os.PathLike[str],
        *,
        folder: str = "/",
        delete: bool = False,
        exclude: Sequence[str] = (),
        dry_run: bool = False,
        on_change: Callable[[ContextChange], Awaitable[None] | None] | None = None,
    ) -> ContextChangesResult:
        """Make a folder of a context have the files of a directory. Only what differs is sent.

        The plan is made first. A file is sent if its size or its checksum differs. The service
        lists no checksums, so those of transferred files are noted in a file of this user, with the
        time that the service lists: what another machine has changed, or sent, is sent once more.
        After a failure or a cancel, the next call goes on where this one has ended.

        The file ``.agentbayignore`` of the directory has patterns of what is left out, on both
        sides, in the language of ``.gitignore``. Links are left out.

        Args:
            context: The context, or its id.
            directory: The directory of this machine.
            folder: The folder of the context.
            delete: Delete files of the folder that the directory does not have.
            exclude: More patterns of files to leave out.
            dry_run: Return the plan, and change nothing.
            on_change: Called after each file; its change has the error of one that failed.

        Raises:
            InvalidArgumentError: There is no such directory, its ignore file cannot be read, or
                `folder` has ``..``.

        Example:
            ::

                context = (await bay.context.get("notes", create=True)).context
                result = await bay.context.push(context, "notes", delete=True)
                print([(one.action, one.path) for one in result.changes])
        """
        sides = self._sides(context, directory, folder, exclude, is_push=True)
        return await self._transfer(sides, on_change, delete=delete, dry_run=dry_run)

    async def pull(
        self,
        context: Context | str,
        directory: str | os.PathLike[str],
        *,
        folder: str = "/",
        delete: bool = False,
        exclude: Sequence[str] = (),
        dry_run: bool = False,
        on_change: Callable[[ContextChange], Awaitable[None] | None] | None = None,
    ) -> ContextChangesResult:
        """Make a directory have the files of a folder of a context. Only what differs is fetched.

        The counterpart of :meth:`push`, which says what differs and what is left out. Nothing is
        written outside of the directory, whatever the files of the context are called.

        Args:
            context: The context, or its id.
            directory: The directory of this machine; it is created if it is missing.
            folder: The folder of the context.
            delete: Delete files of the directory that the folder does not have.
            exclude: More patterns of files to leave out.
            dry_run: Return the plan, and change nothing.
            on_change: Called after each file; its change has the error of one that failed.

        Raises:
            InvalidArgumentError: `directory` is no directory, its ignore file cannot be read, or
                `folder` has ``..``.
        """
        sides = self._sides(context, directory, folder, exclude, is_push=False)
        return await self._transfer(sides, on_change, delete=delete, dry_run=dry_run)

    def _sides(
        self,
        context: Context | str,
        directory: str | os.PathLike[str],
        folder: str,
        exclude: Sequence[str],
        *,
        is_push: bool,
    ) -> Sides:
        # Imported here, because most programs transfer no directories.
        from agentbay_async._sync.directory import Sides, check_directory, read_patterns

        root = check_directory(directory, is_push=is_push)
        place = f"/{_inside(folder, 'folder').strip('/')}"
        patterns = read_patterns(root, _check.sequence(exclude, "exclude", str))
        return Sides(root, _context_id(context), place, patterns, is_push)

    @returns_result(ContextChangesResult)
    async def _transfer(
        self,
        sides: Sides,
        on_change: Callable[[ContextChange], Awaitable[None] | None] | None,
        *,
        delete: bool,
        dry_run: bool,
    ) -> ContextChangesResult:
        from agentbay_async._sync.directory import DirectoryTransfer

        delete = _check.boolean(delete, "delete")
        work = DirectoryTransfer(self, sides, self._api.settings.endpoint)
        dry_run = _check.boolean(dry_run, "dry_run")
        plan = await work.plan(delete=delete)
        if dry_run:
            return ContextChangesResult.of(plan, None)
        sides.root.mkdir(parents=True, exist_ok=True)
        return await work.carry_out(plan, on_change)

    async def _get(self, request: schema.GetContext) -> ContextResult:
        answer = await self._api.call(request)
        if answer.data is None or not answer.data.id:
            # The service answers a look-up that found nothing with an empty context.
            wanted = request.name or request.context_id
            raise ContextNotFoundError(
                f"there is no context {wanted!r}", request_id=answer.request_id
            )
        return ContextResult.ok(convert.context(answer.data), answer.request_id)

    async def _url(
        self, request: schema.GetContextFileUploadUrl | schema.GetContextFileDownloadUrl
    ) -> FileUrlResult:
        answer = await self._api.call(request)
        if answer.data is None or not answer.data.url:
            raise BadAnswerError(
                f"{request.ACTION}: the answer has no URL", request_id=answer.request_id
            )
        return FileUrlResult.ok(
            FileUrl(answer.data.url, answer.data.expire_time), answer.request_id
        )

    # Names of the official client, from scripts/official_names.toml.
    clear_async = start_clear


def _context_id(context: Context | str) -> str:
    return _check.identifier(context.id if isinstance(context, Context) else context, "context")


def _file_fields(context_id: str, file_path: str) -> dict[str, str]:
    return {
        "context_id": _check.identifier(context_id, "context_id"),
        "file_path": _inside(file_path, "file_path"),
    }


def _folder(path: str) -> str:
    return (
        _inside(path, "parent_folder_path") if path else _check.string(path, "parent_folder_path")
    )


def _inside(path: str, name: str) -> str:
    if ".." in _check.text(path, name).split("/"):
        raise InvalidArgumentError(f"{name} must not contain '..': {path!r}")
    return path
