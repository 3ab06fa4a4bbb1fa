"""Turns annotations from the asynchronous colour to the blocking one, with the code that converts.

An annotation alone decides how a value crosses the border, at generation time: nothing looks at
values at run time.
"""

from __future__ import annotations

import ast
import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from facade.names import Names, add
from facade.rules import Uses, at
from facade.source import Name
from facade.turning import (
    AWAITABLES,
    CONTEXTS,
    ITERATORS,
    Turn,
    base_name,
    is_async_iterable,
    members,
    visited,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from facade.source import Module

    Code = Callable[[str], str]


@dataclass
class Colours(Names):
    """The annotations of one module of the source.

    Attributes:
        uses: Notes the rules.
    """

    uses: Uses

    def seen_from(self, module: Module) -> Colours:
        """Return the same for annotations that stand in another module."""
        return Colours(self.source, module, self.twin, self.imports, self.uses)

    def turn(self, annotation: ast.expr) -> ast.expr:
        """Return the blocking form of an annotation, and note what it has to import."""
        return visited(Turn(self), self.expand(annotation))

    def text(self, annotation: ast.expr) -> str:
        """Return the blocking form of an annotation as text."""
        return ast.unparse(self.turn(annotation))

    def expand(self, annotation: ast.expr) -> ast.expr:
        """Return an annotation without quotes, and without aliases that hide a colour."""
        return visited(_Expand(self), copy.deepcopy(annotation))

    def is_coloured(self, node: ast.expr) -> bool:
        """Whether anything in an annotation has another form on the blocking side."""
        expanded = self.expand(node)
        return any(
            isinstance(part, ast.Name | ast.Attribute)
            and (self.resource(part) or base_name(part) in ITERATORS | CONTEXTS | AWAITABLES)
            for part in ast.walk(expanded)
        )

    def need(self, node: ast.expr) -> str:
        """Import the blocking class of an async one for use at run time; return its name."""
        name = self.find(node)
        assert name is not None
        return self.run_time(self.twin_of(name))

    def run_time(self, name: Name) -> str:
        """Import a name for use at run time; return it."""
        add(self.imports.runtime, name.attr, name)
        return name.attr

    def result(self, annotation: ast.expr) -> Code:
        """Return the code that brings a value of this annotation to the blocking side."""
        node = self.expand(annotation)
        if self.resource(node):
            self.uses.note("resource result")
            kind = self.need(node)
            return lambda value: f"_facade.wrap({kind}, {value})"
        if isinstance(node, ast.Subscript) and self.is_coloured(node):
            return self._carrier(node)
        if self.is_coloured(node):
            raise at(self.module.path, annotation, f"no rule to return {ast.unparse(annotation)}")
        return lambda value: value

    def held(self, annotation: ast.expr) -> tuple[str, Code]:
        """Return how a part of an object comes to the blocking side: an import, and the code.

        The import stands in the property, as on the async side: a part is loaded when it is used.
        """
        name = self.find(self.expand(annotation))
        if name is None or name not in self.source.resources:
            return "", self.result(annotation)
        self.uses.note("resource part")
        twin = self.twin_of(name)
        return (
            f"from {twin.module} import {twin.attr}",
            lambda value: f"_facade.part(self, {twin.attr}, {value})",
        )

    def _carrier(self, node: ast.Subscript) -> Code:
        owner = base_name(node.value)
        inner = node.slice.elts[0] if isinstance(node.slice, ast.Tuple) else node.slice
        if owner in ITERATORS:
            self.uses.note("async iterator")
            return self._presented("BlockingIterator", inner)
        if owner in CONTEXTS:
            self.uses.note("async context manager")
            return self._presented("BlockingContext", inner)
        found = self.find(node.value)
        if found and found.module.startswith(self.source.package) and self.resource(inner):
            self.uses.note("result that carries a resource")
            kind = self.need(inner)
            return lambda value: f"{value}.map(lambda item: _facade.wrap({kind}, item))"
        raise at(self.module.path, node, f"no rule to return {ast.unparse(node)}")

    def _presented(self, kind: str, inner: ast.expr) -> Code:
        present = self.result(inner)("item")
        self.run_time(Name(f"{self.twin}._lasting", kind))
        # What is inside an outcome belongs to whoever reads it: nothing is read ahead and lost.
        owned = isinstance(inner, ast.Subscript) and self.is_coloured(inner)
        more = ", read_ahead=False" if owned else ""
        return lambda value: f"{kind}({value}, lambda item: {present}{more})"

    def argument(self, annotation: ast.expr) -> Code:
        """Return the code that brings an argument of this annotation to the async side."""
        node = self.expand(annotation)
        if not self.is_coloured(node):
            return lambda name: name
        union = members(node)
        if any(map(is_async_iterable, union)):
            self.uses.note("iterable argument")
            return "_facade.each({})".format
        coloured = [member for member in union if self.is_coloured(member)]
        optional = any(ast.unparse(member) == "None" for member in union)
        if len(coloured) == 1 and is_callable(coloured[0]) and len(union) == 1 + optional:
            self.uses.note("callback")
            return _unless_none(
                f"_facade.in_worker({self._called(coloured[0])})", optional=optional
            )
        if all(self.resource(member) for member in coloured):
            self.uses.note("resource argument")
            return _unwrapping(mixed=len(union) > len(coloured))
        raise at(self.module.path, annotation, f"no rule to accept {ast.unparse(annotation)}")

    def _called(self, node: ast.expr) -> str:
        """Return the code of a callback, whose async arguments come to it as blocking ones."""
        assert isinstance(node, ast.Subscript)
        assert isinstance(node.slice, ast.Tuple)
        taken = node.slice.elts[0]
        kinds = taken.elts if isinstance(taken, ast.List) else []
        if not any(self.resource(kind) for kind in kinds):
            return "{0}"
        self.uses.note("callback that gets a resource")
        names = [f"arg{number}" for number in range(len(kinds))]
        shown = [self.result(kind)(name) for kind, name in zip(kinds, names, strict=True)]
        return f"lambda {', '.join(names)}: {{0}}({', '.join(shown)})"


def is_callable(node: ast.expr) -> bool:
    """Whether an annotation is a ``Callable[...]``."""
    return isinstance(node, ast.Subscript) and base_name(node.value) == "Callable"


def _unless_none(code: str, *, optional: bool) -> Code:
    if optional:
        return lambda name: f"None if {name} is None else {code.format(name)}"
    return code.format


def _unwrapping(*, mixed: bool) -> Code:
    if mixed:
        return lambda name: (
            f"_facade.unwrap({name}) if isinstance({name}, _facade.Facade) else {name}"
        )
    return lambda name: f"_facade.unwrap({name})"


class _Expand(ast.NodeTransformer):
    """Removes quotes and coloured aliases."""

    def __init__(self, colours: Colours) -> None:
        self._colours = colours

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        """Turn what stands in brackets."""
        if base_name(node.value) != "Literal":
            self.generic_visit(node)
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        """Turn a quoted annotation."""
        if isinstance(node.value, str):
            return visited(self, ast.parse(node.value, mode="eval").body)
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Turn a name."""
        name = self._colours.find(node)
        value = name and _alias_value(self._colours.source.definition(name))
        if not name or not value:
            return node
        there = self._colours.seen_from(self._colours.source.modules[name.module])
        return there.expand(value) if there.is_coloured(value) else node


def _alias_value(node: ast.stmt | None) -> ast.expr | None:
    if isinstance(node, ast.Assign | ast.AnnAssign) and not isinstance(node.value, ast.Call):
        return node.value
    # Not TypeVar("T"), whose text is its own name.
    return None
