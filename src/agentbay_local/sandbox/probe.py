"""Probe of the levels of isolation that this machine allows.

Kernel settings, container profiles and security modules forbid namespaces in more ways than can be
read from any file. So the probe starts a throw-away sandbox and runs `true` in it.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from agentbay_local.sandbox.base import Backend, Isolation, SandboxSpec
from agentbay_local.sandbox.bubblewrap import BubblewrapBackend
from agentbay_local.sandbox.errors import IsolationUnavailable, SandboxError
from agentbay_local.sandbox.host.removal import remove_tree
from agentbay_local.sandbox.host.uids import private_uid
from agentbay_local.sandbox.inside import confinement
from agentbay_local.sandbox.landlock import LandlockBackend, describe_level
from agentbay_local.sandbox.plain import PlainBackend

if TYPE_CHECKING:
    from agentbay_local.sandbox.cgroups.detection import Cgroups
    from agentbay_local.sandbox.host.orphans import Orphans

__all__ = ["Capability", "backend_for", "probe"]

LINUX_ONLY = IsolationUnavailable(
    "sandboxes need Linux.",
    "run the service in a Linux virtual machine or container (WSL 2, Lima, colima).",
)
WEAKER = "Or take the weaker level that needs no namespaces: --isolation landlock."
OPT_IN = "As a last resort, opt in to sessions without isolation: --isolation none."

UNFORKED = (
    "They start more slowly here: this machine lets bubblewrap start them, and lets none be forked."
)

REMEDIES = (
    (
        ("setting up uid map: Permission denied", "RTM_NEWADDR"),
        "allow unprivileged user namespaces: sudo sysctl -w "
        "kernel.apparmor_restrict_unprivileged_userns=0 (or an AppArmor profile for bwrap).",
    ),
    (
        ("Can't mount proc",),
        "in a container, also start it with --security-opt systempaths=unconfined.",
    ),
    (
        ("Operation not permitted", "No permissions to create", "new namespace failed"),
        "in a container, start it with --security-opt seccomp=unconfined "
        "--security-opt systempaths=unconfined; elsewhere: sudo sysctl -w "
        "kernel.unprivileged_userns_clone=1 and user.max_user_namespaces=10000.",
    ),
)
OTHERWISE = (
    "see the message of bubblewrap, and check whether `bwrap --unshare-all --bind / / true` works."
)


@attrs.frozen
class Capability:
    """The result of a probe of one level of isolation.

    Attributes:
        isolation: The level.
        available: Sessions can be started at this level.
        reason: The reason why not; empty if available.
        remedy: The cure; empty if available.
        detail: What depends on the machine: how sessions start, or the protection of the level.
    """

    isolation: Isolation
    available: bool
    reason: str = ""
    remedy: str = ""
    detail: str = ""

    def require(self) -> None:
        """Raise an error unless the level is available.

        Raises:
            IsolationUnavailable: It is not.
        """
        if not self.available:
            raise IsolationUnavailable(self.reason, self.remedy)


async def probe(
    want: Isolation = Isolation.NAMESPACES,
    backend: Backend | None = None,
    spec: SandboxSpec | None = None,
) -> Capability:
    """Start one throw-away sandbox and run `true` in it.

    Args:
        want: The level to try; no other level is tried instead.
        backend: Starts it, and keeps what later sandboxes need too; the caller closes it. By
            default one is made and closed.
        spec: Describes it; its directory is removed afterwards. By default it is a temporary one.

    Example:
        >>> import asyncio
        >>> capability = asyncio.run(probe())
        >>> capability.available or bool(capability.remedy)
        True
    """
    try:
        if sys.platform != "linux":
            raise LINUX_ONLY
        detail = await _try(want, backend, spec)
    except IsolationUnavailable as error:
        return Capability(want, False, error.reason, f"{error.remedy} {_last_resort(want)}".strip())
    except (SandboxError, OSError) as error:
        remedy = f"{_find_remedy(str(error))} {_last_resort(want)}".strip()
        return Capability(want, False, f"{error}.", remedy)
    return Capability(want, True, detail=detail)


def backend_for(
    level: Isolation, orphans: Orphans | None = None, cgroups: Cgroups | None = None
) -> Backend:
    """Return a new backend of a level.

    Args:
        level: The isolation of its sessions.
        orphans: The record of live processes, for the levels that need one.
        cgroups: Makes control groups; None finds out what the machine allows.
    """
    if level is Isolation.NAMESPACES:
        return BubblewrapBackend(orphans, cgroups)
    return LandlockBackend(cgroups) if level is Isolation.LANDLOCK else PlainBackend(cgroups)


async def _try(want: Isolation, backend: Backend | None, spec: SandboxSpec | None) -> str:
    made = backend_for(want) if backend is None else backend
    directory = Path(tempfile.mkdtemp(prefix="agentbay-probe-")) if spec is None else spec.root
    spec = spec or SandboxSpec(directory / "root", private_uid("probe"))
    try:
        async with await made.start(spec) as one:
            done = await one.run("true", timeout=10)
            if done.exit_code:
                raise SandboxError(f"a command failed: {done.stderr.decode(errors='replace')}")
        return _describe(made)
    finally:
        if backend is None:
            await made.close()
        await remove_tree(directory)


def _describe(backend: Backend) -> str:
    if isinstance(backend, BubblewrapBackend) and not backend.forks:
        return UNFORKED
    return describe_level() if backend.isolation is Isolation.LANDLOCK else ""


def _find_remedy(message: str) -> str:
    for signs, remedy in REMEDIES:
        if any(sign in message for sign in signs):
            return remedy
    return OTHERWISE


def _last_resort(want: Isolation) -> str:
    """Return advice about the weaker levels, which are used only on request."""
    if want is Isolation.NAMESPACES and confinement.abi():
        return f"{WEAKER} {OPT_IN}"
    return "" if want is Isolation.NONE else OPT_IN
