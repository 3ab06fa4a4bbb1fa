"""``agentbay record`` and ``agentbay verify``: cassettes of what a program and the service say.

The exit code of ``record`` is that of the program, 127 if there is no such program, and 2 if
nothing could be recorded. That of ``verify`` is 0 if the local service would answer alike, 1 if
not, and 2 if it could not be found out.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from agentbay import AgentBayError
from agentbay_async.config import LOCAL, resolve
from agentbay_local import Cassette, LocalService, Recorder, verify_cassette
from agentbay_local.commands.program import client_variables, run_program

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agentbay_local import Verification

_DEFAULT = "agentbay-cassette.jsonl"


def main(arguments: Sequence[str]) -> int:
    """Run one of the commands and return its exit code.

    Args:
        arguments: The command and its options.

    Example:
        ::

            agentbay record -o cassette.jsonl -- python my_program.py
            agentbay verify cassette.jsonl
    """
    options = parser().parse_args(arguments)
    try:
        if options.command == "record":
            return record(options.program, options.output, options.endpoint)
        return verify(options.cassette, as_json=options.json)
    except (AgentBayError, OSError, ValueError, RuntimeError) as error:
        _print_message(f"agentbay: {error}")
        return 2


def parser() -> argparse.ArgumentParser:
    """Return the parser of the arguments."""
    top = argparse.ArgumentParser("agentbay", description="Cassettes of requests and answers.")
    commands = top.add_subparsers(dest="command", required=True)
    record = commands.add_parser("record", help="run a program and record its requests")
    record.add_argument(
        "-o", "--output", type=Path, default=Path(_DEFAULT), help="the cassette (%(default)s)"
    )
    record.add_argument("--endpoint", help="the service; default: the configured one")
    record.add_argument("program", nargs="+", metavar="PROGRAM", help="after --, with arguments")
    verify = commands.add_parser(
        "verify", help="show where the local service would answer otherwise than a cassette"
    )
    verify.add_argument("cassette", type=Path)
    verify.add_argument("--json", action="store_true", help="print a JSON object")
    return top


def record(program: Sequence[str], output: Path, endpoint: str | None = None) -> int:
    """Run a program with its requests recorded, and return its exit code.

    Args:
        program: The program and its arguments.
        output: The cassette; a file that exists is replaced.
        endpoint: The service; None takes the configured one.

    Raises:
        ConfigurationError: There is no key, or a setting is invalid.
        OSError: The cassette cannot be written.
    """
    with _service(endpoint) as (url, key, region):
        with Recorder(output, endpoint=url, api_key=key, region_id=region) as recorder:
            code = run_program(program, client_variables(recorder.endpoint, recorder.api_key))
        _print_message(f"{len(recorder)} requests and frames are recorded in {output}.")
    return code


@contextlib.contextmanager
def _service(endpoint: str | None) -> Iterator[tuple[str, str, str]]:
    """Provide URL, key and region of the service; start one if it is to be in this process."""
    settings = resolve(endpoint=endpoint)
    if settings.endpoint != LOCAL:
        yield settings.endpoint, settings.api_key, settings.region_id
        return
    with LocalService() as service:
        yield service.endpoint, service.api_key, settings.region_id


def verify(path: Path, *, as_json: bool = False) -> int:
    """Compare a cassette with the local service, print the differences, and return the exit code.

    Args:
        path: The cassette.
        as_json: Print a JSON object.

    Raises:
        CassetteError: The file is not a cassette.
        OSError: It cannot be read.
        RuntimeError: This machine cannot isolate sessions.
    """
    cassette = Cassette.read(path)
    verification = verify_cassette(cassette)
    lines = [_json(cassette, verification)] if as_json else _report(cassette, verification)
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 0 if verification.is_same else 1


def _json(cassette: Cassette, verification: Verification) -> str:
    return json.dumps(
        {
            "service": cassette.service,
            "recorded": cassette.recorded,
            "is_complete": cassette.is_complete,
            "is_same": verification.is_same,
            **attrs.asdict(verification),
        }
    )


def _report(cassette: Cassette, verification: Verification) -> Iterator[str]:
    yield f"{verification.requests} requests to {cassette.service}, recorded {cassette.recorded}."
    if not cassette.is_complete:
        yield "The recording reached its limit; later requests are missing."
    request = ""
    for difference in sorted(verification.differences, key=lambda one: one.exchange):
        if difference.request != request:
            request = difference.request
            yield f"{request} (exchange {difference.exchange}):"
        times = f" ({difference.count} times)" if difference.count > 1 else ""
        yield f"  {difference.what}{times}"
    number = len(verification.differences)
    yield f"{number} difference{'s' * (number != 1)}." if number else "No differences."


def _print_message(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()
