"""Annotations: from the async form to the blocking form."""

from __future__ import annotations

import ast
import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from facade.source import Name

if TYPE_CHECKING:
    from facade.rules import UsedRules
    from facade.source import Module, Source

ITERATORS = {"AsyncIterator", "AsyncGenerator", "AsyncIterable", "ClosingIterator"}
CONTEXT_MANAGERS = {"AbstractAsyncContextManager", "AsyncContextManager"}
_AWAITABLES = {"Awaitable", "Coroutine"}


@dataclass
class Imports:
    """The imports of a generated module, by local name.

    Attributes:
        runtime: Names that the code uses.
        typing: Names that only annotations mention.
    """

    runtime: dict[str, Name] = field(default_factory=dict)
    typing: dict[str, Name] = field(default_factory=dict)


@dataclass
class Annotations:
    """The annotations of one module of the source.

    Attributes:
        source: The async package.
        module: The module that contains the annotations.
        package: The name of the blocking package.
        imports: Collects the imports of the generated module.
        rules: Collects the rules that were applied.
        type_arguments: What stands for each type variable.
    """

    source: Source
    module: Module
    package: str
    imports: Imports
    rules: UsedRules
    type_arguments: dict[str, ast.expr] = field(default_factory=dict)

    def of_module(self, module: Module) -> Annotations:
        """Return an object for annotations of another module, with the same imports."""
        return Annotations(self.source, module, self.package, self.imports, self.rules)

    def to_blocking(self, annotation: ast.expr) -> ast.expr:
        """Return the blocking form of an annotation, and collect its imports."""
        return _transformed(_ToBlocking(self), self.expand(annotation))

    def text(self, annotation: ast.expr) -> str:
        """Return the blocking form of an annotation as source text."""
        return ast.unparse(self.to_blocking(annotation))

    def expand(self, annotation: ast.expr) -> ast.expr:
        """Return an annotation without quotes, and with aliases of async types replaced."""
        return _transformed(_Expand(self), copy.deepcopy(annotation))

    def is_async(self, annotation: ast.expr) -> bool:
        """Whether any part of an annotation has another form in the blocking package."""
        return any(
            isinstance(part, ast.Name | ast.Attribute)
            and (
                self.async_class(part)
                or last_name(part) in ITERATORS | CONTEXT_MANAGERS | _AWAITABLES
            )
            for part in ast.walk(self.expand(annotation))
        )

    def find(self, node: ast.expr) -> Name | None:
        """Return what a plain or dotted name stands for; ``None`` for built-in names."""
        if isinstance(node, ast.Name) and node.id not in self.type_arguments:
            return self.source.lookup(self.module, node.id)
        if isinstance(node, ast.Attribute):
            owner = self.find(node.value)
            if owner is not None and not owner.attr:
                return self.source.origin(Name(owner.module, node.attr))
        return None

    def async_class(self, node: ast.expr) -> Name | None:
        """Return the async class that a name stands for, or ``None`` if it is anything else."""
        name = self.find(node)
        return name if name in self.source.async_classes else None

    def blocking_class(self, name: Name) -> Name:
        """Return the blocking class of an async one."""
        module = self.package + name.module.removeprefix(self.source.package)
        return Name(module, blocking_name(name.attr))

    def use(self, name: Name) -> str:
        """Import a name for use at run time; return it."""
        add_import(self.imports.runtime, name.attr, name)
        return name.attr


