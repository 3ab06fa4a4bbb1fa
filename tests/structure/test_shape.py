"""The shape of the files: few entries at the root, short functions, no remains of a merge."""

from __future__ import annotations

import ast
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_SOURCE = _ROOT / "src"
_TREES = ("src", "tests", "docs", "benchmarks", "scripts", "examples")
_PACKAGES = (
    "agentbay",
    "agentbay_async",
    "agentbay_cli",
    "agentbay_integrations",
    "agentbay_local",
)

#: The most lines of a function, its decorators and docstring left out.
LONGEST_FUNCTION = 40
ROOT_ENTRIES = 28

_TEXTS = {".py", ".pyi", ".md", ".toml", ".js", ".txt", ".cfg", ".ipynb"}
_CONFLICT = ("<" * 7 + " ", ">" * 7 + " ", "|" * 7 + " ")


def _files() -> list[Path]:
    return [path for name in _PACKAGES for path in sorted((_SOURCE / name).rglob("*.py"))]


def test_the_root_of_the_sdk_can_be_read_at_a_glance() -> None:
    """Bytecode aside, the root lists modules, packages, the stub and the type marker."""
    entries = [path.name for path in (_SOURCE / "agentbay_async").iterdir()]
    assert len([name for name in entries if name not in {"__pycache__", ".agents"}]) <= ROOT_ENTRIES


def test_every_function_fits_on_a_screen() -> None:
    """A longer function does several things."""
    found = [
        f"{path.relative_to(_SOURCE)}:{node.lineno}: {node.name} has {_length(node)} lines"
        for path in _files()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and _length(node) > LONGEST_FUNCTION
    ]
    assert not found, "\n".join(found)


def test_no_file_holds_a_conflict_of_a_merge() -> None:
    """Git leaves such lines for someone to decide, and code aside, nothing else notices them."""
    trees = [path for tree in _TREES for path in (_ROOT / tree).rglob("*.*")]
    texts = [path for path in (*_ROOT.glob("*.*"), *trees) if path.suffix in _TEXTS]
    found = [
        f"{path.relative_to(_ROOT)}:{number}"
        for path in texts
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if line.startswith(_CONFLICT)
    ]
    assert len(texts) > 500
    assert not found, "\n".join(found)


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = node.body
    is_documented = isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
    statements = body[1:] if is_documented and len(body) > 1 else body
    return (node.end_lineno or 0) - statements[0].lineno + 1
