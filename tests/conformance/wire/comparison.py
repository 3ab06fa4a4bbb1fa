"""The differences between two recordings, and the table of those that are meant to be."""

from __future__ import annotations

import re
import sys
from collections import Counter
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
from wire.recording import Operation

if sys.version_info >= (3, 11):
    import tomllib
else:
    # pytest needs it there.
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from wire.recording import Request

TABLE = Path(__file__).parent / "differences.toml"


@attrs.frozen(order=True)
class Difference:
    """One value that the two clients do not share.

    Attributes:
        operation: The operation.
        request: The action, tool or frame; ``""`` if it is the outcome of the operation.
        field: The place of the value; ``count`` is how often the request is sent, ``outcome`` how
            the operation ends, ``order`` the order of its requests.
        official: The value of the official client; ``""`` if it has none.
        ours: The value of our client.
    """

    operation: str
    request: str
    field: str
    official: str
    ours: str

    def __str__(self) -> str:
        where = " / ".join(filter(None, (self.operation, self.request, self.field)))
        return f"{where}: official {self.official!r}, ours {self.ours!r}"


@attrs.frozen
class Row:
    """A difference, or several of one kind, that are meant to be; ``*`` stands for any text."""

    operation: str
    request: str
    field: str
    official: str
    ours: str
    reason: str

    def explains(self, difference: Difference) -> bool:
        """Return whether `difference` is one of this row."""
        names = (field.name for field in attrs.fields(Difference))
        return all(
            _pattern(getattr(self, name)).fullmatch(getattr(difference, name)) for name in names
        )


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(re.escape(text).replace(r"\*", ".*"), re.DOTALL)


def read_table(path: Path = TABLE) -> list[Row]:
    """Read the table. An entry that names several operations is as many rows."""
    with path.open("rb") as file:
        entries = tomllib.load(file)["difference"]
    default = {"operations": ["*"], "request": "*", "official": "", "ours": ""}
    rows = []
    for entry in entries:
        values = {**default, **entry}
        operations = values.pop("operations")
        rows += [Row(operation=operation, **values) for operation in operations]
    return rows


def differences(
    official: Mapping[str, Operation], ours: Mapping[str, Operation]
) -> Iterator[Difference]:
    """Yield what the two clients do differently."""
    for name in official:
        yield from _of_operation(name, official[name], ours.get(name, Operation()))


def _of_operation(name: str, official: Operation, ours: Operation) -> Iterator[Difference]:
    if official.outcome != ours.outcome:
        yield Difference(name, "", "outcome", official.outcome, ours.outcome)
    names = [[request.name for request in each.requests] for each in (official, ours)]
    counts = [Counter(each) for each in names]
    for request in sorted(counts[0].keys() | counts[1].keys()):
        if counts[0][request] != counts[1][request]:
            sent = [str(each[request]) for each in counts]
            yield Difference(name, request, "count", *sent)
    pairs = list(_pairs(official.requests, ours.requests, names))
    if len(pairs) < sum((counts[0] & counts[1]).values()):
        yield Difference(name, "", "order", *(", ".join(each) for each in names))
    for one, other in pairs:
        yield from _of_request(name, one, other)


def _pairs(
    official: Sequence[Request], ours: Sequence[Request], names: Sequence[Sequence[str]]
) -> Iterator[tuple[Request, Request]]:
    matcher = SequenceMatcher(None, *names, autojunk=False)
    for start, other, size in matcher.get_matching_blocks():
        yield from zip(official[start : start + size], ours[other : other + size], strict=True)


def _of_request(name: str, official: Request, ours: Request) -> Iterator[Difference]:
    for field in sorted(official.fields.keys() | ours.fields.keys()):
        values = [each.fields.get(field, "") for each in (official, ours)]
        # A field that is sent empty is not one that is missing.
        sent = [field in each.fields for each in (official, ours)]
        if values[0] != values[1] or sent[0] != sent[1]:
            shown = [
                value or ("<empty>" if is_sent else "")
                for value, is_sent in zip(values, sent, strict=True)
            ]
            yield Difference(name, official.name, field, *shown)
