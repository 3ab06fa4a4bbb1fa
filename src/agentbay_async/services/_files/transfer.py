"""Whole files and directories between this machine and a session; all of it raises.

Large files go through the service's store, where it offers one, and small ones through the file
tools, which take fewer calls. Either way what arrives is compared with what was sent, and takes its
place when it is complete.
"""

from __future__ import annotations

import base64
import os
import shutil
import tarfile
import tempfile
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
from anyio import to_thread

from agentbay_async._sync import transfers
from agentbay_async.models.contexts import TransferReceipt
from agentbay_async.services._files import archive, chunking
from agentbay_async.services._files.file_store import Store, open_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from agentbay_async._sync.transfers import Progress
    from agentbay_async.services._files.remote_io import Files

#: Up to here the tools are faster than the store, which takes five calls and a wait.
_BY_TOOLS = 256 * 1024

# Without md5sum the size alone is told.
_MEASURE = """\
[ -f "$F" ] || { printf '%s: No such file\\n' "$F" >&2; exit 2; }
if [ -n "$T" ]; then cp -f -- "$F" "$T" || exit 1; F=$T; fi
wc -c < "$F" || exit 1
if command -v md5sum > /dev/null; then md5sum < "$F"; fi
"""
_PACK = 'cd -- "$D" && tar -cf "$T" .'
_UNPACK = 'mkdir -p -- "$D" && cd -- "$D" && tar -xof "$T"'
_TEMPORARY = "/tmp"  # noqa: S108  # a directory of the session, not of this machine


