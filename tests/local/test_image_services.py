"""Services of an image: programs that run for as long as each of its sessions."""

from __future__ import annotations

import secrets
from pathlib import Path

import aiohttp
import pytest

from agentbay_local import Image, LocalService

from .conftest import Api

pytestmark = pytest.mark.usefixtures("sandboxed")

UP = "until [ -s .service-1.log ]; do sleep 0.1; done; cat .service-1.log"


def processes(command: str) -> set[int]:
    """Return the processes of this machine, those of sessions too, that run a command."""
    found = set()
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if file.read_bytes().rstrip(b"\0").split(b"\0") == command.encode().split():
                found.add(int(file.parent.name))
        except OSError:
            continue  # it has ended
    return found


async def test_a_service_lasts_as_long_as_its_session() -> None:
    """It is the same process after a pause, and gone when the session is released."""
    sleeping = f"sleep {10**8 + secrets.randbelow(10**8)}"
    image = Image("served", services=[f"echo up; exec {sleeping}"])
    async with (
        LocalService(images=[image]) as service,
        aiohttp.ClientSession() as http,
    ):
        api = Api(http, service)
        session, other = [await api.session(ImageId="served") for _ in range(2)]
        assert await api.sh(session, UP) == "up\n"
        started = processes(sleeping)
        assert len(started) == 1
        await api.ok("PauseSessionAsync", SessionId=session)
        await api.reached(session, "PAUSED")
        assert processes(sleeping) == started
        await api.ok("ResumeSessionAsync", SessionId=session)
        await api.reached(session, "RUNNING")
        assert await api.sh(session, UP) == "up\n"
        assert processes(sleeping) == started
        assert await api.sh(other, UP) == "up\n"
        assert len(processes(sleeping)) == 2

        await api.released(session)

        left = processes(sleeping)
        assert len(left) == 1
        assert not left & started
    assert processes(sleeping) == set()
