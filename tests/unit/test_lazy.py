"""Names that are imported when they are asked for: what is promised three times agrees."""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

from agentbay_async._lazy import lazy

_PACKAGES = ["agentbay_async", "agentbay_async._protocol.schema"]


def _tree(package: str) -> ast.Module:
    return ast.parse(Path(str(importlib.import_module(package).__file__)).read_text())


def _typed(package: str) -> dict[str, set[str]]:
    """Return what type checkers are told: module, names."""
    (block,) = [
        node
        for node in _tree(package).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    found: dict[str, set[str]] = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        assert not any(alias.asname for alias in node.names)
        if str(node.module).startswith("agentbay"):
            found[str(node.module)] = {alias.name for alias in node.names}
    return found


def _homes(package: str) -> dict[str, set[str]]:
    """Return what the look-up is told: module, names."""
    (call,) = [
        node
        for node in ast.walk(_tree(package))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "lazy"
    ]
    homes: dict[str, str] = ast.literal_eval(call.args[1])
    return {
        (package + module if module.startswith(".") else module): set(names.split())
        for module, names in homes.items()
    }


@pytest.mark.parametrize("package", _PACKAGES)
def test_type_checkers_and_the_look_up_are_told_the_same(package: str) -> None:
    """Each name from the same module in both."""
    assert _homes(package) == _typed(package)


@pytest.mark.parametrize("package", _PACKAGES)
def test_all_holds_each_name_once_in_order(package: str) -> None:
    """``__all__`` is what the look-up knows, sorted, and each name leads somewhere."""
    module = importlib.import_module(package)
    names: list[str] = module.__all__
    assert names == sorted(names)
    assert set(names) == set().union(*_homes(package).values())
    assert len(names) == len(set(names))
    for name in names:
        assert getattr(module, name) is not None


@pytest.mark.parametrize("package", _PACKAGES)
def test_a_star_import_brings_everything(package: str) -> None:
    """No name of ``__all__`` is one that does not exist."""
    scope: dict[str, object] = {}
    exec(f"from {package} import *", scope)
    assert set(importlib.import_module(package).__all__) <= set(scope)


@pytest.mark.parametrize("package", _PACKAGES)
def test_a_name_that_is_not_there_is_an_attribute_error(package: str) -> None:
    """As in any module."""
    with pytest.raises(AttributeError, match=f"'{package}' has no attribute 'nothing'"):
        _ = importlib.import_module(package).nothing


def test_a_name_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """From then on it is an ordinary attribute of the package."""
    package = ModuleType("made_up")
    monkeypatch.setitem(sys.modules, "made_up", package)
    find = lazy("made_up", {"string": "ascii_letters digits", "json": "dumps"})
    assert find("digits") == "0123456789"
    assert vars(package)["digits"] == "0123456789"
    assert "dumps" not in vars(package)
