"""What a shell offers after a basic command: its commands and options, from its argparse parser."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import attrs
import typer.core

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

__all__ = ["BasicCommand"]


@attrs.frozen
class _Candidate:
    """A word that a shell offers, as the completion classes of typer read it."""

    value: str
    help: str
    type: str = "plain"


class BasicCommand(typer.core.TyperCommand):
    """A basic command in the application."""

    def shell_complete(  # type: ignore[override]  # typer's own types of it are private
        self, ctx: typer.Context, incomplete: str
    ) -> list[_Candidate]:
        """Return the words that may follow."""
        # A shell shows no errors, and not every system has the modules of all commands.
        with contextlib.suppress(Exception):
            found = _candidates(self.name or "", ctx.args)
            return [one for one in found if one.value.startswith(incomplete)]
        return []


def _candidates(command: str, words: Sequence[str]) -> Iterator[_Candidate]:
    """Yield the words that may follow a command and words after it, whatever they begin with."""
    if command == "local":
        from agentbay_local.cli import COMMANDS, make_parser

        if not words:
            yield from (_Candidate(name, text) for name, text in COMMANDS.items())
        name = words[0] if words and words[0] in COMMANDS else "run"
        yield from _of_parser(make_parser(name), words)
    else:
        yield from _of_parser(_parser_of(command), [command, *words])


def _parser_of(command: str) -> argparse.ArgumentParser:
    """Return the parser of a basic command other than `local`."""
    if command == "doctor":
        from agentbay_cli.cloud_doctor import make_parser

        # Those without --cloud are among them.
        return make_parser()
    if command == "image":
        from agentbay_local.commands.images import make_parser

        return make_parser()
    if command == "migrate":
        from agentbay_cli.migrate import make_parser

        return make_parser()
    if command in ("ps", "reap"):
        from agentbay_cli.reaper import parser
    else:
        from agentbay_cli.recording import parser
    return parser()


def _of_parser(parser: argparse.ArgumentParser, words: Sequence[str]) -> Iterator[_Candidate]:
    """Yield the commands and options of a parser, or of the command of it that was given."""
    import argparse

    # argparse has no public way to list them.
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            given = next((word for word in words if word in action.choices), None)
            if given is not None:
                yield from _of_parser(action.choices[given], ())
                return
            for choice in action._choices_actions:
                yield _Candidate(choice.dest, choice.help or "")
        for name in action.option_strings:
            if name.startswith("--"):
                text = (action.help or "") % {**vars(action), "prog": parser.prog}
                yield _Candidate(name, text)
