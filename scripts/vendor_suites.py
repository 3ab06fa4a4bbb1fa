#!/usr/bin/env python3
"""Run the vendor's own test suites and examples against the local service, and sort the failures.

The suite ``types`` runs nothing: it checks the types of the examples, and of the code in the pages,
with our package; see vendor_types.py.

They come from a checkout of the vendor's repository that the caller gives. They run in a copy of
it, because some of them write beside their code.

    ./run conformance --checkout DIR [--suite NAME] [--match WORD] [--seconds N] [--reports DIR]
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from agentbay_local import LocalService
from agentbay_local.tls.trust import TRUST_VARIABLES
from vendor_types import compare_types, explain, read_programs, read_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

#: Why a failure is not the fault of the local service, as patterns of what it says.
REASONS = {
    "mobile": r"'mobile_latest' is not offered",
    "Windows": r"'windows_latest' is not offered|'calc\.exe'",
    "foreign credentials": r"Tool 'oss_\w+' is not offered",
    "a site that sessions do not reach": r"net::ERR_(INTERNET_DISCONNECTED|NAME_NOT_RESOLVED)",
    "a driver that the test expects to be downloaded": r"please install the driver \(v",
    "an image that is not ready on this machine": r"is not ready on this machine",
    "models and agents, which the cloud has": (
        r"'linux-desktop_latest' is not offered|Tool '\w+' is not offered"
    ),
    "proxies of the cloud": r"must be of type 'custom' here",
    "an image of the authors' account": r"'imgc-\w+' is not offered",
    "a host or a network of the cloud": r"\.aliyuncs\.com|service does not offer networks",
    "R and Java, where this machine lacks them": r"Language (r|java) is not installed here",
    "the test itself: it imports a build that is not in the checkout": r"/dist/index\.cjs'",
}
#: The same, as patterns of the names of tests and examples that do not say why they fail.
NAMES = {
    "mobile": r"mobile|[-_]adb|android",
    "Windows": r"MappingPolicy for cross-platform",
    # It looks at a browser of the program's own machine.
    "a browser of the program's own machine": r"fingerprint_local_sync",
    "models and agents, which the cloud has": (
        r"computer|agent[-_](task|module|integration)"
        # It demands a ticket, which opens a desktop.
        r"|^TestSession_InfoMethod$"
    ),
    "a host or a network of the cloud": r"region[-_]id",
    "foreign credentials": r"(^|[-_.])oss[-_.]",
    "the test itself: it does not wait for the address of its browser": (
        r"^browser-fingerprint\.test\.ts"
    ),
    "the test itself: it writes 1 GiB in its default time of one second": (
        r"^context-sync-integration.* persistence with retry"
    ),
    "the test itself: its client remembers no image where none was named": (
        r"^TestSession_ListMcpTools/Default_ImageId$"
    ),
}

if not (shutil.which("Rscript") and shutil.which("javac")):
    NAMES["R and Java, where this machine lacks them"] = r"\b[Cc]ode.* (R|Java) "

#: The colours of a terminal, as programs write them and as JUnit reports escape them.
COLOURS = re.compile(r"(\x1b|#x1B)\[[0-9;]*m")


@attrs.frozen
class Outcome:
    """The end of one test or example.

    Attributes:
        name: Its name in its suite.
        state: "passed", "failed" or "skipped".
        reason: What it said when it failed, or why it was skipped.
        known: The cause of its failure, if the suite itself tells causes.
    """

    name: str
    state: str
    reason: str = ""
    known: str | None = None

    @property
    def cause(self) -> str:
        """Why a failure is not the fault of the local service; empty if that is not known."""
        if self.known is not None:
            return self.known
        for patterns, text in ((REASONS, self.reason), (NAMES, self.name)):
            for cause, pattern in patterns.items():
                if re.search(pattern, text):
                    return cause
        return ""

    @property
    def summary(self) -> str:
        """The line of the reason that says most."""
        lines = [line.strip() for line in self.reason.splitlines() if line.strip()]
        telling = [line for line in lines if re.search("|".join(REASONS.values()), line)]
        return (telling or lines or [""])[0]


@attrs.frozen
class Run:
    """What every suite needs.

    Attributes:
        checkout: A copy of the vendor's repository.
        python: A Python with what the suites for Python import.
        service: The service to judge.
        reports: A directory for reports and logs.
        match: A word that the names of tests or examples must contain.
        seconds: The time for one test or example.
    """

    checkout: Path
    python: Path
    service: LocalService
    reports: Path
    match: str
    seconds: int

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a suite. Clients for Python take a URL, the others a host."""
        return {
            **dict.fromkeys(TRUST_VARIABLES, str(self.service.ca_bundle)),
            "PATH": os.environ["PATH"],
            "HOME": str(self.checkout),
            "AGENTBAY_API_KEY": self.service.api_key,
            "AGENTBAY_ENDPOINT": self.service.endpoint,
            "AGENTBAY_LOG_FILE": str(self.reports / "vendor.log"),
            "AGENTBAY_LOG_LEVEL": "ERROR",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(self.checkout / "python"),
        }

    @property
    def host_environment(self) -> dict[str, str]:
        """The same, for a client that takes a host and always uses TLS."""
        host = self.service.endpoint.partition("//")[2]
        return {**os.environ, **self.environment, "AGENTBAY_ENDPOINT": host}

    def execute(
        self, command: Sequence[str | Path], log: str, *, check: bool = False, **options: Any
    ) -> str:
        """Run a program to its end, and return what it has written; a log keeps it.

        Raises:
            CalledProcessError: It failed, and `check` is true.
            TimeoutExpired: It took longer than the option `timeout`.
        """
        done = subprocess.run(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            **options,
        )
        text: str = done.stdout
        (self.reports / f"{log}.log").write_text(text, encoding="utf-8")
        if check:
            done.check_returncode()
        return text


