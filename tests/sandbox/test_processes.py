"""Stop and kill the processes of a session."""

from __future__ import annotations

import os
import signal
import subprocess
import time

from agentbay_local.sandbox.inside import processes


def test_process_forked_during_a_kill_is_killed() -> None:
    """The first scan does not show it."""
    first, second = (subprocess.Popen(["sleep", "300"]) for _ in range(2))
    scans = iter([[first], [second], [second]])

    def find() -> dict[int, str]:
        return {
            one.pid: processes.process_table()[one.pid][0]
            for one in next(scans, [first, second])
            if one.poll() is None
        }

    processes.kill(find, time.monotonic() + 60)

    assert first.wait(20) == second.wait(20) == -signal.SIGKILL


def test_kill_of_a_session_reaches_all_its_groups_only() -> None:
    """Also jobs that the shell has stopped."""
    script = "set -m; sleep 300 & kill -STOP $!; sleep 300 & echo begun; wait"
    shell = subprocess.Popen(
        ["/bin/sh", "-c", script], start_new_session=True, stdout=subprocess.PIPE
    )
    assert shell.stdout is not None
    assert shell.stdout.readline() == b"begun\n"
    members = processes.session_members(shell.pid)
    assert len(members) == 3
    with subprocess.Popen(["sleep", "300"], start_new_session=True) as stranger:
        processes.kill_session(shell.pid)

        assert processes.session_members(shell.pid) == {}
        assert shell.wait(20) == -signal.SIGKILL
        assert stranger.poll() is None
        stranger.kill()
    shell.stdout.close()
    assert os.getpid() not in members
