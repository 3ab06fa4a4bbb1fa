"""Official clients of several versions, unmodified, judge the local service.

``OFFICIAL_CLIENTS`` names a directory with one virtual environment for each version;
``./run conformance`` makes it. The newest has its scenario in `test_official_client`.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agentbay_local import LocalService

if TYPE_CHECKING:
    from collections.abc import Iterator

OLDER = ("0.4.0", "0.6.0", "0.9.3")
NEWEST = "0.22.3"
TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"
BLOCK = re.compile(r"^## (.*?)\n.*?^```python blocking\n(.*?)^```", re.MULTILINE | re.DOTALL)
SCENARIO = Path(__file__).parent / "older" / "scenario.py"

#: Blocks that a version cannot run, with the reason.
UNSUPPORTED = {
    ("0.9.3", "List all sessions"): "its list() returns one page, which cannot be iterated",
    ("0.9.3", "List sessions by labels"): "its pages have ids instead of sessions",
    (NEWEST, "List all sessions"): "its list() returns one page, which cannot be iterated",
    **{
        (NEWEST, title): "it has neither agentbay.session_params nor agentbay.context_sync"
        for title in (
            "Create a session with parameters",
            "Keep files in a context",
            "Use several contexts",
            "List sessions by labels",
        )
    },
}


def blocks() -> list[tuple[str, str]]:
    """Return the tutorial's blocks for the blocking client, each with its title."""
    return BLOCK.findall(TUTORIAL.read_text(encoding="utf-8"))


def cases() -> Iterator[object]:
    """Yield each version with each block; what it cannot run has to fail."""
    for version in (*OLDER, NEWEST):
        for title, code in blocks():
            reason = UNSUPPORTED.get((version, title))
            mark = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
            yield pytest.param(version, code, id=f"{version}-{title}", marks=mark)


@pytest.fixture(scope="module")
def clients() -> Path:
    """Return the directory of the environments."""
    if not (directory := os.environ.get("OFFICIAL_CLIENTS")):
        pytest.skip("OFFICIAL_CLIENTS is not set; ./run conformance sets it")
    return Path(directory)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalService]:
    """Run a local service with the key of the tutorial."""
    with LocalService(home=tmp_path_factory.mktemp("home"), api_key="your_api_key") as running:
        yield running


def run(
    clients: Path, version: str, service: LocalService, directory: Path, *program: str
) -> subprocess.CompletedProcess[str]:
    """Run a program with the client of a version."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "AGENTBAY_ENDPOINT": service.endpoint,
        "AGENTBAY_API_KEY": service.api_key,
        "AGENTBAY_LOG_FILE": str(directory / "official.log"),
    }
    return subprocess.run(
        [str(clients / version / "bin" / "python"), *program],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_tutorial_has_its_nine_blocks():
    """A block that is not found is not run."""
    titles = [title for title, _ in blocks()]
    assert len(titles) == 9
    assert {title for _, title in UNSUPPORTED} <= set(titles)


@pytest.mark.parametrize(("version", "code"), list(cases()))
def test_a_block_of_the_tutorial_runs(
    version: str, code: str, clients: Path, service: LocalService, tmp_path: Path
):
    """It ends without an error, and says nothing of a failure."""
    done = run(clients, version, service, tmp_path, "-c", code)

    assert done.returncode == 0, done.stderr[-4000:]
    assert "Failed to" not in done.stdout


@pytest.mark.parametrize("version", OLDER)
def test_all_services_answer_as_the_client_expects(
    version: str, clients: Path, service: LocalService, tmp_path: Path
):
    """The scenario runs to its end."""
    done = run(clients, version, service, tmp_path, str(SCENARIO), version)

    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert done.stdout.rstrip().endswith("conforms")
