"""Every check and task of the project, each in an environment of its own."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from xml.etree import ElementTree

import nox
from nox.command import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

nox.needs_version = ">=2024.10.9"
nox.options.reuse_existing_virtualenvs = True
nox.options.stop_on_first_error = True
# Tests start hundreds of interpreters: with it set, each would compile the packages anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

ROOT = Path(__file__).parent
PYPROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
PYTHONS = [
    match[1]
    for classifier in PYPROJECT["project"]["classifiers"]
    if (match := re.match(r"Programming Language :: Python :: (3\.\d+)$", classifier))
]
#: The official clients that judge the local service, the newest last.
OFFICIAL_CLIENTS = ("0.4.0", "0.6.0", "0.9.3", "0.22.3")
#: One more than processors, because many tests wait for a process.
WORKERS = ("-n", str(min(os.cpu_count() or 1, 15) + 1))
#: What the vendor's suites for Python import besides the client.
VENDOR_SUITES = (
    "pydoc-markdown>=4.8",
    "pytest>=8.2,<9",
    "pytest-asyncio==0.25.*",
    "pytest-timeout>=2.3",
    "unasync>=0.6",
)

#: The images that tests use; see tests/image_cache.py.
TEST_IMAGES = ("browser_latest", "linux_latest")
# Prints something where sandboxes of namespaces start, which images need.
CAN_ISOLATE = """
import asyncio
from agentbay_local.sandbox.probe import probe
print("yes" if asyncio.run(probe()).available else "", end="")
"""

#: The frameworks that agentbay_integrations has adapters for, and what the judge of each needs
#: besides. The framework itself is the extra of this name.
INTEGRATIONS: dict[str, tuple[str, ...]] = {
    "anthropic": (),
    "deepagents": ("langchain-tests>=1.1.9", "tomli-w>=1.2"),
    "google_adk": (),
    "harbor": (),
    "inspect_ai": (),
    "langchain": ("langchain-tests>=1.1.9",),
    "mini_swe_agent": (),
    "openai_agents": (),
    "pydantic_ai": (),
    "smolagents": ("numpy>=1.26",),
}
#: Packages of which a judge needs a few modules, and not what they depend on, which is much.
WITHOUT_DEPENDENCIES = {"deepagents": ("deepagents-code>=0.1.50",)}
#: The images that some of their judges need.
JUDGES_IMAGES = {"anthropic": ("browser_latest", "linux_latest")}
#: The least Python of those frameworks that need a newer one than we do.
LEAST_PYTHONS = {"harbor": (3, 12)}
#: Warnings of frameworks about themselves, which the suite would take for failures.
FOREIGN_WARNINGS = ("DeprecationWarning", "PendingDeprecationWarning", "FutureWarning")

#: The least percentage of lines and branches that the tests execute, for each package.
COVERAGE_FLOORS = {
    "agentbay_async": 96,
    "agentbay": 89,
    "agentbay_cli": 98,
    "agentbay_local": 86,
    "agentbay_mcp": 95,
}
#: The same for the adapters, by their judges together.
INTEGRATIONS_FLOOR = 85


def install(session: nox.Session, *groups: str, editable: bool = True) -> None:
    """Install the project with all extras, and some of its dependency groups."""
    needed = nox.project.dependency_groups(PYPROJECT, *groups) if groups else ()
    session.install("--quiet", *(["-e"] if editable else []), ".[all]", *needed)


@nox.session
def demo(session: nox.Session) -> None:
    """Show sessions, labels and contexts, async and blocking; with "browser", a browser."""
    install(session, editable=False)
    if session.posargs == ["browser"]:
        session.install("--quiet", "playwright>=1.50")
        session.run("agentbay", "image", "build", "browser_latest", "--if-needed")
        session.run("python", "examples/browser_form.py")
        return
    session.run("python", "examples/demo.py", *session.posargs)
    session.log("next: ./run demo browser, which fills in a form in a browser")


@nox.session
def local(session: nox.Session) -> None:
    """Start the local service."""
    install(session)
    session.run("python", "-m", "agentbay_local", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check format, lint rules, spelling and who imports whom; change nothing."""
    session.install("--quiet", *nox.project.dependency_groups(PYPROJECT, "lint"))
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("codespell")
    session.run("lint-imports", env={"PYTHONPATH": "src"})


@nox.session
def format(session: nox.Session) -> None:
    """Format the code and mend what lint rules can mend."""
    session.install("--quiet", *nox.project.dependency_groups(PYPROJECT, "lint"))
    session.run("ruff", "check", "--fix", ".")
    session.run("ruff", "format", ".")


