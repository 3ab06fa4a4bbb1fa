"""Lazy exports: import the public names of a package on first use (:pep:`562`).

Creating the attrs classes of this library takes longer than importing attrs, cattrs and anyio
together, and few programs use more than a handful of them. Therefore a package with many names
imports none of them. Its ``__init__.pyi`` is the only list: type checkers read it, and so does
`attach_stub`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Attached = tuple[Callable[[str], object], Callable[[], list[str]], list[str]]


def attach_stub(package: str) -> Attached:
    """Return ``__getattr__``, ``__dir__`` and ``__all__`` for `package`, made from its stub.

    Args:
        package: The ``__name__`` of the package that calls this. Beside its ``__init__.py`` stands
            an ``__init__.pyi`` in which every statement is ``from module import name as name``, or
            after these ``other = name``.
    """
    module = sys.modules[package]
    module_of = _read_stub(module)
    names = sorted(module_of)

    def getattr_(name: str) -> object:
        value: object
        if name in module_of:
            home, own = module_of[name]
            value = getattr(import_module(home), own)
        elif not name.startswith("_") and find_spec(f"{package}.{name}") is not None:
            # `import agentbay` alone makes `agentbay.errors` work, as eager imports would.
            value = import_module(f"{package}.{name}")
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        # Stored, so that Python finds it without this function from now on.
        setattr(module, name, value)
        return value

    def dir_() -> list[str]:
        return sorted({*vars(module), *names})

    return getattr_, dir_, names


def _read_stub(package: Any) -> dict[str, tuple[str, str]]:
    """Return the module that defines each name of the stub, and its name there."""
    # The loader reads it, because a package may be imported from a zip archive. A parser (`ast`,
    # `re`) would cost more than everything else that an import of this library does.
    path = f"{package.__path__[0]}/__init__.pyi"
    text = "\n" + package.__spec__.loader.get_data(path).decode("utf-8")
    statements = (part.replace("(", " ").split() for part in text.split("\nfrom ")[1:])
    homes = {name: (module, name) for module, _import, name, *_ in statements}
    for line in text[text.rindex("\nfrom ") :].split("\n"):
        other, is_assignment, name = line.partition(" = ")
        if is_assignment:
            homes[other] = homes[name]
    return homes
