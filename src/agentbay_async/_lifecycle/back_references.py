"""References from a part back to its owner, which do not keep the owner in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar
from weakref import ref

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def finder(owner: T, make_again: Callable[[], T]) -> Callable[[], T]:
    """Return a function that returns `owner`, or one made again after that was freed.

    An owner holds its parts. If they held it too, only the garbage collector could free them.
    """
    found = ref(owner)

    def find() -> T:
        nonlocal found
        current = found()
        if current is None:
            current = make_again()
            found = ref(current)
        return current

    return find
