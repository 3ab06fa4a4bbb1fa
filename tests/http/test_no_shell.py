"""Files of sessions that have no shell, as those of Windows images."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from .scripted import tool_answer

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import web
    from tests.http.scripted import Script

    from agentbay_async import AsyncSession

pytestmark = pytest.mark.usefixtures("over_http")

_STORE = "C:/transfer"


class _Windows:
    """A session with file tools and a file store, but without ``sh``."""

    def __init__(self, scripted: Script) -> None:
        self.files: dict[str, bytes] = {}
        self.sent: dict[str, bytes] = {}
        self.scripted = scripted
        scripted.blob = self._blob
        scripted.ok_from("CallMcpTool", self._call)
        scripted.ok("GetAndLoadInternalContext", [{"ContextId": "store", "ContextPath": _STORE}])
        scripted.ok_from("GetContextFileUploadUrl", self._url)
        scripted.ok_from("SyncContext", self._sync)
        scripted.ok_from("GetContextInfo", self._tasks)
        scripted.ok("DeleteContextFile")

    def _url(self, form: dict[str, str]) -> object:
        return {"Url": f"{self.scripted.endpoint}/blob/{form['FilePath']}"}

    async def _blob(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        self.sent[request.path.removeprefix("/blob/")] = await request.read()
        return web.Response()

    def _sync(self, form: dict[str, str]) -> None:
        self.files[form["Path"]] = self.sent[form["Path"]]
        self.task = form

    def _tasks(self, form: dict[str, str]) -> object:
        task = {
            "contextId": "store",
            "path": form["Path"],
            "taskType": form["TaskType"],
            "status": "Success",
        }
        return {"ContextStatus": json.dumps([{"type": "data", "data": json.dumps([task])}])}

    def _call(self, form: dict[str, str]) -> object:
        name, args = form["Name"], json.loads(form["Args"])
        if name == "shell":
            return tool_answer("'printf' is not recognized as a command", error=True)
        done = getattr(self, f"_{name}")(args)
        return tool_answer("no such file", error=True) if done is None else tool_answer(done)

    def _write_file(self, args: dict[str, Any]) -> str:
        before = self.files.get(args["path"], b"") if args["mode"] == "append" else b""
        self.files[args["path"]] = before + args["content"].encode()
        return "True"

    def _create_directory(self, args: dict[str, Any]) -> str:
        del args
        return "True"

    def _delete_file(self, args: dict[str, Any]) -> str | None:
        return None if self.files.pop(args["path"], None) is None else "True"

    def _move_file(self, args: dict[str, Any]) -> str | None:
        if args["destination"] in self.files:
            return None
        self.files[args["destination"]] = self.files.pop(args["source"])
        return "True"

    def _get_file_info(self, args: dict[str, Any]) -> str | None:
        found = self.files.get(args["path"])
        return None if found is None else f"size: {len(found)}\nisFile: true"

    def _read_file(self, args: dict[str, Any]) -> str:
        chunk = self.files[args["path"]][args["offset"] :][: args["length"]]
        return base64.b64encode(chunk).decode() if "format" in args else chunk.decode()


@pytest.mark.parametrize("content", [b"\xff\x00", bytes(range(256)) * 2000], ids=["small", "large"])
async def test_bytes_are_uploaded_by_the_store(
    session: AsyncSession, scripted: Script, content: bytes
) -> None:
    """They replace a file that exists, and leave nothing else."""
    windows = _Windows(scripted)
    windows.files["C:/data/f"] = b"old"
    receipt = (await session.fs.upload_file(content, "C:/data/f")).unwrap()
    assert receipt.size == len(content)
    assert windows.files == {"C:/data/f": content}


@pytest.mark.parametrize("content", [b"", b"\xff\x00", bytes(range(256)) * 2000])
async def test_a_file_is_downloaded_by_the_tools(
    session: AsyncSession, scripted: Script, tmp_path: Path, content: bytes
) -> None:
    """Its size comes from the tool for that."""
    windows = _Windows(scripted)
    windows.files["C:/f"] = content
    receipt = (await session.fs.download_file("C:/f", tmp_path / "f")).unwrap()
    assert receipt.size == len(content)
    assert (tmp_path / "f").read_bytes() == content


async def test_a_missing_file_is_still_reported(
    session: AsyncSession, scripted: Script, tmp_path: Path
) -> None:
    """With the text of the tool."""
    _Windows(scripted)
    result = await session.fs.download_file("C:/f", tmp_path / "f")
    assert "no such file" in result.error_message
    assert not (tmp_path / "f").exists()
