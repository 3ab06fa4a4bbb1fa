"""The command line of the generator: it writes, and it finds what was not generated."""

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
    """Make a source and its blocking twin; return the options that name them."""
    source, target = tmp_path / "agentbay_async", tmp_path / "agentbay"
    source.mkdir()
    target.mkdir()
    (source / "__init__.py").write_text('"""All."""\n', "utf-8")
    (source / "thing.py").write_text(_THING, "utf-8")
    (target / "_by_hand.py").write_text("# Not the generator's.\n", "utf-8")
    options = ["--source", str(source), "--target", str(target), "--partial"]
    assert _main(options) == 0
    return options


def _main(options: list[str]) -> int:
    from generate_facade import main

    return main(options)


def test_what_was_just_written_passes_the_check(packages: list[str]) -> None:
    """The output is stable, and files written by hand are left alone."""
    assert _main([*packages, "--check"]) == 0


def test_a_changed_byte_is_found(packages: list[str], tmp_path: Path) -> None:
    """An edit by hand fails the check; the next run takes it back."""
    file = tmp_path / "agentbay/thing.py"
    file.write_text(file.read_text("utf-8") + "\n", "utf-8")
    assert _main([*packages, "--check"]) == 1
    assert _main(packages) == 0
    assert _main([*packages, "--check"]) == 0


def test_a_missing_file_is_found(
    packages: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that nobody has generated yet fails the check."""
    (tmp_path / "agentbay/thing.py").unlink()
    assert _main([*packages, "--check"]) == 1
    assert "thing.py: missing" in capsys.readouterr().out


def test_an_orphan_is_found_and_deleted(
    packages: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file whose source is gone fails the check; the next run deletes it, and only it."""
    (tmp_path / "agentbay_async/thing.py").unlink()
    assert _main([*packages, "--check"]) == 1
    assert "thing.py: an orphan" in capsys.readouterr().out
    assert _main(packages) == 0
    left = {path.name for path in (tmp_path / "agentbay").iterdir()}
    assert left == {"__init__.py", "_by_hand.py"}


def test_a_parameter_added_to_the_source_alone_is_found(
    packages: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Seeded drift: the check prints what the twin lacks."""
    file = tmp_path / "agentbay_async/thing.py"
    file.write_text(_THING.replace("name: str)", "name: str, size: int = 3)"), "utf-8")
    assert _main([*packages, "--check"]) == 1
    assert "+    def get(self, name: str, size: int = 3) -> int:" in capsys.readouterr().out


def test_a_rule_without_a_use_fails(
    packages: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The table of rules may hold nothing that the source does not need."""
    options = [option for option in packages if option != "--partial"]
    assert _main(options) == 1
    assert "the rule 'callback' is of no use" in capsys.readouterr().err


def test_a_construct_without_a_rule_fails(
    packages: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The generator says where the construct stands, and writes nothing."""
    file = tmp_path / "agentbay_async/thing.py"
    file.write_text(_THING.replace(" -> int", ""), "utf-8")
    assert _main(packages) == 1
    assert "agentbay_async/thing.py:9: annotate what get returns" in capsys.readouterr().err


def test_the_blocking_package_is_what_the_generator_makes_of_the_async_one() -> None:
    """Nobody has edited it, and nobody has forgotten to generate it anew."""
    assert _main(["--check"]) == 0
