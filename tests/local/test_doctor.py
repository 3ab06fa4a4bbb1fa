"""Reports of the doctor for machines of several kinds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agentbay_local import doctor
from agentbay_local.sandbox import seccomp
from agentbay_local.sandbox.cgroups.detection import NO_CGROUPS, Cgroups
from agentbay_local.sandbox.cgroups.v2 import CgroupV2
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
    isolated_here = "namespaces: available. Sessions are isolated on this machine."
    assert lines[0] == f"{isolated_here} What it is worth."
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


async def test_images_are_listed_with_the_command_that_makes_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those that are ready, and those that are not."""
    machine(monkeypatch, namespaces=True, landlock=True)
    _, lines = await doctor.report()
    images = [line for line in lines if line.startswith("image ")]
    assert images == [
        "image browser_latest: not ready. To have it: agentbay image build browser_latest",
        "image code_latest: ready: code, shell.",
        "image linux_latest: ready: code, shell. To have a browser and a desktop: "
        "agentbay image build linux_latest",
    ]


async def test_a_mixed_installation_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole one is not mentioned."""
    machine(monkeypatch, namespaces=True, landlock=True)
    assert not [line for line in (await doctor.report())[1] if "installation" in line]
    monkeypatch.setattr(doctor, "explain_mixture", lambda _: "Do this.")
    assert (await doctor.report())[1][-1] == "installation: mixed. Do this."


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
    monkeypatch.setattr(doctor, "detect", lambda: NO_CGROUPS)
    _, lines = await doctor.report()

    output = [line for line in lines if line.startswith("limits: ")]
    assert "have 256 processes, 4096 open files in each, and 64 MiB of /dev/shm; the k" in output[0]
    assert (
        "4096 MiB of memory, 10240 MiB of disk and 1000000 files are checked periodically"
        in output[0]
    )
    assert "ulimit -n" in output[1]
    (groups,) = [line for line in lines if line.startswith("control groups: ")]
    assert groups.startswith("control groups: none, so not all memory is counted")
    assert groups.endswith("systemd-run --user --scope -p Delegate=yes agentbay local")


async def test_limits_by_control_groups_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel enforces memory then; disk and files are still measured."""
    machine(monkeypatch, namespaces=True, landlock=True)
    parents = dict.fromkeys(("memory", "pids"), Path("/sys/fs/cgroup"))
    monkeypatch.setattr(doctor, "detect", lambda: Cgroups(CgroupV2, parents))
    _, lines = await doctor.report()

    assert "control groups: v2 (memory, pids)." in lines
    (output, _) = [line for line in lines if line.startswith("limits: ")]
    assert "have 4096 MiB of memory, 256 processes" in output
    assert "10240 MiB of disk and 1000000 files are checked periodically" in output


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
