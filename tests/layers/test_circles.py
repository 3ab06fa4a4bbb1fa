"""Nothing imports itself by way of others, so that each module can be read after those it needs.

Here every import counts: those for annotations alone, and those inside functions.
"""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT = Path(__file__).resolve().parents[2]


def _name(path: Path, top: Path) -> str:
    parts = path.relative_to(top).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(node: ast.AST, package: list[str]) -> Iterator[tuple[str, str]]:
    """Yield what a statement imports: the module, and the name in it that may be one itself."""
    if isinstance(node, ast.Import):
        yield from ((alias.name, alias.name) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        here = package[: len(package) - node.level + 1] if node.level else []
        base = ".".join([*here, *([node.module] if node.module else [])])
        yield from ((base, f"{base}.{alias.name}") for alias in node.names)


def _edges(top: Path) -> dict[str, set[str]]:
    files = {_name(path, top): path for path in top.rglob("*.py")}
    edges: dict[str, set[str]] = {}
    for module, path in files.items():
        package = list(path.relative_to(top).parent.parts)
        nodes = ast.walk(ast.parse(path.read_text("utf-8")))
        found = [pair for node in nodes for pair in _imported(node, package)]
        names = {full if full in files else base for base, full in found}
        edges[module] = names & files.keys() - {module}
    return edges


@pytest.mark.parametrize("top", ["src", "scripts", "benchmarks"])
def test_no_module_imports_itself_by_way_of_others(top: str) -> None:
    """A circle is cut by a module for what both sides share."""
    edges = _edges(_ROOT / top)
    assert edges
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))
