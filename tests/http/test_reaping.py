"""``reap``: delete the sessions of dead processes, and no others."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    ArgumentTypeError,
    AsyncAgentBay,
    Config,
    CreateSessionParams,
    InvalidArgumentError,
)
from agentbay_async._lifecycle.ledger import append, read
from agentbay_async._lifecycle.processes import Process, this_process

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import InstantClock
    from tests.http.conftest import Bays
    from tests.http.fake_service import FakeService
    from tests.http.scripted import Script

_HOUR = 3600.0


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of a new ledger."""
    path = tmp_path / "ledger.jsonl"
    monkeypatch.setenv("AGENTBAY_LEDGER", str(path))
    return path


@pytest.fixture
def bay(path: Path, bays: Bays) -> AsyncAgentBay:
    """Return a client that writes into that ledger."""
    return bays()


def _ended() -> Process:
    """Return a process of this host that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return this_process()._replace(run="the-dead-run", pid=child.pid)


def _began(process: Process) -> bytes:
    """Return the ledger line of a process."""
    return json.dumps({"did": "began", "at": 0.0, **process._asdict()}).encode()


def _rewrite_as_dead_process(path: Path) -> None:
    """Rewrite the ledger as if a process that has ended had written it."""
    dead = _ended()
    text = _text(path).replace(this_process().run, dead.run)
    _rewrite(path, text.replace(f'"pid":{this_process().pid}', f'"pid":{dead.pid}'))


def _text(path: Path) -> str:
    return path.read_text("utf-8") if path.exists() else ""


def _rewrite(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")


async def test_sessions_of_a_dead_process_are_deleted(
    bay: AsyncAgentBay, service: FakeService, path: Path, clock: InstantClock
) -> None:
    """Those of this process stay, and so do those of other owners."""
    await bay.create()
    _rewrite_as_dead_process(path)
    living = (await bay.create()).session
    result = await bay.reap()
    assert (result.deleted, result.kept) == (("s-1",), (living.session_id,))
    assert list(service.sessions) == [living.session_id]
    assert [entry.session_id for entry in read(path, clock.now).open] == [living.session_id]


async def test_a_session_missing_in_the_ledger_is_found_by_its_labels(
    bay: AsyncAgentBay, service: FakeService, path: Path
) -> None:
    """Its process was killed between the create and the ledger line."""
    await bay.create()
    _rewrite_as_dead_process(path)
    _rewrite(path, "")
    append(path, _began(_ended()))
    service.sessions["s-1"].labels["agentbay-run"] = "the-dead-run"
    assert (await bay.reap()).deleted == ("s-1",)


async def test_sessions_of_others_are_never_touched(
    bay: AsyncAgentBay, bays: Bays, service: FakeService, path: Path
) -> None:
    """However old they are, and however dead their process."""
    await bays(cfg=Config(owner="somebody-else")).create()
    _rewrite_as_dead_process(path)
    service.sessions["s-1"].labels["agentbay-since"] = "1"
    for older_than in (None, 1):
        assert (await bay.reap(older_than=older_than)).deleted == ()
    assert (await bay.reap("somebody-else")).deleted == ("s-1",)


async def test_another_service_is_never_used(
    bay: AsyncAgentBay, service: FakeService, path: Path
) -> None:
    """An id of one service may be a live session of another."""
    await bay.create()
    _rewrite_as_dead_process(path)
    _rewrite(path, _text(path).replace("https://", "http://"))
    service.sessions["s-1"].labels.clear()
    assert (await bay.reap()).deleted == ()
    assert list(service.sessions) == ["s-1"]


@pytest.mark.parametrize(
    ("age", "older_than", "goes"),
    [
        (2 * _HOUR, None, False),
        (2 * _HOUR, _HOUR, True),
        (2 * _HOUR, timedelta(hours=1), True),
        (_HOUR / 2, _HOUR, False),
        (None, _HOUR, False),
    ],
)
async def test_sessions_of_an_invisible_process_expire_by_age(
    bay: AsyncAgentBay,
    service: FakeService,
    clock: InstantClock,
    age: float | None,
    older_than: Any,
    goes: bool,
) -> None:
    """It may be alive on another host."""
    await bay.create()
    session = service.sessions["s-1"]
    session.labels["agentbay-run"] = "elsewhere"
    session.labels["agentbay-since"] = "" if age is None else str(int(clock.now - age))
    service.sessions["s-2"] = service.sessions.pop("s-1")
    assert ("s-2" in (await bay.reap(older_than=older_than)).deleted) == goes


async def test_a_session_that_ends_meanwhile_is_skipped(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """It was listed, and is gone when its labels are read."""
    await bay.create()
    service.sessions["s-2"] = service.sessions.pop("s-1")
    service.trouble("GetLabel", "gone")
    result = await bay.reap()
    assert "s-2" not in (*result.deleted, *result.kept)


async def test_a_live_process_keeps_its_sessions(
    bay: AsyncAgentBay, service: FakeService, clock: InstantClock
) -> None:
    """Age matters only for invisible processes."""
    await bay.create()
    clock.now += 2 * _HOUR
    assert (await bay.reap(older_than=_HOUR)).kept == ("s-1",)


async def test_a_dry_run_deletes_nothing(
    bay: AsyncAgentBay, service: FakeService, path: Path
) -> None:
    """The report is the same, and the ledger is unchanged."""
    await bay.create()
    _rewrite_as_dead_process(path)
    before = _text(path)
    assert (await bay.reap(dry_run=True)).deleted == ("s-1",)
    assert list(service.sessions) == ["s-1"]
    assert _text(path) == before


async def test_failed_deletes_are_reported(
    bay: AsyncAgentBay, service: FakeService, path: Path
) -> None:
    """The others are deleted nevertheless."""
    for _ in range(2):
        await bay.create()
    _rewrite_as_dead_process(path)
    service.trouble("DeleteSessionAsync", *["unread"] * 4)
    result = await bay.reap()
    assert result.success
    assert list(result.failed_to_delete) == ["s-1"]
    assert result.deleted == ("s-2",)


async def test_an_adopted_session_belongs_to_the_new_process(
    bay: AsyncAgentBay, service: FakeService, path: Path
) -> None:
    """A reaper does not delete it."""
    params = CreateSessionParams(labels={"a": "b"}, idempotency_key="job-7")
    await bay.create(params)
    _rewrite_as_dead_process(path)
    service.sessions["s-1"].labels["agentbay-run"] = "the-dead-run"
    await bay.create(params)
    assert (await bay.reap()).kept == ("s-1",)
    _rewrite(path, "")
    append(path, _began(_ended()))
    assert (await bay.reap()).kept == ("s-1",)
    assert service.sessions["s-1"].labels["a"] == "b"


async def test_without_a_ledger_nothing_is_written(
    bays: Bays, service: FakeService, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the settings of the client or of the environment."""
    await bays(cfg=Config(ledger=False)).create()
    monkeypatch.setenv("AGENTBAY_LEDGER", "off")
    bay = bays()
    await bay.create()
    assert (await bay.reap()).deleted == ()
    assert _text(path) == ""
    await bays(cfg=Config(ledger=False, reserved_labels=False)).reap()
    assert len(service.sessions) == 2


