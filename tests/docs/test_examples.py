"""Every example runs unchanged against a local service, and prints what it demonstrates."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.image_cache import STORE, ready_image

from agentbay import AgentBay
from agentbay_local import LocalService

EXAMPLES = Path(__file__).parents[2] / "examples"

OUTPUT = {
    "browser_form.py": ["connected Playwright", "'Order'", "'Thank you', total 9", "done"],
    "agent_loop.py": [
        "$ count-levels log.txt",
        "[127] ",
        "$ cut -d' ' -f1 log.txt | sort | uniq -c",
        "answer: 1 ERROR 3 INFO 1 WARN",
    ],
    "code_notebook.py": [
        "[2] text: 20.625",
        "[3] wrote shown",
        "[3] html: <table><tr><td>17.5</td></tr>",
        "[3] json: {'warmest': 24.8}",
        "[4] IndexError: list index out of range",
        "[5] text: 4",
        "17.5\n21.0\n19.2\n24.8\n",
    ],
    "data_script.py": [
        "transferred 900014 bytes",
        "checksum verified: True",
        " north  3,000,000\n south  2,500,000\n  east  1,100,000\n",
    ],
    # Not "session 0: Linux" too: the ten become ready in any order.
    "fleet.py": ["session 9: Linux", "the squares of 0 to 29 add up to 8555"],
    "telemetry.py": [
        '"name": "agentbay.CreateMcpSession"',
        '"name": "agentbay.command"',
        '"process.exit.code": 0',
        "traceparent: 00-",
        '"name": "agentbay.sessions.alive"',
    ],
    "demo.py": ["another session reads the file: 'kept'", "sessions left: 0", "done"],
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory):
    """Run one local service for all examples."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENTBAY_IMAGES", str(STORE.directory))
        with LocalService(home=tmp_path_factory.mktemp("home")) as service:
            yield service


def test_all_examples_are_tested():
    """A new example has to be added to the table above."""
    assert sorted(OUTPUT) == sorted(path.name for path in EXAMPLES.glob("*.py"))


@pytest.mark.slow
def test_the_readme_shows_what_the_demo_prints():
    """`python scripts/demo_output.py` writes it anew."""
    script = EXAMPLES.parent / "scripts" / "demo_output.py"

    done = subprocess.run([sys.executable, script, "--check"], check=False, timeout=600)

    assert done.returncode == 0


@pytest.mark.parametrize("name", OUTPUT)
def test_example_runs(name: str, service: LocalService, tmp_path: Path):
    """It succeeds without warnings, and leaves no file and no session."""
    if name == "code_notebook.py" and importlib.util.find_spec("IPython") is None:
        pytest.skip("IPython is not installed")
    if name == "telemetry.py":
        pytest.importorskip("opentelemetry.sdk")
    if name == "browser_form.py":
        pytest.importorskip("playwright")
        ready_image("browser_latest")

    done = _run(EXAMPLES / name, service, tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    position = 0
    for words in OUTPUT[name]:
        assert words in done.stdout[position:], done.stdout
        position = done.stdout.index(words, position) + len(words)
    assert list(tmp_path.iterdir()) == []
    with AgentBay(service.api_key, endpoint=service.endpoint) as bay:
        assert list(bay.list()) == []


def _run(example: Path, service: LocalService, directory: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "AGENTBAY_ENDPOINT": service.endpoint,
        "AGENTBAY_API_KEY": service.api_key,
    }
    return subprocess.run(
        [sys.executable, "-W", "error", str(example)],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
