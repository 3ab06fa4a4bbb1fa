"""Files of a context: list a folder, delete files, and sign URLs to read and write them.

Paths are relative to the context. A leading slash is ignored: ``/a.txt`` is ``a.txt``.
"""

from __future__ import annotations

import hashlib
import os
from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from agentbay_async._protocol import schema
from agentbay_local.actions.transfers import TRANSFER_PATH
from agentbay_local.clock import iso
from agentbay_local.contexts.versions import Change
from agentbay_local.off_loop import run_off_loop
from agentbay_local.protocol import paging
from agentbay_local.protocol.answers import Answer
from agentbay_local.protocol.errors import invalid, no_file, required
from agentbay_local.sandbox.host.openat import open_beneath
from agentbay_local.trees.manifest import DIRECTORY, LINK, Stamp, find_stamp
from agentbay_local.urls import file_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentbay_local.contexts.context_store import Snapshot
    from agentbay_local.state import ServiceState
    from agentbay_local.store import Context

_DEFAULT_PAGE = 50
_MAX_PAGE = 1000
_MAX_PATH_BYTES = 4000


def check_path(text: str | None, name: str) -> str:
    """Return a path relative to a context; ``""`` is the context itself.

    Raises:
        ApiError: It leaves the context, is too long, or contains NUL.
    """
    path = (text or "").strip("/")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if "\0" in path or ".." in parts:
        raise invalid(name, "must not contain '..' or NUL.")
    if len(path.encode("utf-8", "surrogateescape")) > _MAX_PATH_BYTES:
        raise invalid(name, f"must have at most {_MAX_PATH_BYTES} bytes.")
    return "/".join(parts)


def _file_path(context: Context, text: str | None) -> str:
    path = check_path(required(text, "FilePath"), "FilePath")
    if context.session_id is not None:
        # Clients name the files of a transfer as the session sees them.
        path = _in_transfer(path)
    if not path:
        raise invalid("FilePath", "must name a file.")
    return path


def _in_transfer(path: str) -> str:
    top = check_path(TRANSFER_PATH, "FilePath")
    if not path.startswith(f"{top}/"):
        raise invalid("FilePath", f"must be below {TRANSFER_PATH}, not {path!r:.200}.")
    return path[len(top) + 1 :]


async def list_folder(state: ServiceState, request: schema.DescribeContextFiles) -> Answer:
    """List a folder, sorted by name, by page number or by cursor."""
    context = state.context(request.context_id)
    folder = check_path(request.parent_folder_path, "ParentFolderPath")
    if request.max_results is not None or request.next_token:
        return await _by_cursor(state, request, context.id, folder)
    number = 1 if request.page_number is None else request.page_number
    if number < 1:
        raise invalid("PageNumber", f"must be at least 1, not {number}.")
    size = state.pages.size(request.page_size, default=_DEFAULT_PAGE, top=_MAX_PAGE)
    start = (number - 1) * size
    page = await _read_page(state, context.id, folder, lambda names: start, size)
    return Answer(page.records, count=page.total)


async def _by_cursor(
    state: ServiceState, request: schema.DescribeContextFiles, context_id: str, folder: str
) -> Answer:
    size = state.pages.size(request.max_results, default=_DEFAULT_PAGE, top=_MAX_PAGE)
    listing = ["files", context_id, folder]
    cursor = state.pages.cursor(request.next_token, listing)

    def start(names: list[str]) -> int:
        return bisect_right(names, str(cursor.last)) if cursor else 0

    page, token = await _read_page(state, context_id, folder, start, size), ""
    if page.more:
        following = paging.Cursor(page.records[-1].file_name or "", page.total)
        token = state.pages.token(following, listing)
    return Answer(page.records, next_token=token, max_results=size, count=page.total)


class _Page(NamedTuple):
    """A part of a folder, the number of its entries, and whether more follow."""

    records: list[schema.ContextFileRecord]
    total: int
    more: bool


async def _read_page(
    state: ServiceState, context_id: str, folder: str, start: Callable[[list[str]], int], size: int
) -> _Page:
    async with state.files.open_snapshot(context_id) as snapshot:
        return await run_off_loop(lambda: _list_page(snapshot, folder, start, size))


def _list_page(
    snapshot: Snapshot, folder: str, start: Callable[[list[str]], int], size: int
) -> _Page:
    handle = _open_folder(snapshot, folder)
    if handle is None:
        return _Page([], 0, more=False)
    try:
        # Only the files of the page are looked at: a folder may have a hundred thousand.
        names = sorted(os.listdir(handle))
        first = start(names)
        records = [
            _record(folder, name, stamp)
            for name in names[first : first + size]
            if (stamp := find_stamp(handle, name)) is not None
        ]
    finally:
        os.close(handle)
    return _Page(records, len(names), more=first + size < len(names))


def _open_folder(snapshot: Snapshot, folder: str) -> int | None:
    try:
        tree = os.open(snapshot.tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return open_beneath(tree, folder or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        # As in an object store, a folder without files does not exist, and lists as empty.
        return None
    finally:
        os.close(tree)


def _record(folder: str, name: str, mark: Stamp) -> schema.ContextFileRecord:
    path = f"{folder}/{name}" if folder else name
    moment = None if mark.kind in (DIRECTORY, LINK) else iso(mark.mtime / 1e9)
    return schema.ContextFileRecord(
        file_id=hashlib.sha256(os.fsencode(path)).hexdigest()[:32],
        file_name=name,
        file_path=f"/{path}",
        file_type="FOLDER" if mark.kind == DIRECTORY else "FILE",
        gmt_create=moment,
        gmt_modified=moment,
        size=mark.size,
        status="available",
    )


async def delete(state: ServiceState, request: schema.DeleteContextFile) -> Answer:
    """Delete a file, or a folder with its content."""
    context = state.context(request.context_id)
    path = _file_path(context, request.file_path)
    await _require_file(state, context.id, path)
    published = await state.files.publish(context.id, Change(removed={path: None}))
    state.store.contexts.set_expiry(context.id, published.next_expiry)
    return Answer()


async def upload_url(state: ServiceState, request: schema.GetContextFileUploadUrl) -> Answer:
    """Return a signed URL to PUT a file."""
    context = state.context(request.context_id)
    url, expires = file_url(state, "PUT", context.id, _file_path(context, request.file_path))
    return Answer(schema.FileUrl(url=url, expire_time=expires))


async def download_url(state: ServiceState, request: schema.GetContextFileDownloadUrl) -> Answer:
    """Return a signed URL to GET a file."""
    context = state.context(request.context_id)
    path = _file_path(context, request.file_path)
    await _require_file(state, context.id, path)
    url, expires = file_url(state, "GET", context.id, path)
    return Answer(schema.FileUrl(url=url, expire_time=expires))


async def _require_file(state: ServiceState, context_id: str, path: str) -> None:
    async with state.files.open_snapshot(context_id) as snapshot:
        if not await run_off_loop(lambda: _exists(snapshot, path)):
            raise no_file(path)


def _exists(snapshot: Snapshot, path: str) -> bool:
    # Not by a plain path: a session may have uploaded a link that leads to files of the host.
    try:
        tree = os.open(snapshot.tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        os.close(open_beneath(tree, path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC))
    except OSError:
        return False
    finally:
        os.close(tree)
    return True
