"""Files behind signed URLs: PUT and GET, streamed both ways, with no key in the URL.

A URL stands for one file of one context, one method and some time, by default an hour. Its
signature covers all of that, so nothing needs to be remembered, and URLs outlive a restart of the
service.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from typing import TYPE_CHECKING, Any, BinaryIO

import attrs
from aiohttp import web

from agentbay_async._protocol import error_codes
from agentbay_local.contexts.versions import Change
from agentbay_local.http.middleware import BrokenOffError, Reply, refused
from agentbay_local.protocol.errors import ApiError, no_context, no_file
from agentbay_local.testing.faults import Call
from agentbay_local.trees.atomic_write import open_source
from agentbay_local.trees.manifest import FILE, Stamp
from agentbay_local.urls import FILE_PREFIX

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from agentbay_local.contexts.context_store import Snapshot
    from agentbay_local.http.middleware import Middleware
    from agentbay_local.state import ServiceState
    from agentbay_local.trees.atomic_write import AtomicWriter

    _Work = Callable[[web.Request, str, str, "int | None"], Awaitable[web.StreamResponse]]

__all__ = ["add"]

_PIECE = 256 * 1024


def add(app: web.Application, state: ServiceState, middleware: Middleware) -> None:
    """Add the routes, behind the gate."""
    routes = _Files(state, middleware)
    app.router.add_put(FILE_PREFIX + "{token}/{name:(?s:.*)}", routes.put)
    app.router.add_get(FILE_PREFIX + "{token}/{name:(?s:.*)}", routes.get, allow_head=False)


@attrs.frozen
class _Files:
    """The two handlers."""

    state: ServiceState
    middleware: Middleware

    async def put(self, request: web.Request) -> web.StreamResponse:
        """Store a file; it appears at once and whole, or not at all."""
        return await self._through(request, "PUT", self._store)

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Send a file."""
        return await self._through(request, "GET", self._fetch)

    async def _through(self, request: web.Request, method: str, work: _Work) -> web.StreamResponse:
        right = self.state.signer.open("file", request.match_info["token"])

        async def handle(cut: int | None) -> Reply:
            try:
                context_id, path = self._allowed(right, method)
                return Reply(await work(request, context_id, path, cut))
            except ApiError as problem:
                # A plain HTTP client looks at the status alone, so a missing file is a 404 here.
                missing = problem.code in (
                    error_codes.CONTEXT_FILE_NOT_FOUND,
                    error_codes.CONTEXT_NOT_FOUND,
                )
                return refused(problem, status=404 if missing else None)

        call = Call(method, _named(right))
        return await self.middleware.pass_through(request, call, handle, streams=True)

    async def _store(
        self, request: web.Request, context_id: str, path: str, cut: int | None
    ) -> web.StreamResponse:
        with self.state.files.incoming(context_id) as file:
            etag = await _receive(request, file, cut)
            change = Change(added={path: Stamp(FILE)}, fetch=_adopter(file))
            published = await self.state.files.publish(context_id, change)
        self.state.store.contexts.set_expiry(context_id, published.next_expiry)
        self.state.store.contexts.used(context_id, self.state.clock.time())
        return web.Response(headers={"ETag": f'"{etag}"'})

    async def _fetch(
        self, request: web.Request, context_id: str, path: str, cut: int | None
    ) -> web.StreamResponse:
        async with self.state.files.reading(context_id) as snapshot:
            with await asyncio.to_thread(_open, snapshot, path) as file:
                return await _send(request, file, cut)

    def _allowed(self, right: dict[str, Any] | None, method: str) -> tuple[str, str]:
        if right is None or right["method"] != method:
            raise ApiError(error_codes.NOT_LOGIN, f"The URL is not signed for {method}.", 403)
        if right["expires"] <= self.state.clock.time():
            raise ApiError(error_codes.NOT_LOGIN, "The URL has expired; ask for a new one.", 403)
        context_id, path = right["context"], right["path"]
        if self.state.store.contexts.get(context_id) is None:
            raise no_context(context_id)
        return context_id, path


def _named(right: dict[str, Any] | None) -> dict[str, str]:
    """Return what a URL is for, in the words of the actions."""
    return {"ContextId": right["context"], "FilePath": right["path"]} if right else {}


async def _receive(request: web.Request, file: Path, cut: int | None) -> str:
    """Write what comes to a file, and return its checksum.

    Raises:
        BrokenOffError: So many bytes have come that a fault breaks off here.
    """
    digest = hashlib.md5(usedforsecurity=False)
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    with os.fdopen(handle, "wb") as target:
        if cut == 0:
            raise BrokenOffError
        async for piece in request.content.iter_chunked(cut or _PIECE):
            digest.update(piece)
            await asyncio.to_thread(target.write, piece)
            if cut is not None and target.tell() >= cut:
                raise BrokenOffError
    return digest.hexdigest()


def _adopter(file: Path) -> Callable[[AtomicWriter, str], Stamp]:
    def adopt(landing: AtomicWriter, path: str) -> Stamp:
        return landing.adopt(path, file)

    return adopt


def _open(snapshot: Snapshot, path: str) -> BinaryIO:
    tree = os.open(snapshot.tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return os.fdopen(open_source(tree, path), "rb")
    except OSError as error:
        raise no_file(path) from error
    finally:
        os.close(tree)


async def _send(request: web.Request, file: BinaryIO, cut: int | None) -> web.StreamResponse:
    """Send a file, or what comes before a fault breaks off.

    Raises:
        BrokenOffError: It does.
    """
    etag = await asyncio.to_thread(_md5, file)
    headers = {"ETag": f'"{etag}"', "Content-Type": "application/octet-stream"}
    response = web.StreamResponse(headers=headers)
    response.content_length = os.fstat(file.fileno()).st_size
    await response.prepare(request)
    if cut is not None:
        await response.write(await asyncio.to_thread(file.read, cut))
        raise BrokenOffError
    while piece := await asyncio.to_thread(file.read, _PIECE):
        await response.write(piece)
    await response.write_eof()
    return response


def _md5(file: BinaryIO) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    while piece := file.read(_PIECE):
        digest.update(piece)
    file.seek(0)
    return digest.hexdigest()
