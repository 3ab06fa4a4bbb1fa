"""Every Python block of the README and the docs runs, and every doctest passes."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.image_cache import STORE, ready_image

from agentbay_local import LocalService

ROOT = Path(__file__).parents[2]
SKILLS = ROOT / "src" / "agentbay_async" / ".agents"
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(SKILLS.rglob("SKILL.md")),
]
ADAPTERS = {path.stem for path in (ROOT / "src" / "agentbay_integrations").glob("[a-z]*")} - {"py"}
#: What a block of the site is: of both styles, of one because the other makes no sense there, a
#: file of tests, one for a cluster that the tests have not, or the program of an adapter, which
#: tests/integrations run.
WORDS = {"both", "async", "blocking", "test", "cluster", *ADAPTERS}
#: Pages whose programs take many seconds.
SLOW = {"evaluation.md"}
BOTH = re.compile(r"^```python both\n(.*?)^```", re.MULTILINE | re.DOTALL)
#: A program of one form. The README and the skill are not part of the site, which shows tabs.
FENCE = re.compile(r"^```python(?: async| blocking)?\n(.*?)^```", re.MULTILINE | re.DOTALL)
MARKED = re.compile(
    r"^[ \t]*```(?:python|py)\b[ \t]*(.*?)\n(.*?)^[ \t]*```", re.MULTILINE | re.DOTALL
)
SHELL = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
TESTS = re.compile(r"^```python test\n(.*?)^```", re.MULTILINE | re.DOTALL)


def snippets(fence: re.Pattern[str]) -> list[object]:
    """Return each block as a test case, named after its page and its number."""
    return [
        pytest.param(
            code,
            id=f"{page.relative_to(ROOT).as_posix()}-{number}",
            marks=[pytest.mark.slow] if page.name in SLOW else [],
        )
        for page in PAGES
        for number, code in enumerate(fence.findall(page.read_text(encoding="utf-8")), 1)
    ]


def modules() -> list[str]:
    """Return the names of all modules with examples; those of the facade are generated."""
    files = (
        file
        for package in ("agentbay_async", "agentbay_cli", "agentbay_local")
        for file in sorted((ROOT / "src" / package).rglob("*.py"))
        if ">>> " in file.read_text(encoding="utf-8")
    )
    return [".".join(file.relative_to(ROOT / "src").with_suffix("").parts) for file in files]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory):
    """Run one local service for snippets without an endpoint, with the key of the tutorial."""
    home = tmp_path_factory.mktemp("home")
    with LocalService(home=home, api_key="your_api_key") as service:
        yield service


@pytest.mark.parametrize("code", snippets(FENCE))
def test_snippet_runs(code: str, service: LocalService, tmp_path: Path):
    """Each snippet is a complete program, and ends without an error or a warning."""
    run_program(code, service, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("style", ["async", "blocking"])
@pytest.mark.parametrize("code", snippets(BOTH))
def test_snippet_runs_in_both_styles(
    code: str, style: str, service: LocalService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The site shows the block as it is, and its blocking form, which is made from it."""
    if style == "blocking":
        monkeypatch.syspath_prepend(str(ROOT / "scripts"))
        code = importlib.import_module("docs_site.blocking").to_blocking(code)
        assert "agentbay_async" not in code
    run_program(code, service, tmp_path)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if ROOT / "docs" in page.parents], ids=lambda page: page.name
)
def test_a_snippet_in_one_style_says_which(page: Path):
    """Every other block is shown in both, so that no style is left out by an oversight."""
    for word, code in MARKED.findall(page.read_text(encoding="utf-8")):
        assert word in WORDS, f"{page.name}: mark the block as one of {sorted(WORDS)}:\n{code}"
        if word in {"async", "blocking"}:
            assert ("async def " in code) == (word == "async"), code


def run_program(code: str, service: LocalService, directory: Path) -> None:
    """Run a program in a directory of its own, with all warnings as errors."""
    if "browser_latest" in code:
        pytest.importorskip("playwright")
        ready_image("browser_latest")
    if "from fastapi " in code and importlib.util.find_spec("fastapi") is None:
        pytest.skip("fastapi is not installed: ./run tests installs it")
    if ".computer" in code:
        ready_image("linux_latest")
    environment = {
        **os.environ,
        "AGENTBAY_ENDPOINT": service.endpoint,
        "AGENTBAY_IMAGES": str(STORE.directory),
        "XDG_DATA_HOME": str(directory / ".data"),
    }

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "code",
    [
        code
        for page in ("README.md", "docs/local-service.md")
        for code in SHELL.findall((ROOT / page).read_text(encoding="utf-8"))
    ],
)
def test_shell_commands_of_the_local_service_run(code: str, tmp_path: Path):
    """Each block is a script that ends without an error, and stops what it starts."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "XDG_DATA_HOME": str(tmp_path),
    }

    done = subprocess.run(
        ["sh", "-e", "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )

    assert done.returncode == 0, done.stderr
    assert re.search(r"(running|ready) at http://127\.0\.0\.1:", done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize(
    "code", SHELL.findall((ROOT / "docs" / "cli.md").read_text(encoding="utf-8"))
)
def test_commands_of_the_command_line_run(code: str, service: LocalService, tmp_path: Path):
    """Each block is a script that ends without an error, and deletes what it creates."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "AGENTBAY_ENDPOINT": service.endpoint,
        "AGENTBAY_API_KEY": service.api_key,
        "XDG_DATA_HOME": str(tmp_path),
    }
    before = set(service.living())

    done = subprocess.run(
        ["sh", "-e", "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )

    assert done.returncode == 0, done.stderr
    assert set(service.living()) == before


def test_migrate_prints_what_its_page_says(tmp_path: Path):
    """The page shows a program, and the lines that the command lists of it."""
    page = (ROOT / "docs" / "migrating.md").read_text(encoding="utf-8")
    [code] = SHELL.findall(page)
    [shown] = re.findall(r"for the program above:\n\n```text\n(.*?)^```", page, re.M | re.S)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }

    done = subprocess.run(
        ["sh", "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )

    assert (done.returncode, done.stdout) == (1, shown)


@pytest.mark.parametrize("code", snippets(TESTS))
def test_tests_in_the_docs_pass(code: str, tmp_path: Path):
    """Each block marked ``python test`` is a test file for pytest with the plugin, in any mode."""
    (tmp_path / "test_it.py").write_text(code, encoding="utf-8")

    # Older versions of pytest-asyncio warn if this is not set.
    options = ["-o", "asyncio_default_fixture_loop_scope=function"]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-p", "no:hypothesispytest", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
    )

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", modules())
def test_doctests_pass(name: str):
    """Each ``>>>`` example prints what the docstring says."""
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)

    assert failed == 0
