"""The filter of system calls for every process of a session.

It is a short BPF program, written out by hand so that no library is needed: most calls are allowed,
and risky ones are refused. It is the second line of defence. Namespaces and dropped capabilities
refuse most of these calls already; the filter refuses them before the kernel's code for them runs.

The architecture is checked before the number, because the same number means another call in the
32-bit convention; the x32 convention of x86_64 is refused by its range of numbers.
"""

from __future__ import annotations

import errno
import functools
import os
import socket
import struct
import sys

import attrs

from agentbay_local.sandbox.values import Isolation

__all__ = ["build_filter", "count_refused_calls"]

LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, KILL_PROCESS, REFUSE = 0x7FFF0000, 0x80000000, 0x00050000
NUMBER, ARCHITECTURE, FIRST_ARGUMENT, SECOND_ARGUMENT = 0, 4, 16, 24

NEW_NAMESPACES = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET."""

PR_SET_DUMPABLE = 4

NEW_TIME = 0x80
"""CLONE_NEWTIME, for unshare only; for clone this bit is part of the signal's number."""

TERMINAL_INPUT_REQUESTS = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX, which insert characters into the input of a terminal."""

FAMILIES = {
    Isolation.NAMESPACES: (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK),
    # There is no network namespace, so every socket would be one of the host's.
    Isolation.LANDLOCK: (),
}
"""Families of sockets that a session may create. No namespace confines AF_VSOCK, for example."""


@attrs.frozen
class Machine:
    """A processor architecture.

    Attributes:
        audit: The kernel's number for the architecture.
        numbers: The number of each call that the architecture has.
        foreign: The first number of another calling convention, if there is one.
    """

    audit: int
    numbers: dict[str, int]
    foreign: int | None = None


COMMON_NUMBERS = {
    "clone3": 435,
    "fsconfig": 431,
    "fsmount": 432,
    "fsopen": 430,
    "fspick": 433,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "io_uring_setup": 425,
    "listmount": 458,
    "mount_setattr": 442,
    "move_mount": 429,
    "open_tree": 428,
    "open_tree_attr": 467,
    "pidfd_getfd": 438,
    "quotactl_fd": 443,
    "statmount": 457,
}
"""Calls that are new enough to have the same number on every architecture."""

X86_64 = {
    **COMMON_NUMBERS,
    "_sysctl": 156,
    "acct": 163,
    "add_key": 248,
    "adjtimex": 159,
    "bpf": 321,
    "chroot": 161,
    "clock_adjtime": 305,
    "clock_settime": 227,
    "clone": 56,
    "create_module": 174,
    "delete_module": 176,
    "fanotify_init": 300,
    "finit_module": 313,
    "get_kernel_syms": 177,
    "init_module": 175,
    "ioctl": 16,
    "ioperm": 173,
    "iopl": 172,
    "kexec_file_load": 320,
    "kexec_load": 246,
    "keyctl": 250,
    "lookup_dcookie": 212,
    "mount": 165,
    "mq_open": 240,
    "msgget": 68,
    "nfsservctl": 180,
    "open_by_handle_at": 304,
    "perf_event_open": 298,
    "pivot_root": 155,
    "prctl": 157,
    "query_module": 178,
    "quotactl": 179,
    "reboot": 169,
    "request_key": 249,
    "semget": 64,
    "setdomainname": 171,
    "sethostname": 170,
    "setns": 308,
    "settimeofday": 164,
    "shmget": 29,
    "socket": 41,
    "socketpair": 53,
    "swapoff": 168,
    "swapon": 167,
    "sysfs": 139,
    "syslog": 103,
    "umount2": 166,
    "unshare": 272,
    "uselib": 134,
    "userfaultfd": 323,
    "ustat": 136,
    "vhangup": 153,
}

AARCH64 = {
    **COMMON_NUMBERS,
    "acct": 89,
    "add_key": 217,
    "adjtimex": 171,
    "bpf": 280,
    "chroot": 51,
    "clock_adjtime": 266,
    "clock_settime": 112,
    "clone": 220,
    "delete_module": 106,
    "fanotify_init": 262,
    "finit_module": 273,
    "init_module": 105,
    "ioctl": 29,
    "kexec_file_load": 294,
    "kexec_load": 104,
    "keyctl": 219,
    "lookup_dcookie": 18,
    "mount": 40,
    "mq_open": 180,
    "msgget": 186,
    "nfsservctl": 42,
    "open_by_handle_at": 265,
    "perf_event_open": 241,
    "pivot_root": 41,
    "prctl": 167,
    "quotactl": 60,
    "reboot": 142,
    "request_key": 218,
    "semget": 190,
    "setdomainname": 162,
    "sethostname": 161,
    "setns": 268,
    "settimeofday": 170,
    "shmget": 194,
    "socket": 198,
    "socketpair": 199,
    "swapoff": 225,
    "swapon": 224,
    "syslog": 116,
    "umount2": 39,
    "unshare": 97,
    "userfaultfd": 282,
    "vhangup": 58,
}

MACHINES = {
    "aarch64": Machine(0xC00000B7, AARCH64),
    "x86_64": Machine(0xC000003E, X86_64, foreign=0x40000000),
}

REPORTED_ABSENT = ("clone3", "io_uring_enter", "io_uring_register", "io_uring_setup")
"""Calls that fail as if the kernel did not have them, so that programs fall back to older ones. The
flags of clone3 are in memory, where a filter cannot read them."""

SYSTEM_V_IPC = ("msgget", "semget", "shmget")
"""Refused where there is no ipc namespace, and where nothing counts the memory: it stays when the
process that made it has ended."""

CHECKED_BY_ARGUMENT = ("clone", "ioctl", "prctl", "socket", "socketpair", "unshare")
"""Calls that are allowed or refused by their arguments."""


@functools.lru_cache
def build_filter(
    isolation: Isolation, counted: bool = False, machine: str | None = None
) -> bytes | None:
    """Return the filter for a level, as the kernel takes it.

    Args:
        isolation: A level that has one.
        counted: A control group counts the memory of the session.
        machine: The processor architecture; this computer's by default.

    Returns:
        The instructions, or None for an unknown architecture.
    """
    found = MACHINES.get(machine or os.uname().machine)
    if found is None or (machine is None and sys.maxsize < 2**32):
        return None
    steps = [
        *_check_architecture(found),
        *_check_numbers(found, isolation, counted),
        *_check_arguments(found, isolation),
    ]
    return b"".join((*steps, _step(RETURN, ALLOW)))


def count_refused_calls() -> int:
    """Return how many calls of this computer the filter refuses, at least with some arguments."""
    found = MACHINES.get(os.uname().machine)
    return 0 if found is None or build_filter(Isolation.NAMESPACES) is None else len(found.numbers)


def _check_architecture(machine: Machine) -> list[bytes]:
    """Refuse other calling conventions, and load the number of the call."""
    steps = [
        _step(LOAD, ARCHITECTURE),
        _step(EQUAL, machine.audit, yes=1),
        _step(RETURN, KILL_PROCESS),
        _step(LOAD, NUMBER),
    ]
    if machine.foreign is not None:
        steps += [_step(AT_LEAST, machine.foreign, no=1), _step(RETURN, REFUSE | errno.ENOSYS)]
    return steps


def _check_numbers(machine: Machine, isolation: Isolation, counted: bool) -> list[bytes]:
    kept = set(CHECKED_BY_ARGUMENT)
    if isolation is Isolation.NAMESPACES:
        kept |= {"mq_open", *(SYSTEM_V_IPC if counted else ())}
    steps = []
    for name, number in machine.numbers.items():
        if name not in kept:
            answer = errno.ENOSYS if name in REPORTED_ABSENT else errno.EPERM
            steps += [_step(EQUAL, number, no=1), _step(RETURN, REFUSE | answer)]
    return steps


def _check_arguments(machine: Machine, isolation: Isolation) -> list[bytes]:
    steps = []
    for name, flags in (("clone", NEW_NAMESPACES), ("unshare", NEW_NAMESPACES | NEW_TIME)):
        checks = [_step(ANY_BIT, flags, no=1), _step(RETURN, REFUSE | errno.EPERM)]
        steps += _check_argument(machine.numbers[name], FIRST_ARGUMENT, checks)
    count_refused_calls = [
        one
        for request in TERMINAL_INPUT_REQUESTS
        for one in (_step(EQUAL, request, no=1), _step(RETURN, REFUSE | errno.EPERM))
    ]
    steps += _check_argument(machine.numbers["ioctl"], SECOND_ARGUMENT, count_refused_calls)
    if isolation is Isolation.LANDLOCK:
        # The service could not see what such a process holds, because it has the same user.
        hide = [_step(EQUAL, PR_SET_DUMPABLE, no=1), _step(RETURN, REFUSE | errno.EPERM)]
        steps += _check_argument(machine.numbers["prctl"], FIRST_ARGUMENT, hide)
    for name in ("socket", "socketpair"):
        # The ends of a pair are connected to each other only, so it is harmless at every level.
        families = {*FAMILIES[isolation], *((socket.AF_UNIX,) if name == "socketpair" else ())}
        allowed = [
            one
            for family in sorted(families)
            for one in (_step(EQUAL, family, no=1), _step(RETURN, ALLOW))
        ]
        refusal = _step(RETURN, REFUSE | errno.EAFNOSUPPORT)
        steps += _check_argument(machine.numbers[name], FIRST_ARGUMENT, [*allowed, refusal])
    return steps


def _check_argument(number: int, argument: int, checks: list[bytes]) -> list[bytes]:
    """Decide about one call by the low half of an argument; the kernel ignores the high half."""
    steps = [_step(LOAD, argument), *checks, _step(RETURN, ALLOW)]
    return [_step(EQUAL, number, no=len(steps)), *steps]


def _step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)
