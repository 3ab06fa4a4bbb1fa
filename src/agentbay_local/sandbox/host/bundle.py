"""Build the agent's program: one file that a Python inside the session can import.

It is a zip archive of the package `inside`. Beside the source it has the code that the interpreter
of the sessions has compiled, so that no session has to compile it. An image may bring another
interpreter, which ignores that code.
"""

from __future__ import annotations

import functools
import importlib.util
import io
import json
import marshal
import struct
import subprocess
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from agentbay_local.sandbox.errors import IsolationUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentbay_local.sandbox.host.programs import Interpreter

__all__ = ["AGENT", "BOOT", "FORK_SERVER", "PRELOAD", "build_bundle", "interpreter_arguments"]

BOOT = (
    "import sys; sys.path.insert(0, '/proc/self/fd/' + sys.argv[2]); "
    "from inside.{} import main; main()"
)
"""The program for `python -c`; its arguments are the channel and the bundle."""

AGENT, FORK_SERVER, PRELOAD = "agent", "fork_server", "preload"
"""The modules of the bundle that are programs."""

_UNCHECKED = 1
"""The flag of compiled code that is not compared with its source."""

_STAMP = (1980, 1, 1, 0, 0, 0)
_COMPILE = """
import json, marshal, sys
for name, text in json.load(sys.stdin).items():
    print(name, marshal.dumps(compile(text, name, "exec", dont_inherit=True)).hex())
"""
_COMPILE_WITHIN = 30.0


@functools.lru_cache
def build_bundle(python: Interpreter) -> bytes:
    """Return the archive for an interpreter; it is built once for each.

    Raises:
        IsolationUnavailable: The interpreter cannot compile it.
    """
    source = Path(__file__).parents[1].joinpath("inside")
    texts = {path.name: path.read_text("utf-8") for path in sorted(source.glob("*.py"))}
    own = python.magic == importlib.util.MAGIC_NUMBER
    compiled = _compile(texts) if own else _compile_by(python, texts)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in texts.items():
            head = python.magic + struct.pack("<IQ", _UNCHECKED, 0)
            archive.writestr(zipfile.ZipInfo(f"inside/{name}", _STAMP), text)
            archive.writestr(zipfile.ZipInfo(f"inside/{name}c", _STAMP), head + compiled[name])
    return buffer.getvalue()


def interpreter_arguments(channel: int, bundle: int, program: str = AGENT) -> list[str]:
    """Return the arguments that make a Python run a program of the bundle.

    Args:
        channel: Number of the program's end of the socket.
        bundle: Number of the descriptor of the bundle.
        program: `AGENT`, `FORK_SERVER` or `PRELOAD`.
    """
    boot = BOOT.format(program)
    return ["-I", "-S", "-E", "-B", "-X", "utf8", "-c", boot, str(channel), str(bundle)]


def _compile(texts: Mapping[str, str]) -> dict[str, bytes]:
    return {
        name: marshal.dumps(compile(text, name, "exec", dont_inherit=True))
        for name, text in texts.items()
    }


def _compile_by(python: Interpreter, texts: Mapping[str, str]) -> dict[str, bytes]:
    try:
        # A program of the machine, with fixed arguments.
        lines = subprocess.run(  # noqa: S603
            [python.program, "-I", "-S", "-X", "utf8", "-c", _COMPILE],
            input=json.dumps(texts).encode(),
            capture_output=True,
            timeout=_COMPILE_WITHIN,
            check=True,
            env={},
        ).stdout.splitlines()
    except (OSError, subprocess.SubprocessError) as error:
        raise IsolationUnavailable(
            f"{python.program} cannot compile the agent of the sessions ({error}).",
            "install the system's python3 again.",
        ) from error
    pairs = (line.split() for line in lines)
    return {name.decode(): bytes.fromhex(code.decode()) for name, code in pairs}
