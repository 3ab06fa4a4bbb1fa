"""What type checkers say of the vendor's Python programs with our package, and only with ours.

The programs are the examples, cookbooks and scripts of a checkout of the vendor's repository, and
the Python blocks of its Markdown pages. mypy and pyright read each of them twice: with the client
of the checkout, and with our package. What they say of the same line in both cases is the program's
own affair. The rest is a name or a parameter that is not here, or another type.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: A place of a program, and the rule that it breaks.
Place = tuple[str, int, str]

_SOURCE = Path(__file__).parent.parent / "src"
_BLOCK = re.compile(r"^([ \t]*)```python[^\n]*\n(.*?)^[ \t]*```", re.MULTILINE | re.DOTALL)
_RELATIVE = re.compile(r"^(\s*from )\.+", re.MULTILINE)
_NO_PROGRAMS = ("python/agentbay/", "python/tests/", "python/tmp/")
_COMPLAINT = re.compile(r"(\S+?\.py):(\d+): error: (.*)  \[([a-z-]+)\]$", re.MULTILINE)
_NOT_THERE = re.compile(r'has no attribute "(\w+)"|Cannot access attribute "(\w+)"')
_KEPT = re.compile(r'Incompatible types in assignment \(.*variable has type "(.+)"\)')
#: Why a complaint is not the fault of our package, as patterns of a program and what is said of it.
CAUSES = {
    "the program itself: it does not look for errors among gathered results": (
        r'session-link-access\.md.*(of|class) "(LinkResult \| )?BaseException"'
    ),
    "the program itself: it parses what the client of the checkout has parsed": (
        r'"loads" has incompatible type "(ScreenSize|CursorPosition)"'
    ),
    "the program itself: no client has this name": (
        r'"OperationResult\[SessionInfo\]" has no attribute "session_id"'
        r'|"Command" has no attribute "execute"'
    ),
    "the program itself: the client of the checkout does not export BrowserAgent": (
        r"page-use-agent\.md.*BrowserAgent"
    ),
    "the error of code that failed has these; that of a request that failed has not": (
        r'"AgentBayError" has no attribute "(name|value|traceback)"'
    ),
    "of the two kinds of a file's content, the client of the checkout tells only one": (
        r'expression has type "bytes", variable has type "str"'
    ),
}
_KEEPS = (
    "mypy keeps the type of a name's first value, which the client of the checkout leaves open,"
    " because its session may be None"
)
_NO_NAME = "the program itself: the client of the checkout has no such name"
#: What a block of a page uses without making it, and the class of that.
_GIVEN = {
    "agent_bay": "AgentBay",
    "agentbay": "AgentBay",
    "bay": "AgentBay",
    "client": "AgentBay",
    "session": "Session",
}


def read_programs(checkout: Path) -> dict[str, str]:
    """Return the text of each program that uses the client, by its place in the checkout.

    A block of a page has the number of the block in its name. Each text has one line more than the
    program, at its beginning.
    """
    found = {}
    for path in sorted([*checkout.rglob("*.py"), *checkout.rglob("*.md")]):
        name = path.relative_to(checkout).as_posix()
        text = path.read_text("utf-8")
        if name.startswith(_NO_PROGRAMS):
            continue
        if path.suffix == ".md":
            found.update((f"{name}:{number}", block) for number, block in _blocks(text))
        elif "agentbay" in text:
            # In one directory, as the checkers get them, nothing can be imported from a parent.
            found[name] = "\n" + _RELATIVE.sub(r"\g<1>x", text)
    return found


def _blocks(page: str) -> Iterator[tuple[int, str]]:
    """Yield the blocks of a page that are whole statements, with their numbers."""
    for number, (indent, text) in enumerate(_BLOCK.findall(page), 1):
        block = "".join(line.removeprefix(indent) for line in text.splitlines(keepends=True))
        try:
            tree = ast.parse(block)
        except SyntaxError:
            # An excerpt of a class, or a signature.
            continue
        yield number, f"{_preamble(tree, block)}\n{block}"


def _preamble(tree: ast.Module, block: str) -> str:
    """Return a line that makes what a block takes for granted."""
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    made = {node.id for node in names if not isinstance(node.ctx, ast.Load)}
    made |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    imports = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    made |= {alias.asname or alias.name for node in imports for alias in node.names}
    word = "Async" if "await " in block or "Async" in block else ""
    given = sorted({node.id for node in names} & _GIVEN.keys() - made)
    return "; ".join(
        f"from agentbay import {word}{_GIVEN[name]} as _{name}; {name}: _{name}" for name in given
    )


def compare_types(
    programs: Mapping[str, str], checkout: Path, python: Path
) -> dict[str, list[str]]:
    """Return what the checkers say of each program with our package, and only with ours.

    Args:
        programs: Their texts, by name.
        checkout: The vendor's repository, with its client for Python.
        python: A Python with what the client and the programs import.
    """
    found: dict[str, list[str]] = {name: [] for name in programs}
    with tempfile.TemporaryDirectory() as temporary:
        # The client is read as source, because mypy does not read a package without `py.typed`.
        clients = Path(temporary, "clients")
        for client, parts in (
            ("official", ("agentbay",)),
            ("ours", ("agentbay", "agentbay_async")),
        ):
            (clients / client).mkdir(parents=True)
            for part in parts:
                home = checkout / "python" if client == "official" else _SOURCE
                (clients / client / part).symlink_to(home / part)
        place = Path(temporary, "programs")
        files = _write(programs, place)
        for check in (_check_with_mypy, _check_with_pyright):
            official, ours = (check(place, python, clients / one) for one in ("official", "ours"))
            for (file, line, rule), messages in sorted(ours.items()):
                if (file, line, rule) not in official and file in files:
                    found[files[file]] += [f"line {line - 1}: {one} [{rule}]" for one in messages]
    return found


def _write(programs: Mapping[str, str], place: Path) -> dict[str, str]:
    """Write the programs to one directory; return the name of the program in each file."""
    place.mkdir()
    files = {}
    for name, text in programs.items():
        file = re.sub(r"\W", "_", name.removesuffix(".py")) + ".py"
        (place / file).write_text(text, "utf-8")
        files[file] = name
    return files


def _check_with_mypy(place: Path, python: Path, client: Path) -> dict[Place, list[str]]:
    """Return the errors at each place."""
    options = ["--check-untyped-defs", "--no-incremental", "--no-error-summary"]
    # Errors inside of a client are none of a program.
    options += ["--follow-imports=silent", f"--python-executable={python}"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "."],
        cwd=place,
        env={**os.environ, "MYPYPATH": str(client)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        raise RuntimeError(f"mypy does not read the programs: {done.stdout[-2000:]}")
    found: dict[Place, list[str]] = {}
    for file, line, message, rule in _COMPLAINT.findall(done.stdout):
        found.setdefault((file, int(line), rule), []).append(message)
    return found


def _check_with_pyright(place: Path, python: Path, client: Path) -> dict[Place, list[str]]:
    """Return the errors at each place."""
    settings = {"include": ["."], "extraPaths": [str(client)], "typeCheckingMode": "basic"}
    (place / "pyrightconfig.json").write_text(json.dumps(settings), "utf-8")
    done = subprocess.run(
        ["pyright", "--outputjson", "--pythonpath", str(python), "--project", str(place)],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        raise RuntimeError(f"pyright does not read the programs: {done.stdout[-2000:]}")
    found: dict[Place, list[str]] = {}
    for one in json.loads(done.stdout)["generalDiagnostics"]:
        if one["severity"] == "error":
            line = one["range"]["start"]["line"] + 1
            key = (Path(one["file"]).name, line, one.get("rule", ""))
            found.setdefault(key, []).append(" ".join(one["message"].split()))
    return found


def explain(name: str, complaints: list[str], official: str) -> str:
    """Return why what is said of a program is not the fault of our package, or an empty text.

    Args:
        name: The name of the program.
        complaints: What is said of it.
        official: The source of the client of the checkout.
    """
    kept = {match[1] for match in map(_KEPT.search, complaints) if match}
    causes = [_cause(name, complaint, kept, official) for complaint in complaints]
    return "; ".join(sorted(set(causes))) if all(causes) else ""


def _cause(name: str, complaint: str, kept: set[str], official: str) -> str:
    for cause, pattern in CAUSES.items():
        if re.search(pattern, f"{name}: {complaint}"):
            return cause
    if _KEPT.search(complaint) or any(f'"{one}" has no attribute' in complaint for one in kept):
        return _KEEPS
    found = _NOT_THERE.search(complaint)
    if found and not re.search(rf"(def |\.|^ *){found[1] or found[2]}\b", official, re.MULTILINE):
        return _NO_NAME
    return ""


def read_source(package: Path) -> str:
    """Return the source of a package as one text."""
    return "\n".join(path.read_text("utf-8") for path in sorted(package.rglob("*.py")))
