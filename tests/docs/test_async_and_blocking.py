"""The page of the names that differ between the two packages lists all of them, and no other."""

from __future__ import annotations

import re
from collections.abc import Coroutine
from pathlib import Path

import agentbay
import agentbay_async

PAGE = Path(__file__).parents[2] / "docs" / "start" / "styles.md"
ROW = re.compile(r"^\| `(\w+)` \| `(\w+)` \|$", re.MULTILINE)
#: Coroutines of which the blocking object has the members of the result instead.
AWAITED = {
    "AsyncSessionListing": agentbay_async.SessionListResult,
    "AsyncBulkCreation": agentbay_async.BulkResult,
    "AsyncBulkDeletion": agentbay_async.BulkResult,
}
#: The members of every coroutine, and of what asyncio may take for one.
OF_COROUTINES = {"send", "throw", "close"}


def listed() -> dict[str, str]:
    """Return the classes of the page."""
    rows = dict(ROW.findall(PAGE.read_text(encoding="utf-8")))
    del rows["agentbay_async"]
    return rows


def members(kind: type) -> set[str]:
    """Return the public names of a class, with the attributes that its docstring lists."""
    text = (kind.__doc__ or "").partition("Attributes:")[2]
    documented = re.findall(r"^\s{4,8}(\w+): ", text, re.MULTILINE)
    return {name for name in dir(kind) if not name.startswith("_")} | set(documented)


def test_every_class_with_another_name_is_listed() -> None:
    """Second names of a class are not, and values have one name in both packages."""
    only_async = {
        name
        for name in agentbay_async.__all__
        if name.startswith("Async") and getattr(agentbay_async, name).__name__ == name
    }
    assert only_async | {"ClosingIterator"} == set(listed())
    blocking = {name for name in agentbay.__all__ if not hasattr(agentbay_async, name)}
    assert blocking <= set(listed().values()) | {name for name in blocking if _is_alias(name)}


def _is_alias(name: str) -> bool:
    return getattr(agentbay, name).__name__ != name


def test_members_of_each_pair_have_the_same_names() -> None:
    """But for closing a client, and for what is awaited."""
    text = PAGE.read_text(encoding="utf-8")
    differing: dict[str, set[str]] = {}
    for left, right in listed().items():
        one, other = getattr(agentbay_async, left), getattr(agentbay, right)
        difference = members(one) ^ members(other)
        if issubclass(one, Coroutine):
            difference -= OF_COROUTINES
        if left in AWAITED:
            difference -= members(AWAITED[left])
        if difference:
            differing[left] = difference
    assert differing == {"AsyncAgentBay": {"aclose"}, "ClosingIterator": {"aclose"}}
    assert "`await bay.aclose()`" in text
