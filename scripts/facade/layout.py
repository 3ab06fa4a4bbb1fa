"""Small pieces of syntax: arguments, bodies, docstrings and their attribute sections."""

from __future__ import annotations

import ast
import re
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Function = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

_ENTRY = re.compile(r"^(\w+)(?: \(.*\))?: (.*)$")


def every_argument(arguments: ast.arguments) -> list[ast.arg]:
    """Return all parameters, `self` first, in the order of the signature."""
    stars = [arguments.vararg, arguments.kwarg]
    return [
        *arguments.posonlyargs,
        *arguments.args,
        *filter(None, stars[:1]),
        *arguments.kwonlyargs,
        *filter(None, stars[1:]),
    ]


def forwarded(arguments: ast.arguments, codes: Mapping[str, str]) -> str:
    """Return the arguments of a call that passes every parameter on, except `self`."""
    positional = [*arguments.posonlyargs, *arguments.args][1:]
    parts = [codes[arg.arg] for arg in positional]
    if arguments.vararg:
        parts.append(f"*{arguments.vararg.arg}")
    parts += [f"{arg.arg}={codes[arg.arg]}" for arg in arguments.kwonlyargs]
    if arguments.kwarg:
        parts.append(f"**{arguments.kwarg.arg}")
    return ", ".join(parts)


def indented(head: str, *parts: str) -> str:
    """Return a block: its head, and the parts that are not empty."""
    return "\n".join([head, *(textwrap.indent(part, "    ") for part in parts if part)])


def quoted(text: str) -> str:
    """Return a docstring as source text."""
    if '"""' in text:
        raise ValueError(f"a docstring holds three quotes: {text[:60]!r}")
    raw = "r" if "\\" in text else ""
    return f'{raw}"""{text}\n"""' if "\n" in text else f'{raw}"""{text}"""'


def is_docstring(node: ast.stmt) -> bool:
    """Whether a statement is nothing but a text."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def is_generator(node: Function) -> bool:
    """Whether a function yields, itself and not in a function inside it."""
    return any(isinstance(part, ast.Yield | ast.YieldFrom) for part in _own_parts(node))


def _own_parts(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from _own_parts(child)


def names_in(node: ast.expr) -> list[ast.expr]:
    """Return the names and dotted names of an expression."""
    return [part for part in ast.walk(node) if isinstance(part, ast.Name | ast.Attribute)]


def own_attribute(node: ast.stmt) -> str:
    """Return the name that ``self.name = ...`` sets, or nothing."""
    target: ast.expr | None = node.target if isinstance(node, ast.AnnAssign) else None
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target = node.targets[0]
    is_own = isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self"
    return target.attr if is_own and isinstance(target, ast.Attribute) else ""


def set_by_constructor(kind: ast.ClassDef) -> set[str]:
    """Return the names that the constructor of a class sets."""
    makers = [node for node in kind.body if isinstance(node, FUNCTIONS) and node.name == "__init__"]
    return {own_attribute(line) for maker in makers for line in maker.body}


def attribute_docs(text: str) -> dict[str, str]:
    """Return what the ``Attributes:`` section of a docstring says of each attribute."""
    found: dict[str, str] = {}
    name = ""
    for line in _section(text, "Attributes:"):
        entry = _ENTRY.match(line)
        if entry:
            name = entry[1]
            found[name] = entry[2]
        elif line.strip():
            found[name] += f" {line.strip()}"
    return {name: _sentence(said) for name, said in found.items()}


def _section(text: str, title: str) -> list[str]:
    lines = text.splitlines()
    if title not in lines:
        return []
    inside: list[str] = []
    for line in lines[lines.index(title) + 1 :]:
        if line and not line.startswith(" "):
            break
        inside.append(line)
    return textwrap.dedent("\n".join(inside)).splitlines()


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