def python_tests(run: Run, folder: str) -> list[Outcome]:
    """Run a folder of the tests for Python."""
    name = folder.replace("/", "-")
    report = run.reports / f"python-{name}.xml"
    options = ["-q", "--no-header", "--tb=short", "-p", "no:cacheprovider", "-o", "addopts="]
    options += ["--continue-on-collection-errors", "-o", "log_cli=false"]
    options += ["-o", "junit_logging=all", "-o", "junit_log_passing_tests=false"]
    options += [f"--timeout={run.seconds}", f"--junitxml={report}"]
    options += ["-k", run.match] if run.match else []
    said = run.execute(
        [run.python, "-m", "pytest", *options, f"tests/{folder}"],
        f"python-{name}",
        cwd=run.checkout / "python",
        env=run.environment,
    )
    if not report.exists():
        return [Outcome(folder, "failed", said[-4000:])]
    return [read_case(case) for case in ElementTree.parse(report).iter("testcase")]


def read_case(case: ElementTree.Element) -> Outcome:
    """Read one test of a JUnit report."""
    name = f"{case.get('classname', '')}.{case.get('name', '')}"
    for state, tags in (("failed", ("failure", "error")), ("skipped", ("skipped",))):
        for tag in tags:
            found = case.find(tag)
            if found is not None:
                logs = [case.findtext(output, "") for output in ("system-out", "system-err")]
                said = "\n".join((found.get("message", ""), found.text or "", *logs))
                return Outcome(name, state, COLOURS.sub("", said))
    return Outcome(name, "passed")


def python_examples(run: Run, folder: str) -> list[Outcome]:
    """Run the example programs for Python; the exit code decides."""
    place = run.checkout / "python" / "docs" / "examples" / folder
    names = sorted(str(path.relative_to(place)) for path in place.rglob("*.py"))

    def execute(name: str) -> Outcome:
        log = f"example-{folder}-{name.replace('/', '-')}"
        with tempfile.TemporaryDirectory() as directory:
            options = {"cwd": directory, "env": run.environment, "timeout": run.seconds}
            try:
                said = run.execute([run.python, place / name], log, check=True, **options)
            except subprocess.TimeoutExpired:
                return Outcome(name, "failed", f"longer than {run.seconds} s")
            except subprocess.CalledProcessError as error:
                return Outcome(name, "failed", COLOURS.sub("", error.stdout))
        return Outcome(name, "passed", said)

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(execute, (name for name in names if run.match in name)))


def typescript_tests(run: Run) -> list[Outcome]:
    """Run the integration tests for TypeScript."""
    place = run.checkout / "typescript"
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            return [Outcome("typescript", "skipped", f"{program} is not installed")]
    # The lock file names a registry that not everybody reaches.
    install = ("npm", "ci", "--ignore-scripts", "--replace-registry-host=always")
    try:
        run.execute(install, "npm", cwd=place, check=True)
    except subprocess.CalledProcessError as error:
        return [Outcome("typescript", "skipped", f"npm does not install it: {error.stdout[-500:]}")]
    report = run.reports / "typescript.json"
    options = ["tests/integration", "--silent", "--json", f"--outputFile={report}"]
    options += [f"--cacheDirectory={run.checkout / 'jest'}", "--maxWorkers=2", "--forceExit"]
    options += ["-t", run.match] if run.match else []
    jest = place / "node_modules" / ".bin" / "jest"
    said = run.execute([jest, *options], "typescript", cwd=place, env=run.host_environment)
    if not report.exists():
        return [Outcome("typescript", "failed", said[-4000:])]
    files = json.loads(report.read_text("utf-8"))["testResults"]
    return [outcome for file in files for outcome in read_jest(file)]


