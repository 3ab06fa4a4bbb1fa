"""Transfer whole files and directories between this machine and a session.

Large files go through the service's store, if it offers one; small ones through the file tools,
which need fewer calls. Either way the content is verified, and replaces the target only when it is
complete.
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

from agentbay_async._lifecycle.shielding import run_beside
from agentbay_async._sync import transfers
from agentbay_async.errors import FileError
from agentbay_async.models.contexts import TransferReceipt
from agentbay_async.services._files import archive, chunking
from agentbay_async.services._files.file_store import FileStore, Options, open_store

if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import AsyncIterator, Iterator

    from agentbay_async._sync.transfers import Progress
    from agentbay_async.services._files.remote_io import RemoteFiles

# Up to this size the tools are faster than the store, which takes five calls and a wait.
_MAX_BY_TOOLS = 256 * 1024

# Prints the size of a file and, if it is no larger than L and the image has md5sum, its MD5. A copy
# is measured instead of the original if one is made, because the original may change afterwards.
_MEASURE = """\
[ -f "$F" ] || { printf '%s: No such file\\n' "$F" >&2; exit 2; }
if [ -n "$T" ]; then cp -f -- "$F" "$T" || exit 1; F=$T; fi
size=$(wc -c < "$F") || exit 1
echo $size
if [ -z "$L" ] || [ $size -le "$L" ]; then
  if command -v md5sum > /dev/null; then md5sum < "$F"; fi
