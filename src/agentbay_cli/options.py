"""Options and arguments that several commands have, and what their texts mean.

Values are checked here, before anything is sent. The names are those of docker where it has them.
"""

# Without `from __future__ import annotations`: typer reads these annotations at run time.
import contextlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from agentbay_cli.durations import parse_duration
from agentbay_cli.output import is_terminal

if TYPE_CHECKING:
    from agentbay import AgentBay

__all__ = [
    "Cwd",
    "Endpoint",
    "Envs",
    "Image",
    "Json",
    "Labels",
    "SessionId",
    "Timeout",
    "complete_ids",
    "confirm",
    "duration",
    "parse_envs",
    "parse_labels",
    "read_text",
    "usage_error",
]

# Milliseconds to wait for an answer.
_COMPLETE_WITHIN = 2000


def usage_error(message: str) -> typer.BadParameter:
    """Return the error for bad input; the application tells it in one line."""
    return typer.BadParameter(message)


def duration(text: str) -> float:
    """Return the seconds of an option such as ``5m``."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise usage_error(str(error)) from None


def parse_labels(texts: Sequence[str] | None) -> dict[str, str]:
    """Return the labels of ``--label KEY=VALUE``, which may be repeated."""
    labels = {}
    for text in texts or ():
        key, separator, value = text.partition("=")
        if not (separator and key.strip() and value.strip()):
            raise usage_error(f"--label must be KEY=VALUE, not {text!r}")
        labels[key] = value
    return labels


def parse_envs(texts: Sequence[str] | None) -> dict[str, str]:
    """Return the variables of ``--env NAME=VALUE``; ``--env NAME`` takes the value from here."""
    envs = {}
    for text in texts or ():
        name, separator, value = text.partition("=")
        # Messages do not have the value, which may be a secret.
        if not name:
            raise usage_error("--env must be NAME=VALUE, or NAME for a variable that is set here")
        if not separator and name not in os.environ:
            raise usage_error(f"--env {name}: the variable is not set here; give {name}=VALUE")
        envs[name] = value if separator else os.environ[name]
    return envs


def read_text(file: str) -> str:
    """Return the text of a file, or of standard input for ``-``."""
    try:
        if file == "-":
            return sys.stdin.read()
        with open(file, encoding="utf-8") as opened:
            return opened.read()
    except OSError as error:
        raise usage_error(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise usage_error(f"{file} is not UTF-8 text") from None


def confirm(question: str) -> None:
    """Ask whether to go on; a no ends the command."""
    if not is_terminal(sys.stdin):
        raise usage_error("this asks before it deletes; without a terminal, give --yes")
    typer.confirm(question, abort=True, err=True)


def complete_ids(incomplete: str) -> list[str]:
    """Return the ids of sessions, for a shell that completes one."""
    # A shell shows no errors, and a person who waits for a completion presses the key again.
    with contextlib.suppress(Exception), _client() as bay:
        return [one.session_id for one in bay.list() if one.session_id.startswith(incomplete)]
    return []


def _client() -> "AgentBay":
    from agentbay_cli.client import connect

    return connect(None, may_start=False, timeout_ms=_COMPLETE_WITHIN)


SessionId = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="The session.", show_default=False, autocompletion=complete_ids
    ),
]
Image = Annotated[
    str | None,
    typer.Argument(metavar="[IMAGE]", help="The image, such as linux_latest."),
]
Endpoint = Annotated[
    str | None,
    typer.Option("--endpoint", metavar="URL", help="The service; default: the configured one."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON: one object a line.")]
Labels = Annotated[
    list[str] | None,
    typer.Option("--label", "-l", metavar="KEY=VALUE", help="A label; may be repeated."),
]
Envs = Annotated[
    list[str] | None,
    typer.Option("--env", "-e", metavar="NAME[=VALUE]", help="A variable; may be repeated."),
]
Cwd = Annotated[
    str | None,
    typer.Option("--workdir", "-w", metavar="DIR", help="The working directory in the session."),
]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout", parser=duration, metavar="TIME", help="Time limit, such as 30s or 5m."
    ),
]
