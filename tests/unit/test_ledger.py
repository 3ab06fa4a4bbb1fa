"""The ledger: records survive killed writers, compaction, removal and concurrent writers."""

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
from agentbay_async._lifecycle.processes import ProcessState, this_process

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import InstantClock

_DAY = 86_400.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a ledger that does not exist yet."""
    return tmp_path / "new" / "ledger.jsonl"


@pytest.fixture
def ledger(path: Path, clock: InstantClock) -> Ledger:
    """Return the ledger of a client."""
    return Ledger(str(path), "https://service", clock)


def _open(path: Path, now: float) -> list[str]:
    return [entry.session_id for entry in read(path, now).open]


def test_no_file_is_created_before_the_first_session(ledger: Ledger, clock: InstantClock) -> None:
    """Reading leaves no file behind."""
    assert ledger.read().open == []
    ledger.deleted("s-1")
    assert not ledger.path.parent.exists()


def test_a_session_that_was_created_and_not_deleted_is_open(
    ledger: Ledger, path: Path, clock: InstantClock
) -> None:
    """Its entry names its service, owner, times and process."""
    ledger.began()
    for session_id in ("s-1", "s-2"):
        ledger.created(session_id, "me", 60.0)
    ledger.deleted("s-1")
    (entry,) = ledger.read().open
    assert (entry.session_id, entry.endpoint, entry.owner) == ("s-2", "https://service", "me")
    assert (entry.since, entry.until) == (clock.now, clock.now + 60)
    assert entry._process == this_process()
    assert entry.process_state is ProcessState.ALIVE
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_session_past_its_max_runtime_is_not_open(
    ledger: Ledger, path: Path, clock: InstantClock
) -> None:
    """The service has ended it."""
    ledger.created("s-1", "me", 60.0)
    ledger.created("s-2", "me", None)
    assert _open(path, clock.now + 61) == ["s-2"]


def test_two_services_may_use_the_same_session_id(path: Path, clock: InstantClock) -> None:
    """Deleting one leaves the other open."""
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
def test_a_torn_line_does_not_damage_the_next(ledger: Ledger, path: Path, torn: bytes) -> None:
    """A killed writer loses only its own line."""
    ledger.created("s-1", "me", None)
    with path.open("ab") as file:
        file.write(torn)
    ledger.created("s-2", "me", None)
    assert [entry.session_id for entry in ledger.read().open] == ["s-1", "s-2"]


@pytest.mark.parametrize("text", ['a"b', "a\\b", "a\nb", "ü", "}"])
def test_any_text_can_be_recorded(path: Path, clock: InstantClock, text: str) -> None:
    """Lines are formatted by hand, and are valid JSON."""
    ledger = Ledger(str(path), text, clock)
    ledger.created(text, text, 0.5)
    (entry,) = ledger.read().open
    assert (entry.session_id, entry.endpoint, entry.owner) == (text, text, text)
    assert entry.until == clock.now + 0.5


def test_processes_share_the_ledger(path: Path, clock: InstantClock) -> None:
    """No line is lost, also while the file is compacted again and again."""
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
def test_a_killed_writer_leaves_a_readable_ledger(path: Path, clock: InstantClock) -> None:
    """Every completed write is there, and its process is known to be dead."""
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
            written = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
    entries = read(path, clock.now).open
    assert len(entries) >= written == 20
    assert {entry.process_state for entry in entries} == {ProcessState.DEAD}


def test_a_long_ledger_is_compacted(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch, clock: InstantClock
) -> None:
    """Writers do it now and then; records that matter stay."""
    monkeypatch.setattr(_ledger, "_CHECK_EVERY", 10)
    monkeypatch.setattr(_ledger, "_COMPACT_ABOVE", 2000)
    short = Ledger(str(path), "https://service", clock)
    short.began()
    short.created("s-0", "me", None)
    for number in range(1, 60):
        short.created(f"s-{number}", "me", None)
        short.deleted(f"s-{number}")
    assert path.stat().st_size < 6000
    assert _open(path, clock.now) == ["s-0"]
    assert ledger.read().open[0]._process == this_process()


def test_a_ledger_of_live_sessions_is_not_compacted_by_every_process(
    path: Path, monkeypatch: pytest.MonkeyPatch, clock: InstantClock
) -> None:
    """Only when it has doubled since the last compaction, by any process."""
    monkeypatch.setattr(_ledger, "_CHECK_EVERY", 1)
    monkeypatch.setattr(_ledger, "_COMPACT_ABOVE", 2000)
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


def test_processes_without_sessions_are_dropped_after_a_week(
    ledger: Ledger, path: Path, clock: InstantClock
) -> None:
    """A process killed during its first create is known only by its run."""
    ledger.began()
    run = this_process().run
    compact(path, clock.now + 6 * _DAY)
    assert list(read(path, clock.now).processes) == [run]
    compact(path, clock.now + 8 * _DAY)
    assert path.read_bytes() == b""


def test_a_ledger_that_cannot_be_written_is_logged_once(
    tmp_path: Path, clock: InstantClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The calls of the client succeed."""
    (tmp_path / "file").write_text("")
    ledger = Ledger(str(tmp_path / "file" / "ledger"), "https://service", clock)
    for _ in range(3):
        ledger.created("s-1", "me", None)
    assert len(caplog.records) == 1
    assert "cannot write the ledger" in caplog.text


