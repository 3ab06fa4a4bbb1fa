"""Build the agent's program: one file that a Python inside the session can import.

It is a zip archive of the package `inside` with compiled code beside the source. An interpreter of
the same version starts without compiling; any other version ignores the compiled code.
"""

from __future__ import annotations

import functools
import importlib.util
import io
import marshal
import struct
import zipfile
from pathlib import Path

__all__ = ["BOOT", "build_bundle", "interpreter_arguments"]

BOOT = (
    "import sys; sys.path.insert(0, '/proc/self/fd/' + sys.argv[2]); "
    "from inside.agent import main; main()"
)
"""The program for `python -c`; its arguments are the channel and the bundle."""

_STAMP = (1980, 1, 1, 0, 0, 0)


@functools.lru_cache(maxsize=1)
def build_bundle() -> bytes:
    """Return the archive; it is built once."""
    source = Path(__file__).parents[1].joinpath("inside")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(source.glob("*.py")):
            text = path.read_bytes()
            archive.writestr(zipfile.ZipInfo(f"inside/{path.name}", _STAMP), text)
            archive.writestr(
                zipfile.ZipInfo(f"inside/{path.stem}.pyc", _STAMP), _compile(text, path.name)
            )
    return buffer.getvalue()


def interpreter_arguments(channel: int, program: int) -> list[str]:
    """Return the arguments that make a Python run the agent.

    Args:
        channel: Number of the agent's end of the socket.
        program: Number of the descriptor of the bundle.
    """
    return ["-I", "-S", "-E", "-B", "-X", "utf8", "-c", BOOT, str(channel), str(program)]


def _compile(text: bytes, name: str) -> bytes:
    code = compile(text, name, "exec", dont_inherit=True)
    unchecked = struct.pack("<I", 1) + importlib.util.source_hash(text)
    return importlib.util.MAGIC_NUMBER + unchecked + marshal.dumps(code)
