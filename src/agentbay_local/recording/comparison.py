"""Differences between two answers to the same request: in shape and codes, not in values.

Compared are the HTTP status, the names and types of all members, ``Success``, codes, exit codes,
the states in which sessions and tasks rest, and the words of errors. Other values differ from run
to run. Texts that hold JSON are compared as JSON.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from agentbay_async._protocol.byte_calls import TAKES_BYTES
from agentbay_local.cassettes.cassette import parse_container
from agentbay_local.cassettes.matching import RANDOM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentbay_local.cassettes.cassette import Response

__all__ = ["compare_answers", "compare_values"]

# Members whose value is compared, not only its type.
_VALUES = frozenset(
    {
        "Code",
        "HttpStatusCode",
        "Success",
        "code",
        "errorCode",
        "exitCode",
        "exit_code",
        "isError",
        "success",
    }
)
# States that last. Those on the way to them are seen by one poll and missed by another.
_STATES = frozenset({"Status", "status"})
_RESTING = frozenset({"FINISH", "Failed", "PAUSED", "RUNNING", "Success"})
# Members that appear when work has ended, which a poll sees sooner in one run than in another.
_OF_ENDED_WORK = frozenset({"finishTime"})
# The mark of the local service for our own client, which a recorder takes out.
_OF_ONE_SIDE = _OF_ENDED_WORK | {TAKES_BYTES}
_MESSAGES = frozenset({"ErrMsg", "Message", "errMsg", "error", "errorMessage", "message"})
_NUMBER = re.compile(r"\d+")
_SHOWN = 120


def compare_answers(recorded: Response, here: Response) -> list[str]:
    """Return the differences of two answers, each as one line: where, what was recorded, what not.

    Example:
        >>> from agentbay_local.cassettes.cassette import Response
        >>> one = Response(200, body={"json": {"Data": {"Id": "a", "Name": "b"}}})
        >>> two = Response(404, body={"json": {"Data": {"Id": 7}}})
        >>> for line in compare_answers(one, two):
        ...     print(line)
        HTTP status: recorded 200, here 404
        Data.Id: recorded text, here number
        Data.Name: recorded text, here missing
    """
    lines = []
    if recorded.status != here.status:
        lines.append(_line("HTTP status", recorded.status, here.status))
    ours, theirs = (dict(response.body) for response in (here, recorded))
    if "json" in theirs and "json" in ours:
        lines += compare_values(theirs["json"], ours["json"])
    elif "omitted" not in theirs and _kind_of_body(theirs) != _kind_of_body(ours):
        lines.append(_line("body", _kind_of_body(theirs), _kind_of_body(ours)))
    return lines


def compare_values(recorded: object, here: object) -> list[str]:
    """Return the differences of two JSON values."""
    return list(_compare(recorded, here, "", "", is_error=False))


def _kind_of_body(body: dict[str, Any]) -> str:
    if "json" in body:
        return "JSON"
    return "empty" if not any(body.values()) else "a file or text"


def _compare(recorded: Any, here: Any, path: str, name: str, *, is_error: bool) -> Iterator[str]:
    recorded, here = _opened(recorded, here)
    kinds = _kind(recorded), _kind(here)
    if kinds[0] != kinds[1]:
        yield _line(path or "body", *kinds)
    elif isinstance(recorded, dict):
        yield from _compare_objects(recorded, here, path, is_error=is_error)
    elif isinstance(recorded, list):
        for index, pair in enumerate(zip(recorded, here, strict=False)):
            yield from _compare(*pair, f"{path}[{index}]", name, is_error=is_error)
    elif not _is_same(recorded, here, name, is_error=is_error):
        yield _line(path, repr(recorded), repr(here))


def _is_same(recorded: Any, here: Any, name: str, *, is_error: bool) -> bool:
    """Return whether two values of one type say the same, as far as values are compared."""
    if name in _VALUES or (name in _STATES and recorded in _RESTING):
        return bool(recorded == here)
    if isinstance(recorded, str) and (name in _MESSAGES or is_error):
        return _words(recorded) == _words(here)
    return True


def _compare_objects(
    recorded: dict[str, Any], here: dict[str, Any], path: str, *, is_error: bool
) -> Iterator[str]:
    is_error = is_error or (recorded.get("isError") is True and here.get("isError") is True)
    only_one = (recorded.keys() ^ here.keys()) & _OF_ONE_SIDE
    for key in (key for key in dict.fromkeys([*recorded, *here]) if key not in only_one):
        inner = f"{path}.{key}" if path else key
        if key not in here:
            yield _line(inner, _kind(recorded[key]), "missing")
        elif key not in recorded:
            yield _line(inner, "missing", _kind(here[key]))
        else:
            yield from _compare(recorded[key], here[key], inner, key, is_error=is_error)


def _opened(recorded: Any, here: Any) -> tuple[Any, Any]:
    """Return the JSON that two texts hold, if both do."""
    if isinstance(recorded, str) and isinstance(here, str):
        inner = parse_container(recorded), parse_container(here)
        if inner[0] is not None and inner[1] is not None:
            return inner
    return recorded, here


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    names = {str: "text", int: "number", float: "number", dict: "object", list: "list"}
    return names[type(value)]


def _words(message: str) -> list[str]:
    """Return the words of a message, without ids and numbers."""
    return _NUMBER.sub("#", RANDOM.sub("?", message)).lower().split()


def _line(where: str, recorded: object, here: object) -> str:
    return f"{where}: recorded {recorded!s:.{_SHOWN}}, here {here!s:.{_SHOWN}}"
