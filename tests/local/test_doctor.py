"""Reports of the doctor for machines of several kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_local import doctor
from agentbay_local.sandbox import seccomp
from agentbay_local.sandbox.probe import Capability

if TYPE_CHECKING:
    import pytest

    from agentbay_local.sandbox.base import Isolation


def machine(monkeypatch: pytest.MonkeyPatch, **levels: bool) -> None:
    """Replace the probe of a machine."""

    async def probe(want: Isolation) -> Capability:
        if levels[want.value]:
            return Capability(want, True, detail="What it is worth.")
        return Capability(want, False, "Why not.", "Do this.")

    monkeypatch.setattr(doctor, "probe", probe)


async def test_machine_with_namespaces_needs_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """The weaker level is named as an alternative."""
    machine(monkeypatch, namespaces=True, landlock=True)
    isolated, lines = await doctor.report()

    assert isolated
    assert lines[0] == "namespaces: available. Sessions are isolated on this machine."
    assert lines[1] == "landlock: available; not needed here. What it is worth."


async def test_machine_without_namespaces_gets_a_remedy_and_the_weaker_level(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is used only if the user selects it."""
    machine(monkeypatch, namespaces=False, landlock=True)
    isolated, lines = await doctor.report()

    assert not isolated
    assert lines[:2] == ["namespaces: not available. Why not.", "To cure it: Do this."]
    assert "choose it with --isolation landlock; it is never used by default" in lines[2]


async def test_missing_landlock_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another machine may need it."""
    machine(monkeypatch, namespaces=True, landlock=False)
    _, lines = await doctor.report()

    assert lines[1] == "landlock: not available. Why not."


async def test_enforced_and_polled_limits_are_distinguished(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With their defaults, and the service's own limit of open files."""
    machine(monkeypatch, namespaces=True, landlock=True)
    _, lines = await doctor.report()

    output = [line for line in lines if line.startswith("limits: ")]
    assert "256 processes, 4096 open files in each, and 64 MiB of /dev/shm; the kernel" in output[0]
    assert "4096 MiB of memory and 10240 MiB of disk are checked periodically" in output[0]
    assert "ulimit -n" in output[1]


async def test_unknown_processor_has_no_filter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The report says that the second layer of defence is missing."""
    machine(monkeypatch, namespaces=True, landlock=False)
    _, known = await doctor.report()
    monkeypatch.setattr(seccomp, "MACHINES", {})
    _, unknown = await doctor.report()

    assert any(line.startswith("seccomp: blocks ") for line in known)
    assert any(line.startswith("seccomp: not used; ") for line in unknown)
