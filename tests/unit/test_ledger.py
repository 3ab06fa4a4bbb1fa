"""The ledger: what is written down is found again, whatever happens to those who write."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from agentbay_async._lifecycle import ledger as _ledger
from agentbay_async._lifecycle.ledger import Ledger, append, compact, default_path, read
from agentbay_async._lifecycle.processes import Fate, this_process

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import InstantClock

_DAY = 86_400.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give a ledger that does not exist yet."""
    return tmp_path / "new" / "ledger.jsonl"


@pytest.fixture
def ledger(path: Path, clock: InstantClock) -> Ledger:
    """Give the ledger as a client uses it."""
    return Ledger(str(path), "https://service", clock)


def _open(path: Path, now: float) -> list[str]:
    return [entry.session_id for entry in read(path, now).open]


def test_nothing_is_made_before_a_session_is(ledger: Ledger, clock: InstantClock) -> None:
    """Whoever only looks leaves no file behind."""
    assert ledger.read().open == []
    ledger.deleted("s-1")
    assert not ledger.path.parent.exists()


def test_what_was_created_and_not_deleted_is_open(
    ledger: Ledger, path: Path, clock: InstantClock
) -> None:
    """With all that is needed to find it, and to say whether anybody still wants it."""
    ledger.began()
    for session_id in ("s-1", "s-2"):
        ledger.created(session_id, "me", 60.0)
    ledger.deleted("s-1")
    (entry,) = ledger.read().open
    assert (entry.session_id, entry.endpoint, entry.owner) == ("s-2", "https://service", "me")
    assert (entry.since, entry.until) == (clock.now, clock.now + 60)
    assert entry.process == this_process()
    assert entry.fate is Fate.ALIVE
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_session_whose_time_is_over_is_not_open(
    ledger: Ledger, path: Path, clock: InstantClock
) -> None:
    """The service has ended it."""
    ledger.created("s-1", "me", 60.0)
    ledger.created("s-2", "me", None)
    assert _open(path, clock.now + 61) == ["s-2"]


def test_services_may_give_the_same_id(path: Path, clock: InstantClock) -> None:
    """A session is one of its service."""
    one, two = (Ledger(str(path), endpoint, clock) for endpoint in ("https://1", "https://2"))
    one.created("s-1", "me", None)
    two.created("s-1", "me", None)
    one.deleted("s-1")
    assert [entry.endpoint for entry in two.read().open] == ["https://2"]


@pytest.mark.parametrize(
    "torn",
    [
        b'\n{"did":"created","session":"s-9","endp',
        b"\n\xff\xfe",
        b"\n7",
        b"\n7,8",
        b'\n{"did":"created"}',
        b'\n{"did":[]}',
        b'\n{"did":"began","run":1}',
    ],
)
def test_a_torn_line_spoils_no_other(ledger: Ledger, path: Path, torn: bytes) -> None:
    """Whoever was killed while it wrote takes no more than its own line along."""
    ledger.created("s-1", "me", None)
    with path.open("ab") as file:
        file.write(torn)
    ledger.created("s-2", "me", None)
    assert [entry.session_id for entry in ledger.read().open] == ["s-1", "s-2"]


@pytest.mark.parametrize("text", ['a"b', "a\\b", "a\nb", "ü", "}"])
def test_any_text_can_be_written_down(path: Path, clock: InstantClock, text: str) -> None:
    """Lines are put together by hand, and are JSON all the same."""
    ledger = Ledger(str(path), text, clock)
    ledger.created(text, text, 0.5)
    (entry,) = ledger.read().open
    assert (entry.session_id, entry.endpoint, entry.owner) == (text, text, text)
    assert entry.until == clock.now + 0.5