fi
"""
_PACK = 'cd -- "$D" && tar -cf "$T" .'
_UNPACK = 'mkdir -p -- "$D" && cd -- "$D" && tar -xof "$T"'
_TEMPORARY = "/tmp"  # noqa: S108  # a directory of the session, not of this machine


class FileTransfer:
    """Transfer files of one session. The store is looked up once, when it is first needed."""

    __slots__ = ("_files", "_looked_up", "_store")

    def __init__(self, files: RemoteFiles) -> None:
        self._files = files
        self._store: FileStore | None = None
        self._looked_up = False

    async def store(self) -> FileStore | None:
        """Return the service's file store for this session, if there is one."""
        if not self._looked_up:
            self._store = await open_store(self._files.api, self._files.session_id)
            self._looked_up = True
        return self._store

    async def upload(self, source: bytes | Path, path: str, options: Options) -> TransferReceipt:
        """Upload a file or bytes to `path`."""
        receipt = await self._upload(source, path, options)
        local = "" if isinstance(source, bytes) else str(source)
        return attrs.evolve(receipt, path=path, local_path=local)

    async def _upload(self, source: bytes | Path, path: str, options: Options) -> TransferReceipt:
        if not options.wait and (store := await self.store()) is not None:
            return await self._put_into_store(store, path, source, options)
        async with transfers.opened(source, path) as reader:
            small = reader.size <= _MAX_BY_TOOLS
        store = None if small else await self.store()
        if store is None:
            try:
                async with self._files.part_file(path) as part:
                    return await self._upload_by_tools(source, path, part, options.progress)
            except FileError:
                # The tools write text only, so bytes need a shell that decodes them.
                store = None if await self._files.has_shell() else await self.store()
                if store is None:
                    raise
        async with self._files.part_file(path) as part:
            return await self._upload_by_store(store, source, path, part, options)

    async def _upload_by_tools(
        self, source: bytes | Path, path: str, part: str, progress: Progress | None
    ) -> TransferReceipt:
        plain = self._files.takes_bytes("write_file")
        temporary = part if plain else f"{part}64"
        await self._files.write_chunk(temporary, "", "overwrite")
        async with transfers.opened(source, path) as reader:
            meter = transfers.Meter(reader.size, progress)
            async with aclosing(reader.chunks(meter)) as chunks:
                size = chunking.BYTES_LIMIT * self._files.size_factor("write_file")
                async for chunk in _resize_chunks(chunks, size):
                    sent = chunk if plain else base64.b64encode(chunk).decode("ascii")
                    await self._files.write_chunk(temporary, sent, "append")
        verified, _ = await self._files.replace(
            temporary, path, meter.md5, part=part, coded=not plain
        )
        return TransferReceipt(path, meter.done, verified=verified, md5=meter.md5)

    async def _upload_by_store(
        self,
        store: FileStore,
        source: bytes | Path,
        path: str,
        part: str,
        options: Options,
    ) -> TransferReceipt:
        async with store.temporary_path() as temporary:
            receipt = await self._put_into_store(store, temporary, source, options)
            try:
                verified = await self._put_in_place(temporary, path, receipt.md5, part)
            except BaseException:
                await self._files.discard(temporary)
                raise
        return attrs.evolve(receipt, verified=receipt.verified or verified)

    async def _put_into_store(
        self, store: FileStore, path: str, source: bytes | Path, options: Options
    ) -> TransferReceipt:
        """Upload a file into the store, and have it moved to the same path of the session."""
        requests: list[str] = []

        async def url() -> str:
            address, request_id = await store.upload_url(path)
            requests.append(request_id)
            return address

        receipt = await transfers.upload(
            store.api, path, url, source, options.progress, options.content_type
        )
        moved = await store.sync(path, "download", options)
        return attrs.evolve(receipt, url_request_id=requests[-1], sync_request_id=moved)

    async def _put_in_place(self, source: str, path: str, md5: str, part: str) -> bool:
        """Replace `path` with a file of the session; return whether its checksum was compared."""
        try:
            return (await self._files.replace(source, path, md5, part=part))[0]
        except FileError:
            if await self._files.has_shell():
                raise
        await self._files.move(source, path)
        return False

    async def download(self, path: str, target: Path, options: Options) -> TransferReceipt:
        """Download the session's file `path` to `target`; see :meth:`upload`."""
        receipt = await self._download(path, target, options)
        return attrs.evolve(receipt, path=path, local_path=str(target))

    async def _download(self, path: str, target: Path, options: Options) -> TransferReceipt:
        if not options.wait and (store := await self.store()) is not None:
            return await self._get_from_store(store, path, target, options)
        try:
            size, md5 = await self._measure(path, most=str(_MAX_BY_TOOLS))
        except FileError:
            if await self._files.has_shell():
                raise
            info, _ = await self._files.info(path)
            return await self._download_by_tools(path, target, options.progress, info.size, "")
        store = None if size <= _MAX_BY_TOOLS else await self.store()
        if store is None and not md5:
            size, md5 = await self._measure(path)
        if store is None:
            return await self._download_by_tools(path, target, options.progress, size, md5)
        async with store.temporary_path() as temporary:
            try:
                await self._measure(path, temporary, most="0")
                # The session hashes the copy during the transfer.
                async with run_beside(self._measure(temporary)) as measured:
                    return await self._get_from_store(store, temporary, target, options, measured)
            finally:
                await self._files.discard(temporary)

    async def _get_from_store(
        self,
        store: FileStore,
        path: str,
        target: Path,
        options: Options,
        measured: Task[tuple[int, str]] | None = None,
    ) -> TransferReceipt:
        """Have a file of the session moved to the same path of the store, and download it.

        With `measured`, it must have the MD5 that this returns.
        """
        requests: list[str] = []

        async def url() -> str:
            address, request_id = await store.download_url(path)
            requests.append(request_id)
            return address

        async def md5() -> str:
            return "" if measured is None else (await measured)[1]

        moved = await store.sync(path, "upload", options)
        receipt = await transfers.download(store.api, path, url, target, options.progress, md5)
        return attrs.evolve(receipt, url_request_id=requests[-1], sync_request_id=moved)

    async def _measure(self, path: str, copy: str = "", most: str = "") -> tuple[int, str]:
        """Return the size and MD5 of a file, after copying it to `copy` if that is given.

        There is no MD5 of a file that has more than `most` bytes, if that is given.
        """
        variables = {"F": path, "T": copy, "L": most}
        output, request_id = await self._files.run_on(path, _MEASURE, variables)
        size, _, md5 = output.partition("\n")
        if not size.strip().isdigit():
            raise self._files.file_error(f"size unknown: {path}", path, request_id)
        return int(size), md5[:32]

    async def _download_by_tools(
        self, path: str, target: Path, progress: Progress | None, size: int, md5: str
    ) -> TransferReceipt:
        meter = transfers.Meter(size, progress)
        async with transfers.replacing(target, path) as write:
            async with aclosing(self._files.read_chunks(path, size)) as chunks:
                async for chunk, _ in chunks:
                    await meter.save(chunk, write)
            if meter.done != size:
                raise transfers.failed(f"download of {path}: it changed while it was read", path)
            return meter.receipt(path, "", "download", md5)

    async def upload_tree(self, source: Path, path: str, options: Options) -> TransferReceipt:
        """Upload the content of a directory of this machine into one of the session."""
        async with _local_directory() as directory, self._session_archive() as remote:
            tree = directory / "tree.tar"
            variables = {"D": chunking.escape_dash(path), "T": remote}
            with _transfer_errors(path, "upload"):
                await to_thread.run_sync(archive.pack, source, tree)
            receipt = await self.upload(tree, remote, options)
            await self._files.run_on(path, _UNPACK, variables)
        return attrs.evolve(receipt, path=path, local_path=str(source))

    async def download_tree(self, path: str, target: Path, options: Options) -> TransferReceipt:
        """Download the content of a directory of the session into one of this machine."""
        async with _local_directory() as directory, self._session_archive() as remote:
            tree = directory / "tree.tar"
            variables = {"D": chunking.escape_dash(path), "T": remote}
            await self._files.run_on(path, _PACK, variables)
            receipt = await self.download(remote, tree, options)
            with _transfer_errors(path, "download"):
                await to_thread.run_sync(archive.unpack, tree, target)
        return attrs.evolve(receipt, path=path, local_path=str(target))

    @asynccontextmanager
    async def _session_archive(self) -> AsyncIterator[str]:
        """Provide the name of an archive in the session, which is removed at the end."""
        remote = f"{_TEMPORARY}/agentbay-{os.urandom(8).hex()}.tar"
        try:
            yield remote
        finally:
            await self._files.discard(remote)


@contextmanager
def _transfer_errors(path: str, action: str) -> Iterator[None]:
    """Turn errors of this machine's disk or of an archive into a ``TransferError``."""
    try:
        yield
    except (OSError, tarfile.TarError) as error:
        raise transfers.failed(f"{action} of {path}: {error}", path) from error


@asynccontextmanager
async def _local_directory() -> AsyncIterator[Path]:
    """Provide a temporary directory of this machine, which is removed at the end."""
    directory = Path(await to_thread.run_sync(tempfile.mkdtemp, None, "agentbay-"))
    try:
        yield directory
    finally:
        # Not in a thread: a cancelled task could not wait for that, and would leave the archive.
        shutil.rmtree(directory, ignore_errors=True)


async def _resize_chunks(chunks: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    """Yield the same bytes in chunks of `size`; the last may be shorter."""
    rest = bytearray()
    async for chunk in chunks:
        rest += chunk
        while len(rest) >= size:
            yield bytes(rest[:size])
            del rest[:size]
    if rest:
        yield bytes(rest)
