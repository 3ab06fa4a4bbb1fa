"""What agents read: AGENTS.md, the skill in the wheel and llms.txt agree with the code."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import agentbay
import agentbay_async
import agentbay_local

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[2]
SKILL = ROOT / "src" / "agentbay_async" / ".agents" / "skills" / "agentbay" / "SKILL.md"
AGENTS = ROOT / "AGENTS.md"


def test_the_table_of_packages_has_what_their_docstrings_say():
    """Each package of ``src``, in the words of its first line."""
    text = AGENTS.read_text("utf-8")
    shown = dict(re.findall(r"^\| `src/(\w+)/` \| (.*) \|$", text, re.MULTILINE))
    packages = {
        init.parent.name: ast.get_docstring(ast.parse(init.read_text("utf-8"))) or ""
        for init in (ROOT / "src").glob("*/__init__.py")
    }

    assert shown == {name: text.splitlines()[0] for name, text in packages.items()}


def test_agents_md_names_commands_and_files_that_exist():
    """Commands of ``./run``, and paths."""
    text = AGENTS.read_text("utf-8")
    commands = set(re.findall(r"`\./run (\w+)", text))
    paths = set(re.findall(r"`((?:src|scripts|docs)/[^` ]+|\w+\.md)`", text))

    run = (ROOT / "run").read_text("utf-8")
    assert [one for one in sorted(commands) if not re.search(rf"^  {one} ", run, re.M)] == []
    assert len(paths) > 5
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_the_skill_has_the_head_that_agents_look_for():
    """A name like its directory, and when to use it."""
    head = re.match(r"---\nname: (\S+)\ndescription: (.{60,1024})\n---\n", SKILL.read_text("utf-8"))

    assert head is not None
    assert head[1] == SKILL.parent.name


def test_the_skill_names_what_exists():
    """Public names, methods of clients and sessions, and fixtures of the plugin."""
    text = re.sub(r"^```.*?^```", "", SKILL.read_text("utf-8"), flags=re.M | re.S)
    code = " ".join(re.findall(r"`([^`]+)`", text))
    plugin = (ROOT / "src/agentbay_local/testing/pytest_plugin.py").read_text("utf-8")
    public = {*agentbay.__all__, *agentbay_async.__all__, *agentbay_local.__all__}

    classes = set(re.findall(r"\b[A-Z][a-z]+[A-Z]\w+", code))
    assert len(classes) > 5
    assert classes - public == set()
    for method in re.findall(r"\bbay\.(\w+)", code):
        assert hasattr(agentbay.AgentBay, method), method
    for service in re.findall(r"\bsession\.(\w+)", code):
        assert hasattr(agentbay.Session, service), service
    for name in re.findall(r"\bcommand\.(\w+)", code):
        assert hasattr(agentbay.Command, name), name
    for fixture in re.findall(r"\bagentbay_(?!async|local)\w+", code):
        assert f"def {fixture}(" in plugin, fixture


def test_llms_txt_lists_pages_by_their_part(monkeypatch: pytest.MonkeyPatch):
    """One line each, with the first sentence of the page."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    llms = importlib.import_module("docs_site.llms")
    text = "# Local\n\n```\ncode\n```\n\nYou need [Linux](a.md)\nand Python. And more.\n"

    written = llms.llms_text(
        "Name",
        "What it is.",
        [
            llms.Entry("Start", "Local", "start/local.html", text),
            llms.Entry("Bulk", "Bulk", "bulk.html", "# Bulk\n\nThe examples: see below. More.\n"),
        ],
    )

    assert written == (
        "# Name\n\n> What it is.\n\n"
        "## Start\n\n- [Local](start/local.html): You need Linux and Python.\n\n"
        "## Bulk\n\n- [Bulk](bulk.html): The examples: see below.\n"
    )
