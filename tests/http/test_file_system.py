"""Files of a session, against tools that keep them in memory and refuse what is too large."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    ArgumentTypeError,
    BadAnswerError,
    DirectoryEntry,
    FileError,
    FileInfo,
    InvalidArgumentError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.http.conftest import Scripted

    from agentbay_async import AsyncSession

#: What the service accepts as the arguments of one call, in bytes.
_LIMIT = 63 * 1024
#: What one call reads at most, in bytes.
_READ_LIMIT = 50 * 1024


class Tools:
    """The file tools of a session: enough of them to read what was written."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def answer(self, form: dict[str, str]) -> object:
        """Run the tool that a form asks for."""
        assert len(form["Args"].encode()) <= _LIMIT
        args = json.loads(form["Args"])
        self.calls.append((form["Name"], args))
        try:
            text = getattr(self, form["Name"])(args)
        except KeyError as missing:
            return _text(f"no such file: {missing}", error=True)
        return _text(text)

    def read_file(self, args: dict[str, Any]) -> str:
        """Return a piece in base64."""
        assert args["format"] == "binary"
        assert args["length"] <= _READ_LIMIT
        piece = self.files[args["path"]][args["offset"] :][: args["length"]]
        return base64.b64encode(piece).decode()

    def write_file(self, args: dict[str, Any]) -> str:
        """Write or append a text."""
        self._store(args["path"], args["content"].encode("utf-8", "surrogatepass"), args["mode"])
        return "ok"

    def shell(self, args: dict[str, Any]) -> str:
        """Do what the one command for bytes does."""
        target = args["command"].removeprefix(
            'mkdir -p -- "$(dirname -- "$F")" && printf %s "$D" | base64 -d '
        )
        mode = {'> "$F"': "overwrite", '>> "$F"': "append"}[target]
        self._store(args["envs"]["F"], base64.b64decode(args["envs"]["D"], validate=True), mode)
        return json.dumps({"stdout": "", "stderr": "", "exit_code": 0})

    def _store(self, path: str, content: bytes, mode: str) -> None:
        old = self.files.get(path, b"") if mode == "append" else b""
        self.files[path] = old + content


def _text(text: str, *, error: bool = False) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}], "isError": error}


@pytest.fixture
def tools(session: AsyncSession, scripted: Scripted) -> Tools:
    """Give the session tools that keep files in memory."""
    tools = Tools()
    scripted.does("CallMcpTool", tools.answer)
    return tools


_TEXTS = {
    "empty": "",
    "short": "hello\n",
    "a piece and a bit": "x" * 49_200,
    "just more than a call can take": "x" * 65_000,
    "wide": "汉字🎉" * 30_000,
    "escapes": '\\"\n\t\x01' * 30_000,
    "one wide character at each end": "🎉" + "a" * 100_000 + "🎉",
}


@pytest.mark.parametrize("name", _TEXTS)
async def test_text_of_any_size_survives_a_round_trip(
    session: AsyncSession, tools: Tools, name: str
) -> None:
    """No piece is beyond what the service accepts, and no character is cut."""
    text = _TEXTS[name]
    (await session.file_system.write_file("/f", text)).unwrap()
    assert tools.files["/f"] == text.encode()
    assert (await session.file_system.read_file("/f")).content == text
    for call, args in tools.calls:
        if call == "write_file":
            args["content"].encode()


_BYTES = {
    "empty": b"",
    "every byte": bytes(range(256)),
    "exactly one piece to read": b"\xff" * 50 * 1024,
    "exactly one piece to write": b"\x00" * 36 * 1024,
    "many pieces": bytes(range(256)) * 600,
}


