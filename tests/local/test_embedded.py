"""The embedded service: one per process, ended with it, and not shared with forked children."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agentbay_local.sandbox.cgroups.detection import detect

LIMIT = 60


def run(program: str, tmp_path: Path) -> list[str]:
    """Run a program in a child process; return the lines of its output."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PRELUDE + program],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


PRELUDE = """
import json, os, sys, urllib.parse, urllib.request
from agentbay_local.embedded import embedded

def call(service, action, **fields):
    fields["Authorization"] = f"Bearer {service.api_key}"
    form = urllib.parse.urlencode(fields).encode()
    with urllib.request.urlopen(f"{service.endpoint}/?Action={action}", form, 30) as answer:
        return json.load(answer)
"""


def test_one_service_serves_the_whole_process(tmp_path: Path) -> None:
    """The second call, from any thread, returns the same one."""
    program = """
import threading
found = []
threads = [threading.Thread(target=lambda: found.append(embedded())) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len({id(one) for one in found}), call(found[0], "ListSession")["TotalCount"])
"""
    assert run(program, tmp_path) == ["1 0"]


def test_equal_options_share_a_service_and_others_do_not(tmp_path: Path) -> None:
    """Limits and allowed hosts are those of the service."""
    program = """
from agentbay_async import Limits, LocalOptions
plain, same = embedded(), embedded(LocalOptions())
first = embedded(LocalOptions(allow_hosts=["pypi.org"], limits=Limits(processes=99)))
second = embedded(LocalOptions(["pypi.org"], Limits(processes=99)))
settings = first._settings
print(plain is same, first is second, plain is first, plain.endpoint != first.endpoint)
print(settings.limits.processes, settings.outbound.names("pypi.org", 443))
"""
    assert run(program, tmp_path) == ["True True False True", "99 True"]
    assert os.listdir(tmp_path) == []


@pytest.mark.usefixtures("sandboxed")
def test_nothing_is_left_when_the_process_ends(tmp_path: Path) -> None:
    """No process of a session, no control group and no file."""
    program = """
from agentbay_local.sandbox.cgroups import detection, leftovers
service = embedded()
session = call(service, "CreateMcpSession")["Data"]["SessionId"]
command = "mkdir -p a/b; chmod 000 a; sleep 1000 >/dev/null 2>&1 & echo started"
call(service, "CallMcpTool", SessionId=session, Name="shell", Args=json.dumps({"command": command}))
record, = os.listdir(service.home / "running")
print(record)
groups = detection.detect()
name = leftovers.own_prefix()
for parent in set(groups.parents.values()): print(*parent.glob(f"{name}.[0-9]*"))
"""
    record, *groups = run(program, tmp_path)
    pid = record.split(".")[1]
    assert not living(pid)
    # One group for each controller of version 1; none where the machine allows none.
    assert len(groups) == len(set(detect().parents.values()))
    assert all(Path(group).name.startswith("agentbay.") for group in groups)
    assert not [group for group in groups if Path(group).exists()]
    assert os.listdir(tmp_path) == []


@pytest.mark.usefixtures("sandboxed")
def test_a_session_can_end_while_python_exits(tmp_path: Path) -> None:
    """The loop of the service still runs then, but Python has ended its worker threads."""
    program = """
import atexit, contextlib, signal, time
service = embedded()
session = call(service, "CreateMcpSession")["Data"]["SessionId"]
call(service, "CallMcpTool", SessionId=session, Name="shell", Args=json.dumps({"command": "true"}))
record, = os.listdir(service.home / "running")

def end_session():
    with contextlib.suppress(ProcessLookupError):  # a fork server ends with the thread it is from
        os.kill(int(record.split(".")[1]), signal.SIGKILL)
    while os.listdir(service.home / "running"): time.sleep(0.01)
    print("ended")

atexit.register(end_session)
"""
    assert run(program, tmp_path) == ["ended"]
    assert os.listdir(tmp_path) == []


def living(pid: str) -> bool:
    """Return whether a process runs; a dead one may stay a zombie for a moment."""
    try:
        fields = Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return fields[0] not in ("Z", "X")


def test_a_forked_child_has_another_service(tmp_path: Path) -> None:
    """The end of the child does not stop the service of the parent."""
    program = """
import warnings
warnings.simplefilter("ignore")
parent = embedded()
pid = os.fork()
if pid == 0:
    child = embedded()
    ok = child.endpoint != parent.endpoint and call(child, "ListSession")["Success"]
    sys.exit(0 if ok else 1)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), call(parent, "ListSession")["Success"])
"""
    assert run(program, tmp_path) == ["0 True"]
    assert os.listdir(tmp_path) == []


def test_unfinished_background_work_logs_nothing_at_exit(tmp_path: Path) -> None:
    """Python may end the worker threads before the removal of a context."""
    program = """
service = embedded()
context = call(service, "GetContext", Name="left-over", AllowCreate="true")["Data"]["Id"]

import threading

def late():
    # This runs when Python has ended its worker threads, but not yet this one.
    threading.main_thread().join()
    call(service, "DeleteContext", Id=context)

threading.Thread(target=late).start()
print("done")
"""
    assert run(program, tmp_path) == ["done"]


@pytest.mark.usefixtures("sandboxed")
def test_what_drives_browsers_is_imported_for_a_browser_only(tmp_path: Path) -> None:
    """A service whose sessions run commands is no slower and no larger than before."""
    program = """
service = embedded()
session = call(service, "CreateMcpSession")["Data"]["SessionId"]
call(service, "CallMcpTool", SessionId=session, Name="shell", Args='{"command": "true"}')
call(service, "ReleaseMcpSession", SessionId=session)
rare = ("agentbay_local.browser.", "agentbay_local.tools.browser")
print(sorted(name for name in sys.modules if name.startswith(rare)))
"""
    assert run(program, tmp_path) == ["['agentbay_local.browser.browsers']"]
