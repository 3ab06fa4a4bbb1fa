"""Other words for our names, which a script writes from a table."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import _check

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("scripts")

_THING = '''\
"""Things."""

from __future__ import annotations

from agentbay_async import _check


class Thing(Base):
    """A thing.

    Attributes:
        size: How large it is.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    @property
    def colour(self) -> str:
        """Its colour."""
        return "red"

    def paint(self, colour: str, *, twice: bool = False) -> str:
        """Paint it."""
        return colour * (1 + twice)


OTHER = 1
'''
_STUB = "# Exports.\n\nfrom agentbay_async.thing import Thing as Thing\n"
_TABLE = """\
[exports]
Object = "Thing"

[members.Thing]
draw = "paint"
color = "colour"
area = "size"
get_area = { ours = "size", call = true, deprecated = true }
spray = { ours = "paint", deprecated = true }
mass = { ours = "weight", type = "float" }
"""


_DIFFERENCES = """\
[[difference]]
names = ["Thing.weigh", "*.hidden"]
reason = "Things have no weight here."
instead = "Write thing.mass."

[[difference]]
names = ["Thing(size=)"]
reason = "It means the same."
"""


def _main(*arguments: str, root: Path) -> int:
    from official_names import main

    return int(main(list(arguments), root, root / "names.toml"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Create a project with one class and a table."""
    package = tmp_path / "src" / "agentbay_async"
    package.mkdir(parents=True)
    (tmp_path / "docs").mkdir()
    (package / "thing.py").write_text(_THING, "utf-8")
    (package / "__init__.pyi").write_text(_STUB, "utf-8")
    (tmp_path / "names.toml").write_text(_TABLE, "utf-8")
    from official_names import DIFFERENCES, MIGRATION

    for path, text in ((DIFFERENCES, _DIFFERENCES), (MIGRATION, "")):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text, "utf-8")
    return tmp_path


def _thing(root: Path) -> type:
    names: dict[str, Any] = {"Base": type("Base", (), {"weight": 2.5}), "__name__": "agentbay_x"}
    text = (root / "src" / "agentbay_async" / "thing.py").read_text("utf-8")
    exec(compile(text, "thing.py", "exec"), names)
    thing: type = names["Thing"]
    return thing


def test_official_names_do_what_ours_do(root: Path):
    """Methods, properties, attributes and inherited attributes can have a second name."""
    assert _main(root=root) == 0
    thing = _thing(root)(3)

    assert thing.draw("red", twice=True) == "redred"
    assert (thing.color, thing.area, thing.mass) == ("red", 3, 2.5)


def test_deprecated_names_warn_once_and_name_ours(root: Path, monkeypatch: pytest.MonkeyPatch):
    """The warning is that of the program's line."""
    monkeypatch.setattr(_check, "_warned", set())
    _main(root=root)
    thing = _thing(root)(3)

    with pytest.warns(DeprecationWarning, match=r"get_area\(\) is deprecated.*use size") as seen:
        assert thing.get_area() == 3
    assert seen[0].filename == __file__
    with pytest.warns(DeprecationWarning, match="spray is deprecated.*use paint"):
        assert thing.spray("red", twice=True) == "redred"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        thing.get_area()


def test_a_second_run_changes_nothing_and_an_empty_table_removes_all(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    """The section of a class ends where the class does."""
    _main(root=root)
    capsys.readouterr()

    assert _main("--check", root=root) == 0
    (root / "names.toml").write_text("", "utf-8")
    assert _main("--check", root=root) == 1
    assert "thing.py: differs from the table" in capsys.readouterr().out
    assert _main(root=root) == 0
    assert (root / "src" / "agentbay_async" / "thing.py").read_text("utf-8") == _THING
    assert (root / "src" / "agentbay_async" / "__init__.pyi").read_text("utf-8") == _STUB


def test_exports_and_the_page_come_from_the_table_too(root: Path):
    """Type checkers read the stub."""
    _main(root=root)

    stub = (root / "src" / "agentbay_async" / "__init__.pyi").read_text("utf-8")
    assert stub == _STUB + "\nObject = Thing\n"
    page = (root / "docs" / "official-names.md").read_text("utf-8")
    assert "| `Object` | `Thing` |" in page
    assert "| `get_area()` *deprecated* | `size` |" in page


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('[exports]\nObject = "Nothing"', "no such exports of ours: Nothing"),
        ('[members.Nothing]\na = "b"', "no such classes: Nothing"),
        ('[members.Thing]\na = "weight"', "Thing.a: give the type of weight"),
    ],
)
def test_a_row_without_a_place_in_the_source_is_an_error(
    root: Path, capsys: pytest.CaptureFixture[str], row: str, message: str
):
    """Nothing is written then."""
    (root / "names.toml").write_text(row, "utf-8")

    assert _main(root=root) == 1
    assert message in capsys.readouterr().err
    assert (root / "src" / "agentbay_async" / "thing.py").read_text("utf-8") == _THING


def test_the_names_for_migrate_come_from_both_tables(root: Path):
    """A row about a default, which no program notices, is none of them."""
    from official_names import MIGRATION

    _main(root=root)

    assert json.loads((root / MIGRATION).read_text("utf-8")) == {
        "deprecated": {"Thing.get_area": "size", "Thing.spray": "paint"},
        "missing": {
            "Thing.weigh": "Things have no weight here. Write thing.mass.",
            "*.hidden": "Things have no weight here. Write thing.mass.",
        },
    }
