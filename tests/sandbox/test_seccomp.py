"""The seccomp filter: its decision on each call, and sessions that run under it."""

from __future__ import annotations

import errno
import json
import os
import socket
import struct
from typing import TYPE_CHECKING

import pytest

from agentbay_local.sandbox import seccomp
from agentbay_local.sandbox.base import Isolation

if TYPE_CHECKING:
    from agentbay_local.sandbox.base import Sandbox

WALLED = (Isolation.NAMESPACES, Isolation.LANDLOCK)
FOR_MACHINE = pytest.mark.parametrize("machine", sorted(seccomp.MACHINES))
AT_LEVEL = pytest.mark.parametrize("level", WALLED, ids=lambda level: str(level.value))
HERE = os.uname().machine
AF_VSOCK = 40


def verdict(
    level: Isolation,
    machine: str,
    number: int,
    *arguments: int,
    audit: int = 0,
    counted: bool = False,
) -> int:
    """Run the filter as the kernel would, and return its decision."""
    program = seccomp.build_filter(level, counted, machine)
    assert program is not None
    steps = list(struct.iter_unpack("=HBBI", program))
    padded = [*arguments, *(0 for _ in range(6 - len(arguments)))]
    data = struct.pack("<iIQ6Q", number, audit or seccomp.MACHINES[machine].audit, 0, *padded)
    at, loaded = 0, 0
    while True:
        code, yes, no, value = steps[at]
        at += 1
        if code == seccomp.RETURN:
            return int(value)
        if code == seccomp.LOAD:
            (loaded,) = struct.unpack_from("<I", data, value)
        else:
            tests = {
                seccomp.EQUAL: loaded == value,
                seccomp.AT_LEAST: loaded >= value,
                seccomp.ANY_BIT: bool(loaded & value),
            }
            at += yes if tests[code] else no


def denied(number: int) -> int:
    """Return the decision that fails a call with an error."""
    return seccomp.REFUSE | number


@FOR_MACHINE
def test_system_v_memory_needs_something_that_counts_it(machine: str) -> None:
    """A control group counts it, and the namespace ends with the session."""
    for name in seccomp.SYSTEM_V_IPC:
        number = seccomp.MACHINES[machine].numbers[name]
        assert verdict(Isolation.NAMESPACES, machine, number) == denied(errno.EPERM)
        assert verdict(Isolation.NAMESPACES, machine, number, counted=True) == seccomp.ALLOW
        assert verdict(Isolation.LANDLOCK, machine, number, counted=True) == denied(errno.EPERM)


@FOR_MACHINE
def test_a_process_cannot_hide_what_it_holds(machine: str) -> None:
    """Without a user namespace, the service has no other right to see it."""
    number = seccomp.MACHINES[machine].numbers["prctl"]
    hide = seccomp.PR_SET_DUMPABLE
    assert verdict(Isolation.LANDLOCK, machine, number, hide) == denied(errno.EPERM)
    assert verdict(Isolation.LANDLOCK, machine, number, 38) == seccomp.ALLOW
    assert verdict(Isolation.NAMESPACES, machine, number, hide) == seccomp.ALLOW


@FOR_MACHINE
@AT_LEVEL
def test_dangerous_calls_are_denied_by_number(level: Isolation, machine: str) -> None:
    """Mounts, keys and modules are not permitted; io_uring and clone3 are not implemented."""
    numbers = seccomp.MACHINES[machine].numbers
    kept = {
        *seccomp.CHECKED_BY_ARGUMENT,
        *(("mq_open",) if level is Isolation.NAMESPACES else ()),
    }
    for name, number in numbers.items():
        if name not in kept:
            answer = errno.ENOSYS if name in seccomp.REPORTED_ABSENT else errno.EPERM
            assert verdict(level, machine, number) == denied(answer), name
    for name in kept - set(seccomp.CHECKED_BY_ARGUMENT):
        assert verdict(level, machine, numbers[name]) == seccomp.ALLOW


@FOR_MACHINE
def test_ordinary_calls_are_allowed(machine: str) -> None:
    """All calls that are not listed, also the newest ones."""
    named = set(seccomp.MACHINES[machine].numbers.values())
    for number in set(range(500)) - named:
        assert verdict(Isolation.NAMESPACES, machine, number) == seccomp.ALLOW


@FOR_MACHINE
def test_new_namespaces_are_denied_and_new_threads_allowed(machine: str) -> None:
    """The flags decide; the upper half of the argument is ignored."""
    numbers = seccomp.MACHINES[machine].numbers
    for bit in (0x20000, *(1 << n for n in range(25, 31))):
        for flags in (bit, bit | 17, bit | 1 << 40):
            for name in ("clone", "unshare"):
                decision = verdict(Isolation.NAMESPACES, machine, numbers[name], flags)
                assert decision == denied(errno.EPERM)
    thread = 0x3D0F00
    assert verdict(Isolation.NAMESPACES, machine, numbers["clone"], thread) == seccomp.ALLOW
    assert verdict(Isolation.NAMESPACES, machine, numbers["clone"], 17) == seccomp.ALLOW
    assert verdict(Isolation.NAMESPACES, machine, numbers["unshare"], 0x600) == seccomp.ALLOW
    time = verdict(Isolation.NAMESPACES, machine, numbers["unshare"], 0x80)
    assert time == denied(errno.EPERM)


