"""What the doctor says of machines of several kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_local import doctor
from agentbay_local.sandbox import seccomp
from agentbay_local.sandbox.probe import Capability

if TYPE_CHECKING:
    import pytest

    from agentbay_local.sandbox.base import Isolation


def machine(monkeypatch: pytest.MonkeyPatch, **levels: bool) -> None:
    """Pretend that a machine has some levels."""

    async def probe(want: Isolation) -> Capability:
        if levels[want.value]:
            return Capability(want, True, detail="What it is worth.")
        return Capability(want, False, "Why not.", "Do this.")

    monkeypatch.setattr(doctor, "probe", probe)


async def test_machine_with_namespaces_needs_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """The weaker level is named, and that it is not needed."""
    machine(monkeypatch, namespaces=True, landlock=True)
    isolated, lines = await doctor.report()

    assert isolated
    assert lines[0] == "namespaces: available. Sessions are isolated on this machine."
    assert lines[1] == "landlock: available; not needed here. What it is worth."


async def test_machine_without_namespaces_is_told_of_the_cure_and_the_weaker_level(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is not isolated until somebody chooses."""
    machine(monkeypatch, namespaces=False, landlock=True)
    isolated, lines = await doctor.report()

    assert not isolated
    assert lines[:2] == ["namespaces: not available. Why not.", "To cure it: Do this."]
    assert "choose it with --isolation landlock; it is never used by default" in lines[2]


async def test_machine_without_landlock_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be needed elsewhere."""
    machine(monkeypatch, namespaces=True, landlock=False)
    _, lines = await doctor.report()

    assert lines[1] == "landlock: not available. Why not."


async def test_enforced_limits_are_told_from_those_that_are_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With their defaults, and what the service itself may open."""
    machine(monkeypatch, namespaces=True, landlock=True)
    _, lines = await doctor.report()

    said = [line for line in lines if line.startswith("limits: ")]
    assert "256 processes, 4096 open files in each, and 64 MiB of /dev/shm; the kernel" in said[0]
    assert "4096 MiB of memory and 10240 MiB of disk are checked periodically" in said[0]
    assert "ulimit -n" in said[1]


async def test_processor_whose_calls_are_not_known_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The filter is the second wall; without it there is one."""
    machine(monkeypatch, namespaces=True, landlock=False)
    _, known = await doctor.report()
    monkeypatch.setattr(seccomp, "MACHINES", {})
    _, unknown = await doctor.report()

    assert any(line.startswith("seccomp: blocks ") for line in known)
    assert any(line.startswith("seccomp: not used; ") for line in unknown)
