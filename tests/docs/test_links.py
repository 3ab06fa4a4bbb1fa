"""Links between documents lead to files, and ARCHITECTURE.md names files that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
#: Directories in which ARCHITECTURE.md looks for the files of its tables.
FOLDERS = [ROOT, *(ROOT / "src" / name for name in ("", "agentbay_async", "agentbay_local"))]
LINK = re.compile(r"\]\(([^)#:]+)\)")
FILE = re.compile(r"`([\w/.]+(?:\.py|/))`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files(page: Path):
    """Relative links only; others are not opened."""
    links = LINK.findall(page.read_text("utf-8"))
    # Pages that `./run docs` writes from the code; it checks links to them.
    written = {ROOT / "docs" / "reference" / "index.md"}
    missing = [link for link in links if not (page.parent / link).exists()]
    assert [link for link in missing if (page.parent / link).resolve() not in written] == []


def test_links_of_the_readme_are_absolute():
    """The package index shows the README too, and has no files beside it."""
    text = (ROOT / "README.md").read_text("utf-8")
    repository = re.findall(r'^Repository = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.M)[0]
    targets = dict(re.findall(r"^\[(\w+)\]: (\S+)$", text, re.M))
    used = set(re.findall(r"\]\[(\w+)\]", text))

    assert LINK.findall(text) == []
    assert used == set(targets)
    for target in targets.values():
        place, _, path = target.partition("/blob/main/")
        assert (place, (ROOT / path).is_file()) == (repository, True), target


def test_every_page_is_in_the_menu():
    """Records are in their index; the reference has a menu of its own, written from the code."""
    docs = ROOT / "docs"
    menu = (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:\n")[2]
    listed = re.findall(r"([\w/-]+\.md)$", menu, re.M)
    pages = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}
    elsewhere = {page for page in pages if re.match(r"decisions/\d|reference/", page)}

    # `./run docs` adds the changelog.
    assert sorted(listed) == sorted(pages - elsewhere | {"changes.md"})


def test_architecture_names_files_that_exist():
    """A file that moves has to move in ARCHITECTURE.md too."""
    names = FILE.findall((ROOT / "ARCHITECTURE.md").read_text("utf-8"))
    assert len(names) > 20
    missing = {name for name in names if not any((folder / name).exists() for folder in FOLDERS)}
    assert missing == set()


def test_every_decision_is_in_the_index():
    """Records are numbered without gaps."""
    folder = ROOT / "docs" / "decisions"
    records = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert LINK.findall((folder / "README.md").read_text("utf-8")) == records
    assert [int(name[:4]) for name in records] == list(range(1, len(records) + 1))
