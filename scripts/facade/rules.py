"""The rules of the generator: each of them must be needed by the source."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ast

#: One rule for each async construct, and its blocking form.
RULES = {
    "alias": "a second name of a method or a class stays a second name",
    "async context manager": "a value for `async with` becomes one for `with`, held by one task",
    "async iterator": "an async iterator becomes a BlockingIterator",
    "async method": "a coroutine method runs on the portal",
    "attribute": "a public attribute is read through a property",
    "awaitable method": "a plain method that returns an awaitable is called and awaited there",
    "awaitable class": "a class with __await__ shows the members of its result",
    "callback": "a callback runs in a worker thread",
    "callback that gets an async class": "a callback gets the blocking object of an async one",
    "client context": "__aenter__ and __aexit__ become __enter__ and __exit__",
    "coroutine base": "a base that makes an object a coroutine is left out: nothing awaits here",
    "constructor": "a constructor creates the async object",
    "iterable argument": "an iterable is read in a worker thread, one item at a time",
    "iterable class": "a class with __aiter__ gets __iter__",
    "overload": "overloads are copied; the one body below them casts what it calls",
    "part": "an object that another one holds is imported on first use, and wrapped once",
    "plain method": "a method without I/O is called directly",
    "property": "a property is read directly",
    "argument of an async class": "a blocking object is passed on as its async one",
    "result of an async class": "an async object is returned as its blocking one",
    "result that holds an async class": "the async object inside a result becomes the blocking one",
    "value module": "a module of values is re-exported",
}


class SourceError(Exception):
    """The source holds a construct that no rule covers."""


class UsedRules:
    """The rules that the source has needed so far."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def add(self, rule: str) -> None:
        """Record that `rule` was applied."""
        if rule not in RULES:
            raise KeyError(rule)
        self._used.add(rule)

    def unused(self) -> list[str]:
        """Return the rules that were never applied."""
        return sorted(RULES.keys() - self._used)


def error_at(path: str, node: ast.AST, message: str) -> SourceError:
    """Create an error that points at a line of the source."""
    return SourceError(f"{path}:{getattr(node, 'lineno', 0)}: {message}")
