"""Distributions that share the package agentbay with this one are named, with the cure."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import agentbay_async
from agentbay_async._installation import explain_mixture

SOURCES = Path(agentbay_async.__path__[0]).parent


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """Return a directory with the blocking package as it is installed."""
    (tmp_path / "agentbay").mkdir()
    shutil.copy(SOURCES / "agentbay" / "__init__.py", tmp_path / "agentbay")
    return tmp_path


def test_a_whole_installation_is_well(packages: Path) -> None:
    """This one too."""
    assert explain_mixture(str(packages)) == ""
    assert explain_mixture(str(SOURCES)) == ""


@pytest.mark.parametrize(
    ("name", "owner"), [("api", "wuying-agentbay-sdk"), ("local.py", "agentbay")]
)
def test_another_owner_of_the_package_is_named(packages: Path, name: str, owner: str) -> None:
    """The two commands remove both, and install this one."""
    (packages / "agentbay" / name).touch()
    said = explain_mixture(str(packages))
    assert said.startswith(f"{owner} and agentbay-async both have the package agentbay")
    assert f"pip uninstall -y {owner} agentbay-async; pip install agentbay-async" in said


def test_what_an_uninstall_has_left_is_not_whole(packages: Path) -> None:
    """Python would import an empty package."""
    (packages / "agentbay" / "__init__.py").unlink()
    assert "is not whole" in explain_mixture(str(packages))
    assert "pip uninstall -y agentbay-async; pip install" in explain_mixture(str(packages))


def test_an_import_warns_even_if_the_blocking_package_is_foreign(tmp_path: Path) -> None:
    """Its own `__init__` may have been overwritten."""
    shutil.copytree(SOURCES / "agentbay_async", tmp_path / "agentbay_async")
    (tmp_path / "agentbay" / "api").mkdir(parents=True)
    (tmp_path / "agentbay" / "__init__.py").write_text("foreign = True")
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import agentbay_async"
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True
    )
    assert "RuntimeWarning: wuying-agentbay-sdk and agentbay-async both" in done.stderr
