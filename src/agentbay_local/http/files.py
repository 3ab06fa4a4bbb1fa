"""Signed URLs of files: PUT and GET, streamed, with no key in the URL.

A URL is valid for one file of one context, one method and some time, by default an hour. Its
signature covers all of that, so that nothing is stored, and URLs outlive a restart of the service.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

import attrs
from aiohttp import web

from agentbay_async._protocol import error_codes
from agentbay_local.http.connections import trust
from agentbay_local.http.middleware import BrokenOffError, Reply, error_reply
from agentbay_local.protocol.errors import ApiError, no_context, no_file
from agentbay_local.sandbox.host.off_loop import run_off_loop
from agentbay_local.testing.fault_actions import Truncate
from agentbay_local.testing.faults import Call
from agentbay_local.trees.atomic_write import open_source
from agentbay_local.urls import FILE_PREFIX

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from pathlib import Path

    from aiohttp import StreamReader

    from agentbay_local.contexts.context_store import Snapshot
    from agentbay_local.http.middleware import Middleware
    from agentbay_local.state import ServiceState
    from agentbay_local.testing.fault_actions import Effect

    _Work = Callable[[web.Request, str, str, "int | None"], Awaitable[web.StreamResponse]]

__all__ = ["add"]

# Bytes that are passed to a thread at once; each time costs a tenth of a millisecond.
_CHUNK = 1024 * 1024


def add(app: web.Application, state: ServiceState, middleware: Middleware) -> None:
    """Add the routes."""
    routes = _Files(state, middleware)
    app.router.add_put(FILE_PREFIX + "{token}/{name:(?s:.*)}", routes.put)
    app.router.add_get(FILE_PREFIX + "{token}/{name:(?s:.*)}", routes.get, allow_head=False)


@attrs.frozen
class _Files:
    """The two handlers."""

    state: ServiceState
    middleware: Middleware

    async def put(self, request: web.Request) -> web.StreamResponse:
        """Store a file, which appears whole or not at all."""
        return await self._respond(request, "PUT", self._store)

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Send a file."""
        return await self._respond(request, "GET", self._fetch)

    async def _respond(self, request: web.Request, method: str, work: _Work) -> web.StreamResponse:
        grant = self.state.signer.open("file", request.match_info["token"])

        async def handle(effect: Effect | None) -> Reply:
            context_id, path = self._check_grant(grant, method)
            trust(request)
            cut = (effect.at or 0) if isinstance(effect, Truncate) else None
            return Reply(await work(request, context_id, path, cut))

        form = {"ContextId": grant["context"], "FilePath": grant["path"]} if grant else {}
        call = Call(method, form)
        return await self.middleware.respond(
            request, call, handle, on_error=_error_reply, streams=True
        )

    async def _store(
        self, request: web.Request, context_id: str, path: str, cut: int | None
    ) -> web.StreamResponse:
        most = self.state.sandboxes.limits.disk_bytes
        _check_size(request.content_length or 0, most)
        with self.state.files.incoming_file(context_id) as file:
            md5 = await _receive(request, file, cut, most)
            published = await self.state.files.publish_file(context_id, path, file)
        self.state.store.contexts.set_expiry(context_id, published.next_expiry)
        self.state.store.contexts.used(context_id, self.state.clock.time())
        return web.Response(headers=_checksums(md5))

    async def _fetch(
        self, request: web.Request, context_id: str, path: str, cut: int | None
    ) -> web.StreamResponse:
        async with self.state.files.open_snapshot(context_id) as snapshot:
            with await asyncio.to_thread(_open, snapshot, path) as file:
                return await _send(request, file, cut)

    def _check_grant(self, grant: Mapping[str, Any] | None, method: str) -> tuple[str, str]:
        """Return context and path of a URL that is valid for a method."""
        if grant is None or grant["method"] != method:
            raise ApiError(error_codes.NOT_LOGIN, f"The URL is not signed for {method}.", 403)
        if grant["expires"] <= self.state.clock.time():
            raise ApiError(error_codes.NOT_LOGIN, "The URL has expired; ask for a new one.", 403)
        context_id, path = grant["context"], grant["path"]
        if self.state.store.contexts.get(context_id) is None:
            raise no_context(context_id)
        return context_id, path


