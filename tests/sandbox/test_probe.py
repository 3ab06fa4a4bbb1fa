"""The probe of a machine: isolation levels, reasons and remedies."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import attrs
import pytest
from tests.ordinary_user import directory_of, user_with_programs

from agentbay_local.sandbox.base import Isolation, SandboxSpec
from agentbay_local.sandbox.bubblewrap import BubblewrapBackend
from agentbay_local.sandbox.errors import IsolationUnavailable, SandboxError
from agentbay_local.sandbox.host import programs
from agentbay_local.sandbox.host.uids import private_uid
from agentbay_local.sandbox.probe import probe

AS_A_USER = """
    import asyncio, os, sys
    from pathlib import Path
    from agentbay_local.sandbox.host import bundle, programs
    from agentbay_local.sandbox.base import SandboxSpec
    from agentbay_local.sandbox.bubblewrap import BubblewrapBackend
    from agentbay_local.sandbox.host.uids import private_uid

    # Read while still root: the user may not be able to reach this interpreter's files.
    programs.find_bubblewrap()
    bundle.build_bundle(programs.find_interpreter()), "x".encode("idna")
    os.setgroups([])
    os.setresgid(int(sys.argv[2]), int(sys.argv[2]), int(sys.argv[2]))
    os.setresuid(int(sys.argv[2]), int(sys.argv[2]), int(sys.argv[2]))

    async def main():
        backend = BubblewrapBackend()
        spec = SandboxSpec(Path(sys.argv[1]) / "root", private_uid("x"))
        assert spec.uid is None
        async with await backend.start(spec) as one:
            done = await one.run("id -u; echo $HOME; touch f", timeout=10)
        await backend.close()
        print(done.stdout.decode(), os.stat(spec.root / "home/wuying/f").st_uid)

    asyncio.run(main())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_ordinary_user_needs_no_private_user(isolating: None) -> None:
    """Without root the session runs as the service's user, named wuying inside."""
    uid = user_with_programs("as a user")
    with directory_of(uid) as place:
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(AS_A_USER), str(place), str(uid)],
            capture_output=True,
            timeout=60,
            text=True,
            check=False,
        )

    assert ["1000", "/home/wuying", str(uid)] == done.stdout.split(), done.stderr


async def test_plain_level_has_no_requirements(monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs neither bubblewrap nor namespaces."""
    monkeypatch.setenv("PATH", "")

    assert (await probe(Isolation.NONE)).available


async def test_missing_bubblewrap_is_reported_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The reason, the command to install it, and the option to run without isolation."""

    def missing() -> Path:
        raise IsolationUnavailable("bubblewrap (bwrap) is not installed.", programs.INSTALL)

    monkeypatch.setattr(programs, "find_bubblewrap", missing)
    found = await probe()

    assert not found.available
    assert "not installed" in found.reason
    assert "apt install bubblewrap" in found.remedy
    assert "--isolation none" in found.remedy
    with pytest.raises(IsolationUnavailable, match="not installed"):
        found.require()


@pytest.mark.parametrize(
    ("output", "cure"),
    [
        ("bwrap: setting up uid map: Permission denied", "apparmor_restrict_unprivileged_userns"),
        ("bwrap: loopback: Failed RTM_NEWADDR: Operation not permitted", "apparmor"),
        ("bwrap: Can't mount proc on /newroot/proc: Operation not permitted", "systempaths"),
        ("bwrap: No permissions to create new namespace", "seccomp=unconfined"),
        ("bwrap: something new", "see the message of bubblewrap"),
    ],
)
async def test_messages_of_bubblewrap_have_remedies(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, output: str, cure: str
) -> None:
    """The reason quotes the message and adds the remedy."""
    fake = tmp_path / "bwrap"
    fake.write_text(f'#!/bin/sh\necho "{output}" >&2\nexit 1\n')
    fake.chmod(0o755)
    monkeypatch.setattr(programs, "find_bubblewrap", lambda: fake)
    found = await probe()

    assert output in found.reason
    assert cure in found.remedy


async def test_old_bubblewrap_is_skipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A version without the needed options is not used, even if it comes first in PATH."""
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho bubblewrap 0.6.1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    programs.find_bubblewrap.cache_clear()
    try:
        found = programs.find_bubblewrap()
    except IsolationUnavailable as error:  # there is no other one here
        found = Path(error.reason.split()[0]).with_name("refused")
    finally:
        programs.find_bubblewrap.cache_clear()

    assert fake != found


def test_private_uid_is_stable_and_unused() -> None:
    """The same session has the same number; other sessions have others."""
    if os.geteuid() != 0:
        assert private_uid("a") is None
        return
    numbers = {private_uid(f"s-{n}") for n in range(100)}

    assert private_uid("a") == private_uid("a")
    assert len(numbers) == 100
    assert all(number and number >= 1_900_000_000 for number in numbers)


def test_sandbox_errors_have_a_common_base_and_readable_texts() -> None:
    """All errors of the package derive from SandboxError."""
    error = IsolationUnavailable("No.", "Do this.")

    assert isinstance(error, SandboxError)
    assert str(error) == "No. Remedy: Do this."


@pytest.mark.usefixtures("isolating")
async def test_a_given_backend_stays_open(tmp_path: Path) -> None:
    """It starts what comes next, and only the directory of the probe is removed."""
    backend = BubblewrapBackend()
    spec = SandboxSpec(tmp_path / "probe", private_uid("probe"))
    found = await probe(Isolation.NAMESPACES, backend, spec)
    async with await backend.start(attrs.evolve(spec, root=tmp_path / "next")) as sandbox:
        assert (await sandbox.run("echo hi", timeout=60)).stdout == b"hi\n"
    await backend.close()

    assert found.available
    assert os.listdir(tmp_path) == ["next"]


@pytest.mark.usefixtures("isolating")
async def test_the_slower_start_is_told(tmp_path: Path) -> None:
    """`agentbay doctor` shows the detail."""
    backend = BubblewrapBackend(forks=False)
    spec = SandboxSpec(tmp_path / "probe", private_uid("probe"))
    found = await probe(Isolation.NAMESPACES, backend, spec)
    await backend.close()

    assert "more slowly" in found.detail