def test_processes_share_the_ledger(path: Path, clock: InstantClock) -> None:
    """No line of any of them is lost, also while the file is replaced again and again."""
    code = """
import sys
from agentbay_async._clock import SystemClock
from agentbay_async._lifecycle.ledger import Ledger
ledger = Ledger(sys.argv[1], "https://service", SystemClock())
ledger.began()
for number in range(200):
    ledger.created(f"{sys.argv[2]}-{number}", "me", None)
    ledger.created(f"gone-{sys.argv[2]}-{number}", "me", None)
    ledger.deleted(f"gone-{sys.argv[2]}-{number}")
"""
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(path), str(one)]) for one in range(4)
    ]
    shortened = 0
    while any(writer.poll() is None for writer in writers):
        if path.exists() and path.stat().st_size > shortened + 1000:
            compact(path, clock.now)
            shortened = path.stat().st_size
    assert [writer.returncode for writer in writers] == [0] * 4
    compact(path, clock.now)
    assert len(_open(path, clock.now)) == 800
    assert len(path.read_bytes().splitlines()) == 2 + 4 + 800


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no kill -9")
def test_a_killed_writer_leaves_a_ledger_that_can_be_read(path: Path, clock: InstantClock) -> None:
    """Whatever was said to be written is there, and its process is known to be dead."""
    code = """
import sys
from agentbay_async._clock import SystemClock
from agentbay_async._lifecycle.ledger import Ledger
ledger = Ledger(sys.argv[1], "https://service", SystemClock())
ledger.began()
number = 0
while True:
    ledger.created(f"s-{number}", "me", None)
    number += 1
    print(number, flush=True)
"""
    writer = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True
    )
    with writer:
        assert writer.stdout is not None
        for _ in range(20):
            said = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
    entries = read(path, clock.now).open
    assert len(entries) >= said == 20
    assert {entry.fate for entry in entries} == {Fate.DEAD}


def test_a_long_ledger_is_made_shorter(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch, clock: InstantClock
) -> None:
    """By whoever writes, now and then; what still matters stays."""
    monkeypatch.setattr(_ledger, "_LOOKED_AT_EVERY", 10)
    monkeypatch.setattr(_ledger, "_LONG", 2000)
    short = Ledger(str(path), "https://service", clock)
    short.began()
    short.created("s-0", "me", None)
    for number in range(1, 60):
        short.created(f"s-{number}", "me", None)
        short.deleted(f"s-{number}")
    assert path.stat().st_size < 6000
    assert _open(path, clock.now) == ["s-0"]
    assert ledger.read().open[0].process == this_process()


def test_a_ledger_of_living_sessions_is_not_gone_through_by_every_process(
    path: Path, monkeypatch: pytest.MonkeyPatch, clock: InstantClock
) -> None:
    """Only when it has doubled since it was shortened, whoever did that."""
    monkeypatch.setattr(_ledger, "_LOOKED_AT_EVERY", 1)
    monkeypatch.setattr(_ledger, "_LONG", 2000)
    before, after = [], [1000]

    def noted(path: Path, now: float) -> None:
        before.append(path.stat().st_size)
        compact(path, now)
        after.append(path.stat().st_size)

    monkeypatch.setattr(_ledger, "compact", noted)
    for process in range(40):
        fresh = Ledger(str(path), "https://service", clock)
        fresh.began()
        fresh.created(f"s-{process}", "me", None)
    assert len(_open(path, clock.now)) == 40
    assert 2 < len(before) < 8
    assert all(long > 1.9 * short for long, short in zip(before, after, strict=False))


def test_processes_without_sessions_are_forgotten_after_a_while(
    ledger: Ledger, path: Path, clock: InstantClock
) -> None:
    """Those that were killed at their first create are known by their run alone, for a week."""
    ledger.began()
    run = this_process().run
    compact(path, clock.now + 6 * _DAY)
    assert list(read(path, clock.now).processes) == [run]
    compact(path, clock.now + 8 * _DAY)
    assert path.read_bytes() == b""


