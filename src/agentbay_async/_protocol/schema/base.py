"""What all requests have in common, and the field forms of the wire."""

from __future__ import annotations

from typing import Any, ClassVar, Generic, TypeVar

import attrs

D = TypeVar("D")


class Request(Generic[D]):
    """A request of the control plane; `D` is the type of ``Data`` in its answer.

    See the package docstring for what the class variables mean.
    """

    __slots__ = ()

    ACTION: ClassVar[str]
    # A type form such as list[ListedSession] is no type[...], hence Any.
    DATA: ClassVar[Any] = None
    REPEATABLE: ClassVar[bool] = False
    IN_QUERY: ClassVar[frozenset[str]] = frozenset()


def named(wire_name: str, default: Any = None) -> Any:
    """Declare a field whose name on the wire does not follow the rule."""
    return attrs.field(default=default, metadata={"wire": wire_name})


def recurring() -> Any:
    """Declare a field whose text is the same in request after request."""
    return attrs.field(default=None, metadata={"recurs": True})


def as_json(default: Any = None) -> Any:
    """Declare a field that travels as JSON text inside a string."""
    return attrs.field(default=default, metadata={"json": True})
