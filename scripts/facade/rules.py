"""The rules of the generator, each of which must earn its keep, and what stops it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ast

#: Every rule by which an asynchronous construct gets its blocking form.
RULES = {
    "alias": "a second name of a method stays one",
    "async context manager": "a value for `async with` becomes one for `with`, held by one task",
    "async iterator": "an async iterator becomes a BlockingIterator",
    "async method": "a coroutine method runs on the portal",
    "attribute": "a public attribute is read through a property",
    "awaited class": "a class with __await__ shows what awaiting it gives",
    "callback": "a callback runs in a worker thread",
    "callback that gets a resource": "a callback gets the blocking object of an async one",
    "iterable argument": "an iterable is read in a worker thread, one item at a time",
    "client context": "__aenter__ and __aexit__ become __enter__ and __exit__",
    "constructor": "a constructor makes the async object",
    "iterated class": "a class with __aiter__ gets __iter__",
    "overload": "overloads are copied; the one body after them does without their proof",
    "plain method": "a method without I/O is passed on",
    "private base": "what a class has from private bases is written as its own",
    "property": "a property is passed on",
    "resource argument": "a blocking object is passed on as the async one",
    "resource part": "what an object holds for good is loaded when it is used, and has one facade",
    "resource result": "an async object comes back as its blocking one",
    "result that carries a resource": "the resource inside a result becomes the blocking one",
    "value module": "a module of values is re-exported",
}


class SourceError(Exception):
    """The source holds something for which there is no rule."""


class Uses:
    """Which rules the source made use of."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def note(self, rule: str) -> None:
        """Say that ``rule`` was needed."""
        if rule not in RULES:
            raise KeyError(rule)
        self._used.add(rule)

    def unused(self) -> list[str]:
        """Return the rules that nothing needed."""
        return sorted(RULES.keys() - self._used)


def at(path: str, node: ast.AST, message: str) -> SourceError:
    """Make a problem that points at a line."""
    return SourceError(f"{path}:{getattr(node, 'lineno', 0)}: {message}")
