"""Names of a package that are imported when they are first asked for.

Making the value classes of this library takes longer than importing attrs, cattrs and anyio
together, and few programs use more than a handful of them. So the packages with many names import
none of them; :pep:`562` lets a module look a name up when it is needed. Type checkers read the
imports under ``TYPE_CHECKING`` beside it; a test compares the two.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def lazy(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """Return a ``__getattr__`` for `package`.

    Args:
        package: The ``__name__`` of the package.
        homes: For each module, relative to the package or absolute, the names that come from it,
            separated by white space.
    """
    home_of = {name: module for module, names in homes.items() for name in names.split()}

    def getattr_(name: str) -> object:
        module = home_of.get(name)
        if module is not None:
            value: object = getattr(import_module(module, package), name)
        elif not name.startswith("_") and find_spec(f"{package}.{name}") is not None:
            # A module of the package, as in ``agentbay.errors``.
            value = import_module(f"{package}.{name}")
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        setattr(sys.modules[package], name, value)
        return value

    return getattr_
