"""Rewrites annotations in blocking names."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from facade.names import add
from facade.source import Name

if TYPE_CHECKING:
    from facade.names import Names

ITERATORS = {"AsyncIterator", "AsyncGenerator", "AsyncIterable"}
CONTEXTS = {"AbstractAsyncContextManager", "AsyncContextManager"}
AWAITABLES = {"Awaitable", "Coroutine"}


class Turn(ast.NodeTransformer):
    """Writes the blocking names and notes the imports."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        """Turn what stands in brackets."""
        owner = base_name(node.value)
        if owner == "Literal":
            self.visit(node.value)
            return node
        if owner in AWAITABLES:
            parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            return visited(self, parts[-1])
        if owner in ITERATORS:
            return self._renamed(node, Name(f"{self._names.twin}._lasting", "BlockingIterator"))
        if owner in CONTEXTS:
            return self._renamed(node, Name("contextlib", "AbstractContextManager"))
        self.generic_visit(node)
        return node

    def _renamed(self, node: ast.Subscript, name: Name) -> ast.expr:
        add(self._names.imports.typing, name.attr, name)
        inner = node.slice.elts[0] if isinstance(node.slice, ast.Tuple) else node.slice
        return ast.Subscript(ast.Name(name.attr), self.visit(inner))

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        """Turn a union; members that became equal are one."""
        turned_members: dict[str, ast.expr] = {}
        for member in members(node):
            if is_async_iterable(member):
                # A blocking caller has plain iterables, which stand beside it.
                continue
            turned = self.visit(member)
            turned_members.setdefault(ast.unparse(turned), turned)
        return ast.parse(" | ".join(turned_members), mode="eval").body

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        """Turn a dotted name."""
        self._note(node)
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Turn a name."""
        if node.id in self._names.bound:
            return self._names.bound[node.id]
        resource = self._names.resource(node)
        if not resource:
            self._note(node)
            return node
        name = self._names.find(node)
        assert name is not None
        add(self._names.imports.typing, resource, self._names.twin_of(name))
        return ast.Name(resource)

    def _note(self, node: ast.expr) -> None:
        while isinstance(node, ast.Attribute):
            node = node.value
        if isinstance(node, ast.Name):
            name = self._names.source.lookup(self._names.module, node.id)
            if name is not None:
                face = self._names.source.face(name) or name
                add(self._names.imports.typing, node.id, face)


def visited(transformer: ast.NodeTransformer, node: ast.expr) -> ast.expr:
    """Return what a transformer makes of an expression."""
    found = transformer.visit(node)
    assert isinstance(found, ast.expr)
    return found


def base_name(node: ast.expr) -> str:
    """Return the last part of a dotted name."""
    return ast.unparse(node).rpartition(".")[2]


def members(node: ast.expr) -> list[ast.expr]:
    """Return the members of a union, or the one that is none."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return [*members(node.left), *members(node.right)]
    return [node]


def is_async_iterable(node: ast.expr) -> bool:
    """Whether an annotation is an ``AsyncIterable[...]``."""
    return isinstance(node, ast.Subscript) and base_name(node.value) == "AsyncIterable"
