"""The service that settings lead to is compared with that of the official client 0.22.3.

Settings come from the code, the environment and an ``.env`` file. Each case in which both clients
differ has its reason here.
"""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from agentbay_async.config import Config, resolve
from agentbay_async.errors import AgentBayError

if TYPE_CHECKING:
    from pathlib import Path

ENDPOINT, REGION = "AGENTBAY_ENDPOINT", "AGENTBAY_REGION_ID"
FILE = {"AGENTBAY_API_KEY": "of-the-file"}


@attrs.frozen
class Case:
    """Settings from three places.

    Attributes:
        code: Arguments of ``Config``; without a ``Config`` None.
        environ: The environment.
        file: The ``.env`` file.
        why: Why the clients differ; empty if they must not.
    """

    code: dict[str, Any] | None = None
    environ: dict[str, str] = attrs.field(factory=dict)
    file: dict[str, str] = attrs.field(factory=dict)
    why: str = ""


CASES = {
    "nothing": Case(),
    "a region in the code": Case({"region_id": "us-east-1"}),
    "an unknown region": Case({"region_id": "eu-west-9"}),
    "a region that is tried out": Case({"region_id": "pre-ap-southeast-1"}),
    "an endpoint in the code": Case({"endpoint": "h.example"}),
    "both in the code": Case({"region_id": "us-east-1", "endpoint": "h.example"}),
    "a region in the environment": Case(None, {REGION: "us-east-1"}),
    "an endpoint in the environment": Case(None, {ENDPOINT: "h.example:8"}),
    "both in the environment": Case(None, {REGION: "us-east-1", ENDPOINT: "h.example"}),
    "code before the environment": Case({"endpoint": "h.example"}, {REGION: "us-east-1"}),
    "a time in the code": Case(
        {"timeout_ms": 5000},
        {ENDPOINT: "h.example"},
        why="A Config says nothing of what it does not name; the official one hides the rest.",
    ),
    "all in a file": Case(None, {}, {**FILE, ENDPOINT: "h.example"}),
    "a region in a file beside an endpoint": Case(
        None,
        {ENDPOINT: "h.example"},
        {**FILE, REGION: "us-east-1"},
        why="The environment is the user's; the file may be a stranger's.",
    ),
    "an endpoint in a file without a key": Case(
        None,
        {},
        {ENDPOINT: "h.example"},
        why="A file of a stranger must not decide where the user's key is sent.",
    ),
}

OFFICIAL = """
import json, os, sys, warnings
warnings.simplefilter("ignore")
import agentbay
for directory, code, environ in json.load(sys.stdin):
    for name in [name for name in os.environ if name.startswith("AGENTBAY_")]:
        del os.environ[name]
    os.environ.update(environ)
    os.chdir(directory)
    config = None if code is None else agentbay.Config(**code)
    client = agentbay.AgentBay("given", config)
    print(json.dumps([client.client._endpoint, client.region_id]))
"""


def ours(case: Case, directory: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the host and the region that this client takes, or the name of its error."""
    monkeypatch.chdir(directory)
    home = {"XDG_CONFIG_HOME": str(directory), "APPDATA": str(directory)}
    # A key in the code would be a reason not to use the file's endpoint.
    key = None if "AGENTBAY_API_KEY" in case.file else "given"
    try:
        settings = resolve(key, Config(**(case.code or {})), environ={**home, **case.environ})
    except AgentBayError as error:
        return [type(error).__name__]
    return [settings.endpoint.removeprefix("https://"), settings.region_id]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a directory with the ``.env`` file of each case."""
    found = {}
    for name, case in CASES.items():
        found[name] = tmp_path_factory.mktemp("place")
        lines = "".join(f"{variable}={value}\n" for variable, value in case.file.items())
        (found[name] / ".env").write_text(lines)
    return found


@pytest.fixture(scope="module")
def official(
    official_python: str, places: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[str]]:
    """Return the host and the region that the official client takes in each case."""
    given = [[str(places[name]), case.code, case.environ] for name, case in CASES.items()]
    done = subprocess.run(
        [official_python, "-c", OFFICIAL],
        input=json.dumps(given),
        # It writes a log there.
        cwd=tmp_path_factory.mktemp("log"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("[")]
    assert len(lines) == len(CASES), done.stderr
    return dict(zip(CASES, map(json.loads, lines), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_settings_lead_where_those_of_the_official_client_lead(
    name: str,
    official: dict[str, list[str]],
    places: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
):
    """A difference has a reason, and a reason has a difference."""
    found = ours(CASES[name], places[name], monkeypatch)
    assert (found == official[name]) is not bool(CASES[name].why), (found, official[name])
