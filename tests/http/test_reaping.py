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
from agentbay_async._protocol import schema
from agentbay_local import Drop, Fail

if TYPE_CHECKING:
    from pathlib import Path

    from tests.http.conftest import Bays

    from agentbay_local import LocalService

_HOUR = 3600.0


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of a new ledger."""
    path = tmp_path / "ledger.jsonl"
    monkeypatch.setenv("AGENTBAY_LEDGER", str(path))
    return path


@pytest.fixture
def bay(path: Path, local_bays: Bays) -> AsyncAgentBay:
    """Return a client that writes into that ledger."""
    return local_bays()


async def _create(bay: AsyncAgentBay) -> str:
    """Create a session and return its id."""
    return (await bay.create()).session.session_id


async def _relabel(
    bay: AsyncAgentBay, service: LocalService, session_id: str, **changes: str
) -> None:
    """Change reserved labels of a session, which no client does."""
    reserved = {f"agentbay-{name}": value for name, value in changes.items()}
    labels = {**service.living()[session_id], **reserved}
    await bay._api.call(schema.SetLabel(session_id=session_id, labels=labels))


def _open(path: Path, service: LocalService) -> list[str]:
    """Return the ids of the sessions that are open in the ledger."""
    return [entry.session_id for entry in read(path, service.clock.time()).open]


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
    bay: AsyncAgentBay, local_service: LocalService, path: Path
) -> None:
    """Those of this process stay, and so do those of other owners."""
    orphan = await _create(bay)
    _rewrite_as_dead_process(path)
    alive = await _create(bay)
    result = await bay.reap()
    assert (result.deleted, result.kept) == ((orphan,), (alive,))
    assert list(local_service.living()) == [alive]
    assert _open(path, local_service) == [alive]


async def test_a_session_missing_in_the_ledger_is_found_by_its_labels(
    bay: AsyncAgentBay, local_service: LocalService, path: Path
) -> None:
    """Its process was killed between the create and the ledger line."""
    session_id = await _create(bay)
    _rewrite(path, "")
    append(path, _began(_ended()))
    await _relabel(bay, local_service, session_id, run="the-dead-run")
    assert (await bay.reap()).deleted == (session_id,)


async def test_sessions_of_others_are_never_touched(
    bay: AsyncAgentBay, local_bays: Bays, local_service: LocalService, path: Path
) -> None:
    """However old they are, and however dead their process."""
    session_id = await _create(local_bays(cfg=Config(owner="somebody-else")))
    _rewrite_as_dead_process(path)
    await _relabel(bay, local_service, session_id, since="1")
    for older_than in (None, 1):
        assert (await bay.reap(older_than=older_than)).deleted == ()
    assert (await bay.reap("somebody-else")).deleted == (session_id,)


async def test_another_service_is_never_used(
    bay: AsyncAgentBay, local_service: LocalService, path: Path
) -> None:
    """An id of one service may be a live session of another."""
    session_id = await _create(bay)
    _rewrite_as_dead_process(path)
    _rewrite(path, _text(path).replace("http://", "https://"))
    await bay._api.call(schema.SetLabel(session_id=session_id, labels={}))
    assert (await bay.reap()).deleted == ()
    assert list(local_service.living()) == [session_id]


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
    local_service: LocalService,
    path: Path,
    age: float | None,
    older_than: Any,
    goes: bool,
) -> None:
    """It may be alive on another host."""
    session_id = await _create(bay)
    since = "unknown" if age is None else str(int(local_service.clock.time() - age))
    await _relabel(bay, local_service, session_id, run="elsewhere", since=since)
    _rewrite(path, "")
    assert (session_id in (await bay.reap(older_than=older_than)).deleted) == goes
    assert (session_id in local_service.living()) != goes


async def test_a_session_that_ends_meanwhile_is_skipped(
    bay: AsyncAgentBay, local_service: LocalService, path: Path
) -> None:
    """It was listed, and is gone when its labels are read."""
    session_id = await _create(bay)
    _rewrite(path, "")
    local_service.faults.add(Fail("InvalidMcpSession.NotFound", 400), "GetLabel", nth=1)
    result = await bay.reap()
    assert session_id not in (*result.deleted, *result.kept)
    assert local_service.journal.find("GetLabel", fault="fail")


async def test_a_live_process_keeps_its_sessions(
    bay: AsyncAgentBay, local_service: LocalService
) -> None:
    """Age matters only for invisible processes."""
    session_id = await _create(bay)
    await local_service.clock.sleep(2 * _HOUR)
    assert (await bay.reap(older_than=_HOUR)).kept == (session_id,)


async def test_a_dry_run_deletes_nothing(
    bay: AsyncAgentBay, local_service: LocalService, path: Path
) -> None:
    """The report is the same, and the ledger is unchanged."""
    session_id = await _create(bay)
    _rewrite_as_dead_process(path)
    before = _text(path)
    assert (await bay.reap(dry_run=True)).deleted == (session_id,)
    assert list(local_service.living()) == [session_id]
    assert _text(path) == before


async def test_failed_deletes_are_reported(
    bay: AsyncAgentBay, local_service: LocalService, path: Path
) -> None:
    """The others are deleted nevertheless."""
    first, second = await _create(bay), await _create(bay)
    _rewrite_as_dead_process(path)
    local_service.faults.add(Drop(), "DeleteSessionAsync", where={"SessionId": first})
    result = await bay.reap()
    assert result.success
    assert list(result.failed_to_delete) == [first]
    assert result.deleted == (second,)


async def test_an_adopted_session_belongs_to_the_new_process(
    bay: AsyncAgentBay, local_service: LocalService, path: Path
) -> None:
    """A reaper does not delete it."""
    params = CreateSessionParams(labels={"a": "b"}, idempotency_key="job-7")
    session_id = (await bay.create(params)).session.session_id
    _rewrite_as_dead_process(path)
    await _relabel(bay, local_service, session_id, run="the-dead-run")
    await bay.create(params)
    assert (await bay.reap()).kept == (session_id,)
    _rewrite(path, "")
    append(path, _began(_ended()))
    assert (await bay.reap()).kept == (session_id,)
    assert local_service.living()[session_id]["a"] == "b"


async def test_without_a_ledger_nothing_is_written(
    local_bays: Bays, local_service: LocalService, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the settings of the client or of the environment."""
    await local_bays(cfg=Config(ledger=False)).create()
    monkeypatch.setenv("AGENTBAY_LEDGER", "off")
    bay = local_bays()
    await bay.create()
    assert (await bay.reap()).deleted == ()
    assert _text(path) == ""
    await local_bays(cfg=Config(ledger=False, reserved_labels=False)).reap()
    assert len(local_service.living()) == 2


