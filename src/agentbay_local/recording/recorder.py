"""`Recorder`: records what a program and a service say to each other."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agentbay_local.recording.proxy import RecordingProxy
from agentbay_local.recording.tape import Tape
from agentbay_local.thread import ServerThread

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["Recorder"]


class Recorder:
    """A proxy in front of a service that writes a cassette when it is stopped.

    Clients use its `endpoint` and its `api_key` instead of those of the service. The cassette has
    no secrets: see `agentbay_local.cassettes.redaction` for what is found and what is not.

    Args:
        path: The cassette. A file that exists is replaced.
        endpoint: The URL of the service.
        api_key: The key of the service.
        region_id: The region of new sessions. A client that is given an endpoint names the default
            region, which is replaced by this one. None leaves requests as they are.

    Raises:
        ValueError: `endpoint` is no URL, or `api_key` is blank.

    Example:
        ::

            with Recorder("cassette.jsonl", endpoint=service.endpoint, api_key=key) as recorder:
                client = AgentBay(recorder.api_key, endpoint=recorder.endpoint)
    """

    def __init__(
        self, path: str | Path, *, endpoint: str, api_key: str, region_id: str | None = None
    ) -> None:
        if urlsplit(endpoint).scheme not in ("http", "https"):
            raise ValueError(f"endpoint must be a URL such as 'https://host', not {endpoint!r:.80}")
        if not api_key.strip():
            raise ValueError("api_key must not be blank")
        self._path = Path(path)
        self._service = urlsplit(endpoint).hostname or ""
        self._tape = Tape()
        self._proxy = RecordingProxy(endpoint, api_key, self._tape, region_id)
        self._thread: ServerThread | None = None
        self._recorded = ""

    def __repr__(self) -> str:
        return f"<Recorder {self._proxy.endpoint or 'not running'}>"

    def __len__(self) -> int:
        return len(self._tape)

    @property
    def endpoint(self) -> str:
        """``http://HOST:PORT`` of the proxy, after its start."""
        return self._proxy.endpoint

    @property
    def api_key(self) -> str:
        """The key for clients of the proxy; it is not that of the service."""
        return self._proxy.api_key

    def start(self) -> Self:
        """Start on a new thread; return once the proxy answers.

        Raises:
            OSError: The directory of the cassette does not exist, or no port is free.
        """
        self._check()
        thread = ServerThread(self._proxy)
        thread.start()
        self._thread = thread
        return self

    def stop(self) -> None:
        """Stop the proxy and write the cassette. Repeatable.

        Raises:
            OSError: The cassette cannot be written.
        """
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.stop()
            self._write()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        self._check()
        await self._proxy.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._proxy.stop()
        await asyncio.to_thread(self._write)

    def _check(self) -> None:
        # Now, and not when the program has run.
        if not self._path.parent.is_dir():
            raise FileNotFoundError(2, "there is no such directory", str(self._path.parent))
        self._recorded = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())

    def _write(self) -> None:
        self._tape.cassette(self._service, self._recorded).write(self._path)
