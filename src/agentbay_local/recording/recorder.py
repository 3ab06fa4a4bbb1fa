"""`Recorder`: records what a program and a service say to each other."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import urlsplit

from agentbay_local.recording.proxy import RecordingProxy
from agentbay_local.recording.tape import Tape
from agentbay_local.server_context import ServerContext

__all__ = ["Recorder"]


class Recorder(ServerContext[RecordingProxy]):
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
        OSError: At its start, the directory of the cassette does not exist, or no port is free; at
            its stop, the cassette cannot be written.

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
        super().__init__()
        self._path = Path(path)
        self._service = urlsplit(endpoint).hostname or ""
        self._tape = Tape()
        self._proxy = RecordingProxy(endpoint, api_key, self._tape, region_id)
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

    def _make_server(self) -> RecordingProxy:
        # Now, and not when the program has run.
        if not self._path.parent.is_dir():
            raise FileNotFoundError(2, "there is no such directory", str(self._path.parent))
        self._recorded = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return self._proxy

    def _after_stop(self) -> None:
        self._tape.cassette(self._service, self._recorded).write(self._path)