async def test_a_deleted_session_is_closed_in_the_ledger(
    bay: AsyncAgentBay, local_service: LocalService, path: Path
) -> None:
    """By any client."""
    session_id = await _create(bay)
    assert _open(path, local_service) == [session_id]
    assert (await bay.delete(session_id)).success
    assert _open(path, local_service) == []


async def test_a_failed_clean_up_is_in_the_ledger(
    bay: AsyncAgentBay, local_service: LocalService, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning has the session and the remedy."""

    async def work() -> None:
        async with bay.session():
            local_service.faults.add(Drop(), "DeleteSessionAsync")
            raise LookupError

    with pytest.raises(LookupError):
        await work()
    (session_id,) = local_service.living()
    assert _open(path, local_service) == [session_id]
    assert session_id in caplog.text
    assert "agentbay reap" in caplog.text


async def test_the_ledger_holds_no_key(
    bay: AsyncAgentBay, local_service: LocalService, path: Path
) -> None:
    """Other users may read the file."""
    session_id = await _create(bay)
    assert session_id in _text(path)
    assert local_service.api_key not in _text(path)


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
    bay: AsyncAgentBay, local_service: LocalService, options: dict[str, Any], kind: type[Exception]
) -> None:
    """Nothing is sent."""
    with pytest.raises(kind, match=next(iter(options))):
        await bay.reap(**options)
    assert local_service.journal.find() == []
