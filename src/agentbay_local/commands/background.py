"""``agentbay local start`` and ``stop``: the service in the background."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import subprocess
import sys
from typing import IO, TYPE_CHECKING

from agentbay_local.api_key import KEY_VARIABLE, without_key_options
from agentbay_local.commands.running_service import find_running, home_option
from agentbay_local.commands.status import count_sessions
from agentbay_local.sandbox.host.orphans import has_ended

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Any, NoReturn

    from agentbay_local.commands.running_service import RunningService

__all__ = ["check_options", "ensure_started", "start", "stop"]

_START_WITHIN = 120.0
# The service gives each of the steps of its stop 10 seconds.
_STOP_WITHIN = 90.0
_LOG = "service.log"
_TURN = "command.lock"
# Not "-m": that imports what lies in the working directory.
_RUN = (
    "import sys; sys.path[:1] == [''] and sys.path.pop(0); from agentbay_local.cli import main; "
    "sys.exit(main(['local', 'run', *sys.argv[1:]]))"
)


def start(home: Path, arguments: Sequence[str], given: Mapping[str, Any], key: str | None) -> int:
    """Start a service in the background, wait until it answers, and return the exit code.

    Standard output and standard error get what ``agentbay local run`` prints.

    Args:
        home: The home of the service; it is created.
        arguments: The arguments of the command, which the service gets too.
        given: The options of a service among them; see `given_options`.
        key: The key of the service; None makes a random one.

    Raises:
        OSError: The home cannot be used.
        TimeoutError: The service does not answer in time.
        ValueError: A service runs there with other options.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _turn(home):
        running = find_running(home)
        if running is not None and count_sessions(running) is None:
            # It is ending, because somebody else has asked it to, or hangs.
            _wait_for_end(home, running)
            running = None
        if running is None:
            return _start(home, arguments, key)
    check_options(running, home, given)
    if key is not None and key != running.api_key:
        raise ValueError(f"the service in {home} runs with another API key; stop it first")
    _print_message(f"The service runs already, as process {running.pid}.")
    sys.stdout.write(f"AgentBay local service ready at {running.endpoint}\n")
    return 0


def ensure_started(home: Path) -> RunningService:
    """Return the service of a home; if none runs, start one in the background, and say so.

    Nothing is written to standard output, which belongs to the command that needs the service.

    Raises:
        OSError: The home cannot be used.
        TimeoutError: The service does not answer in time.
        ValueError: It did not start; standard error has the reason.
    """
    running = find_running(home)
    if running is not None:
        return running
    _print_message("Starting the local service; to end it, run: agentbay local stop")
    with contextlib.redirect_stdout(sys.stderr):
        start(home, [], {}, None)
    running = find_running(home)
    if running is None:
        raise ValueError(f"the local service did not start; its log is {home / _LOG}")
    return running


def check_options(running: RunningService, home: Path, given: Mapping[str, Any]) -> None:
    """Check that a service runs with the options that are given.

    Raises:
        ValueError: It runs with others; the message names them.
    """
    wrong = [name for name, value in given.items() if running.options.get(name) != value]
    if wrong:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(wrong))
        raise ValueError(
            f"the service in {home} runs at {running.endpoint} with another {names}; to end it, "
            f"run: agentbay local stop{home_option(home)}"
        )


def stop(home: Path) -> int:
    """Stop the service of a home, wait until it and its sessions have ended; return the exit code.

    Raises:
        OSError: The home cannot be read.
        TimeoutError: The service does not end in time.
    """
    # Without the file of `start`, there is no start to wait for.
    with _turn(home) if (home / _TURN).exists() else contextlib.nullcontext():
        running = find_running(home)
        if running is not None:
            _wait_for_end(home, running, signal.SIGTERM)
    if running is None:
        _print_message(f"No service runs in {home}.")
    else:
        _print_message(f"The service in {home} has stopped.")
    return 0


def _wait_for_end(
    home: Path, running: RunningService, number: signal.Signals | None = None
) -> None:
    """Send a signal to a service, if any is given, and wait for its end."""
    try:
        handle = os.pidfd_open(running.pid)
    except ProcessLookupError:
        return
    try:
        # Found again after opening: from here on the handle refers to the service. Before, the
        # service could have ended, and another process have got its number.
        if find_running(home) != running:
            return
        if number is not None:
            signal.pidfd_send_signal(handle, number)
        if not has_ended(handle, int(_STOP_WITHIN * 1000)):
            raise TimeoutError(
                f"the service in {home} has not ended within {_STOP_WITHIN:.0f} seconds; its "
                f"process is {running.pid}"
            )
    finally:
        os.close(handle)


@contextlib.contextmanager
def _turn(home: Path) -> Iterator[None]:
    """Let one command at a time start or stop the service of a home."""
    handle = os.open(home / _TURN, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _start(home: Path, arguments: Sequence[str], key: str | None) -> int:
    """Start the service; after a failure or a signal, nothing is left."""
    log = os.open(home / _LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    previous = {
        number: signal.signal(number, _interrupt)
        for number in (signal.SIGTERM, signal.SIGHUP)
        # nohup ignores SIGHUP
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        line = _start_process([*without_key_options(arguments), "--home", str(home)], key, log)
    finally:
        os.close(log)
        for number, handler in previous.items():
            signal.signal(number, handler)
    sys.stderr.write((home / _LOG).read_text("utf-8", errors="replace"))
    sys.stdout.write(line)
    return 0 if line else 2


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _start_process(arguments: Sequence[str], key: str | None, log: int) -> str:
    """Start a process that outlives this one; return its first line, "" if it ended before it."""
    process = subprocess.Popen(  # noqa: S603  # this program itself, with the user's own options
        [sys.executable, "-c", _RUN, *arguments, *_key_options(key)],
        stdin=subprocess.DEVNULL if key is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env={name: value for name, value in os.environ.items() if name != KEY_VARIABLE},
        # Ctrl-C at the terminal is not for it, and neither is the end of the terminal.
        start_new_session=True,
    )
    try:
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
                pipe.write((key or "").encode())
        with _output(process) as output:
            line = _first_line(output)
    except BaseException:
        _end(process)
        raise
    if line:
        # It goes on; Popen would warn that nobody waits for its end.
        process.returncode = 0
    else:
        process.wait()
    return line.decode()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _key_options(key: str | None) -> list[str]:
    return [] if key is None else ["--api-key-file", "-"]


def _output(process: subprocess.Popen[bytes]) -> IO[bytes]:
    if process.stdout is None:
        raise RuntimeError("the process has no pipe")
    return process.stdout


def _first_line(output: IO[bytes]) -> bytes:
    """Return the first line, which the service writes at once when it answers.

    Raises:
        TimeoutError: There is none in time.
    """
    poll = select.poll()
    poll.register(output, select.POLLIN)
    if not poll.poll(_START_WITHIN * 1000):
        raise TimeoutError(f"the service did not start within {_START_WITHIN:.0f} seconds")
    return output.readline()


def _print_message(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()
