"""File tools and a shell of a session, on a directory of this machine."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

#: What the service accepts as the arguments of one call, in bytes.
LIMIT = 63 * 1024

_FAILED = "Execution failed. Error code:-32602 Error message: Failed to use file:"


class Toolbox:
    """File tools and a real shell, whose home is a directory; relative paths lead into it.

    Attributes:
        calls: Every call: the tool and its arguments.
        refuses: Tools that answer with an error, and its text.
        after: How many calls succeed before those tools refuse.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.refuses: dict[str, str] = {}
        self.after = 0

    def content(self, path: str) -> bytes:
        """Return what a file holds."""
        return (self.home / path).read_bytes()

    def names(self) -> list[str]:
        """Return the names in the home directory."""
        return sorted(entry.name for entry in self.home.iterdir())

    async def answer(self, form: dict[str, str]) -> object:
        """Run the tool of a request."""
        assert len(form["Args"].encode()) <= LIMIT
        args = json.loads(form["Args"])
        self.calls.append((form["Name"], args))
        if (
            form["Name"] in self.refuses
            and sum(name == form["Name"] for name, _ in self.calls) > self.after
        ):
            return says(self.refuses[form["Name"]], error=True)
        try:
            return says(await getattr(self, form["Name"])(args))
        except OSError as error:
            path = args.get("path", args.get("source"))
            return says(f"{_FAILED} {path}, error: {error.strerror}", error=True)

    async def read_file(self, args: dict[str, Any]) -> str:
        """Return a piece in base64."""
        assert args["format"] == "binary"
        piece = self.content(args["path"])[args["offset"] :][: args["length"]]
        return base64.b64encode(piece).decode()

    async def write_file(self, args: dict[str, Any]) -> str:
        """Write or append a text."""
        path = self.home / args["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab" if args["mode"] == "append" else "wb") as file:
            file.write(args["content"].encode())
        return "True"

    async def edit_file(self, args: dict[str, Any]) -> str:
        """Edit as some images do, without a word about the difference."""
        path = self.home / args["path"]
        content = path.read_text()
        for edit in args["edits"]:
            content = content.replace(edit["oldText"], edit["newText"], 1)
        if not args["dryRun"]:
            path.write_text(content)
        return "True"

    async def shell(self, args: dict[str, Any]) -> str:
        """Run a command."""
        process = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            args["command"],
            cwd=args.get("cwd") or self.home,
            env={**os.environ, "HOME": str(self.home), **args.get("envs", {})},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        stdout, stderr = await asyncio.wait_for(process.communicate(), 60)
        streams = {"stdout": stdout.decode(), "stderr": stderr.decode()}
        return json.dumps({**streams, "exit_code": process.returncode})


def says(content: str, *, error: bool = False) -> dict[str, Any]:
    """Return what a tool answers that says one text."""
    return {"content": [{"type": "text", "text": content}], "isError": error}