def read_jest(file: dict[str, Any]) -> Iterator[Outcome]:
    """Read one file of a report of jest."""
    name = Path(file["name"]).name
    states = {"passed": "passed", "failed": "failed"}
    if not file["assertionResults"]:
        yield Outcome(name, "failed", file["message"])
    for test in file["assertionResults"]:
        reason = "\n".join(test["failureMessages"])
        yield Outcome(f"{name} {test['fullName']}", states.get(test["status"], "skipped"), reason)


def go_unit_tests(run: Run) -> list[Outcome]:
    """Run the unit tests for Go."""
    packages = ("./pkg/...", "./tests/pkg/unit/...")
    place = run.checkout / "golang"
    missing = go_problem(run, place, "-run=^$", *packages)
    if missing:
        return [Outcome("go-unit", "skipped", missing)]
    command = ["go", "test", "-json", "-count=1", f"-run={run.match}", *packages]
    said = run.execute(command, "go-unit", cwd=place, env=go_environment(run))
    return list(read_go(said)) or [Outcome("go-unit", "failed", said[-4000:])]


def go_tests(run: Run) -> list[Outcome]:
    """Run the integration tests for Go."""
    outcomes: list[Outcome] = []
    for folder in ("agentbay", "integration"):
        place = run.checkout / "golang" / "tests" / "pkg" / folder
        program = run.checkout / f"{folder}.test"
        missing = go_problem(run, place, "-c", "-o", str(program))
        if missing:
            return [*outcomes, Outcome(folder, "skipped", missing)]
        outcomes += go_functions(run, place, program)
    return outcomes


def go_problem(run: Run, place: Path, *options: str) -> str:
    """Build tests; return why that is not possible, or an empty text."""
    if shutil.which("go") is None:
        return "Go is not installed"
    command, environment = ("go", "test", *options), go_environment(run)
    try:
        run.execute(command, f"go-build-{place.name}", check=True, cwd=place, env=environment)
    except subprocess.CalledProcessError as error:
        # Most often a module is neither in the module cache nor to be had from the proxy.
        return f"go does not build it: {error.stdout[-500:]}"
    return ""


def go_functions(run: Run, place: Path, program: Path) -> Iterator[Outcome]:
    """Run each test function of a test program, one after the other: some delete all sessions.

    Each runs in a process of its own: one that panics ends its process, and some remove the API
    key from the environment.
    """
    options: dict[str, Any] = {"cwd": place, "env": go_environment(run)}
    listed = run.execute((program, "-test.list", run.match or "."), f"{place.name}-list", **options)
    for name in [line for line in listed.splitlines() if line.startswith("Test")]:
        command = ["go", "tool", "test2json", "-t", str(program), "-test.v=test2json"]
        command += ["-test.run", f"^{name}$", "-test.timeout", f"{run.seconds}s"]
        said = run.execute(command, f"go-{name}", **options)
        yield from list(read_go(said)) or [Outcome(name, "failed", said[-4000:])]


def go_environment(run: Run) -> dict[str, str]:
    """Return the variables of a suite for Go, with the caches and settings of the caller."""
    names = ("GOENV", "GOPATH", "GOCACHE", "GOMODCACHE")
    said = subprocess.run(("go", "env", *names), stdout=subprocess.PIPE, text=True, check=True)
    environment = {
        **run.host_environment,
        **dict(zip(names, said.stdout.splitlines(), strict=True)),
    }
    # A unit test sets the level itself, which a variable would override.
    return {name: value for name, value in environment.items() if name != "AGENTBAY_LOG_LEVEL"}


def read_go(report: str) -> Iterator[Outcome]:
    """Read the events of ``go test -json``.

    A test with subtests counts only if it fails by itself. One that does not end has failed.
    """
    states = {"run": "failed", "pass": "passed", "fail": "failed", "skip": "skipped"}
    said: dict[str, str] = {}
    ended: dict[str, str] = {}
    for line in report.splitlines():
        event = json.loads(line) if line.startswith("{") else {}
        name, action = event.get("Test", ""), event.get("Action")
        if action == "output":
            said[name] = said.get(name, "") + event["Output"]
        elif name and action in states:
            ended[name] = states[action]
    for name, state in ended.items():
        parts = [each for other, each in ended.items() if other.startswith(f"{name}/")]
        if not parts or (state == "failed" and "failed" not in parts):
            # A subtest fails by what its test has prepared, or failed to.
            reason = said.get(name, "") + said.get(name.partition("/")[0], "")
            yield Outcome(name, state, COLOURS.sub("", reason) if state != "passed" else "")


