"""What a repr, a rich console and a notebook show of values."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Text(str):
    """A text whose repr is the text: what `rich` is to print as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def first_line(text: str, most: int = 80) -> str:
    """Return the first line of a text for a repr, cut, with the number of lines that follow."""
    lines = text.rstrip("\n").split("\n") if text else [""]
    shown = repr(lines[0] if len(lines[0]) <= most else f"{lines[0][:most]}...")
    more = len(lines) - 1
    return f"{shown} and {more} more line{'s' * (more > 1)}" if more else shown


def html_table(caption: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table in HTML for notebooks; whatever a service sent is escaped."""
    lines = [("td", row) for row in rows]
    lines = [("th", head), *lines] if lines else []
    body = "".join(
        "<tr>" + "".join(f"<{tag}>{escape(str(cell))}</{tag}>" for cell in row) + "</tr>"
        for tag, row in lines
    )
    return f"<table><caption>{escape(caption)}</caption>{body}</table>"
