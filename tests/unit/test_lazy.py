"""Lazy exports: the stub of a package is the one list of its names, and the package keeps to it."""

from __future__ import annotations

import ast
import importlib
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

_PACKAGES = ["agentbay", "agentbay_async", "agentbay_async._protocol.schema", "agentbay_local"]


def _stub(package: str) -> list[tuple[str, str, str]]:
    """Return the module of each name in the stub, its name there, and the exported name."""
    file = Path(str(importlib.import_module(package).__file__)).with_suffix(".pyi")
    found: list[tuple[str, str, str]] = []
    for node in ast.parse(file.read_text("utf-8")).body:
        if isinstance(node, ast.Assign):
            found += [
                (home, own, ast.unparse(node.targets[0]))
                for home, own, name in found
                if name == ast.unparse(node.value)
            ]
            continue
        assert isinstance(node, ast.ImportFrom), "a stub holds imports, then second names"
        assert node.level == 0, "its imports are absolute"
        (alias,) = node.names
        assert alias.asname == alias.name, "`as name` is what makes a name public in a stub"
        found.append((str(node.module), alias.name, alias.name))
    return found


@pytest.mark.parametrize("package", _PACKAGES)
def test_package_exports_what_its_stub_lists(package: str) -> None:
    """Each name once, in ``__all__`` and ``dir()``, and the very object of its module."""
    module, stub = importlib.import_module(package), _stub(package)
    assert module.__all__ == sorted(name for _, _, name in stub)
    assert len(stub) == len(set(module.__all__)) > 0
    assert set(module.__all__) <= set(dir(module))
    for home, own, name in stub:
        assert getattr(module, name) is getattr(importlib.import_module(home), own)


@pytest.mark.parametrize("package", _PACKAGES)
def test_star_import_brings_everything(package: str) -> None:
    """``from package import *`` binds each name of ``__all__``."""
    scope: dict[str, object] = {}
    exec(f"from {package} import *", scope)
    assert set(importlib.import_module(package).__all__) <= set(scope)


@pytest.mark.parametrize("package", _PACKAGES)
def test_unknown_name_is_an_attribute_error(package: str) -> None:
    """As in any module."""
    with pytest.raises(AttributeError, match=f"'{package}' has no attribute 'nothing'"):
        _ = importlib.import_module(package).nothing


def test_facade_exports_every_name_of_the_async_package() -> None:
    """The blocking package adds to the async one, so that users need one import."""
    blocking, asynchronous = map(importlib.import_module, ["agentbay", "agentbay_async"])
    assert set(asynchronous.__all__) < set(blocking.__all__)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Import a package with a stub from a zip archive, where it has no files to open."""
    archive = tmp_path / "packages.zip"
    init = "from agentbay_async._lazy import attach_stub\n"
    init += "__getattr__, __dir__, __all__ = attach_stub(__name__)\n"
    stub = "from json import (\n    dumps as dumps,\n)\n# Comment.\n"
    stub += "from string import digits as digits\n"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("zipped/__init__.py", init)
        file.writestr("zipped/__init__.pyi", stub)
        file.writestr("zipped/part.py", "")
    monkeypatch.syspath_prepend(str(archive))
    yield importlib.import_module("zipped")
    for name in ["zipped", "zipped.part"]:
        sys.modules.pop(name, None)


def test_name_is_imported_on_first_use_and_kept(package: ModuleType) -> None:
    """From then on it is an ordinary attribute of the package."""
    assert package.__all__ == ["digits", "dumps"]
    assert "digits" not in vars(package)
    assert package.digits == "0123456789"
    assert vars(package)["digits"] == "0123456789"
    assert "dumps" not in vars(package)


def test_modules_are_attributes_of_the_package(package: ModuleType) -> None:
    """`import agentbay` alone is enough for `agentbay.errors`."""
    assert package.part is sys.modules["zipped.part"]
