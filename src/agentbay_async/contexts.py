"""``bay.context``: the account's persistent stores of files, and the files in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from agentbay_async import _check, _transfers
from agentbay_async import _convert as convert
from agentbay_async._polling import poll
from agentbay_async._reporting import reports
from agentbay_async._wire import schema
from agentbay_async.context_params import ContextListParams
from agentbay_async.context_records import (
    Context,
    ContextFileEntry,
    ContextFilePage,
    ContextPage,
    FileUrl,
    TransferProgress,
)
from agentbay_async.context_results import (
    ContextFileListResult,
    ContextListResult,
    ContextResult,
    FileUrlResult,
    TransferResult,
)
from agentbay_async.errors import (
    ArgumentTypeError,
    BadAnswerError,
    ClearanceTimeoutError,
    ContextNotFoundError,
    InvalidArgumentError,
    OperationTimeoutError,
    PageTokenError,
)
from agentbay_async.results import OperationResult

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Awaitable, Callable
    from datetime import timedelta

    from agentbay_async._api import Api

_WALK_PAGE = 100


class AsyncContextService:
    """Named stores of files that outlive sessions."""

    __slots__ = ("__weakref__", "_api")

    def __init__(self, api: Api) -> None:
        self._api = api

    @reports(ContextResult)
    async def get(
        self, name: str | None = None, create: bool = False, context_id: str | None = None
    ) -> ContextResult:
        """Look a context up by its name or its id.

        Args:
            name: Its name.
            create: Make it when there is none of that name.
            context_id: Its id; excludes `name` and `create`.

        Raises:
            InvalidArgumentError: Neither or both of name and id are given, or `create` with an id.
        """
        if (name is None) == (context_id is None):
            raise InvalidArgumentError("give either name or context_id")
        if context_id is not None and create:
            raise InvalidArgumentError("create=True needs a name; an id is given by the service")
        request = schema.GetContext(
            allow_create=_check.boolean(create, "create"),
            name=None if name is None else _check.text(name, "name"),
            context_id=None if context_id is None else _check.identifier(context_id, "context_id"),
            login_region_id=self._api.settings.region_id if create else None,
        )
        return await self._get(request)

    async def _get(self, request: schema.GetContext) -> ContextResult:
        answer = await self._api.call(request)
        if answer.data is None or not answer.data.id:
            # The service answers a look-up that found nothing with an empty context.
            wanted = request.name or request.context_id
            raise ContextNotFoundError(
                f"there is no context {wanted!r}", request_id=answer.request_id
            )
        return ContextResult.ok(convert.context(answer.data), answer.request_id)

    async def create(self, name: str) -> ContextResult:
        """Return the context of that name; make it when there is none."""
        return await self.get(name, create=True)

    @reports(ContextListResult)
    async def list(self, params: ContextListParams | None = None) -> ContextListResult:
        """Return one page of the account's contexts.

        Args:
            params: Which page; by default the first, of 10.
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

    async def iterate(self) -> AsyncIterator[Context]:
        """Yield every context of the account, fetching page after page.

        Raises:
            AgentBayError: A page could not be had; those before it were yielded.
        """
        params = ContextListParams(max_results=_WALK_PAGE)
        seen: set[str] = set()
        while True:
            page = (await self.list(params)).unwrap()
            for context in page.contexts:
                yield context
            if not page.next_token:
                return
            _once(page.next_token, seen)
            params = attrs.evolve(params, next_token=page.next_token)

    @reports(OperationResult)
    async def update(self, context: Context) -> OperationResult[bool]:
        """Give a context the name that the value bears.

        Args:
            context: A context whose ``name`` was changed, for example by ``attrs.evolve``.
        """
        if not isinstance(context, Context):
            raise ArgumentTypeError(f"context must be a Context, not {type(context).__name__}")
        request = schema.ModifyContext(
            id=_check.identifier(context.id, "context.id"),
            name=_check.text(context.name, "context.name"),
        )
        answer = await self._api.call(request)
        return OperationResult.ok(True, answer.request_id)

    @reports(OperationResult)
    async def delete(self, context: Context | str) -> OperationResult[bool]:
        """Delete a context and all its files. What is gone already is a success.

        Args:
            context: The context, or its id.
        """
        try:
            answer = await self._api.call(schema.DeleteContext(id=_context_id(context)))
        except ContextNotFoundError as gone:
            return OperationResult.ok(True, gone.request_id)
        return OperationResult.ok(True, answer.request_id)

    @reports(OperationResult)
    async def start_clear(self, context_id: str) -> OperationResult[str]:
        """Begin to delete all files of a context, and do not wait; ``data`` is its new state."""
        request = schema.ClearContext(id=_check.identifier(context_id, "context_id"))
        answer = await self._api.call(request)
        return OperationResult.ok("clearing", answer.request_id)

    clear_async = start_clear

    @reports(OperationResult)
    async def get_clear_status(self, context_id: str) -> OperationResult[str]:
        """Ask for the state of a context: ``"clearing"``, then ``"available"``."""
        result = await self.get(context_id=context_id)
        return OperationResult.ok(result.context.state, result.request_id)

    @reports(OperationResult)
    async def clear(
        self, context_id: str, timeout: float | timedelta = 60, poll_interval: float = 2.0
    ) -> OperationResult[str]:
        """Delete all files of a context and wait until they are gone; it keeps its id.

        Args:
            context_id: The context.
            timeout: Seconds (or a timedelta) to wait.
            poll_interval: Seconds between two looks at its state, at most.
        """
        limit = _check.seconds(timeout, "timeout")
        interval = _check.seconds(poll_interval, "poll_interval")
        started = (await self.start_clear(context_id)).unwrap()

        async def ask() -> OperationResult[str]:
            return await self.get_clear_status(context_id)

        try:
            result = await poll(
                ask,
                lambda status: status.data not in (started, "pre-available", ""),
                clock=self._api.clock,
                timeout=limit,
                what=f"the clearing of {context_id}",
                interval=interval,
            )
        except OperationTimeoutError as error:
            raise ClearanceTimeoutError(error.message) from None
        return OperationResult.ok(result.data, result.request_id)

    @reports(ContextFileListResult)
    async def list_files(
        self,
        context_id: str,
        parent_folder_path: str = "/",
        page_number: int = 1,
        page_size: int = 50,
        max_results: int | None = None,
        next_token: str | None = None,
    ) -> ContextFileListResult:
        """Return one page of a folder of a context: by number, or by token.

        Args:
            context_id: The context.
            parent_folder_path: The folder; ``"/"`` is the top.
            page_number: The page, from 1.
            page_size: Entries on a page.
            max_results: Entries on a page; with it, or a token, pages go by token.
            next_token: Where to go on, from the page before.
        """
        request = schema.DescribeContextFiles(
            context_id=_check.identifier(context_id, "context_id"),
            parent_folder_path=_inside(parent_folder_path, "parent_folder_path"),
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

    async def iterate_files(
        self, context_id: str, parent_folder_path: str = "/"
    ) -> AsyncIterator[ContextFileEntry]:
        """Yield every entry of a folder of a context, fetching page after page.

        Raises:
            AgentBayError: A page could not be had; those before it were yielded.
        """
        token = ""
        seen: set[str] = set()
        while True:
            result = await self.list_files(
                context_id, parent_folder_path, max_results=_WALK_PAGE, next_token=token
            )
            for entry in result.entries:
                yield entry
            token = result.next_token
            if not token:
                return
            _once(token, seen)

    @reports(FileUrlResult)
    async def get_file_upload_url(self, context_id: str, file_path: str) -> FileUrlResult:
        """Ask for a URL to PUT a file to. It carries its own permission: keep it secret."""
        kind = schema.GetContextFileUploadUrl
        return await self._url(kind(**_file_fields(context_id, file_path)))

    @reports(FileUrlResult)
    async def get_file_download_url(self, context_id: str, file_path: str) -> FileUrlResult:
        """Ask for a URL to GET a file from. It carries its own permission: keep it secret."""
        kind = schema.GetContextFileDownloadUrl
        return await self._url(kind(**_file_fields(context_id, file_path)))

    async def _url(
        self, request: schema.GetContextFileUploadUrl | schema.GetContextFileDownloadUrl
    ) -> FileUrlResult:
        answer = await self._api.call(request)
        if answer.data is None or not answer.data.url:
            raise BadAnswerError(
                f"{request.ACTION}: the answer holds no URL", request_id=answer.request_id
            )
        return FileUrlResult.ok(
            FileUrl(answer.data.url, answer.data.expire_time), answer.request_id
        )

    @reports(TransferResult)
    async def upload_file(
        self,
        context_id: str,
        file_path: str,
        source: str | os.PathLike[str] | bytes,
        *,
        progress: Callable[[TransferProgress], Awaitable[None] | None] | None = None,
    ) -> TransferResult:
        """Write a file of a context, streamed and verified.

        Args:
            context_id: The context.
            file_path: Where in the context.
            source: A file of this machine, or bytes.
            progress: Told of every chunk.

        Raises:
            InvalidArgumentError: `source` is a path and there is no such file.
        """
        content = _transfers.check_source(source)
        _file_fields(context_id, file_path)

        async def url() -> str:
            return (await self.get_file_upload_url(context_id, file_path)).url

        receipt = await _transfers.upload(self._api, file_path, url, content, progress)
        return TransferResult.ok(receipt)

    @reports(TransferResult)
    async def download_file(
        self,
        context_id: str,
        file_path: str,
        target: str | os.PathLike[str],
        *,
        progress: Callable[[TransferProgress], Awaitable[None] | None] | None = None,
    ) -> TransferResult:
        """Read a file of a context into a file of this machine, streamed and verified.

        The target is replaced when all has arrived, and left alone otherwise.

        Args:
            context_id: The context.
            file_path: Where in the context.
            target: A file of this machine; its directory must exist.
            progress: Told of every chunk.

        Raises:
            InvalidArgumentError: The target's directory does not exist.
        """
        place = _transfers.check_target(target)
        _file_fields(context_id, file_path)

        async def url() -> str:
            return (await self.get_file_download_url(context_id, file_path)).url

        receipt = await _transfers.download(self._api, file_path, url, place, progress)
        return TransferResult.ok(receipt)

    @reports(OperationResult)
    async def delete_file(self, context_id: str, file_path: str) -> OperationResult[bool]:
        """Delete a file of a context."""
        request = schema.DeleteContextFile(**_file_fields(context_id, file_path))
        answer = await self._api.call(request)
        return OperationResult.ok(True, answer.request_id)


def _file_fields(context_id: str, file_path: str) -> dict[str, str]:
    return {
        "context_id": _check.identifier(context_id, "context_id"),
        "file_path": _inside(file_path, "file_path"),
    }


def _inside(path: str, name: str) -> str:
    if ".." in _check.text(path, name).split("/"):
        raise InvalidArgumentError(f"{name} must not contain '..': {path!r}")
    return path


def _context_id(context: Context | str) -> str:
    return _check.identifier(context.id if isinstance(context, Context) else context, "context")


def _once(token: str, seen: set[str]) -> None:
    if token in seen:
        raise PageTokenError("the service gave the token of a page that was read already")
    seen.add(token)