def python_types(run: Run) -> list[Outcome]:
    """Check the types of all programs for Python, with our package and with the client."""
    programs = {
        name: text for name, text in read_programs(run.checkout).items() if run.match in name
    }
    found = compare_types(programs, run.checkout, run.python)
    official = read_source(run.checkout / "python" / "agentbay")
    return [
        Outcome(name, "failed", "\n".join(said), explain(name, said, official))
        if said
        else Outcome(name, "passed")
        for name, said in found.items()
    ]


SUITES: dict[str, Callable[[Run], list[Outcome]]] = {
    "types": python_types,
    "python-unit": lambda run: python_tests(run, "unit"),
    "python-async": lambda run: python_tests(run, "integration/_async"),
    "python-sync": lambda run: python_tests(run, "integration/_sync"),
    "examples-async": lambda run: python_examples(run, "_async"),
    "examples-sync": lambda run: python_examples(run, "_sync"),
    "typescript": typescript_tests,
    "go-unit": go_unit_tests,
    "go": go_tests,
}


class ServiceErrors(logging.Handler):
    """Collects what the local service logs as an error: that is its own fault in any case."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.texts.append(self.format(record))


def describe(suite: str, outcomes: Sequence[Outcome], seconds: float) -> Iterator[str]:
    """Say how a suite went: the counts, the causes of failures, and what has no known cause."""
    states = ("passed", "failed", "skipped")
    counts = ", ".join(f"{sum(one.state == each for one in outcomes)} {each}" for each in states)
    yield f"{suite}: {counts} in {seconds:.0f} s"
    failed = [one for one in outcomes if one.state == "failed"]
    for cause in sorted({one.cause for one in failed}, reverse=True):
        found = [one for one in failed if one.cause == cause]
        yield f"  {len(found)}: {cause or 'NO KNOWN CAUSE'}"
        yield from (f"    {one.name}: {one.summary:.200}" for one in found)
    if len(outcomes) == 1 and outcomes[0].state == "skipped":
        yield f"  {outcomes[0].reason}"


def run_suites(arguments: argparse.Namespace, checkout: Path, reports: Path) -> int:
    """Run the suites and print how they went; return the number of failures without a cause."""
    unexplained = 0
    for suite in arguments.suite or SUITES:
        begun = time.monotonic()
        # Each has a service of its own: some tests count what an account has.
        home = checkout.with_name(f"home-{suite}")
        limits = (arguments.match, arguments.seconds)
        with LocalService(home=home, api_key="akm-conformance", tls=True) as service:
            outcomes = SUITES[suite](Run(checkout, arguments.python, service, reports, *limits))
        for line in describe(suite, outcomes, time.monotonic() - begun):
            print(line, flush=True)
        unexplained += sum(one.state == "failed" and not one.cause for one in outcomes)
    return unexplained


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, usage="./run conformance --checkout DIR")
    parser.add_argument("--checkout", type=Path, required=True, help="the vendor's repository")
    parser.add_argument("--python", type=Path, required=True, help="a Python with its imports")
    parser.add_argument("--suite", choices=SUITES, action="append", help="one suite; repeatable")
    parser.add_argument("--match", default="", help="only tests and examples with this word")
    parser.add_argument("--seconds", type=int, default=120, help="time for one test (120)")
    parser.add_argument("--reports", type=Path, help="a directory that keeps reports and logs")
    return parser.parse_args()


def main() -> int:
    """Run the suites; fail if a failure has no known cause or the service logs an error."""
    arguments = parse_arguments()
    errors = ServiceErrors()
    logging.getLogger("agentbay_local").addHandler(errors)
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        reports = (arguments.reports or scratch / "reports").resolve()
        reports.mkdir(parents=True, exist_ok=True)
        checkout = scratch / "checkout"
        omitted = shutil.ignore_patterns(".git", "node_modules")
        shutil.copytree(arguments.checkout, checkout, symlinks=True, ignore=omitted)
        unexplained = run_suites(arguments, checkout, reports)
    print(
        f"{unexplained} failures without a known cause, {len(errors.texts)} errors of the service"
    )
    print("\n".join(errors.texts), end="")
    return 1 if unexplained or errors.texts else 0


if __name__ == "__main__":
    sys.exit(main())
