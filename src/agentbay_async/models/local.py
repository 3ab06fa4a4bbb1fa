"""Options of the local service that a client starts with ``endpoint="local"``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from agentbay_async.errors import ArgumentTypeError

if TYPE_CHECKING:
    from collections.abc import Iterable


@attrs.frozen
class Limits:
    """Resource limits of a session of the local service.

    The kernel enforces the limits of single processes, and nothing can exceed them. It enforces
    `memory_bytes`, `processes` and `cpus` as well where the service may use control groups;
    elsewhere memory is checked from outside some times a second, as `disk_bytes` and `files` always
    are, so a session can exceed them for a moment before its processes are killed.

    Attributes:
        processes: Processes and threads at once in the whole session. The kernel enforces it if
            there are control groups, or the session has a user namespace or a private user;
            otherwise it is checked.
        open_files: Open files of one process.
        file_bytes: Size of the largest file a process may write, in bytes. None leaves
            `disk_bytes`, beyond which no file can grow.
        shared_memory_bytes: Size of /dev/shm, in bytes.
        memory_bytes: Memory of all processes together, with shared memory and memory files; the
            largest is killed beyond it. None means no limit.
        disk_bytes: Disk space of the session's files, also of deleted ones that are still open; all
            its processes are killed if they write beyond it. None means no limit.
        files: Files, directories and links of the session; all its processes are killed beyond it.
            None means no limit.
        cpu_seconds: Processor time of one process; it is killed beyond it. None means no limit.
        cpus: Processors that the session may use at once, such as 1.5; it waits beyond it. Needs
            control groups. None means no limit; sessions then share the processors equally.
    """

    processes: int = 256
    open_files: int = 4096
    file_bytes: int | None = None
    shared_memory_bytes: int = 64 * 1024 * 1024
    memory_bytes: int | None = 4 * 1024**3
    disk_bytes: int | None = 10 * 1024**3
    files: int | None = 1_000_000
    cpu_seconds: int | None = None
    cpus: float | None = None


def _host_list(entries: Iterable[str]) -> tuple[str, ...]:
    if isinstance(entries, (str, bytes)):
        raise ArgumentTypeError(f"allow_hosts must be a list of hosts; write [{entries!r}]")
    try:
        hosts = tuple(entries)
    except TypeError:
        kind = type(entries).__name__
        raise ArgumentTypeError(f"allow_hosts must be a list of hosts, not {kind}") from None
    for host in hosts:
        if not isinstance(host, str):
            raise ArgumentTypeError(f"allow_hosts must be a list of str, not of {host!r}")
    return hosts


def _limits(_options: LocalOptions, _field: object, value: object) -> None:
    if not isinstance(value, Limits):
        raise ArgumentTypeError(f"limits must be a Limits, not {type(value).__name__}")


@attrs.frozen
class LocalOptions:
    """Options of the service that ``endpoint="local"`` starts inside this process.

    Clients with equal options share a service, with its sessions and contexts. Use
    :class:`agentbay_local.LocalService` for other options.

    Attributes:
        allow_hosts: Hosts that sessions may reach: ``"HOST"`` for its ports 80 and 443,
            ``"HOST:PORT"`` for one port, ``"*.HOST"`` for every name below it, ``"*"`` for every
            name. Default: none.
        limits: Memory, disk, processes, open files and processor time of each session.

    Raises:
        ArgumentTypeError: A value has the wrong type.

    Example:
        >>> LocalOptions(allow_hosts=["pypi.org"], limits=Limits(memory_bytes=1024**3)).allow_hosts
        ('pypi.org',)
    """

    allow_hosts: tuple[str, ...] = attrs.field(default=(), converter=_host_list)
    limits: Limits = attrs.field(factory=Limits, validator=_limits)
