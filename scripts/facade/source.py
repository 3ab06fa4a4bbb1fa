"""The async package as syntax trees: its modules, their imports, and its async classes."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: Calls whose results belong to a module's implementation, not to its public names.
_PRIVATE_CALLS = {"TypeVar", "ParamSpec", "getLogger"}

#: Decorators of async methods, which the blocking package does not use.
_DECORATORS = {"returns_result"}


@dataclass(frozen=True, order=True)
class Name:
    """A name and the module that defines it; for a module itself, `attr` is empty."""

    module: str
    attr: str = ""


@dataclass
class Module:
    """One module of the source.

    Attributes:
        name: Dotted name.
        path: Path relative to the directory that holds the package.
        tree: The syntax tree.
        imports: What each imported local name stands for.
        defined: The module's own classes, functions and constants, by name.
        typing_only: Those of them that stand under ``if TYPE_CHECKING:``.
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
        """The docstring, or an empty string."""
        return ast.get_docstring(self.tree) or ""

    def public_names(self) -> list[str]:
        """Return the names that this module offers at run time, in their order."""
        listed = getattr(self.defined.get("__all__"), "value", None)
        if listed is not None:
            return list(ast.literal_eval(listed))
        return [
            name
            for name, node in self.defined.items()
            if not name.startswith("_")
            and name not in self.typing_only
            and name not in _DECORATORS
            and not _is_private_call(node)
        ]


class Source:
    """The modules of the async package.

    Args:
        root: The directory of the package.

    Attributes:
        package: The name of the package.
        modules: Its modules by dotted name.
        exports: The names in the ``__init__.pyi`` of the package.
        async_classes: The public classes that need a blocking one.
    """

    def __init__(self, root: Path) -> None:
        self.package = root.name
        files = sorted(root.rglob("*.py"))
        self.modules = {module.name: module for module in (_parse(root, file) for file in files)}
        self.exports = _parse_stub(root / "__init__.pyi")
        self.modules[self.package].imports |= self.exports
        self.async_classes = {
            Name(module.name, name)
            for module in self.public_modules()
            for name in module.public_names()
            if name.startswith("Async") and isinstance(module.defined[name], ast.ClassDef)
        }

    def public_modules(self) -> list[Module]:
        """Return the modules that get a blocking one."""
        return [module for module in self.modules.values() if is_public(module.name)]

    def public_home(self, name: Name) -> Name | None:
        """Return where users import a name from, or ``None`` if they cannot."""
        if name.module not in self.modules or is_public(name.module):
            return name
        is_exported = any(self.origin(export) == name for export in self.exports.values())
        return Name(self.package, name.attr) if is_exported else None

    def origin(self, name: Name) -> Name:
        """Follow re-exports to the module that defines `name`."""
        module = self.modules.get(name.module)
        if module is None or name.attr in module.defined or name.attr not in module.imports:
            inner = f"{name.module}.{name.attr}"
            return Name(inner) if inner in self.modules else name
        return self.origin(module.imports[name.attr])

    def lookup(self, module: Module, name: str) -> Name | None:
        """Return what `name` stands for in `module`; ``None`` for built-in names."""
        if name in module.defined:
            return Name(module.name, name)
        found = module.imports.get(name)
        return found and self.origin(found)

    def definition(self, name: Name) -> ast.stmt | None:
        """Return the statement that defines `name`, or ``None`` if another package does."""
        module = self.modules.get(name.module)
        return module.defined.get(name.attr) if module else None


def is_public(module: str) -> bool:
    """Whether no part of a dotted name begins with an underscore."""
    return not any(part.startswith("_") for part in module.split("."))


def _parse(root: Path, file: Path) -> Module:
    path = file.relative_to(root.parent)
    parts = path.with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    module = Module(name, path.as_posix(), ast.parse(file.read_text("utf-8"), str(path)))
    for node in module.tree.body:
        _collect_names(module, node)
    return module


def _parse_stub(file: Path) -> dict[str, Name]:
    if not file.exists():
        return {}
    exports: dict[str, Name] = {}
    for node in ast.parse(file.read_text("utf-8"), str(file)).body:
        if isinstance(node, ast.ImportFrom):
            exports |= {part.name: Name(node.module or "", part.name) for part in node.names}
        elif isinstance(node, ast.Assign):
            exports[_assigned_name(node)] = exports[ast.unparse(node.value)]
    return exports


def _collect_names(module: Module, node: ast.stmt, typing_only: bool = False) -> None:
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        for inner in node.body:
            _collect_names(module, inner, typing_only=True)
    elif isinstance(node, ast.Import):
        for item in node.names:
            module.imports[item.asname or item.name] = Name(item.name)
    elif isinstance(node, ast.ImportFrom):
        for item in node.names:
            module.imports[item.asname or item.name] = Name(_absolute(module, node), item.name)
    elif isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        module.defined[node.name] = node
    elif name := _assigned_name(node):
        module.defined[name] = node
        if typing_only:
            module.typing_only.add(name)


def _assigned_name(node: ast.stmt) -> str:
    """Return the single plain name that a statement assigns, or an empty string."""
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    return ""


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = module.name.split(".")
    parts = parts[: len(parts) - node.level + module.is_package]
    return ".".join([*parts, *([node.module] if node.module else [])])


def _is_private_call(node: ast.stmt) -> bool:
    value = getattr(node, "value", None)
    return isinstance(value, ast.Call) and ast.unparse(value.func).split(".")[-1] in _PRIVATE_CALLS
