"""Code and commands of a session have one Python, at every level, as root and as a user."""

from __future__ import annotations

import asyncio
import functools
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.ordinary_user import UNREACHABLE, WAYS, directory_of, for_a_user, is_reachable, user_of

from agentbay_local.code import session_python
from agentbay_local.sandbox.base import Isolation
from agentbay_local.sandbox.host import programs
from agentbay_local.sandbox.probe import Capability, probe

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("IPython") is None, reason="IPython is not installed"
)


@functools.cache
def answers_of(level: Isolation, uid: int) -> dict[str, Any]:
    """Ask a session of a service of this user, once."""
    python, variables = for_a_user() if uid else (sys.executable, {})
    with directory_of(uid) as place:
        done = subprocess.run(
            [python, str(Path(__file__).with_name("run_python.py")), str(place), level.value],
            cwd=place,
            env={**os.environ, "HOME": str(place), **variables},
            user=uid or None,
            group=uid or None,
            extra_groups=() if uid else None,
            capture_output=True,
            timeout=500,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@functools.cache
def capability_of(level: Isolation) -> Capability:
    """Return whether the machine supports a level."""
    return asyncio.run(probe(level))


@pytest.fixture(params=WAYS)
def uid(request: pytest.FixtureRequest) -> int:
    """Return the user to become; 0 keeps the present one."""
    return user_of(request.param)


@pytest.fixture(params=list(Isolation), ids=lambda level: str(level.value))
def level(request: pytest.FixtureRequest, uid: int) -> Isolation:
    """Return each level that the machine supports."""
    chosen: Isolation = request.param
    if not (capability := capability_of(chosen)).available:
        pytest.skip(capability.reason)
    if uid and chosen is Isolation.NAMESPACES and not is_reachable(programs.find_bubblewrap()):
        pytest.skip(UNREACHABLE)
    return chosen


def test_code_and_commands_have_one_interpreter_and_its_packages(level: Isolation, uid: int):
    """As `python3` and as `python`, also in Python's isolated mode."""
    answers = answers_of(level, uid)

    assert answers["python3"].pop("executable") == answers["code"].pop("executable")
    assert Path(answers["python"].pop("executable")).name == "python"
    answers["isolated"].pop("executable")
    assert answers["code"] == answers["python3"] == answers["python"] == answers["isolated"]
    assert answers["code"]["IPython"].endswith("IPython/__init__.py")


def test_the_session_installs_packages_for_both(level: Isolation, uid: int):
    """They go to a directory of the session, and are there when its sandbox starts again."""
    answers = answers_of(level, uid)

    assert answers["installed"] == ["42\n", "42\n"]
    assert answers["code"]["own"].endswith(
        f"/opt/agentbay/python/lib/python{session_python().version}/site-packages"
    )
    assert "agentbay.pth" in answers["kept"]
    assert "mine.py" not in answers["kept"]


def test_pip_installs_for_both(level: Isolation, uid: int):
    """The pip of the service's environment, or else the one that Python brings."""
    answers = answers_of(level, uid)
    if answers["pip"][0] == 77:
        pytest.skip("this Python has no pip")

    assert answers["pip"][0] == 0, answers["pip"][1]
    assert answers["by pip"] == ["43\n", "43\n"]


@pytest.mark.slow
def test_the_packages_of_the_service_cannot_be_changed(level: Isolation, uid: int):
    """Only the session's own directory is writable; without isolation, what the user may write."""
    answers = answers_of(level, uid)

    assert answers["code"]["packages"][0] == answers["code"]["own"]
    assert len(answers["code"]["packages"]) > 1
    assert answers.get("planted") != 0


def test_the_directory_of_the_interpreter_is_mounted_under_another_name(level: Isolation, uid: int):
    """Its own name may tell who runs the service; with a shared library it works all the same."""
    answers = answers_of(level, uid)

    assert answers["nested"] == "44\n"
    if level is Isolation.NAMESPACES and not uid:
        is_of_system = sys.base_prefix.startswith("/usr")
        assert answers["interpreter is named"] is is_of_system
        assert answers["code"]["prefix"][1].startswith("/opt/agentbay/") is not is_of_system