@pytest.mark.parametrize("whole", [False, True])
def test_a_removed_ledger_is_created_again(ledger: Ledger, path: Path, whole: bool) -> None:
    """Removing the file loses its records, but none that follow."""
    ledger.created("s-1", "me", None)
    if whole:
        shutil.rmtree(path.parent)
    else:
        path.unlink()
    ledger.created("s-2", "me", None)
    assert [entry.session_id for entry in ledger.read().open] == ["s-2"]


def test_a_process_stopped_with_the_lock_does_not_block_others(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They wait for a moment, then write without the lock."""
    ledger.created("s-1", "me", None)
    tried: list[bool] = []

    def refused(_lock: int, *, shared: bool) -> bool:
        tried.append(shared)
        return False

    monkeypatch.setattr(_ledger, "_lock", refused)
    monkeypatch.setattr(_ledger, "_LOCK_PAUSE", 0.0)
    ledger.created("s-2", "me", None)
    assert len(tried) == _ledger._LOCK_ATTEMPTS
    compact(path, 0.0)
    assert [entry.session_id for entry in ledger.read().open] == ["s-1", "s-2"]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_line_written_without_the_lock_survives_compaction(
    path: Path, clock: InstantClock, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Both when it goes to the old file, and when that was replaced just before."""
    one, other = (Ledger(str(path), f"https://{number}", clock) for number in range(2))
    one.created("s-1", "me", None)
    put = type(path).replace

    def replace(self: Path, target: Path) -> Path:
        with monkeypatch.context() as patched:
            patched.setattr(_ledger, "_wait_for_lock", lambda _lock: False)
            patched.setattr(_ledger, "_lock", lambda _lock, shared: not shared)
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
def test_a_forked_child_is_recorded_as_a_process(run_child: Callable[..., str], path: Path) -> None:
    """Its sessions are not those of its parent."""
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
            print(entry.session_id, entry.process_state.value)
        """
    )
    assert output.splitlines() == ["of-parent alive", "of-child dead"]


def test_the_ledger_is_in_the_data_directory(tmp_path: Path) -> None:
    """One for each host, because hosts may share a home directory."""
    path = default_path({"XDG_DATA_HOME": str(tmp_path), "LOCALAPPDATA": str(tmp_path)})
    assert path.name.startswith("ledger-")
    if sys.platform != "darwin":
        assert path.parent == tmp_path / "agentbay"


def test_a_line_is_one_object(ledger: Ledger, path: Path) -> None:
    """Other programs can read the ledger too."""
    ledger.began()
    ledger.created("s-1", "me", None)
    append(path, b'{"did":"something"}')
    rows = [json.loads(line) for line in path.read_bytes().split(b"\n")[1:]]
    assert [row["did"] for row in rows[:2]] == ["began", "created"]
    assert len(ledger.read().open) == 1
