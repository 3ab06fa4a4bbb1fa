"""Environments to compare: plain processes, a sandbox, and a session over HTTP."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING, Protocol

from agentbay_async import AsyncAgentBay, CreateSessionParams
from agentbay_local.sandbox.base import Isolation, SandboxSpec
from agentbay_local.sandbox.host.uids import private_uid
from agentbay_local.sandbox.probe import backend_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from agentbay_async import AsyncSession
    from agentbay_local.sandbox.base import Sandbox
    from support.local import LocalChild

    Step = Callable[[], Awaitable[object]]

CREATE, DELETE = "create", "delete"
ECHO_FIRST, ECHO = "echo hi, first", "echo hi"
CODE_FIRST, CODE_AGAIN = "run_code, first", "run_code, again"
SIZES = {"1 KiB": 1024, "1 MiB": 1024**2, "100 MiB": 100 * 1024**2}
#: Every step, in the order in which a session does them, and how often in one round.
STEPS = {
    CREATE: 1,
    ECHO_FIRST: 1,
    ECHO: 20,
    "write 1 KiB": 10,
    "read 1 KiB": 10,
    "write 1 MiB": 5,
    "read 1 MiB": 5,
    "write 100 MiB": 1,
    "read 100 MiB": 1,
    CODE_FIRST: 1,
    CODE_AGAIN: 10,
    DELETE: 1,
}


class Environment(Protocol):
    """An environment that can do the steps.

    Attributes:
        name: Its name in tables.
    """

    name: str

    @property
    def steps(self) -> Mapping[str, Step]:
        """The steps, by their names in `STEPS`."""
        ...

    async def close(self) -> None:
        """Release all resources."""
        ...


class Plain:
    """Processes and files of this machine, without any isolation.

    Args:
        directory: The directory for the files.
    """

    name = "plain"

    def __init__(self, directory: Path) -> None:
        nothing = _step(_run, ["/bin/sh", "-c", ":"], b"")
        echo = _step(_run, ["/bin/sh", "-c", "echo hi"], b"hi\n")
        code = _step(_run, [sys.executable, "-c", "print(1 + 1)"], b"2\n")
        self.steps: dict[str, Step] = {
            CREATE: nothing,
            ECHO_FIRST: echo,
            ECHO: echo,
            CODE_FIRST: code,
            CODE_AGAIN: code,
            DELETE: nothing,
        }
        for label, size in SIZES.items():
            path = directory / label
            self.steps[f"write {label}"] = _step(_write, path, bytes(size))
            self.steps[f"read {label}"] = _step(_read, path, size)

    async def close(self) -> None:
        """Do nothing: the caller removes the directory."""


class InSandbox:
    """A running sandbox of the local service, without HTTP.

    Args:
        directory: The directory for its root.
    """

    name = "sandbox"

    def __init__(self, directory: Path) -> None:
        self._backend = backend_for(Isolation.NAMESPACES)
        self._root = directory / "root"
        self._sandbox: Sandbox | None = None
        self.steps: dict[str, Step] = {
            CREATE: self._create,
            ECHO_FIRST: self._echo,
            ECHO: self._echo,
            DELETE: self._delete,
        }

    async def _create(self) -> None:
        spec = SandboxSpec(self._root, private_uid(str(self._root)))
        self._sandbox = await self._backend.start(spec)

    async def _echo(self) -> None:
        assert self._sandbox is not None
        done = await self._sandbox.run("echo hi", timeout=10)
        assert done.stdout == b"hi\n"

    async def _delete(self) -> None:
        assert self._sandbox is not None
        await self._sandbox.close()

    async def close(self) -> None:
        """Close the sandbox."""
        await self._backend.close()


class OverHttp:
    """A session of the local service, through `agentbay_async`.

    Args:
        service: The service.
    """

    name = "agentbay_async"

    def __init__(self, service: LocalChild) -> None:
        self._bay = AsyncAgentBay(service.api_key, endpoint=service.endpoint)
        self._session: AsyncSession | None = None
        self.steps: dict[str, Step] = {
            CREATE: self._create,
            ECHO_FIRST: self._echo,
            ECHO: self._echo,
            CODE_FIRST: self._code,
            CODE_AGAIN: self._code,
            DELETE: self._delete,
        }
        for label, size in SIZES.items():
            self.steps[f"write {label}"] = partial(self._write, label, bytes(size))
            self.steps[f"read {label}"] = partial(self._read, label, size)

    async def _create(self) -> None:
        params = CreateSessionParams(image_id="code_latest")
        self._session = (await self._bay.create(params)).session

    @property
    def _live(self) -> AsyncSession:
        assert self._session is not None
        return self._session

    async def _echo(self) -> None:
        assert (await self._live.command.run("echo hi", check=True)).stdout == "hi\n"

    async def _write(self, name: str, content: bytes) -> None:
        (await self._live.file_system.write_file(name, content)).unwrap()

    async def _read(self, name: str, size: int) -> None:
        read = await self._live.file_system.read_file(name, format="bytes")
        assert len(read.content) == size

    async def _code(self) -> None:
        assert (await self._live.code.run_code("1 + 1")).result == "2"

    async def _delete(self) -> None:
        (await self._live.delete()).unwrap()

    async def close(self) -> None:
        """Close its connections."""
        await self._bay.aclose()


def _step(work: Callable[..., None], *args: object) -> Step:
    async def step() -> None:
        work(*args)

    return step


def _run(command: list[str], wanted: bytes) -> None:
    assert subprocess.run(command, capture_output=True, check=True).stdout == wanted


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _read(path: Path, size: int) -> None:
    assert len(path.read_bytes()) == size
