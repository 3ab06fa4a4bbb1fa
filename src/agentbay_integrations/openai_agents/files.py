"""Files on the way between the framework and a session."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from agentbay_async import AsyncAgentBay

if TYPE_CHECKING:
    import io
    from collections.abc import AsyncIterator, Awaitable, Callable

    from agentbay_async import TransferResult

# Bytes that are copied at a time.
CHUNK = 1024 * 1024


@asynccontextmanager
async def on_disk(data: io.IOBase) -> AsyncIterator[str]:
    """Yield the path of a file with the rest of a stream."""
    with tempfile.NamedTemporaryFile() as copy:
        await asyncio.to_thread(shutil.copyfileobj, data, copy, CHUNK)
        copy.flush()
        yield copy.name


async def fetch(download: Callable[[Path], Awaitable[TransferResult]]) -> io.IOBase:
    """Download a file; return it open."""
    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory, "fetched")
        (await download(target)).unwrap()
        # Its name goes with the directory, its content when the reader closes it.
        return await asyncio.to_thread(target.open, "rb")


async def enter_client(bay: AsyncAgentBay | None, stack: AsyncExitStack) -> AsyncAgentBay:
    """Return a client, or one with the settings of the environment, closed with the stack."""
    return await stack.enter_async_context(AsyncAgentBay()) if bay is None else bay
