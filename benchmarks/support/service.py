"""The stub service in a child process: start it, trust it, read its counts, stop it."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import trustme

from support.child import LineChild

if TYPE_CHECKING:
    from types import TracebackType


class StubService:
    """A stub service in a child process, for the length of a ``with`` block.

    Args:
        sessions: How many sessions exist at the start.

    Attributes:
        host: Address and port, without a scheme.
        trusted: A PEM file: the system's certificates and the stub's own authority, so that
            loading it costs what it costs in earnest.
    """

    def __init__(self, sessions: int = 1000) -> None:
        self._sessions = sessions

    def __enter__(self) -> StubService:
        self._home = tempfile.TemporaryDirectory(prefix="agentbay-bench-")
        home = Path(self._home.name)
        authority = trustme.CA()
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
            home / "server.pem"
        )
        authority.cert_pem.write_to_path(home / "trusted.pem")
        system = ssl.get_default_verify_paths().cafile
        if system is not None:
            with open(home / "trusted.pem", "ab") as file:
                file.write(Path(system).read_bytes())
        self.trusted = str(home / "trusted.pem")
        self._child = LineChild.of_module(
            "support.stub", str(home / "server.pem"), str(self._sessions)
        )
        self.host = f"127.0.0.1:{self._child.read_line()['port']}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._child.close()
        self._home.cleanup()

    @property
    def url(self) -> str:
        """The endpoint."""
        return f"https://{self.host}"

    @property
    def home(self) -> str:
        """A directory that is removed at the end."""
        return self._home.name

    def ssl_context(self) -> ssl.SSLContext:
        """Return TLS settings that trust the stub."""
        return ssl.create_default_context(cafile=self.trusted)

    def counts(self) -> dict[str, int]:
        """Return how many ``connections`` and ``requests`` there were so far."""
        return self._child.ask({})

    def set_latency(self, seconds: float) -> None:
        """Delay each answer by `seconds`."""
        self._child.ask({"latency": seconds})
