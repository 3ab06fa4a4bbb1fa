"""The base class of requests, and the kinds of fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

D = TypeVar("D")


class Request(Generic[D]):
    """A request of the control plane; `D` is the type of ``Data`` in its answer.

    See the package docstring for what the class variables mean.
    """

    __slots__ = ()

    ACTION: ClassVar[str]
    # Any, because list[ListedSession] is not a type[...].
    DATA: ClassVar[Any] = None
    REPEATABLE: ClassVar[bool] = False
    IN_QUERY: ClassVar[frozenset[str]] = frozenset()
    KEY_MAY_BE_IN_QUERY: ClassVar[bool] = False
    # A page of a listing has some hundred KiB at most.
    MAX_ANSWER: ClassVar[int] = 8 * 1024 * 1024


def named(wire_name: str, default: Any = None) -> Any:
    """Declare a field with a special name on the wire."""
    return attrs.field(default=default, metadata={"wire": wire_name})


def read_by(read: Callable[[Any], Any], name: str | None = None) -> Any:
    """Declare a field whose value `read` converts, or rejects with ValueError."""
    return attrs.field(default=None, metadata={"wire": name, "read": read})


def secret(*, also: str | None = None) -> Any:
    """Declare a field that no text shows; some answers spell its name `also`."""
    return attrs.field(default=None, repr=False, metadata={"also": also})


def recurring() -> Any:
    """Declare a field that has the same text in most requests, so that its encoding is cached."""
    return attrs.field(default=None, metadata={"recurs": True})


def may_be_empty() -> Any:
    """Declare a text that is sent when it is empty, too."""
    return attrs.field(default=None, metadata={"empty": True})


def numbered(name: str) -> Any:
    """Declare a list of texts that is sent as ``name.1``, ``name.2`` and so on."""
    return attrs.field(default=None, metadata={"wire": name, "numbered": True})


def as_json(default: Any = None) -> Any:
    """Declare a field that is sent as JSON text inside a string."""
    return attrs.field(default=default, metadata={"json": True})