class _ToBlocking(ast.NodeTransformer):
    """Writes the blocking names, and collects their imports."""

    def __init__(self, annotations: Annotations) -> None:
        self._annotations = annotations

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        """Convert ``Owner[...]``."""
        owner = last_name(node.value)
        if owner == "Literal":
            # The strings in it are values, not quoted annotations.
            self.visit(node.value)
            return node
        if owner in _AWAITABLES:
            parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            return _transformed(self, parts[-1])
        if owner in ITERATORS:
            blocking = Name(f"{self._annotations.package}._lasting", "BlockingIterator")
            return self._with_owner(node, blocking)
        if owner in CONTEXT_MANAGERS:
            return self._with_owner(node, Name("contextlib", "AbstractContextManager"))
        self.generic_visit(node)
        return node

    def _with_owner(self, node: ast.Subscript, name: Name) -> ast.expr:
        add_import(self._annotations.imports.typing, name.attr, name)
        inner = node.slice.elts[0] if isinstance(node.slice, ast.Tuple) else node.slice
        return ast.Subscript(ast.Name(name.attr), self.visit(inner))

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        """Convert a union; members that have become equal are written once."""
        converted: dict[str, ast.expr] = {}
        for member in union_members(node):
            if not is_async_iterable(member):
                # An async iterable is left out: the plain iterable stands beside it.
                blocking = self.visit(member)
                converted.setdefault(ast.unparse(blocking), blocking)
        return ast.parse(" | ".join(converted), mode="eval").body

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        """Import what a dotted name begins with."""
        self._import(node)
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Convert a plain name."""
        annotations = self._annotations
        if node.id in annotations.type_arguments:
            return annotations.type_arguments[node.id]
        name = annotations.async_class(node)
        if name is None:
            self._import(node)
            return node
        blocking = annotations.blocking_class(name)
        add_import(annotations.imports.typing, blocking.attr, blocking)
        return ast.Name(blocking.attr)

    def _import(self, node: ast.expr) -> None:
        while isinstance(node, ast.Attribute):
            node = node.value
        if isinstance(node, ast.Name):
            source = self._annotations.source
            name = source.lookup(self._annotations.module, node.id)
            if name is not None:
                home = source.public_home(name) or name
                add_import(self._annotations.imports.typing, node.id, home)


class _Expand(ast.NodeTransformer):
    """Removes quotes, and replaces aliases of async types by what they stand for."""

    def __init__(self, annotations: Annotations) -> None:
        self._annotations = annotations

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        """Expand ``Owner[...]``."""
        if last_name(node.value) != "Literal":
            self.generic_visit(node)
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        """Expand a quoted annotation."""
        if not isinstance(node.value, str):
            return node
        return _transformed(self, ast.parse(node.value, mode="eval").body)

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Expand an alias."""
        name = self._annotations.find(node)
        value = name and _alias_value(self._annotations.source.definition(name))
        if not name or not value:
            return node
        there = self._annotations.of_module(self._annotations.source.modules[name.module])
        return there.expand(value) if there.is_async(value) else node


def _alias_value(node: ast.stmt | None) -> ast.expr | None:
    if isinstance(node, ast.Assign | ast.AnnAssign) and not isinstance(node.value, ast.Call):
        return node.value
    # A call defines something new, such as a TypeVar.
    return None


def _transformed(transformer: ast.NodeTransformer, node: ast.expr) -> ast.expr:
    result = transformer.visit(node)
    assert isinstance(result, ast.expr)
    return result


def blocking_name(name: str) -> str:
    """Return the name of the blocking class of an async one."""
    return name.removeprefix("Async")


def add_import(imports: dict[str, Name], local: str, name: Name) -> None:
    """Add an import.

    Raises:
        ValueError: The local name stands for something else already.
    """
    existing = imports.setdefault(local, name)
    if existing != name:
        raise ValueError(f"{local} stands for two things: {existing} and {name}")


def last_name(node: ast.expr) -> str:
    """Return the last part of a dotted name."""
    return ast.unparse(node).rpartition(".")[2]


def union_members(node: ast.expr) -> list[ast.expr]:
    """Return the members of a union; an annotation that is not a union is its own member."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return [*union_members(node.left), *union_members(node.right)]
    return [node]


def is_async_iterable(node: ast.expr) -> bool:
    """Whether an annotation is an ``AsyncIterable[...]``."""
    return isinstance(node, ast.Subscript) and last_name(node.value) == "AsyncIterable"


def is_callable(node: ast.expr) -> bool:
    """Whether an annotation is a ``Callable[...]``."""
    return isinstance(node, ast.Subscript) and last_name(node.value) == "Callable"