class Carrier:
    """Carries files of one session. The store is looked for once, when it is first needed."""

    __slots__ = ("_asked", "_files", "_store")

    def __init__(self, files: Files) -> None:
        self._files = files
        self._store: Store | None = None
        self._asked = False

    async def store(self) -> Store | None:
        """Return the service's store for files of this session, if there is one."""
        if not self._asked:
            self._store = await open_store(self._files.api, self._files.session_id)
            self._asked = True
        return self._store

    async def upload(
        self, source: bytes | Path, path: str, progress: Progress | None, timeout: float
    ) -> TransferReceipt:
        """Bring a file of this machine to `path`; ``timeout`` bounds its way from the store."""
        async with transfers.opened(source, path) as reader:
            small = reader.size <= _BY_TOOLS
        store = None if small else await self.store()
        async with self._files.staged(path) as part:
            if store is None:
                return await self._upload_by_tools(source, path, part, progress)
            return await self._upload_by_store(store, source, path, part, progress, timeout)

    async def _upload_by_tools(
        self, source: bytes | Path, path: str, part: str, progress: Progress | None
    ) -> TransferReceipt:
        coded = f"{part}64"
        await self._files.write_piece(coded, "", "overwrite")
        async with transfers.opened(source, path) as reader:
            meter = transfers.Meter(reader.size, progress)
            async with aclosing(reader.chunks(meter)) as chunks:
                size = chunking.BYTES_LIMIT * self._files.times("write_file")
                async for piece in _resized(chunks, size):
                    text = base64.b64encode(piece).decode("ascii")
                    await self._files.write_piece(coded, text, "append")
        placed = await self._files.place(coded, path, meter.md5, part=part, coded=True)
        verified = placed.stdout == "verified"
        return TransferReceipt(path, meter.done, verified=verified, md5=meter.md5)

    async def _upload_by_store(
        self,
        store: Store,
        source: bytes | Path,
        path: str,
        part: str,
        progress: Progress | None,
        timeout: float,
    ) -> TransferReceipt:
        async with store.name() as staged:
            receipt = await transfers.upload(
                store.api, staged, lambda: store.upload_url(staged), source, progress
            )
            await store.sync(staged, "download", timeout)
            try:
                placed = await self._files.place(staged, path, receipt.md5, part=part)
            except BaseException:
                await self._files.discard(staged)
                raise
        verified = receipt.verified or placed.stdout == "verified"
        return attrs.evolve(receipt, path=path, verified=verified)

    async def download(
        self, path: str, target: Path, progress: Progress | None, timeout: float
    ) -> TransferReceipt:
        """Bring the session's file `path` to this machine; see :meth:`upload`."""
        size, md5 = await self._measured(path)
        store = None if size <= _BY_TOOLS else await self.store()
        if store is None:
            return await self._download_by_tools(path, target, progress, size, md5)
        async with store.name() as staged:
            try:
                _, md5 = await self._measured(path, staged)
                await store.sync(staged, "upload", timeout)
                receipt = await transfers.download(
                    store.api, staged, lambda: store.download_url(staged), target, progress, md5
                )
            finally:
                await self._files.discard(staged)
        return attrs.evolve(receipt, path=path)

    async def _measured(self, path: str, copy: str = "") -> tuple[int, str]:
        """Return size and MD5 of a file, or of the copy of it that is made on the way."""
        result = await self._files.shell(_MEASURE, path, {"F": path, "T": copy})
        size, _, md5 = result.stdout.partition("\n")
        if not size.strip().isdigit():
            raise self._files.error(f"{path}: its size cannot be read", path, result.request_id)
        return int(size), md5[:32]

    async def _download_by_tools(
        self, path: str, target: Path, progress: Progress | None, size: int, md5: str
    ) -> TransferReceipt:
        meter = transfers.Meter(size, progress)
        async with transfers.replacing(target, path) as write:
            async with aclosing(self._files.pieces(path)) as found:
                async for piece, _ in found:
                    await write(piece)
                    await meter.saw(piece)
            if meter.done != size:
                raise transfers.failed(f"download of {path}: it changed while it was read", path)
            return meter.receipt(path, "", "download", md5)

    async def upload_tree(
        self, source: Path, path: str, progress: Progress | None, timeout: float
    ) -> TransferReceipt:
        """Bring what is in a directory of this machine into one of the session."""
        async with _room() as room, self._session_archive() as there:
            tree = room / "tree.tar"
            with _told(path, "upload"):
                await to_thread.run_sync(archive.pack, source, tree)
            receipt = await self.upload(tree, there, progress, timeout)
            await self._files.shell(_UNPACK, path, {"D": chunking.below(path), "T": there})
        return attrs.evolve(receipt, path=path)

    async def download_tree(
        self, path: str, target: Path, progress: Progress | None, timeout: float
    ) -> TransferReceipt:
        """Bring what is in a directory of the session into one of this machine."""
        async with _room() as room, self._session_archive() as there:
            tree = room / "tree.tar"
            await self._files.shell(_PACK, path, {"D": chunking.below(path), "T": there})
            receipt = await self.download(there, tree, progress, timeout)
            with _told(path, "download"):
                await to_thread.run_sync(archive.unpack, tree, target)
        return attrs.evolve(receipt, path=path)

    @asynccontextmanager
    async def _session_archive(self) -> AsyncIterator[str]:
        there = f"{_TEMPORARY}/agentbay-{os.urandom(8).hex()}.tar"
        try:
            yield there
        finally:
            await self._files.discard(there)


@contextmanager
def _told(path: str, what: str) -> Iterator[None]:
    """Turn what this machine's disk or an archive refuses into our error."""
    try:
        yield
    except (OSError, tarfile.TarError) as error:
        raise transfers.failed(f"{what} of {path}: {error}", path) from error


@asynccontextmanager
async def _room() -> AsyncIterator[Path]:
    """Give a directory of this machine that is removed at the end."""
    room = Path(await to_thread.run_sync(tempfile.mkdtemp, None, "agentbay-"))
    try:
        yield room
    finally:
        # A cancel must not leave the archive behind: this does not wait.
        shutil.rmtree(room, ignore_errors=True)


async def _resized(chunks: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    """Yield the same bytes in pieces of a size; the last may be shorter."""
    rest = b""
    async for chunk in chunks:
        rest += chunk
        while len(rest) >= size:
            yield rest[:size]
            rest = rest[size:]
    if rest:
        yield rest
