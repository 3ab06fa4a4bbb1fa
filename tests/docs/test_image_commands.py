"""The commands for images that the documents show: all exist, and those that fetch nothing run."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from tests.images.archives import archive, layout, member

from agentbay_local.commands.images import make_parser
from agentbay_local.images import ImageStore
from agentbay_local.sandbox.probe import probe

ROOT = Path(__file__).parents[2]
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(agentbay image \w+ [^`]+)`")
START = ["agentbay", "image"]


def words(line: str) -> list[str]:
    """Return the arguments of a command for images in a line of a script; none if it is another."""
    parts = shlex.split(line, comments=True)
    return parts[2:] if parts[:2] == START else []


def shown() -> list[list[str]]:
    """Return the arguments of each command for images in the documents."""
    texts = [document.read_text(encoding="utf-8") for document in DOCUMENTS]
    lines = [line for text in texts for block in BLOCK.findall(text) for line in block.splitlines()]
    inline = [" ".join(found.split()) for text in texts for found in INLINE.findall(text)]
    return [found for line in (*lines, *inline) if (found := words(line))]


def test_each_command_of_the_documents_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    """Every command and every option is there; tests/images build such images."""
    commands = shown()
    assert {found[0] for found in commands} == {"add", "build", "import", "list", "remove"}
    for command in commands:
        try:
            make_parser().parse_args(command)
        except SystemExit:
            pytest.fail(f"{shlex.join([*START, *command])}: {capsys.readouterr().err}")


@pytest.mark.slow
def test_the_commands_for_root_file_systems_run(tmp_path: Path) -> None:
    """As the page shows them, with the two sources that they name; and the list has the images."""
    if not (found := asyncio.run(probe())).available:
        pytest.skip(found.reason)
    page = (ROOT / "docs" / "images.md").read_text(encoding="utf-8")
    lines = [line for block in BLOCK.findall(page) for line in block.splitlines()]
    script = [line for line in lines if words(line)[:1] in (["import"], ["list"])]
    assert len(script) == 3
    tool = archive((member("usr/bin/imported", mode=0o755), b"#!/bin/sh\n"))
    (tmp_path / "tools.tar").write_bytes(tool)
    layout(tmp_path / "layout-directory", tool)

    done = subprocess.run(
        ["sh", "-e", "-c", "\n".join(script)],
        cwd=tmp_path,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "AGENTBAY_IMAGES": str(tmp_path / "images"),
        },
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("tools is ready: code, shell.") == 2
    made = ImageStore(tmp_path / "images")
    assert made.names() == ["tools"]
    image = made.get("tools")
    assert image is not None
    assert (image.layers[0] / "usr/bin/imported").exists()