@pytest.mark.parametrize("name", _BYTES)
async def test_bytes_of_any_size_survive_a_round_trip(
    session: AsyncSession, tools: Tools, name: str
) -> None:
    """What is no text is carried as well, byte for byte."""
    content = _BYTES[name]
    result = await session.file_system.write('/dir/it\'s "f"', content)
    assert result.data is True
    back = await session.file_system.read('/dir/it\'s "f"', format="bytes")
    assert back.content == content == tools.files['/dir/it\'s "f"']
    assert back.request_id == "REQ-CallMcpTool"


@pytest.mark.parametrize("content", ["🎉" * 20_000, b"\xff" * 80_000])
async def test_appending_adds_to_the_file(
    session: AsyncSession, tools: Tools, content: str | bytes
) -> None:
    """The first piece appends as well, and overwriting begins anew."""
    raw = content.encode() if isinstance(content, str) else content
    await session.fs.write_file("/f", "old-")
    await session.fs.write_file("/f", content, "append")
    assert tools.files["/f"] == b"old-" + raw
    await session.fs.write_file("/f", content)
    assert tools.files["/f"] == raw


@pytest.mark.parametrize("kind", [bytearray, memoryview])
async def test_other_kinds_of_bytes_are_bytes(
    session: AsyncSession, tools: Tools, kind: Callable[[bytes], Any]
) -> None:
    """Whatever holds bytes can be written."""
    assert (await session.fs.write_file("/f", kind(b"\x00\x01"))).success
    assert tools.files["/f"] == b"\x00\x01"


async def test_bytes_that_are_no_text_are_told_apart(session: AsyncSession, tools: Tools) -> None:
    """Reading them as text fails, and says at which byte."""
    tools.files["/f"] = b"ok\xff"
    result = await session.fs.read_file("/f")
    assert isinstance(result.error, FileError)
    assert result.error.path == "/f"
    assert "byte 2" in result.error_message
    assert (await session.fs.read_file("/f", format="bytes")).content == b"ok\xff"


async def test_a_missing_file_is_a_failed_result(session: AsyncSession, tools: Tools) -> None:
    """The tool's words, the path and the session are in the error."""
    result = await session.fs.read_file("/missing")
    assert isinstance(result.error, FileError)
    assert "no such file" in result.error_message
    assert (result.error.path, result.error.session_id) == ("/missing", "s-1")
    with pytest.raises(FileError):
        _ = result.content


async def test_a_write_stops_at_the_piece_that_fails(
    session: AsyncSession, scripted: Scripted
) -> None:
    """After a failure no later piece is appended."""
    scripted.ok("CallMcpTool", _text("ok"))
    scripted.ok("CallMcpTool", _text("disk full", error=True))
    result = await session.fs.write_file("/f", "x" * 150_000)
    assert result.error_message == "disk full"
    assert len(scripted.received) == 2


async def test_content_that_is_not_base64_is_a_bad_answer(
    session: AsyncSession, scripted: Scripted
) -> None:
    """Half-decoded content would be a wrong file."""
    scripted.ok("CallMcpTool", _text("not base64!"))
    assert isinstance((await session.fs.read_file("/f")).error, BadAnswerError)


async def test_a_directory_is_listed(session: AsyncSession, scripted: Scripted) -> None:
    """Names may hold blanks; lines of another form are passed over."""
    scripted.ok("CallMcpTool", _text("[DIR] a b\n[FILE] c.txt\n\n[LINK] d\nnoise\n[DIR]"))
    result = await session.fs.ls("/home")
    assert result.entries == [DirectoryEntry("a b", True), DirectoryEntry("c.txt")]
    assert [entry.is_file for entry in result.entries] == [False, True]
    assert json.loads(scripted.asked("CallMcpTool")[0]["Args"]) == {"path": "/home"}


async def test_the_facts_of_a_file_are_read(session: AsyncSession, scripted: Scripted) -> None:
    """Each line is a fact; values may hold colons."""
    facts = "size: 12\nisFile: true\nisDirectory: false\npermissions: 644\nmodified: 10:30:00\nodd"
    scripted.ok("CallMcpTool", _text(facts))
    info = (await session.fs.info("/dir/f")).file_info
    assert info == FileInfo("/dir/f", "f", 12, is_file=True, permissions="644", modified="10:30:00")