@FOR_MACHINE
def test_sockets_are_allowed_by_family(machine: str) -> None:
    """Only families that a network namespace confines; none without a namespace."""
    make = seccomp.MACHINES[machine].numbers["socket"]
    pair = seccomp.MACHINES[machine].numbers["socketpair"]
    fine = {socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK}
    for family in range(64):
        expected = seccomp.ALLOW if family in fine else denied(errno.EAFNOSUPPORT)
        assert verdict(Isolation.NAMESPACES, machine, make, family) == expected
        assert verdict(Isolation.LANDLOCK, machine, make, family) == denied(errno.EAFNOSUPPORT)
        expected = seccomp.ALLOW if family == socket.AF_UNIX else denied(errno.EAFNOSUPPORT)
        assert verdict(Isolation.LANDLOCK, machine, pair, family) == expected
    assert verdict(Isolation.NAMESPACES, machine, make, AF_VSOCK | 1 << 32) != seccomp.ALLOW


@FOR_MACHINE
def test_injection_into_a_terminal_is_denied(machine: str) -> None:
    """TIOCSTI and TIOCLINUX fail; other requests are allowed."""
    number = seccomp.MACHINES[machine].numbers["ioctl"]
    for request in (0x5412, 0x541C, 0x5412 | 1 << 32):
        assert verdict(Isolation.NAMESPACES, machine, number, 0, request) == denied(errno.EPERM)
    assert verdict(Isolation.NAMESPACES, machine, number, 0x5412, 0x5413) == seccomp.ALLOW


def test_calls_of_another_abi_are_denied() -> None:
    """Their numbers mean other calls."""
    level, i386, x32 = Isolation.NAMESPACES, 0x40000003, 0x40000000
    assert verdict(level, "x86_64", 20, audit=i386) == seccomp.KILL_PROCESS
    assert verdict(level, "aarch64", 20, audit=0x40000028) == seccomp.KILL_PROCESS
    assert verdict(level, "x86_64", x32 | 39) == denied(errno.ENOSYS)
    assert verdict(level, "x86_64", -1) == denied(errno.ENOSYS)


def test_unknown_architecture_has_no_filter() -> None:
    """Numbers of one architecture mean other calls on another."""
    assert seccomp.build_filter(Isolation.NAMESPACES, machine="riscv64") is None


CALLS = """
import ctypes, json, sys
libc = ctypes.CDLL(None, use_errno=True)
answers = {}
for name, number in json.loads(sys.argv[1]).items():
    ctypes.set_errno(0)
    libc.syscall(ctypes.c_long(number), *[ctypes.c_long(-1)] * 6)
    answers[name] = ctypes.get_errno()
print(json.dumps(answers))
"""

UNTRIED = ("ioctl", "prctl", "socket", "socketpair", "mq_open", "msgget", "semget", "shmget")


async def test_sessions_run_under_the_filter(isolated: Sandbox, python: str) -> None:
    """Each listed call, really made, fails."""
    if HERE not in seccomp.MACHINES:
        pytest.skip(f"there is no filter for {HERE}")
    numbers = seccomp.MACHINES[HERE].numbers
    tried = {name: number for name, number in numbers.items() if name not in UNTRIED}
    done = await isolated.run([python, "-c", CALLS, json.dumps(tried)], timeout=20)
    status = await isolated.run("grep Seccomp: /proc/1/status /proc/self/status", timeout=10)

    expected = {
        name: errno.ENOSYS if name in seccomp.REPORTED_ABSENT else errno.EPERM for name in tried
    }
    assert json.loads(done.stdout) == expected
    assert status.stdout.split()[1::2] == [b"2", b"2"]


async def test_unconfined_socket_families_are_denied(isolated: Sandbox, python: str) -> None:
    """Sockets to the hypervisor, and the kernel's cryptography."""
    code = """
import socket
for family in (1, 2, 10, 16, 17, 38, 40, 44):
    try:
        socket.socket(family, socket.SOCK_RAW if family in (16, 17) else socket.SOCK_STREAM)
        print(family, "made")
    except OSError as error:
        print(family, error.errno)
"""
    done = await isolated.run([python, "-c", code], timeout=10)

    answers = dict(line.split() for line in done.stdout.decode().splitlines())
    assert [answers[one] for one in ("1", "2", "16")] == ["made"] * 3
    assert {answers[one] for one in ("17", "38", "40", "44")} == {str(errno.EAFNOSUPPORT)}


INT_0X80 = """
import ctypes, mmap
code = mmap.mmap(-1, 4096, prot=7)
code.write(bytes.fromhex("b814000000cd80c3"))
address = ctypes.addressof(ctypes.c_char.from_buffer(code))
print("begun", flush=True)
print(ctypes.CFUNCTYPE(ctypes.c_int)(address)())
"""


@pytest.mark.skipif(HERE != "x86_64", reason="about the older calls of this processor family")
async def test_thirty_two_bit_calls_end_the_process(isolated: Sandbox, python: str) -> None:
    """The filter would take them for calls with other numbers."""
    done = await isolated.run([python, "-c", INT_0X80], timeout=10)

    assert done.stdout == b"begun\n"
    assert done.exit_code in (128 + 31, 128 + 11)  # 11 where the kernel has no such calls


async def test_threads_and_subprocesses_work_under_the_filter(
    isolated: Sandbox, python: str
) -> None:
    """Programs fall back to the allowed calls."""
    code = (
        "import subprocess, threading, multiprocessing as m;"
        "t = threading.Thread(target=print, args=('thread',)); t.start(); t.join();"
        "print(subprocess.check_output(['echo', 'process'], text=True), end='');"
        "print(m.get_context('fork').Pool(2).map(abs, [-1, -2]))"
    )
    done = await isolated.run([python, "-c", code], timeout=20)

    assert done.stdout.split() == [b"thread", b"process", b"[1,", b"2]"]
