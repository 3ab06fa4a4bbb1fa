"""The command line of the generator: writing, and checking the committed files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("scripts")

_THING = '''\
"""Things."""

from __future__ import annotations


class AsyncThing:
    """A thing."""

    async def get(self, name: str) -> int:
        """Get it."""
        return len(name)
'''


@pytest.fixture
def packages(tmp_path: Path) -> list[str]:
    """Create an async and a blocking package; return the options that name them."""
    source, target = tmp_path / "agentbay_async", tmp_path / "agentbay"
    source.mkdir()
    target.mkdir()
    (source / "__init__.py").write_text('"""All."""\n', "utf-8")
    (source / "thing.py").write_text(_THING, "utf-8")
    (target / "_by_hand.py").write_text("# Written by hand.\n", "utf-8")
    options = ["--source", str(source), "--target", str(target), "--partial"]
    assert _main(options) == 0
    return options


def _main(options: list[str]) -> int:
    from generate_facade import main

    return main(options)


def test_written_package_passes_the_check(packages: list[str]) -> None:
    """The output is stable, and a file written by hand is no difference."""
    assert _main([*packages, "--check"]) == 0


def test_changed_byte_fails_the_check(packages: list[str], tmp_path: Path) -> None:
    """The next run overwrites an edit by hand."""
    file = tmp_path / "agentbay/thing.py"
    file.write_text(file.read_text("utf-8") + "\n", "utf-8")
    assert _main([*packages, "--check"]) == 1
    assert _main(packages) == 0
    assert _main([*packages, "--check"]) == 0


def test_missing_file_fails_the_check(
    packages: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The check names the file."""
    (tmp_path / "agentbay/thing.py").unlink()
    assert _main([*packages, "--check"]) == 1
    assert "thing.py: missing" in capsys.readouterr().out


def test_file_without_source_fails_the_check_and_is_deleted(
    packages: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The next run deletes that file only."""
    (tmp_path / "agentbay_async/thing.py").unlink()
    assert _main([*packages, "--check"]) == 1
    assert "thing.py: no source file any more" in capsys.readouterr().out
    assert _main(packages) == 0
    left = {path.name for path in (tmp_path / "agentbay").iterdir()}
    assert left == {"__init__.py", "_by_hand.py"}


def test_parameter_added_to_the_source_fails_the_check(
    packages: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The check prints the line that the blocking method lacks."""
    file = tmp_path / "agentbay_async/thing.py"
    file.write_text(_THING.replace("name: str)", "name: str, size: int = 3)"), "utf-8")
    assert _main([*packages, "--check"]) == 1
    assert "+    def get(self, name: str, size: int = 3) -> int:" in capsys.readouterr().out


def test_rule_without_use_fails(packages: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Every rule has to be needed by the source."""
    options = [option for option in packages if option != "--partial"]
    assert _main(options) == 1
    assert "no source file needs the rule 'callback'" in capsys.readouterr().err


def test_construct_without_a_rule_fails(
    packages: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error names the line, and nothing is written."""
    file = tmp_path / "agentbay_async/thing.py"
    file.write_text(_THING.replace(" -> int", ""), "utf-8")
    assert _main(packages) == 1
    assert "agentbay_async/thing.py:9: annotate what get returns" in capsys.readouterr().err


def test_committed_package_is_up_to_date() -> None:
    """If this fails, run ``python scripts/generate_facade.py``."""
    assert _main(["--check"]) == 0