@pytest.mark.parametrize("size", ["", "big", "-1", "²", "9" * 5000])
async def test_a_size_that_is_no_number_is_none(
    session: AsyncSession, scripted: Scripted, size: str
) -> None:
    """Odd words of an image do not make the client stumble."""
    scripted.ok("CallMcpTool", _text(f"name: g\nisDirectory: TRUE\nsize: {size}"))
    info = (await session.fs.get_file_info("/dir/")).file_info
    assert (info.name, info.size, info.is_directory) == ("g", 0, True)


@pytest.mark.parametrize(
    ("call", "tool", "args"),
    [
        (lambda fs: fs.mkdir("/d"), "create_directory", {"path": "/d"}),
        (lambda fs: fs.rm("/f"), "delete_file", {"path": "/f"}),
        (lambda fs: fs.remove("/f"), "delete_file", {"path": "/f"}),
        (lambda fs: fs.delete("/f"), "delete_file", {"path": "/f"}),
        (lambda fs: fs.move("/a", "b"), "move_file", {"source": "/a", "destination": "b"}),
    ],
)
async def test_small_operations_call_their_tools(
    session: AsyncSession, scripted: Scripted, call: Callable[[Any], Any], tool: str, args: object
) -> None:
    """Under every name; the answer says that it was done."""
    scripted.ok("CallMcpTool", _text("ok"))
    assert (await call(session.fs)).data is True
    (form,) = scripted.asked("CallMcpTool")
    assert (form["Name"], json.loads(form["Args"])) == (tool, args)


@pytest.mark.parametrize(
    "call",
    [
        lambda fs: fs.mkdir("/d"),
        lambda fs: fs.delete_file("/d"),
        lambda fs: fs.move_file("/d", "/e"),
        lambda fs: fs.list_directory("/d"),
        lambda fs: fs.get_file_info("/d"),
        lambda fs: fs.write_file("/d", ""),
        lambda fs: fs.write_file("/d", b""),
    ],
)
async def test_a_tool_that_refuses_is_a_file_error(
    session: AsyncSession, scripted: Scripted, call: Callable[[Any], Any]
) -> None:
    """Whatever was asked for, the error names the path."""
    scripted.ok("CallMcpTool", _text("not permitted", error=True))
    result = await call(session.fs)
    assert isinstance(result.error, FileError)
    assert (result.error.path, result.error_message) == ("/d", "not permitted")
    with pytest.raises(FileError):
        result.unwrap()


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda fs: fs.read_file(""), InvalidArgumentError),
        (lambda fs: fs.read_file(5), ArgumentTypeError),
        (lambda fs: fs.read_file("/f", format="json"), InvalidArgumentError),
        (lambda fs: fs.write_file("/f", "x", "truncate"), InvalidArgumentError),
        (lambda fs: fs.write_file(" ", "x"), InvalidArgumentError),
        (lambda fs: fs.write_file("/f", 5), ArgumentTypeError),
        (lambda fs: fs.write_file("/f", None), ArgumentTypeError),
        (lambda fs: fs.list_directory("\0"), InvalidArgumentError),
        (lambda fs: fs.get_file_info(None), ArgumentTypeError),
        (lambda fs: fs.create_directory(""), InvalidArgumentError),
        (lambda fs: fs.delete_file(["/f"]), ArgumentTypeError),
        (lambda fs: fs.move_file("/a", ""), InvalidArgumentError),
        (lambda fs: fs.move_file("", "/b"), InvalidArgumentError),
    ],
)
async def test_what_cannot_be_meant_is_refused(
    session: AsyncSession, scripted: Scripted, call: Callable[[Any], Any], kind: type[Exception]
) -> None:
    """Nothing is sent."""
    with pytest.raises(kind):
        await call(session.fs)
    assert scripted.received == []
