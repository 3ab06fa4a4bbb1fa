"""What commands print: tables and JSON on standard output, messages on standard error.

Colours are for terminals only, and never with ``NO_COLOR``. What a session or a service says
cannot control the terminal, unless it is the output of a program that the user runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import TextIO

__all__ = [
    "CLOSED_PIPE",
    "ProgressLine",
    "is_terminal",
    "print_line",
    "print_message",
    "print_row",
    "print_rows",
    "print_value",
    "printable",
    "table",
    "write_bytes",
    "write_text",
]

CLOSED_PIPE = 141
"""The exit code when the reader of the output has enough, as shells have it of SIGPIPE."""

_COLOURS = {"RUNNING": "32", "PAUSED": "33", "PAUSING": "33", "RESUMING": "33", "DELETING": "31"}


def is_terminal(stream: TextIO) -> bool:
    """Return whether a person looks at a stream."""
    return stream.isatty()


def print_message(text: str) -> None:
    """Print a sentence for people."""
    sys.stderr.write(f"{printable(text)}\n")
    sys.stderr.flush()


def print_line(text: str) -> None:
    """Print a line of data."""
    write_text(f"{printable(text)}\n", sys.stdout)


def print_value(value: Mapping[str, Any]) -> None:
    """Print a JSON object, as one line."""
    write_text(f"{json.dumps(value)}\n", sys.stdout)


def print_row(columns: Sequence[str], row: Sequence[Any], *, as_json: bool) -> None:
    """Print one row, without a head; the arguments are those of `print_rows`."""
    if as_json:
        print_value(dict(zip(columns, row, strict=True)))
    else:
        print_line("  ".join(map(str, row)))


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, as_json: bool) -> None:
    """Print rows: as a table for people, or as one JSON object a line.

    Args:
        columns: The names of the columns, in small letters; they are the keys of the objects.
        rows: The values of each row.
        as_json: Print objects.
    """
    if as_json:
        for row in rows:
            print_value(dict(zip(columns, row, strict=True)))
        return
    write_text("".join(f"{line}\n" for line in table(columns, rows)), sys.stdout)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """Return the lines of a table, its head first.

    Example:
        >>> table(["id", "size"], [["a.txt", 5]])
        ['ID     SIZE', 'a.txt  5']
    """
    head = [name.upper().replace("_", " ") for name in columns]
    cells = [head, *([printable(_shown(value)) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    is_coloured = _has_colours(sys.stdout)
    return [_line(row, widths, is_coloured=is_coloured) for row in cells]


def _line(row: Sequence[str], widths: Sequence[int], *, is_coloured: bool) -> str:
    padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
    padded[-1] = row[-1]
    if is_coloured:
        padded = [_painted(text) for text in padded]
    return "  ".join(padded).rstrip()


def _painted(text: str) -> str:
    colour = _COLOURS.get(text.rstrip())
    return text if colour is None else f"\x1b[{colour}m{text}\x1b[0m"


def _has_colours(stream: TextIO) -> bool:
    return (
        is_terminal(stream)
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM", "dumb") != "dumb"
    )


def _shown(value: object) -> str:
    return "-" if value is None or value == "" else str(value)


def printable(text: str) -> str:
    r"""Return a text whose control characters are spelled out.

    Example:
        >>> print(printable("a\x1b[31mb"))
        a\x1b[31mb
    """
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text
    )


class ProgressLine:
    """A line on standard error that changes, if a person looks at it; otherwise nothing.

    Not a bar of rich, which would write what goes to standard output to standard error.
    """

    def __init__(self) -> None:
        self._is_shown = is_terminal(sys.stderr)

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def show(self, text: str) -> None:
        """Replace the line."""
        self._write(printable(text)[: shutil.get_terminal_size().columns - 1])

    def clear(self) -> None:
        """Remove the line, so that other output has room."""
        self._write("")

    def _write(self, text: str) -> None:
        if self._is_shown:
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()


def write_text(text: str, stream: TextIO) -> None:
    """Write a text as it is, and end the command if nobody reads it."""
    with _ended_by_closed_pipe():
        stream.write(text)
        stream.flush()


def write_bytes(data: bytes, stream: TextIO) -> None:
    """Write bytes as they are, and end the command if nobody reads them."""
    with _ended_by_closed_pipe():
        stream.flush()
        stream.buffer.write(data)
        stream.buffer.flush()


@contextlib.contextmanager
def _ended_by_closed_pipe() -> Iterator[None]:
    # Typer would take the error for its own, and end with 1.
    try:
        yield
    except BrokenPipeError:
        raise SystemExit(CLOSED_PIPE) from None
