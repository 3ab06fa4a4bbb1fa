"""Files of a context: list a folder, delete files, and sign URLs to read and write them.

A file has two addresses: its path relative to the mount, and the path that it had in a session. A
leading slash is ignored: ``/a.txt`` is ``a.txt``.
"""

from __future__ import annotations

import hashlib
import os
from bisect import bisect_right
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from agentbay_async._protocol import schema
from agentbay_local.actions.session_paths import check_session_path
from agentbay_local.clock import iso
from agentbay_local.contexts.mount_paths import candidate_keys
from agentbay_local.contexts.versions import Change
from agentbay_local.protocol import paging
from agentbay_local.protocol.answers import Answer
from agentbay_local.protocol.errors import invalid, no_file, required
from agentbay_local.sandbox.host.off_loop import run_off_loop
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


def _file_keys(context: Context, text: str | None) -> list[str]:
    """Return where a file may be in a context, the likeliest first.

    Clients name files by their paths in the session, or relative to the mount.
    """
    address = check_path(required(text, "FilePath"), "FilePath")
    if not address:
        raise invalid("FilePath", "must name a file.")
    if context.session_id is not None:
        # The store of a session has files of any path.
        check_session_path(text, "FilePath")
    return candidate_keys(context.mount_paths, address)


async def list_folder(state: ServiceState, request: schema.DescribeContextFiles) -> Answer:
    """List a folder, sorted by name, by page number or by cursor."""
    context = state.context(request.context_id)
    folder = check_path(request.parent_folder_path, "ParentFolderPath")
    if request.max_results is not None or request.next_token:
        return await _by_cursor(state, request, context, folder)
    number = 1 if request.page_number is None else request.page_number
    if number < 1:
        raise invalid("PageNumber", f"must be at least 1, not {number}.")
    size = state.pages.size(request.page_size, default=_DEFAULT_PAGE, top=_MAX_PAGE)
    start = (number - 1) * size
    page = await _read_page(state, context, folder, lambda names: start, size)
    return Answer(page.records, count=page.total)


async def _by_cursor(
    state: ServiceState, request: schema.DescribeContextFiles, context: Context, folder: str
) -> Answer:
    size = state.pages.size(request.max_results, default=_DEFAULT_PAGE, top=_MAX_PAGE)
    listing = ["files", context.id, folder]
    cursor = state.pages.cursor(request.next_token, listing)

    def start(names: list[str]) -> int:
        return bisect_right(names, str(cursor.last)) if cursor else 0

    page, token = await _read_page(state, context, folder, start, size), ""
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
    state: ServiceState,
    context: Context,
    folder: str,
    start: Callable[[list[str]], int],
    size: int,
) -> _Page:
    keys = candidate_keys(context.mount_paths, folder)
    async with state.files.open_snapshot(context.id) as snapshot:
        return await run_off_loop(lambda: _list_page(snapshot, keys, folder, start, size))


def _list_page(
    snapshot: Snapshot, keys: list[str], folder: str, start: Callable[[list[str]], int], size: int
) -> _Page:
    handles = (snapshot.open_directory(key) for key in keys)
    handle = next((handle for handle in handles if handle is not None), None)
    if handle is None:
        return _Page([], 0, more=False)
    try:
        # Only the files of this page are read, because a folder may have a hundred thousand.
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
    path = await _find_file(state, context, request.file_path)
    published = await state.files.publish(context.id, Change(removed={path: None}))
    state.store.contexts.set_expiry(context.id, published.next_expiry)
    return Answer()


async def upload_url(state: ServiceState, request: schema.GetContextFileUploadUrl) -> Answer:
    """Return a signed URL to PUT a file."""
    context = state.context(request.context_id)
    path = _file_keys(context, request.file_path)[0]
    if not path:
        raise invalid("FilePath", "must name a file.")
    url, expires = file_url(state, "PUT", context.id, path)
    return Answer(schema.FileUrl(url=url, expire_time=expires))


async def download_url(state: ServiceState, request: schema.GetContextFileDownloadUrl) -> Answer:
    """Return a signed URL to GET a file."""
    context = state.context(request.context_id)
    path = await _find_file(state, context, request.file_path)
    url, expires = file_url(state, "GET", context.id, path)
    return Answer(schema.FileUrl(url=url, expire_time=expires))


async def _find_file(state: ServiceState, context: Context, text: str | None) -> str:
    """Return where a file is in a context.

    Raises:
        ApiError: The context has no such file.
    """
    keys = [key for key in _file_keys(context, text) if key]
    async with state.files.open_snapshot(context.id) as snapshot:
        for key in keys:
            if await run_off_loop(partial(_exists, snapshot, key)):
                return key
    raise no_file(text or "")


def _exists(snapshot: Snapshot, path: str) -> bool:
    directory, _, name = path.rpartition("/")
    folder = snapshot.open_directory(directory)
    if folder is None:
        return False
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return False
    finally:
        os.close(folder)
    return True