@nox.session
def facade(session: nox.Session) -> None:
    """Write the names of the official client and the blocking facade anew."""
    session.install("--quiet", *nox.project.dependency_groups(PYPROJECT, "lint"))
    session.run("python", "scripts/official_names.py", *session.posargs)
    session.run("python", "scripts/generate_facade.py", *session.posargs)


@nox.session
def facade_check(session: nox.Session) -> None:
    """Fail if committed code is not what the two generators write."""
    session.install("--quiet", *nox.project.dependency_groups(PYPROJECT, "lint"))
    session.run("python", "scripts/official_names.py", "--check")
    session.run("python", "scripts/generate_facade.py", "--check")


@nox.session
def typing(session: nox.Session) -> None:
    """Check types: mypy strictly everywhere, pyright on the public packages."""
    install(session, "typing", "test")
    session.run("mypy")
    session.run("mypy", "tests/typing")
    # Nothing runs every benchmark in CI; the checker at least sees a name that is gone.
    with session.chdir("benchmarks"):
        env = {"MYPYPATH": "../src:."}
        options = ("--config-file", "../pyproject.toml")
        session.run("mypy", *options, "-p", "support", env=env)
        session.run("mypy", *options, *map(str, Path().glob("*.py")), env=env)
    session.run("pyright")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation site into build/site, strictly; with "serve", show it."""
    session.install("--quiet", *nox.project.dependency_groups(PYPROJECT, "docs"))
    env = {"NO_MKDOCS_2_WARNING": "1"}
    session.run("mkdocs", *(session.posargs or ("build",)), "--strict", env=env)


@nox.session
def release(session: nox.Session) -> None:
    """Build, check and install what would be published; without "--dry-run", publish it in CI."""
    session.install("--quiet", *nox.project.dependency_groups(PYPROJECT, "release"))
    session.run("python", "scripts/release.py", *session.posargs)


def run_pytest(session: nox.Session, *options: str) -> None:
    """Run pytest on `WORKERS`, unless the caller says how many."""
    workers = () if any(word.startswith("-n") for word in session.posargs) else WORKERS
    session.run(
        "pytest",
        *workers,
        "--ignore=tests/conformance",
        "--ignore=tests/integrations",
        *options,
        *session.posargs,
    )


@nox.session
def tests(session: nox.Session) -> None:
    """Run the core tests, without the slow ones; or the tests that the arguments select."""
    install(session, "test", "lint")
    run_pytest(session, *(() if session.posargs else ("-m", "not slow")))


def make_images(
    session: nox.Session, names: Sequence[str] = TEST_IMAGES, python: str = "python"
) -> dict[str, str]:
    """Make the images that tests need, unless an earlier run did; return the variables for them.

    Where they cannot be made, their tests are skipped.
    """
    if shutil.which("apt-get") is None:
        session.warn("this machine has no apt: tests of browsers and desktops are skipped")
        return {"AGENTBAY_TEST_IMAGES": ""}
    if not session.run(python, "-c", CAN_ISOLATE, silent=True, external=True):
        session.warn("no namespaces are allowed here: tests of browsers and desktops are skipped")
        return {"AGENTBAY_TEST_IMAGES": ""}
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    images = str(cache / "agentbay-test-images")
    for name in names:
        command = (python, "-m", "agentbay", "image", "build", name, "--if-needed")
        session.run(*command, env={"AGENTBAY_IMAGES": images}, external=True)
    return {"AGENTBAY_TEST_IMAGES": images}


@nox.session
def all_tests(session: nox.Session) -> None:
    """Run all tests, slow ones included, and hold the coverage floors."""
    install(session, "test", "lint")
    session.run("coverage", "erase")
    session.env.update(make_images(session))
    run_pytest(session, "--cov", "--cov-report=")
    if not session.posargs:
        for package, floor in COVERAGE_FLOORS.items():
            session.run("coverage", "report", f"--include=src/{package}/*", f"--fail-under={floor}")


@nox.session
def lowest(session: nox.Session) -> None:
    """Run the unit tests with the lowest version of each dependency that we claim to support."""
    project = PYPROJECT["project"]
    session.install("--quiet", *nox.project.dependency_groups(PYPROJECT, "test"))
    session.install("--quiet", *(line.replace(">=", "==") for line in project["dependencies"]))
    session.install("--quiet", "--no-deps", "-e", ".")
    run_pytest(session, "tests/unit", "tests/property", "tests/http/test_aiohttp_edge.py")


@nox.session(python=PYTHONS)
def matrix(session: nox.Session) -> None:
    """Run the tests on every supported Python that is installed."""
    install(session, "test", "lint")
    run_pytest(session)


def make_environment(session: nox.Session, name: str, *packages: str, base: str = "python") -> Path:
    """Return the Python of an environment beside that of the session, with some packages."""
    place = Path(session.cache_dir).resolve() / name
    python = place / "bin" / "python"
    if not python.exists():
        session.run(base, "-m", "venv", str(place), silent=True, external=True)
    try:
        session.run(str(python), "-m", "pip", "install", "--quiet", *packages, external=True)
    except CommandFailed:
        session.error(f"the package index does not give {', '.join(packages)}; pip says why above")
    return python


@nox.session
def conformance(session: nox.Session) -> None:
    """Let unmodified official clients judge the local service.

    Each has an environment of its own, because it owns the import name ``agentbay`` too. With
    ``--checkout DIR``, the vendor's suites and examples in that checkout are run instead.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--checkout", type=Path)
    given, options = parser.parse_known_args(session.posargs)
    if given.checkout:
        run_vendor_suites(session, given.checkout.resolve(), options)
        return
    for version in OFFICIAL_CLIENTS:
        client = f"wuying-agentbay-sdk=={version}"
        python = make_environment(session, f"official-clients/{version}", client)
    install(session, "test", "typing")
    env = {"OFFICIAL_PYTHON": str(python), "OFFICIAL_CLIENTS": str(python.parents[2])}
    session.run("pytest", *WORKERS, "tests/conformance", *session.posargs, env=env)


