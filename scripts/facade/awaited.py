"""A class with ``__await__`` shows, on the blocking side, what awaiting it gives.

Its twin reads that value once, when it is first looked at, and has the value's own fields,
properties and methods without arguments.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from facade import docs
from facade.layout import FUNCTIONS, attribute_docs, every_argument, indented, quoted
from facade.rules import at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from facade.colours import Colours

_READ = """\
if not hasattr(self, "_awaited"):
    self._awaited = {value}
return self._awaited"""


@dataclass
class _Member:
    name: str
    shown: str
    doc: str
    is_method: bool = False

    def write(self) -> str:
        head = f"def {self.name}(self) -> {self.shown}:"
        if self.is_method:
            return indented(head, self.doc, f"return self._result().{self.name}()")
        return indented(f"@property\n{head}", self.doc, f"return self._result().{self.name}")


def write(kind: ast.ClassDef, colours: Colours, words: dict[str, str]) -> Iterator[str]:
    """Yield the members that a class has for the value that awaiting it gives."""
    returns = next(filter(None, map(_awaited_type, kind.body)), None)
    if returns is None:
        return
    if not isinstance(returns, ast.Subscript) or not isinstance(returns.slice, ast.Tuple):
        raise at(colours.module.path, kind, "__await__ must return Generator[Any, Any, Value]")
    colours.uses.note("awaited class")
    result = returns.slice.elts[-1]
    shown = colours.text(result)
    value = colours.result(result)("_portal.run(_facade.awaiting(self._aio))")
    yield f"_awaited: {shown}"
    yield indented(f"def _result(self) -> {shown}:", _READ.format(value=value))
    members = {member.name: member for member in _surface(result, colours, words)}
    own = {node.name for node in kind.body if isinstance(node, FUNCTIONS)}
    yield from (member.write() for name, member in members.items() if name not in own)


def _awaited_type(node: ast.stmt) -> ast.expr | None:
    if isinstance(node, ast.FunctionDef) and node.name == "__await__":
        return node.returns
    return None


def _surface(value: ast.expr, colours: Colours, words: dict[str, str]) -> Iterator[_Member]:
    """Yield the public face of a value class, that of its bases first."""
    owner = value.value if isinstance(value, ast.Subscript) else value
    name = colours.find(owner)
    kind = colours.source.definition(name) if name else None
    if name is None or not isinstance(kind, ast.ClassDef):
        return
    there = replace(
        colours,
        module=colours.source.modules[name.module],
        bound=dict(zip(_parameters(kind), _turned_arguments(value, colours), strict=True)),
    )
    for base in kind.bases:
        yield from _surface(base, there, words)
    described = attribute_docs(ast.get_docstring(kind) or "")
    for node in kind.body:
        yield from _member(node, there, described, words)


def _turned_arguments(value: ast.expr, colours: Colours) -> list[ast.expr]:
    if not isinstance(value, ast.Subscript):
        return []
    parts = value.slice.elts if isinstance(value.slice, ast.Tuple) else [value.slice]
    return [colours.turn(part) for part in parts]


def _parameters(kind: ast.ClassDef) -> list[str]:
    """Return the type variables of a class, which it must list with ``Generic[...]``."""
    for base in kind.bases:
        if isinstance(base, ast.Subscript) and ast.unparse(base.value) == "Generic":
            parts = base.slice.elts if isinstance(base.slice, ast.Tuple) else [base.slice]
            return [ast.unparse(part) for part in parts]
    return []


def _member(
    node: ast.stmt, colours: Colours, described: dict[str, str], words: dict[str, str]
) -> Iterator[_Member]:
    if isinstance(node, ast.AnnAssign) and not ast.unparse(node.target).startswith("_"):
        name = ast.unparse(node.target)
        doc = quoted(docs.turn(described.get(name, ""), words))
        yield _Member(name, colours.text(node.annotation), doc)
    elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and node.returns:
        kinds = [ast.unparse(decorator) for decorator in node.decorator_list]
        doc = quoted(docs.turn(ast.get_docstring(node) or "", words))
        if kinds in ([], ["property"]) and len(every_argument(node.args)) == 1:
            yield _Member(node.name, colours.text(node.returns), doc, is_method=not kinds)
