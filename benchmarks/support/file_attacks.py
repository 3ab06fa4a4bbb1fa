"""Attacks by the files of a session, which the service reads, copies, packs and unpacks."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import secrets
import tarfile
import tempfile
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from agentbay_async import ContextSync, CreateSessionParams, SyncPolicy
from agentbay_async.models.sync_policy import UploadMode, UploadPolicy
from support.attacks import attack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agentbay_async import AsyncSession
    from support.attacks import Stage

_ARCHIVE = "/.agentbay-archive.tar.gz"
_BOMB = 1200 << 20


@asynccontextmanager
async def _mounted(
    stage: Stage, mode: UploadMode = UploadMode.FILE, content: bytes = b""
) -> AsyncIterator[AsyncSession]:
    """Create a hostile session with a context at /mnt/data, which may hold an archive."""
    context = (await stage.bay.context.create(f"c-{secrets.token_hex(8)}")).unwrap()
    if content:
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            (await stage.bay.context.upload_file(context.id, _ARCHIVE, file.name)).unwrap()
    policy = SyncPolicy(upload_policy=UploadPolicy(auto_upload=False, upload_mode=mode))
    mount = ContextSync(context.id, "/mnt/data", policy, wait_for_completion=False)
    session = (await stage.bay.create(CreateSessionParams(context_syncs=[mount]))).unwrap()
    try:
        yield session
    finally:
        await session.delete()


async def _attack_sync(stage: Stage, command: str, mode: UploadMode = UploadMode.FILE) -> None:
    """Run a command in the mount, and upload once."""
    async with _mounted(stage, mode) as session:
        await session.command.run(command, cwd="/mnt/data", timeout=60)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(session.context.sync(), 10 * stage.seconds)


@attack
async def upload_of_sparse_files(stage: Stage) -> None:
    """Upload twelve files of 95 MB that take no space."""
    await _attack_sync(stage, "for n in $(seq 12); do truncate -s 95M f$n; echo >> f$n; done")


@attack
async def upload_of_sparse_files_as_an_archive(stage: Stage) -> None:
    """Pack twelve files of 95 MB that take no space."""
    await _attack_sync(
        stage, "for n in $(seq 12); do truncate -s 95M f$n; done", UploadMode.ARCHIVE
    )


@attack
async def upload_of_many_files(stage: Stage) -> None:
    """Upload 150,000 empty files."""
    await _attack_sync(stage, "seq 150000 | xargs touch")


@attack
async def upload_of_too_many_links(stage: Stage) -> None:
    """Upload 250,000 links to a few files."""
    command = (
        "python3 -c \"import os\nfor d in 'abcde':\n    os.mkdir(d); open(d + '/f', 'w').close()\n"
        "    for n in range(50000): os.link(d + '/f', f'{d}/{n}')\""
    )
    await _attack_sync(stage, command)


@attack
async def unpacking_of_a_bomb(stage: Stage) -> None:
    """Download an archive of some megabytes that holds 1.2 GB."""
    async with _mounted(stage, content=await asyncio.to_thread(_bomb)) as session:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(session.context.sync(mode="download"), 10 * stage.seconds)


def _bomb() -> bytes:
    target = io.BytesIO()
    member = tarfile.TarInfo("bomb")
    member.size = _BOMB
    with gzip.GzipFile(fileobj=target, mode="w", compresslevel=1) as packed:
        packed.write(member.tobuf())
        for _ in range(_BOMB >> 20):
            packed.write(bytes(1 << 20))
        packed.write(bytes(1024))
    return target.getvalue()


_FLIP = """
import os
os.makedirs("inner")
for n in range(1000): open(f"inner/{n}", "w").close()
os.symlink("/etc", "link")
while True:
    for source in ("inner", "link"):
        os.rename(source, "place")
        os.rename("place", source)
"""


@attack
async def directory_swapped_with_a_link_during_syncs(stage: Stage) -> None:
    """Upload again and again while a directory and a link change places."""
    async with _mounted(stage) as session:
        await session.file_system.write_file("/mnt/data/flip.py", _FLIP)
        flip = "nohup python3 flip.py >/dev/null 2>&1 &"
        await session.command.run(flip, cwd="/mnt/data", timeout=10)
        end = asyncio.get_running_loop().time() + stage.seconds
        while asyncio.get_running_loop().time() < end:
            await session.context.sync()