def _error_reply(error: ApiError) -> Reply:
    # A plain HTTP client reads the status alone, so a missing file is a 404 here.
    missing = error.code in (error_codes.CONTEXT_FILE_NOT_FOUND, error_codes.CONTEXT_NOT_FOUND)
    return error_reply(error, status=404 if missing else None)


def _check_size(size: int, most: int | None) -> None:
    # A session that has the URL must not fill the disk of the machine.
    if most is not None and size > most:
        raise ApiError(
            error_codes.INVALID_PARAMETER,
            f"The file has more than {most} bytes, which is the limit of disk space of a session; "
            "start the service with a higher --disk.",
            413,
        )


async def _receive(request: web.Request, file: Path, cut: int | None, most: int | None) -> str:
    """Write the body of a request to a file, and return its checksum.

    Raises:
        ApiError: It has more than `most` bytes.
        BrokenOffError: `cut` bytes have arrived, where a fault breaks off.
    """
    digest = hashlib.md5(usedforsecurity=False)
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    with os.fdopen(handle, "wb") as target:
        if cut == 0:
            raise BrokenOffError
        received = 0
        async for chunk in _gathered(request.content, min(cut or _CHUNK, _CHUNK), most):
            await run_off_loop(partial(_take, target, digest, chunk))
            received += len(chunk)
            if cut is not None and received >= cut:
                raise BrokenOffError
    return digest.hexdigest()


async def _gathered(content: StreamReader, least: int, most: int | None) -> AsyncIterator[bytes]:
    """Yield the parts of a body, each with `least` bytes but for the last.

    Raises:
        ApiError: It has more than `most` bytes.
    """
    total = 0
    while not content.at_eof():
        parts: list[bytes] = []
        end = total + least
        while total < end and (part := await content.readany()):
            total += len(part)
            _check_size(total, most)
            parts.append(part)
        yield b"".join(parts)


def _take(target: BinaryIO, digest: hashlib._Hash, chunk: bytes) -> None:
    digest.update(chunk)
    target.write(chunk)


def _open(snapshot: Snapshot, path: str) -> BinaryIO:
    tree = os.open(snapshot.tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return os.fdopen(open_source(tree, path), "rb")
    except OSError as error:
        raise no_file(path) from error
    finally:
        os.close(tree)


async def _send(request: web.Request, file: BinaryIO, cut: int | None) -> web.StreamResponse:
    """Send a file.

    Raises:
        BrokenOffError: `cut` bytes are sent, where a fault breaks off.
    """
    headers = {
        **_checksums(await asyncio.to_thread(_md5, file)),
        "Content-Type": "application/octet-stream",
        # A browser must not make a page of this origin of a file that a session has written.
        "Content-Security-Policy": "sandbox",
        "X-Content-Type-Options": "nosniff",
    }
    response = web.StreamResponse(headers=headers)
    response.content_length = os.fstat(file.fileno()).st_size
    await response.prepare(request)
    if cut is not None:
        await response.write(await asyncio.to_thread(file.read, cut))
        raise BrokenOffError
    while chunk := await asyncio.to_thread(file.read, _CHUNK):
        await response.write(chunk)
    await response.write_eof()
    return response


def _checksums(md5: str) -> dict[str, str]:
    """Return the headers of a checksum, as the cloud's store sends them for a small file."""
    content_md5 = base64.b64encode(bytes.fromhex(md5)).decode("ascii")
    return {"ETag": f'"{md5}"', "Content-MD5": content_md5}


def _md5(file: BinaryIO) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()
