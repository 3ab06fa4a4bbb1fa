"""Watching directories: pushed changes, polling, reconnects and the end."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    AnswerTooLargeError,
    ArgumentTypeError,
    BadAnswerError,
    ClosingIterator,
    FileChange,
    InvalidArgumentError,
    OperationTimeoutError,
    SessionNotFoundError,
    ToolError,
    UsageError,
)
from agentbay_async.services import _file_changes

from .machine import always_answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentbay_async import AsyncSession

    from .machine import Machine

    Join = Callable[[], Awaitable[AsyncSession]]

_SERVER = "wuying_filesystem"
_NEW = {"eventType": "create", "path": "/w/a", "pathType": "file"}
_OLD = {"eventType": "modify", "path": "/w/old", "pathType": "file"}


def _change(entry: dict[str, str]) -> FileChange:
    return FileChange(entry["eventType"], entry["path"], entry["pathType"])


def _answers(machine: Machine, *batches: list[dict[str, str]]) -> None:
    """Let each question have the next answer, and then nothing."""
    queue = deque(batches)
    machine.tools["get_file_change"] = lambda _args: json.dumps(queue.popleft() if queue else [])


async def test_changes_can_be_asked_for_once(join: Join, machine: Machine) -> None:
    """A program that has its own loop needs no watch."""
    gone = {"eventType": "delete", "path": "/w/gone", "pathType": "file"}
    folder = {"eventType": "create", "path": "/w/d", "pathType": "directory"}
    _answers(machine, [_NEW, _OLD, gone, folder])
    session = await join()
    result = await session.file_system.get_file_change("/w/")

    assert result.has_changes()
    assert result.events == [_change(one) for one in (_NEW, _OLD, gone, folder)]
    assert result.get_created_files() == ["/w/a"]
    assert result.get_modified_files() == ["/w/old"]
    assert result.get_deleted_files() == ["/w/gone"]
    assert json.loads(result.raw_data)[0] == _NEW
    assert not (await session.file_system.get_file_change("/w")).has_changes()
    machine.tools["get_file_change"] = lambda _args: {"content": ["gone"], "isError": True}
    assert isinstance((await session.file_system.get_file_change("/w")).error, ToolError)


def _asked(machine: Machine) -> int:
    return len([call for call in machine.calls if call.tool == "get_file_change"])


def _watch(session: AsyncSession, path: str = "/w") -> ClosingIterator[FileChange]:
    return session.file_system.watch(path)


async def _next(changes: ClosingIterator[FileChange]) -> FileChange:
    return await asyncio.wait_for(anext(changes), 20)


async def test_changes_before_the_watch_are_not_reported(join: Join, machine: Machine) -> None:
    """The first answer has the past changes."""
    machine.offer(WsUrl="")
    _answers(machine, [_OLD], [], [_NEW])
    async with _watch(await join(), "/w/") as changes:
        assert await _next(changes) == _change(_NEW)
    assert {call.args["path"] for call in machine.calls} == {"/w"}


async def test_an_iteration_ends_by_aclose_alone(join: Join, machine: Machine) -> None:
    """`close`, which tasks call on what never ran, must not seem to end it."""
    machine.offer(WsUrl="")
    _answers(machine, [], [_NEW])
    changes = _watch(await join())
    changes.close()
    await _next(changes)
    with pytest.raises(UsageError, match="aclose"):
        changes.close()
    await changes.aclose()


async def test_interval_passes_between_two_polls(join: Join, machine: Machine, clock: Any) -> None:
    """The session is not polled in a tight loop."""
    machine.offer(WsUrl="")
    _answers(machine, [], [], [_NEW])
    session = await join()
    changes: Any = session.file_system.watch("/w", interval=3)
    await _next(changes)
    await changes.aclose()
    assert clock.sleeps == [3, 3]


async def test_one_failed_poll_does_not_end_a_watch(join: Join, machine: Machine) -> None:
    """Five failed polls in a row do."""
    machine.offer(WsUrl="")
    answers = deque(["[]", "no json", "no json", json.dumps([_NEW])])
    machine.tools["get_file_change"] = lambda _args: answers.popleft() if answers else "no json"
    async with _watch(await join()) as changes:
        assert await _next(changes) == _change(_NEW)
        with pytest.raises(BadAnswerError):
            await _next(changes)


async def test_refused_poll_ends_a_watch(join: Join, machine: Machine) -> None:
    """The iteration raises the reason."""
    machine.offer(WsUrl="")
    machine.tools["get_file_change"] = lambda _args: {"content": ["no such path"], "isError": True}
    with pytest.raises(ToolError, match="no such path"):
        await anext(_watch(await join()))


def _pushes(machine: Machine) -> None:
    machine.methods["subscribe_file_change"] = always_answer({"phase": "end"})


async def _push(machine: Machine, *events: object, path: str = "/w", connection: int = 0) -> None:
    await machine.connections[connection].push(
        _SERVER, {"eventType": "file_change", "path": path, "events": list(events)}
    )


async def test_changes_are_pushed_if_the_session_supports_it(
    linked: AsyncSession, machine: Machine
) -> None:
    """Changes during the subscription are reported; entries of unknown form are skipped."""
    _pushes(machine)
    _answers(machine, [_OLD], [_NEW])
    async with _watch(linked, "/w/") as changes:
        assert await _next(changes) == _change(_NEW)
        await _push(machine, _OLD, path="/other")
        await _push(machine, 7, {"eventType": "modify"}, _OLD, path="/w/")
        assert await _next(changes) == _change(_OLD)
    assert _asked(machine) == 2
    bye = await machine.wait_for_frame("unsubscribe_file_change")
    assert bye["data"]["params"] == {"path": "/w"}


async def test_a_watch_that_is_not_read_fails_instead_of_losing_changes(
    linked: AsyncSession, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The changes that were kept come first."""
    monkeypatch.setattr(_file_changes, "_MAX_UNREAD", 3)
    _pushes(machine)
    _answers(machine, [], [_NEW])
    async with _watch(linked) as changes:
        assert await _next(changes) == _change(_NEW)
        await _push(machine, _OLD, _OLD, _OLD)
        await _push(machine, _OLD, _OLD, _OLD, _OLD)
        for _ in range(3):
            assert await _next(changes) == _change(_OLD)
        with pytest.raises(AnswerTooLargeError, match="of /w were not read"):
            await _next(changes)