def run_vendor_suites(session: nox.Session, checkout: Path, options: Sequence[str]) -> None:
    """Run the suites and examples in a checkout, with all that the client there needs."""
    python = make_environment(session, "vendor-suites", str(checkout / "python"), *VENDOR_SUITES)
    # The vendor's images have numpy, pandas and matplotlib.
    session.install("--quiet", "-e", ".[science]")
    install(session, "typing")
    places = ("--checkout", str(checkout), "--python", str(python))
    images = {"AGENTBAY_IMAGES": make_images(session)["AGENTBAY_TEST_IMAGES"]}
    session.run("python", "scripts/vendor_suites.py", *places, *options, env=images)


@nox.session
def science(session: nox.Session) -> None:
    """Run code in sessions that have numpy, pandas and matplotlib."""
    session.install("--quiet", "-e", ".[science]")
    install(session, "test")
    session.run("pytest", *WORKERS, "tests/local/code", *session.posargs)


@nox.session
def mcp(session: nox.Session) -> None:
    """Run the conformance suite of the Model Context Protocol against ``agentbay mcp``."""
    if shutil.which("npm") is None:
        session.skip("npm is not installed: it fetches the suite and the Node.js that runs it")
    session.install("--quiet", "-e", ".[all,mcp]")
    directory = session.create_tmp()
    packages = ("node@22", "@modelcontextprotocol/conformance@0.1.16")
    session.run("npm", "install", "--silent", "--prefix", directory, *packages, external=True)
    session.run("python", "tests/mcp/run_conformance.py", directory)


@nox.session
def integrations(session: nox.Session) -> None:
    """Let the suites of frameworks judge the adapters, each in an environment of its own."""
    names = session.posargs or list(INTEGRATIONS)
    if unknown := set(names) - set(INTEGRATIONS):
        session.error(f"no adapter {', '.join(unknown)}; there are {', '.join(INTEGRATIONS)}")
    session.install("--quiet", "coverage>=7.6")
    reports = Path(session.create_tmp()).resolve()
    session.env["COVERAGE_FILE"] = str(reports / ".coverage")
    session.run("coverage", "erase")
    left_out = [name for name in names if find_python(name) is None]
    rows = [
        run_judge(session, name, reports / f"{name}.xml") for name in names if name not in left_out
    ]
    for name in left_out:
        least = ".".join(map(str, LEAST_PYTHONS[name]))
        session.warn(f"{name} is left out: it needs Python {least}, which is not here")
    session.log("\n".join(["the judges:", Verdict.HEAD, *(row.text for row in rows)]))
    if failed := [row.name for row in rows if not row.ok]:
        session.error(f"not accepted by {', '.join(failed)}")
    if not session.posargs:
        session.run("coverage", "combine", "--quiet", str(reports))
        floor = f"--fail-under={INTEGRATIONS_FLOOR}"
        session.run("coverage", "report", "--include=src/agentbay_integrations/*", floor)