def test_a_ledger_that_cannot_be_written_is_said_once(
    tmp_path: Path, clock: InstantClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It is there for bad days, and no reason for one."""
    (tmp_path / "file").write_text("")
    ledger = Ledger(str(tmp_path / "file" / "ledger"), "https://service", clock)
    for _ in range(3):
        ledger.created("s-1", "me", None)
    assert len(caplog.records) == 1
    assert "cannot be written" in caplog.text


@pytest.mark.parametrize("whole", [False, True])
def test_a_removed_ledger_is_made_anew(ledger: Ledger, path: Path, whole: bool) -> None:
    """Whoever deletes the file while programs run loses what it said, and nothing after that."""
    ledger.created("s-1", "me", None)
    if whole:
        shutil.rmtree(path.parent)
    else:
        path.unlink()
    ledger.created("s-2", "me", None)
    assert [entry.session_id for entry in ledger.read().open] == ["s-2"]


def test_one_that_was_stopped_with_the_lock_does_not_stop_others(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They wait for a moment, and write all the same."""
    ledger.created("s-1", "me", None)
    tried: list[bool] = []

    def refused(_lock: int, *, shared: bool) -> bool:
        tried.append(shared)
        return False

    monkeypatch.setattr(_ledger, "_locked", refused)
    monkeypatch.setattr(_ledger, "_PAUSE", 0.0)
    ledger.created("s-2", "me", None)
    assert len(tried) == _ledger._TRIES
    compact(path, 0.0)
    assert [entry.session_id for entry in ledger.read().open] == ["s-1", "s-2"]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_line_that_could_not_wait_for_a_replacement_is_kept(
    path: Path, clock: InstantClock, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """It goes into a file that is being replaced, or was just before it was looked at."""
    one, other = (Ledger(str(path), f"https://{number}", clock) for number in range(2))
    one.created("s-1", "me", None)
    put = type(path).replace

    def replace(self: Path, target: Path) -> Path:
        with monkeypatch.context() as patched:
            patched.setattr(_ledger, "_waited_for", lambda _lock: False)
            patched.setattr(_ledger, "_locked", lambda _lock, shared: not shared)
            if moment == "before":
                other.created("s-2", "me", None)
                return put(self, target)
            done = put(self, target)
            other.created("s-2", "me", None)
            return done

    monkeypatch.setattr(type(path), "replace", replace)
    compact(path, clock.now)
    assert _open(path, clock.now) == ["s-1", "s-2"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_is_a_process_of_its_own(run_child: Callable[..., str], path: Path) -> None:
    """Its sessions are not its parent's."""
    output = run_child(
        f"""
        import os
        from agentbay_async._clock import SystemClock
        from agentbay_async._lifecycle.ledger import Ledger
        ledger = Ledger({str(path)!r}, "https://service", SystemClock())
        ledger.began()
        ledger.created("of-parent", "me", None)
        if not os.fork():
            ledger.began()
            ledger.created("of-child", "me", None)
            os._exit(0)
        os.wait()
        for entry in ledger.read().open:
            print(entry.session_id, entry.fate.value)
        """
    )
    assert output.splitlines() == ["of-parent alive", "of-child dead"]


def test_the_ledger_lies_where_programs_keep_their_data(tmp_path: Path) -> None:
    """One for each host, because homes may be shared."""
    path = default_path({"XDG_DATA_HOME": str(tmp_path), "LOCALAPPDATA": str(tmp_path)})
    assert path.name.startswith("ledger-")
    if sys.platform != "darwin":
        assert path.parent == tmp_path / "agentbay"


def test_a_line_is_one_object(ledger: Ledger, path: Path) -> None:
    """So that other programs can read it, too."""
    ledger.began()
    ledger.created("s-1", "me", None)
    append(path, b'{"did":"something"}')
    rows = [json.loads(line) for line in path.read_bytes().split(b"\n")[1:]]
    assert [row["did"] for row in rows[:2]] == ["began", "created"]
    assert len(ledger.read().open) == 1
