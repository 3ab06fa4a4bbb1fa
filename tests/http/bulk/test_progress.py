"""Progress of a run: a callback, a bar on a terminal, or lines; never on stdout."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import AsyncAgentBay, CreateSessionParams, HttpResponse, Progress

if TYPE_CHECKING:
    from tests.conftest import InstantClock
    from tests.http.fake_service import FakeService

PARAMS = CreateSessionParams()


async def test_a_callback_is_called_at_intervals_and_at_the_end(
    bay: AsyncAgentBay, service: FakeService, clock: InstantClock
) -> None:
    """At most ten times a second; the last call has the totals."""
    service.fail_with = lambda number: (
        HttpResponse.failure("QuotaExceeded") if number == 3 else None
    )
    reports: list[Progress] = []
    await bay.create_many(PARAMS, 40, rate=40.0, max_concurrency=1, on_progress=reports.append)
    assert 8 <= len(reports) <= 12
    last = reports[-1]
    assert (last.done, last.failed, last.running, last.total) == (39, 1, 0, 40)
    assert last.eta == 0
    assert reports[2].done < reports[5].done


async def test_a_callback_may_be_asynchronous(bay: AsyncAgentBay, service: FakeService) -> None:
    """It is awaited."""
    reports = []

    async def listen(progress: Progress) -> None:
        reports.append(progress.done)

    await bay.delete_many(["s-1", "s-2"], on_progress=listen)
    assert reports[-1] == 2


async def test_a_callback_that_raises_ends_the_run_and_leaves_no_session(
    bay: AsyncAgentBay, service: FakeService
) -> None:
    """Its error is raised unchanged."""

    def fail(_progress: Progress) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await bay.create_many(PARAMS, 40, on_progress=fail)
    assert service.alive == set()


async def test_without_a_terminal_there_are_lines_on_stderr(
    bay: AsyncAgentBay, service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only a few; stdout belongs to the program."""
    await bay.create_many(PARAMS, 30, rate=2.0, max_concurrency=1, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert lines[-1].startswith("create_many: 30 of 30 done, 0 running")
    assert 3 <= len(lines) <= 5


async def test_on_a_terminal_with_rich_there_is_a_bar_on_stderr(
    bay: AsyncAgentBay,
    service: FakeService,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is moved to the end and then stopped, also after an error."""
    calls: list[tuple[str, Any]] = []

    class Bar:
        def __init__(self, *_columns: object, console: Any, transient: bool) -> None:
            calls.append(("stderr", console.stderr))

        def add_task(self, what: str, **_fields: object) -> int:
            calls.append(("task", what))
            return 1

        def start(self) -> None:
            calls.append(("start", None))

        def update(self, _task: int, **fields: object) -> None:
            calls.append(("at", (fields["completed"], fields["total"])))

        def stop(self) -> None:
            calls.append(("stop", None))

    rich = ModuleType("rich.progress")
    vars(rich).update(Progress=Bar, TextColumn=lambda _text: None, BarColumn=lambda: None)
    console = ModuleType("rich.console")
    vars(console).update(Console=lambda stderr: SimpleNamespace(stderr=stderr))
    parent = ModuleType("rich")
    parent.__spec__ = SimpleNamespace()  # type: ignore[assignment]  # it is only looked for
    for name, module in (("rich", parent), ("rich.progress", rich), ("rich.console", console)):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    await bay.create_many(PARAMS, 5, progress=True)
    assert calls[:3] == [("stderr", True), ("task", "create_many"), ("start", None)]
    assert calls[-2:] == [("at", (5, 5)), ("stop", None)]
    assert capsys.readouterr() == ("", "")


def test_progress_has_the_rate_and_the_remaining_time() -> None:
    """Unknown values are None, and nothing is divided by zero."""
    assert Progress().rate == 0
    assert Progress(total=5).eta is None
    assert Progress(done=5, seconds=2.0).eta is None
    progress = Progress(done=30, failed=10, running=5, total=100, seconds=20.0)
    assert (progress.rate, progress.eta) == (2.0, 30.0)
    assert str(progress) == "30 of 100 done, 10 failed, 5 running, 2.0/s, 30 s left"
