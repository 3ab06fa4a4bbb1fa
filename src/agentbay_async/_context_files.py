"""The files in a context: listed, carried, deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_async import _check
from agentbay_async._protocol import schema
from agentbay_async._sync import convert as convert
from agentbay_async._sync import transfers
from agentbay_async.errors import BadAnswerError, InvalidArgumentError, PageTokenError
from agentbay_async.models._returns_result import returns_result
from agentbay_async.models.contexts import (
    ContextFileEntry,
    ContextFileListResult,
    ContextFilePage,
    FileUrl,
    FileUrlResult,
    TransferProgress,
    TransferResult,
)
from agentbay_async.models.results import OperationResult

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Awaitable, Callable

    from agentbay_async._api import Api

#: Entries on each page of a walk.
WALK_PAGE = 100


class ContextFiles:
    """Works on the files of contexts.

    Args:
        api: The client's.
    """

    __slots__ = ("__weakref__", "_api")

    def __init__(self, api: Api) -> None:
        self._api = api

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
                context_id, parent_folder_path, max_results=WALK_PAGE, next_token=token
            )
            for entry in result.entries:
                yield entry
            token = result.next_token
            if not token:
                return
            once(token, seen)

    @returns_result(FileUrlResult)
    async def get_file_upload_url(self, context_id: str, file_path: str) -> FileUrlResult:
        """Ask for a URL to PUT a file to. It carries its own permission: keep it secret."""
        kind = schema.GetContextFileUploadUrl
        return await self._url(kind(**_file_fields(context_id, file_path)))

    @returns_result(FileUrlResult)
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

    @returns_result(TransferResult)
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
        place = transfers.check_target(target)
        _file_fields(context_id, file_path)

        async def url() -> str:
            return (await self.get_file_download_url(context_id, file_path)).url

        receipt = await transfers.download(self._api, file_path, url, place, progress)
        return TransferResult.ok(receipt)

    @returns_result(OperationResult)
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


def once(token: str, seen: set[str]) -> None:
    """Note the token of a page, which must not come a second time."""
    if token in seen:
        raise PageTokenError("the service gave the token of a page that was read already")
    seen.add(token)
