"""The command ``agentbay``: dispatch each command to its module, and tell its errors.

The basic commands are run directly. All others belong to the typer application of the extra
``cli``, which lists the basic ones too.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING

from agentbay_async._installation import __version__
from agentbay_cli.basic import BASIC, run_basic
from agentbay_cli.output import CLOSED_PIPE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType
    from typing import NoReturn

_EXTRA = frozenset({"rich", "typer"})
_INSTALL = "pip install 'agentbay-async[cli]'"
# As shells have it: 128 and the number of SIGINT.
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Args:
        arguments: The arguments after the program's name. Default: those of this process.
    """
    owns_process = arguments is None
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        code = _run(arguments, owns_process=owns_process)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of the output, such as `head`, has enough.
        return _leave_output()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception as error:
        return _tell(error, arguments)
    return code


def _run(arguments: Sequence[str], *, owns_process: bool) -> int:
    if arguments and arguments[0] in BASIC:
        return run_basic(arguments, owns_process=owns_process)
    if arguments[:1] == ["--version"]:
        sys.stdout.write(f"agentbay-async {__version__}\n")
        return 0
    with _ended_by_signals() if owns_process else contextlib.nullcontext():
        return _run_application(arguments)


def _run_application(arguments: Sequence[str]) -> int:
    try:
        from agentbay_cli.app import run
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        return _explain_extra(arguments)
    return run(arguments)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let commands clean up, as after Ctrl-C, when they are asked to end."""
    # Windows has no SIGHUP.
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    numbers = [signal.Signals[name] for name in names]
    previous = {
        number: signal.signal(number, _end)
        for number in numbers
        # nohup ignores SIGHUP
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _end(number: int, _: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _leave_output() -> int:
    """Let nothing more be written, also not by the interpreter when it exits."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return CLOSED_PIPE


def _tell(error: Exception, arguments: Sequence[str]) -> int:
    """Print an error in one line, and return the exit code; raise what is a mistake of ours."""
    # Not imported before: the local service does without it.
    from agentbay import AgentBayError
    from agentbay_cli.client import explain

    if not isinstance(error, (AgentBayError, OSError)):
        raise error
    sys.stderr.write(f"agentbay: {explain(error)}\n")
    if not arguments or arguments[0] in BASIC:
        return 2
    from agentbay_cli.app import exit_code

    return exit_code(arguments)


def _explain_extra(arguments: Sequence[str]) -> int:
    """Name the basic commands, and how to install the others."""
    wants_help = arguments[:1] in (["-h"], ["--help"])
    if arguments and not wants_help:
        sys.stderr.write(f"agentbay: {arguments[0]!r:.80} needs the extra cli: {_INSTALL}\n")
        return 2
    lines = [f"  {name:<8} {meaning}\n" for name, meaning in BASIC.items()]
    (sys.stdout if wants_help else sys.stderr).write(
        f"usage: agentbay COMMAND [OPTIONS]\n\n{''.join(lines)}\n"
        "Run agentbay COMMAND --help for the options of a command.\n"
        f"More commands come with the extra cli: {_INSTALL}\n"
    )
    return 0 if wants_help else 2
