"""The report of ``agentbay doctor``: the isolation of sessions on this machine.

Each level is tried, not guessed. Every line begins with its subject, so that programs can find it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import agentbay_async
from agentbay_async._installation import explain_mixture
from agentbay_async.errors import ConfigurationError
from agentbay_local.commands.images import describe_images
from agentbay_local.images import ImageStore
from agentbay_local.sandbox import seccomp
from agentbay_local.sandbox.base import Isolation, Limits
from agentbay_local.sandbox.cgroups.detection import detect
from agentbay_local.sandbox.probe import Capability, probe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentbay_local.sandbox.cgroups.detection import Cgroups

__all__ = ["report"]

_MIB = 1024 * 1024


async def report() -> tuple[bool, list[str]]:
    """Probe this machine.

    Returns:
        Whether sessions are isolated by default, and the lines of the report.
    """
    namespaces = await probe(Isolation.NAMESPACES)
    landlock = await probe(Isolation.LANDLOCK)
    lines = [
        *_namespaces(namespaces),
        *_landlock(landlock, namespaces),
        _seccomp(),
        *_limits(await asyncio.to_thread(detect)),
        *await asyncio.to_thread(lambda: [*_images()]),
        *_installation(),
    ]
    return namespaces.available, lines


def _namespaces(found: Capability) -> Iterator[str]:
    if found.available:
        text = f"namespaces: available. Sessions are isolated on this machine. {found.detail}"
        yield text.rstrip()
        return
    yield f"namespaces: not available. {found.reason}"
    yield f"To cure it: {found.remedy}"


def _landlock(found: Capability, stronger: Capability) -> Iterator[str]:
    if not found.available:
        yield f"landlock: not available. {found.reason}"
        return
    use = (
        "not needed here"
        if stronger.available
        else "choose it with --isolation landlock; it is never used by default"
    )
    yield f"landlock: available; {use}. {found.detail}"


def _images() -> Iterator[str]:
    with contextlib.suppress(ConfigurationError):  # a user without a home has made none
        for line in describe_images(ImageStore.of_user(os.environ)):
            yield f"image {line}"


def _installation() -> Iterator[str]:
    problem = explain_mixture(str(Path(agentbay_async.__path__[0]).parent))
    if problem:
        yield f"installation: mixed. {problem}"


def _seccomp() -> str:
    count = seccomp.count_refused_calls()
    if count:
        return f"seccomp: blocks {count} system calls and unusual sockets."
    machine = os.uname().machine
    return f"seccomp: not used; there is no list of system calls for {machine}. Namespaces remain."


def _limits(cgroups: Cgroups) -> Iterator[str]:
    defaults = Limits()
    shared = defaults.shared_memory_bytes // _MIB
    memory = f"{_size(defaults.memory_bytes)} of memory"
    watched = f"{_size(defaults.disk_bytes)} of disk and {defaults.files or 'any number of'} files"
    if "memory" in cgroups.parents:
        enforced = f"{memory}, "
    else:
        enforced, watched = "", f"{memory}, {watched}"
    yield (
        f"limits: each session may have {enforced}{defaults.processes} processes, "
        f"{defaults.open_files} open files in each, and {shared} MiB of /dev/shm; the kernel "
        f"enforces these. {watched} are checked periodically, and can be exceeded for a moment."
    )
    yield _describe_cgroups(cgroups)
    if defaults.disk_bytes is not None:
        directory = tempfile.gettempdir()
        free = shutil.disk_usage(directory).free
        yield (
            f"disk: {_size(free)} are free in {directory}, the disk of temporary homes; that is "
            f"room for {free // defaults.disk_bytes} sessions at their limit."
        )
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield f"limits: the service itself may have {files} open files (ulimit -n)."


def _describe_cgroups(cgroups: Cgroups) -> str:
    if "memory" in cgroups.parents:
        return f"control groups: {cgroups.describe()}."
    return (
        f"control groups: {cgroups.describe()}, so not all memory is counted, and --cpus is not "
        "available. To fix it, run: systemd-run --user --scope -p Delegate=yes agentbay local"
    )


def _size(limit: int | None) -> str:
    return "Any amount" if limit is None else f"{limit // _MIB} MiB"
