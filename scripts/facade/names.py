"""The names in annotations: where they are defined, and what blocking code calls and imports."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from facade.source import Name

if TYPE_CHECKING:
    from facade.source import Module, Source


@dataclass
class Imports:
    """What a generated module has to import, by local name.

    Attributes:
        runtime: Names that run.
        typing: Names that only annotations mention.
    """

    runtime: dict[str, Name] = field(default_factory=dict)
    typing: dict[str, Name] = field(default_factory=dict)


@dataclass
class Names:
    """The names in the annotations of one module of the source.

    Attributes:
        source: The asynchronous package.
        module: Where the annotations stand.
        twin: The name of the blocking package.
        imports: Collects what the converted annotations and code need.
        bound: Type variables, and the turned annotations that stand for them.
    """

    source: Source
    module: Module
    twin: str
    imports: Imports
    bound: dict[str, ast.expr] = field(default_factory=dict, kw_only=True)

    def find(self, node: ast.expr) -> Name | None:
        """Return where a plain or dotted name is defined; ``None`` for built-in names."""
        if isinstance(node, ast.Name) and node.id not in self.bound:
            return self.source.lookup(self.module, node.id)
        if isinstance(node, ast.Attribute):
            owner = self.find(node.value)
            if owner is not None and not owner.attr:
                return self.source.origin(Name(owner.module, node.attr))
        return None

    def resource(self, node: ast.expr) -> str:
        """Return the blocking name of an async class, or nothing; it will be imported."""
        name = self.find(node)
        if name is None or name not in self.source.resources:
            return ""
        return blocking_name(name.attr)

    def twin_of(self, name: Name) -> Name:
        """Return where the blocking class of an async one stands."""
        return Name(twin_module(name.module, self.source, self.twin), blocking_name(name.attr))


def blocking_name(name: str) -> str:
    """Return the blocking name of an async class."""
    return name.removeprefix("Async")


def twin_module(module: str, source: Source, twin: str) -> str:
    """Return the name of the blocking twin of a module."""
    return twin + module.removeprefix(source.package)


def add(names: dict[str, Name], local: str, name: Name) -> None:
    """Note an import; one local name cannot mean two things."""
    known = names.setdefault(local, name)
    if known != name:
        raise ValueError(f"two things are called {local}: {known} and {name}")