def find_python(name: str) -> str | None:
    """Return a Python that a framework runs on: that of nox, or another one of this machine."""
    least = LEAST_PYTHONS.get(name, (3, 10))
    if sys.version_info >= least:
        return sys.executable
    for version in PYTHONS:
        found = shutil.which(f"python{version}")
        if found is None or tuple(map(int, version.split("."))) < least:
            continue
        # pyenv has such a command for each version, and runs it only if it is told the version.
        done = subprocess.run(  # noqa: S603  # from PATH, as `python` is
            [found, "-c", "import sys; print(sys.executable)"],
            env={**os.environ, "PYENV_VERSION": version},
            capture_output=True,
            text=True,
        )
        if done.returncode == 0:
            return done.stdout.strip()
    return None


def run_judge(session: nox.Session, name: str, report: Path) -> Verdict:
    """Install a framework with the project, and run its judge."""
    extra = name.replace("_", "-")
    wanted = nox.project.dependency_groups(PYPROJECT, "integrations")
    project = ("-e", f".[local,{extra}]")
    packages = (*project, *wanted, *INTEGRATIONS[name])
    base = find_python(name) or "python"
    python = make_environment(session, f"integrations/{name}", *packages, base=base)
    if alone := WITHOUT_DEPENDENCIES.get(name):
        pip = (str(python), "-m", "pip", "install", "--quiet", "--no-deps")
        session.run(*pip, *alone, external=True)
    requirement = PYPROJECT["project"]["optional-dependencies"][extra][0]
    package = re.match(r"[\w-]+", requirement)[0]
    show = f"from importlib.metadata import version; print(version({package!r}))"
    version = session.run(str(python), "-c", show, silent=True, external=True).strip()
    needed, images = JUDGES_IMAGES.get(name), {}
    if needed:
        images = make_images(session, needed, str(python))
    started = time.monotonic()
    session.run(
        *(str(python), "-m", "pytest", f"tests/integrations/{name}", f"--junitxml={report}"),
        *("--cov=agentbay_integrations", "--cov-report="),
        *(word for kind in FOREIGN_WARNINGS for word in ("-W", f"default::{kind}")),
        env={"COVERAGE_FILE": str(report.with_name(f".coverage.{name}")), **images},
        success_codes=range(256),
        external=True,
    )
    return Verdict.read(name, version, report, time.monotonic() - started)


@dataclass
class Verdict:
    """What a judge has found.

    Attributes:
        name: The name of the adapter.
        ok: Whether every test passed that was not skipped, and no session was left.
        text: A row of the table. The judge is ``test_judge.py``, which has the framework's suite.
    """

    HEAD: ClassVar[str] = (
        "framework         version    judge passed    of  other tests    of  sessions left  seconds"
    )
    name: str
    ok: bool
    text: str

    @classmethod
    def read(cls, name: str, version: str, report: Path, seconds: float) -> Verdict:
        """Read the report of a test run."""
        row = f"{name:<17} {version:<11}"
        if not report.exists():
            return cls(name, False, f"{row} no test ran")
        root = ElementTree.parse(report).getroot()  # noqa: S314  # our own pytest wrote it
        suite = root.find("testsuite")
        left = int(suite.find("properties/property[@name='sessions_left']").get("value"))
        cases = suite.findall("testcase")
        judge = [case for case in cases if ".test_judge." in f"{case.get('classname')}."]
        others = [case for case in cases if case not in judge]
        failed = [case for case in cases if {"failure", "error"} & {part.tag for part in case}]
        row += (
            f"{count_passed(judge):>12} {len(judge):>5} {count_passed(others):>12} {len(others):>5}"
        )
        return cls(
            name,
            count_passed(judge) > 0 and not failed and left == 0,
            f"{row} {left:>14} {seconds:>8.1f}",
        )


def count_passed(cases: Sequence[ElementTree.Element]) -> int:
    """Return the number of test cases that neither failed nor were skipped."""
    return sum(not {"failure", "error", "skipped"} & {part.tag for part in case} for case in cases)


@nox.session
def distributed(session: nox.Session) -> None:
    """Run the distributed map on Ray and Dask clusters with two worker processes each."""
    session.install("--quiet", "-e", ".[ray,dask]")
    install(session, "test")
    session.run("pytest", "tests/distributed", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Run the benchmarks."""
    install(session, "bench", editable=False)
    for subject in ("calls", "bulk", "import", "start", "sessions", "files", "scale", "attacks"):
        session.run("python", f"benchmarks/bench_{subject}.py", *session.posargs)
    session.install("--quiet", "playwright>=1.50")
    images = {"AGENTBAY_IMAGES": make_images(session)["AGENTBAY_TEST_IMAGES"]}
    session.run("python", "benchmarks/bench_browser.py", *session.posargs, env=images)


@nox.session
def chaos(session: nox.Session) -> None:
    """Do what can go wrong on purpose, and tell what was lost by it."""
    install(session, editable=False)
    session.run("python", "benchmarks/chaos.py", *session.posargs)