async def test_watch_continues_after_a_reconnect(linked: AsyncSession, machine: Machine) -> None:
    """It subscribes again, and polls for the changes between."""
    _pushes(machine)
    _answers(machine, [], [_NEW], [_OLD])
    async with _watch(linked) as changes:
        assert await _next(changes) == _change(_NEW)
        machine.connections[0].abort()
        assert await _next(changes) == _change(_OLD)
        await _push(machine, _NEW, connection=1)
        assert await _next(changes) == _change(_NEW)


@pytest.mark.parametrize("paused", [False, True])
async def test_watch_without_pushes_asks_the_session(
    linked: AsyncSession, machine: Machine, monkeypatch: pytest.MonkeyPatch, paused: bool
) -> None:
    """A subscription may be lost without a sign; a pause does not end the watch."""
    monkeypatch.setattr("agentbay_async.services._file_changes._SILENCE", 0.01)
    _pushes(machine)
    _answers(machine, [], [_NEW], [], [], [_OLD])
    async with _watch(linked) as changes:
        assert await _next(changes) == _change(_NEW)
        machine.refusals += ["IncorrectSessionStatus"] * (3 if paused else 0)
        assert await _next(changes) == _change(_OLD)
    assert not machine.refusals


async def test_watch_without_pushes_ends_with_its_session(
    linked: AsyncSession, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although its connection is still there."""
    monkeypatch.setattr("agentbay_async.services._file_changes._SILENCE", 0.01)
    _pushes(machine)
    _answers(machine, [], [_NEW])
    async with _watch(linked) as changes:
        assert await _next(changes) == _change(_NEW)
        machine.refusals.append("InvalidMcpSession.NotFound")
        with pytest.raises(SessionNotFoundError) as caught:
            await _next(changes)
        assert caught.value.end_reason == "it was idle"


@pytest.mark.parametrize("refused", [False, True])
async def test_watch_polls_if_subscribing_fails(
    linked: AsyncSession, machine: Machine, refused: bool
) -> None:
    """Because the session refuses it, or has no connection."""
    machine.methods["subscribe_file_change"] = always_answer(
        {"phase": "error", "error": {"message": "?"}}
    )
    machine.handshake_status = 503 if refused else 0
    _answers(machine, [], [], [_NEW])
    async with _watch(linked) as changes:
        assert await _next(changes) == _change(_NEW)


async def test_watch_polls_after_the_connection_is_lost_for_good(
    linked: AsyncSession, machine: Machine
) -> None:
    """Changes are still reported."""
    _pushes(machine)
    _answers(machine, [], [_NEW], [], [_OLD])
    async with _watch(linked) as changes:
        assert await _next(changes) == _change(_NEW)
        machine.handshake_status = 403
        machine.connections[0].abort()
        assert await _next(changes) == _change(_OLD)


async def test_callback_gets_changes_until_the_watch_is_stopped(
    join: Join, machine: Machine
) -> None:
    """Even if it raises; afterwards nothing of the watch is left."""
    machine.offer(WsUrl="")
    _answers(machine, [], [_NEW], [_OLD])
    received: list[list[FileChange]] = []
    twice = asyncio.Event()

    def callback(changes: list[FileChange]) -> None:
        received.append(changes)
        if len(received) == 2:
            twice.set()
        raise RuntimeError("mine")

    watch = (await join()).file_system.watch_directory("/w", callback)
    assert not watch.is_alive()
    await watch.start()
    await watch.start()
    await asyncio.wait_for(twice.wait(), 10)
    assert watch.ready_event.is_set()
    assert watch.is_alive()
    with pytest.raises(OperationTimeoutError):
        await watch.join(0.01)
    await watch.stop()
    await watch.join()
    assert not watch.is_alive()
    assert received == [[_change(_NEW)], [_change(_OLD)]]


async def test_a_watch_starts_without_await_as_threads_do(join: Join, machine: Machine) -> None:
    """And a join that is not awaited leaves no warning."""
    machine.offer(WsUrl="")
    _answers(machine, [_NEW], [_OLD])
    changed = asyncio.Event()
    watch = (await join()).file_system.watch_directory("/w", lambda _: changed.set(), 0.05)

    watch.start()
    await asyncio.wait_for(changed.wait(), 30)
    watch.stop_event.set()
    watch.join(timeout=5)
    await watch.join(30)
    assert not watch.is_alive()


async def test_a_stop_event_ends_a_watch_from_any_thread(join: Join, machine: Machine) -> None:
    """As with the threads of the official client."""
    machine.offer(WsUrl="")
    _answers(machine)
    stop = threading.Event()

    async def callback(_changes: list[FileChange]) -> None:
        raise AssertionError("nothing has changed")

    watch = (await join()).file_system.watch_directory("/w", callback, 0.1, stop)
    await watch.join()
    await watch.start()
    await asyncio.to_thread(stop.set)
    await watch.join(10)
    assert not watch.is_alive()


async def test_join_raises_the_error_that_ended_a_watch(
    join: Join, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged as well, because nobody may be waiting."""
    machine.offer(WsUrl="")
    machine.tools["get_file_change"] = lambda _args: {"content": ["gone"], "isError": True}
    watch = (await join()).file_system.watch_directory("/w", print)
    await watch.start()
    with pytest.raises(ToolError, match="gone"):
        await watch.join(10)
    assert "gone" in caplog.text


@pytest.mark.parametrize(
    ("path", "interval", "kind"),
    [
        ("", 1, InvalidArgumentError),
        (7, 1, ArgumentTypeError),
        ("/w", 0, InvalidArgumentError),
        ("/w", "1", ArgumentTypeError),
    ],
)
async def test_invalid_arguments_of_a_watch_are_rejected_at_once(
    linked: AsyncSession, machine: Machine, path: Any, interval: Any, kind: type[Exception]
) -> None:
    """By both methods, and nothing is sent."""
    with pytest.raises(kind):
        linked.file_system.watch(path, interval=interval)
    with pytest.raises(kind):
        linked.file_system.watch_directory(path, print, interval)
    assert machine.calls == []
