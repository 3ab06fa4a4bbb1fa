"""Every command of ``agentbay`` has ``--json``, or a reason to lack it."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import typer

from agentbay_cli.app import make_app
from agentbay_cli.basic import BASIC
from agentbay_cli.main import main
from agentbay_local import cli
from agentbay_local.commands import images

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

#: Commands without the option, and why each has none.
WITHOUT = {
    "shell": "it is a terminal",
    "mcp": "its standard output is the protocol",
    "completion": "it prints a script for a shell",
    "record": "its standard output is that of the program",
    "local run": "it serves until it is stopped; `local env --json` tells how to reach it",
    "local start": "`local status --json` and `local env --json` tell what it started",
    "local stop": "it prints messages for people only",
    "local exec": "its standard output is that of the program",
}
#: Commands of a basic command, which argparse reads, so that the application has no list of them.
PARTS = {"local": cli.COMMANDS, "image": images._COMMANDS, "doctor": ["", "--cloud"]}


def commands(group: Any, path: str = "") -> Iterator[str]:
    """Yield each command below a group of the application, with the groups before it."""
    for name, command in group.commands.items():
        words = f"{path} {name}".strip()
        if hasattr(command, "commands"):
            yield from commands(command, words)
        else:
            yield from (f"{words} {part}".strip() for part in PARTS.get(words, [""]))


def help_of(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the help of a command."""
    capsys.readouterr()
    with contextlib.suppress(SystemExit):
        main([*command.split(), "--help"])
    return capsys.readouterr().out


def test_every_command_has_json_or_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    """A new command needs the option, or a row of the table; a row that is not needed goes."""
    found = list(commands(typer.main.get_command(make_app())))
    assert {"run", "context push", "bulk run", *BASIC} <= {*found, "local", "image"}
    texts = {command: help_of(command, capsys) for command in found}
    assert all("usage" in text.lower() for text in texts.values())
    lacking = {command for command, text in texts.items() if "--json" not in text}
    assert lacking == set(WITHOUT)


def test_doctor_prints_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    """With the lines of the report for people."""
    code = main(["doctor", "--json"])
    [line] = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert found["ok"] is (code == 0)
    assert found["report"][0].startswith("namespaces: ")