async def test_a_deleted_session_is_closed_in_the_ledger(
    bay: AsyncAgentBay, service: FakeService, path: Path, clock: InstantClock
) -> None:
    """By any client."""
    session = (await bay.create()).session
    assert len(read(path, clock.now).open) == 1
    assert (await bay.delete(session.session_id)).success
    assert read(path, clock.now).open == []


async def test_a_failed_clean_up_is_in_the_ledger(
    bay: AsyncAgentBay,
    service: FakeService,
    path: Path,
    clock: InstantClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A warning has the session and the remedy."""

    async def work() -> None:
        async with bay.session():
            service.trouble("DeleteSessionAsync", *["unread"] * 99)
            raise LookupError

    with pytest.raises(LookupError):
        await work()
    assert [entry.session_id for entry in read(path, clock.now).open] == ["s-1"]
    assert "s-1" in caplog.text
    assert "agentbay reap" in caplog.text


async def test_the_ledger_holds_no_key(
    bay: AsyncAgentBay, service: FakeService, path: Path, api_key: str
) -> None:
    """Other users may read the file."""
    await bay.create()
    assert api_key not in _text(path)


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"owner": " "}, InvalidArgumentError),
        ({"owner": 7}, ArgumentTypeError),
        ({"older_than": 0}, InvalidArgumentError),
        ({"older_than": "1h"}, ArgumentTypeError),
        ({"dry_run": "no"}, ArgumentTypeError),
    ],
)
async def test_invalid_arguments_are_rejected(
    bay: AsyncAgentBay, scripted: Script, options: dict[str, Any], kind: type[Exception]
) -> None:
    """Nothing is sent."""
    with pytest.raises(kind, match=next(iter(options))):
        await bay.reap(**options)
    assert scripted.requests == []
