"""The types of expressions in a program, as far as the annotations of this library tell them.

An async class and its blocking one have the same members, so a program for either is read as one
for the blocking package.
"""

from __future__ import annotations

import ast
import inspect
import sys
from functools import cache
from types import ModuleType
from typing import Any, TypeAlias

import attrs

import agentbay

__all__ = [
    "Function",
    "Instance",
    "Method",
    "Type",
    "Types",
    "element",
    "exported",
    "member",
    "names_of",
]

_LISTS = frozenset({"Iterable", "Iterator", "AsyncIterator", "Sequence", "list", "tuple"})


@attrs.frozen
class Instance:
    """An object of a class.

    Attributes:
        kind: The class.
        arguments: What its type variables stand for; of a list, the type of its elements.
    """

    kind: type
    arguments: tuple[Any, ...] = ()


@attrs.frozen
class Method:
    """A method of an object or class, not yet called."""

    owner: Instance
    name: str

    @property
    def function(self) -> Any:
        """The function, or ``None`` if there is none."""
        found = inspect.getattr_static(self.owner.kind, self.name, None)
        return getattr(found, "__func__", found)


@attrs.frozen
class Function:
    """A function of the program.

    Attributes:
        returns: The type of its result.
    """

    returns: Type


#: A module and a class stand for themselves; ``None`` is a type that is not known.
Type: TypeAlias = "Instance | Method | Function | ModuleType | type | None"


@attrs.define
class Types:
    """The types of the names of a program, at one place of it.

    Attributes:
        names: The type of each variable; ``self.x`` is one, too.
    """

    names: dict[str, Type] = attrs.field(factory=dict)

    def of(self, node: ast.AST) -> Type:
        """Return the type of an expression; that of a coroutine is the type of its result."""
        if isinstance(node, (ast.Await, ast.NamedExpr)):
            return self.of(node.value)
        if isinstance(node, ast.Name):
            return self.names.get(node.id)
        if isinstance(node, ast.Attribute):
            known = self.names.get(ast.unparse(node))
            return known or member(self.of(node.value), node.attr)
        if isinstance(node, ast.Call):
            return _returned(self.of(node.func))
        if isinstance(node, ast.Subscript) and not isinstance(node.slice, ast.Slice):
            return element(self.of(node.value))
        return None

    def annotated(self, node: ast.AST | None) -> Type:
        """Return the type that an annotation of the program names."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                node = ast.parse(node.value, mode="eval").body
            except SyntaxError:
                return None
        if isinstance(node, ast.BinOp):
            return self.annotated(node.left) or self.annotated(node.right)
        if isinstance(node, ast.Subscript):
            inner = self.annotated(node.slice)
            name = ast.unparse(node.value).rpartition(".")[2]
            if name == "Optional":
                return inner
            if name == "List" or name in _LISTS:
                return Instance(list, (inner,))
            node = node.value
        found = self.of(node) if node else None
        return Instance(found) if isinstance(found, type) else None


def element(known: Type) -> Type:
    """Return the type of what iteration over an object yields."""
    if not isinstance(known, Instance):
        return None
    if known.kind is list:
        found: Type = known.arguments[0]
        return found
    made = _returned(Method(known, "__iter__"))
    return element(made) if isinstance(made, Instance) and made.kind is list else None


def member(known: Type, name: str) -> Type:
    """Return the type of an attribute; ``None`` if it is not known, or not there."""
    if isinstance(known, ModuleType):
        return _as_type(exported(name)) if known is agentbay else None
    if isinstance(known, type):
        known = Instance(known)
    if not isinstance(known, Instance):
        return None
    found = inspect.getattr_static(known.kind, name, None)
    if isinstance(found, property):
        return _read(found.fget, "return", known)
    if inspect.isfunction(found) or isinstance(found, (classmethod, staticmethod)):
        return Method(known, name)
    for base in known.kind.__mro__:
        if name in inspect.get_annotations(base):
            return _read(base, name, known)
    return None


def exported(name: str) -> object:
    """Return what the blocking package has under a public name, or ``None``."""
    return getattr(agentbay, name) if name in _exports() else None


@cache
def _exports() -> frozenset[str]:
    return frozenset(name for name in dir(agentbay) if name[0] != "_")


def names_of(kind: type) -> list[str]:
    """Return all public names of a class, its own first and those of its async class last."""
    names = _names().get(kind, {kind.__name__})
    return sorted(names, key=lambda name: (name != kind.__name__, name.startswith("Async"), name))


@cache
def _names() -> dict[type, set[str]]:
    found: dict[type, set[str]] = {}
    for name in _exports():
        kind = _as_type(exported(name))
        if isinstance(kind, type):
            found.setdefault(kind, {kind.__name__}).add(name)
    return found


@cache
def _blocking() -> dict[type, type]:
    """Return the blocking class of each async one."""
    kinds = [kind for kind in map(exported, _exports()) if isinstance(kind, type)]
    return {held: kind for kind in kinds for held in _held(kind) if isinstance(held, type)}


def _held(kind: type) -> tuple[Any, ...]:
    bases = kind.__dict__.get("__orig_bases__", ())
    return tuple(held for base in bases if "Facade" in repr(base) for held in base.__args__)


def _as_type(value: object) -> Type:
    return _blocking().get(value, value) if isinstance(value, type) else None


def _returned(known: Type) -> Type:
    if isinstance(known, type):
        return Instance(known)
    if isinstance(known, Method):
        return _read(known.function, "return", known.owner)
    return known.returns if isinstance(known, Function) else None


def _read(holder: Any, name: str, owner: Instance) -> Type:
    """Return the type of an annotation of the library."""
    text = getattr(holder, "__annotations__", {}).get(name)
    if not isinstance(text, str):
        return None
    module = sys.modules.get(getattr(holder, "__module__", ""))
    return _parsed(ast.parse(text, mode="eval").body, module, owner)


def _parsed(node: ast.AST, module: ModuleType | None, owner: Instance) -> Type:
    if isinstance(node, ast.BinOp):
        return _parsed(node.left, module, owner) or _parsed(node.right, module, owner)
    if isinstance(node, ast.Subscript):
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        arguments = tuple(_parsed(part, module, owner) for part in parts)
        if ast.unparse(node.value).rpartition(".")[2] in _LISTS:
            return Instance(list, arguments)
        outer = _parsed(node.value, module, owner)
        return attrs.evolve(outer, arguments=arguments) if isinstance(outer, Instance) else None
    return _named(ast.unparse(node), module, owner)


def _named(name: str, module: ModuleType | None, owner: Instance) -> Type:
    if name == "Self":
        return owner
    variables = [one.__name__ for one in getattr(owner.kind, "__parameters__", ())]
    if name in variables and len(variables) == len(owner.arguments):
        found: Type = owner.arguments[variables.index(name)]
        return found
    kind = _as_type(exported(name)) or getattr(module, name, None) or _BUILTINS.get(name)
    return Instance(kind) if isinstance(kind, type) else None


_BUILTINS = {kind.__name__: kind for kind in (bool, bytes, dict, float, int, list, str, tuple)}
