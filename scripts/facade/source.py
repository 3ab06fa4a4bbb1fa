"""Reads the asynchronous package: its modules, what they import, and its async classes."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: Calls whose results are tools of their module, not part of its public face.
_TOOLS = {"TypeVar", "ParamSpec", "getLogger"}


@dataclass(frozen=True, order=True)
class Name:
    """A name where it is defined; ``attr`` is empty for a module."""

    module: str
    attr: str = ""


@dataclass
class Module:
    """One module of the source.

    Attributes:
        name: Dotted name.
        path: Where it stands, relative to the directory of packages.
        tree: Its syntax tree.
        imports: Local names of what it imports.
        defined: Its own classes, functions and constants, by name.
        typing_only: Those of them that exist for type checkers alone.
    """

    name: str
    path: str
    tree: ast.Module
    imports: dict[str, Name] = field(default_factory=dict)
    defined: dict[str, ast.stmt] = field(default_factory=dict)
    typing_only: set[str] = field(default_factory=set)

    @property
    def is_package(self) -> bool:
        """Whether this is the ``__init__`` of a package."""
        return self.path.endswith("__init__.py")

    @property
    def doc(self) -> str:
        """Its docstring, or nothing."""
        return ast.get_docstring(self.tree) or ""

    def resolve(self, name: str) -> Name | None:
        """Return where ``name`` is defined; ``None`` for built-in names."""
        if name in self.defined:
            return Name(self.name, name)
        return self.imports.get(name)

    def public(self) -> list[str]:
        """Return the names that this module offers at run time, in their order."""
        listed = getattr(self.defined.get("__all__"), "value", None)
        if listed is not None and not self.is_package:
            return list(ast.literal_eval(listed))
        return [
            name
            for name, node in self.defined.items()
            if not name.startswith("_") and name not in self.typing_only and not _is_tool(node)
        ]


class Source:
    """The modules of one package tree.

    Args:
        root: The directory of the asynchronous package.

    Attributes:
        exports: The names that the package itself offers: those of its ``__init__.pyi``.
    """

    def __init__(self, root: Path) -> None:
        self.package = root.name
        files = sorted(root.rglob("*.py"))
        self.modules = {module.name: module for module in (_read(root, file) for file in files)}
        self.exports = _read_stub(root / "__init__.pyi")
        self.modules[self.package].imports |= self.exports
        self.resources = {
            Name(module.name, name)
            for module in self.public_modules()
            for name in module.public()
            if name.startswith("Async") and isinstance(module.defined[name], ast.ClassDef)
        }

    def public_modules(self) -> list[Module]:
        """Return the modules that get a twin."""
        return [module for module in self.modules.values() if is_public(module.name)]

    def face(self, name: Name) -> Name | None:
        """Return from where users import a name: its module, or the package; ``None`` if not."""
        if name.module not in self.modules or is_public(name.module):
            return name
        offered = any(self.origin(there) == name for there in self.exports.values())
        return Name(self.package, name.attr) if offered else None

    def origin(self, name: Name) -> Name:
        """Follow re-exports to where ``name`` is defined."""
        module = self.modules.get(name.module)
        if module is None or name.attr in module.defined or name.attr not in module.imports:
            inner = f"{name.module}.{name.attr}"
            return Name(inner) if inner in self.modules else name
        return self.origin(module.imports[name.attr])

    def lookup(self, module: Module, name: str) -> Name | None:
        """Return where a name used in ``module`` is defined; ``None`` for built-in names."""
        found = module.resolve(name)
        return found and self.origin(found)

    def definition(self, name: Name) -> ast.stmt | None:
        """Return the statement that defines ``name``, if it stands in this package."""
        module = self.modules.get(name.module)
        return module.defined.get(name.attr) if module else None


def is_public(module: str) -> bool:
    """Whether no part of a dotted name begins with an underscore."""
    return not any(part.startswith("_") for part in module.split("."))


def assigned(node: ast.stmt) -> str:
    """Return the one plain name that a statement assigns, or nothing."""
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    return ""


def is_type_checking(node: ast.stmt) -> bool:
    """Whether a statement is the ``if TYPE_CHECKING:`` block."""
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def _read(root: Path, file: Path) -> Module:
    path = file.relative_to(root.parent)
    parts = path.with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    module = Module(name, path.as_posix(), ast.parse(file.read_text("utf-8"), str(path)))
    for node in module.tree.body:
        _note(module, node)
    return module


def _read_stub(file: Path) -> dict[str, Name]:
    if not file.exists():
        return {}
    return {
        alias.asname or alias.name: Name(node.module or "", alias.name)
        for node in ast.parse(file.read_text("utf-8"), str(file)).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def _note(module: Module, node: ast.stmt, typing_only: bool = False) -> None:
    if isinstance(node, ast.If) and is_type_checking(node):
        for inner in node.body:
            _note(module, inner, typing_only=True)
    elif isinstance(node, ast.Import):
        for item in node.names:
            module.imports[item.asname or item.name] = Name(item.name)
    elif isinstance(node, ast.ImportFrom):
        for item in node.names:
            module.imports[item.asname or item.name] = Name(_absolute(module, node), item.name)
    elif isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        module.defined[node.name] = node
    elif assigned(node):
        module.defined[assigned(node)] = node
        if typing_only:
            module.typing_only.add(assigned(node))


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = module.name.split(".")
    parts = parts[: len(parts) - node.level + module.is_package]
    return ".".join([*parts, *([node.module] if node.module else [])])


def _is_tool(node: ast.stmt) -> bool:
    value = getattr(node, "value", None)
    return isinstance(value, ast.Call) and ast.unparse(value.func).split(".")[-1] in _TOOLS
