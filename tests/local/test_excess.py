"""A session beyond its limits is stopped with a reason; the service and others go on."""

from __future__ import annotations

import asyncio
import io
import json
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from tests.local.conftest import Api

from agentbay_local import Limits, LocalService

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.usefixtures("sandboxed")

MIB = 1024 * 1024
LIMITS = Limits(
    processes=48,
    open_files=256,
    memory_bytes=150 * MIB,
    disk_bytes=40 * MIB,
    cpu_seconds=2,
)


@pytest.fixture(scope="module")
def service() -> Any:
    """Return a service with low limits."""
    with LocalService(limits=LIMITS) as running:
        yield running


@pytest.fixture
async def limited(service: LocalService) -> AsyncIterator[Api]:
    """Give an API of that service."""
    async with aiohttp.ClientSession() as http:
        yield Api(http, service)


async def run(api: Api, session: str, command: str, within: int) -> dict[str, Any]:
    """Run a command with a timeout in milliseconds."""
    _, text = await api.tool(session, "shell", command=command, timeout_ms=within)
    answer: dict[str, Any] = json.loads(text)
    return answer


async def works(api: Api, session: str) -> float:
    """Check that a session and the service answer; return the seconds it took."""
    began = time.monotonic()
    assert await api.sh(session, "echo well; touch f; rm f") == "well\n"
    async with api.http.get(f"{api.service.endpoint}/healthz") as answer:
        assert answer.status == 200
    return time.monotonic() - began


FORK_BOMB = "bomb() { bomb | bomb & }; bomb; sleep 3"
MEMORY_HOG = (
    "python3 -c 'held = []\nwhile True: held.append(bytearray(b\"x\" * 10000000))' ; echo lives"
)
DISK_FILLER = "i=0; while :; do i=$((i+1)); head -c 4000000 /dev/zero > big$i; done"
LOG_FLOODER = "yes flood & yes flood >&2; wait"


@pytest.mark.slow
@pytest.mark.parametrize("attack", [FORK_BOMB, MEMORY_HOG, DISK_FILLER, LOG_FLOODER])
async def test_one_session_cannot_block_the_service_or_another_session(
    limited: Api, attack: str
) -> None:
    """During the attack and afterwards; the session itself recovers."""
    mine, other = await limited.session(), await limited.session()
    await works(limited, other)
    attacking = asyncio.ensure_future(run(limited, mine, attack, 4000))
    spent = []
    while not attacking.done():
        spent.append(await works(limited, other))
        await asyncio.wait([attacking], timeout=0.1)
    await attacking
    assert max(spent) < 30

    async def well_again() -> bool:
        answer = await run(limited, mine, "rm -rf big* && echo well", 5000)
        return answer.get("stdout") == "well\n"

    await limited.until(well_again)
    await works(limited, other)
    await limited.released(mine)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (MEMORY_HOG, "its memory exceeded 157286400 bytes"),
        (DISK_FILLER, "its files exceeded 41943040"),
    ],
)
async def test_a_stopped_command_names_the_limit(limited: Api, command: str, reason: str) -> None:
    """On standard error."""
    answer = await run(limited, await limited.session(), command, 30_000)
    assert reason in answer["stderr"]


async def test_a_flood_of_output_is_truncated(limited: Api) -> None:
    """The answer says so."""
    flood = "yes flood | head -c 20000000; yes flood | head -c 20000000 >&2"
    answer = await run(limited, await limited.session(), flood, 60_000)
    assert answer["truncated"] is True
    assert len(answer["stdout"]) + len(answer["stderr"]) <= 33 * MIB


async def test_output_counts_by_its_size_in_json(api: Api, sandboxed: None) -> None:
    """A NUL takes six bytes there: what is kept of a stream does not grow with its content."""
    text = await api.sh(await api.session(), "head -c 16000000 /dev/zero")
    assert 2.5 * MIB < text.count("\0") <= 16 * MIB / 6


@pytest.mark.parametrize("announced", [True, False])
async def test_an_upload_has_the_limit_of_a_session(limited: Api, announced: bool) -> None:
    """A URL does not let its owner fill the disk of the machine: nothing is stored."""
    context = await limited.context()
    body = await limited.ok("GetContextFileUploadUrl", ContextId=context, FilePath="f")

    async def unannounced() -> AsyncIterator[bytes]:
        for _ in range(41):
            yield bytes(MIB)

    data = io.BytesIO(bytes(41 * MIB)) if announced else unannounced()
    async with limited.http.put(body["Data"]["Url"], data=data) as answer:
        assert answer.status == 413
        assert "more than 41943040 bytes" in await answer.text()
    assert await limited.names(context) == []


async def test_limits_of_single_processes_are_set(limited: Api) -> None:
    """Open files, and processor time, which ends an endless loop."""
    session = await limited.session()
    # The processor's limit is set from outside, a moment after the start.
    command = "ulimit -n; until [ $(ulimit -t) = 2 ]; do :; done; ulimit -t"
    assert await limited.sh(session, command) == "256\n2\n"
    began = time.monotonic()
    answer = await run(limited, session, "while :; do :; done", 60_000)
    assert answer["exit_code"] in (137, 152)
    assert time.monotonic() - began < 55


@pytest.mark.parametrize(
    "wrong",
    [
        {"processes": 7},
        {"memory_bytes": 0},
        {"open_files": 255},
        {"open_files": 1e9},
        {"disk_bytes": True},
        {"cpu_seconds": -1},
    ],
)
def test_an_invalid_limit_is_an_error(wrong: dict[str, Any]) -> None:
    """The error names it; None means no limit."""
    with pytest.raises(ValueError, match=f"limits.{next(iter(wrong))} must be a whole number"):
        LocalService(limits=Limits(**wrong))
    LocalService(limits=Limits(memory_bytes=None, disk_bytes=None))
