"""``agentbay migrate``: list what would behave otherwise in programs for the official client.

One line for each place goes to standard output, messages for people to standard error. The exit
code is 0 if nothing was found, 1 if something was or a file could not be read, and 2 if the command
could not run.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from agentbay_cli.migrate.checks import check

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Directories without programs of their owner.
_SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages", "venv"})


def main(arguments: Sequence[str]) -> int:
    """Check programs, and return the exit code.

    Args:
        arguments: The paths of files and directories.

    Example:
        ::

            agentbay migrate src scripts/nightly.py
    """
    options = make_parser().parse_args(arguments)
    missing = [path for path in options.paths if not path.exists()]
    for path in missing:
        _print_message(f"no such file or directory: {path}")
    if missing:
        return 2
    files = [file for path in options.paths for file in _files(path)]
    counts = [_check_file(file, as_json=options.json) for file in files]
    found = sum(count or 0 for count in counts)
    unread = counts.count(None)
    _print_message(
        f"{len(files)} files, {found} places"
        + (f", {unread} files could not be read" if unread else "")
    )
    return 1 if found or unread else 0


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the arguments."""
    parser = argparse.ArgumentParser(
        "agentbay migrate",
        description="List the lines of programs for the official client that would behave"
        " otherwise with this library. Nothing is changed, and no program is run.",
    )
    parser.add_argument("paths", metavar="PATH", nargs="+", type=Path, help="a file or directory")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    return parser


def _files(path: Path) -> Iterator[Path]:
    """Yield the programs at a path; a file that is named is one, whatever its ending."""
    if not path.is_dir():
        yield path
        return
    for file in sorted(path.rglob("*.py")):
        folders = file.relative_to(path).parts[:-1]
        if not any(part in _SKIPPED or part.startswith(".") for part in folders):
            yield file


def _check_file(file: Path, *, as_json: bool) -> int | None:
    """Print what is found in a file and return how many places; ``None`` if it is no program."""
    try:
        found = check(file.read_bytes())
    except OSError as error:
        _print_message(f"{file}: {error.strerror}")
        return None
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        _print_message(f"{file}:{_place(error)}: this cannot be read as Python: {_reason(error)}")
        return None
    for one in found:
        text = f"{file}:{one.line}:{one.column}: {one.message}"
        row = {"file": str(file), **attrs.asdict(one)}
        sys.stdout.write(f"{json.dumps(row) if as_json else text}\n")
    return len(found)


def _place(error: Exception) -> str:
    if not isinstance(error, SyntaxError):
        return "1:1"
    return f"{error.lineno or 1}:{error.offset or 1}"


def _reason(error: Exception) -> str:
    if isinstance(error, (RecursionError, MemoryError)):
        # The parser raises either, depending on the version of Python.
        return "it is nested too deeply"
    return error.msg if isinstance(error, SyntaxError) else str(error)


def _print_message(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()
