"""Files of a session: in one of the local service, and with scripted answers of its tools."""

from __future__ import annotations

import base64
import itertools
import json
import os
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from agentbay_async import (
    ArgumentTypeError,
    BadAnswerError,
    DirectoryEntry,
    FileError,
    FileInfo,
    HttpResponse,
    InvalidArgumentError,
    SessionNotFoundError,
)
from agentbay_async.services._files.parsing import describe_failure

from .scripted import tool_answer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.http.scripted import Relay, Script

    from agentbay_async import AsyncSession, HttpRequest
    from agentbay_local import LocalService

_TEXTS = {
    "empty": "",
    "short": "hello\n",
    "a piece and a bit": "x" * 49_200,
    "wide": "汉字🎉" * 30_000,
    "escapes": '\\"\n\t\x01' * 30_000,
    "one wide character at each end": "🎉" + "a" * 100_000 + "🎉",
}


def _check_arguments(relay: Relay) -> None:
    """Check what the cloud rejects: more than 63 KiB of arguments, and half a character."""
    for form in relay.forms("CallMcpTool"):
        assert len(form["Args"].encode()) <= 63 * 1024
        json.loads(form["Args"]).get("content", "").encode()


@pytest.mark.parametrize("name", _TEXTS)
async def test_text_of_any_size_survives_a_round_trip(
    local_session: AsyncSession, home: Path, relay: Relay, name: str
) -> None:
    """No chunk exceeds the limit of the service, and no character is split."""
    text = _TEXTS[name]
    (await local_session.file_system.write_file("f", text)).unwrap()
    assert (home / "f").read_bytes() == text.encode()
    assert (await local_session.file_system.read_file("f")).content == text
    _check_arguments(relay)


_BYTES = {
    "empty": b"",
    "every byte": bytes(range(256)),
    "exactly one piece to read": b"\xff" * 50 * 1024,
    "exactly one piece to write": b"\x00" * 36 * 1024,
    "many pieces": bytes(range(256)) * 600,
}


@pytest.mark.parametrize("name", _BYTES)
async def test_bytes_of_any_size_survive_a_round_trip(
    local_service: LocalService, local_session: AsyncSession, home: Path, relay: Relay, name: str
) -> None:
    """Content that is not text is unchanged, byte for byte."""
    content = _BYTES[name]
    result = await local_session.file_system.write('dir/it\'s "f"', content)
    assert result.data is True
    back = await local_session.file_system.read('dir/it\'s "f"', format="bytes")
    assert back.content == content == (home / 'dir/it\'s "f"').read_bytes()
    _check_arguments(relay)
    reads = [
        entry.request_id
        for entry in local_service.journal.find("CallMcpTool")
        if entry.form.get("Name") == "read_file"
    ]
    assert back.request_id == reads[-1]


@pytest.mark.parametrize("content", ["🎉" * 20_000, b"\xff" * 80_000])
async def test_appending_adds_to_the_file(
    local_session: AsyncSession, home: Path, content: str | bytes
) -> None:
    """The first chunk appends as well, and overwriting starts anew."""
    raw = content.encode() if isinstance(content, str) else content
    await local_session.fs.write_file("f", "old-")
    await local_session.fs.write_file("f", content, "append")
    assert (home / "f").read_bytes() == b"old-" + raw
    await local_session.fs.write_file("f", content)
    assert (home / "f").read_bytes() == raw


@pytest.mark.parametrize("kind", [bytearray, memoryview])
async def test_any_bytes_like_object_can_be_written(
    local_session: AsyncSession, home: Path, kind: Callable[[bytes], Any]
) -> None:
    """``bytearray`` and ``memoryview`` are accepted."""
    assert (await local_session.fs.write_file("f", kind(b"\x00\x01"))).success
    assert (home / "f").read_bytes() == b"\x00\x01"


async def test_reading_invalid_utf8_as_text_fails(local_session: AsyncSession, home: Path) -> None:
    """The message names the first invalid byte."""
    (home / "f").write_bytes(b"ok\xff")
    result = await local_session.fs.read_file("f")
    assert isinstance(result.error, FileError)
    assert result.error.path == "f"
    assert "byte 2" in result.error_message
    assert (await local_session.fs.read_file("f", format="bytes")).content == b"ok\xff"


async def test_a_missing_file_is_a_failed_result(local_session: AsyncSession, home: Path) -> None:
    """The message is plain; path, session and the text of the tool are in the error."""
    result = await local_session.fs.read_file("missing")
    assert isinstance(result.error, FileError)
    assert result.error_message == "no such file: missing"
    assert "No such file or directory" in result.error.detail
    assert f"({result.error.detail})" in result.error.explain()
    assert (result.error.path, result.error.session_id) == ("missing", local_session.session_id)
    with pytest.raises(FileError):
        _ = result.content


@pytest.mark.parametrize("content", ["x" * 150_000, b"\xff" * 150_000])
@pytest.mark.parametrize("mode", ["overwrite", "append"])
@pytest.mark.parametrize("failing", ["write_file", "shell"])
async def test_failed_large_write_keeps_the_old_file(
    local_session: AsyncSession,
    home: Path,
    relay: Relay,
    content: str | bytes,
    mode: Any,
    failing: str,
) -> None:
    """Neither half of the new content nor a part file remains."""
    (home / "f").write_bytes(b"precious")
    calls = itertools.count()

    def fail(request: HttpRequest) -> HttpRequest | HttpResponse:
        # Of the chunks the third fails: a part of the content is in the session then.
        if request.form.get("Name") != failing or (failing == "write_file" and next(calls) < 2):
            return request
        return HttpResponse.success(tool_answer("disk full", error=True))

    relay.intercept = fail
    result = await local_session.fs.write_file("f", content, mode)
    assert result.error_message == "disk full"
    assert (home / "f").read_bytes() == b"precious"
    if failing == "write_file":
        assert os.listdir(home) == ["f"]


async def test_corrupted_chunk_is_detected(
    local_session: AsyncSession, home: Path, relay: Relay
) -> None:
    """The checksum is compared before the file is replaced."""
    relay.intercept = lambda request: attrs.evolve(
        request, body=request.body.replace(b"xxx", b"yxx", 1)
    )
    (home / "f").write_bytes(b"precious")
    result = await local_session.fs.write_file("f", "x" * 150_000)
    assert "the checksum does not match" in result.error_message
    assert (home / "f").read_bytes() == b"precious"
    assert os.listdir(home) == ["f"]


async def test_a_large_write_keeps_permissions_and_follows_links(
    local_session: AsyncSession, home: Path
) -> None:
    """As if it were written in place."""
    (home / "f").write_bytes(b"old")
    (home / "f").chmod(0o751)
    (home / "link").symlink_to("f")
    (await local_session.fs.write_file("link", "x" * 150_000)).unwrap()
    assert (home / "link").is_symlink()
    assert (home / "f").read_bytes() == b"x" * 150_000
    assert (home / "f").stat().st_mode & 0o777 == 0o751


async def test_large_write_to_a_directory_fails(local_session: AsyncSession, home: Path) -> None:
    """Nothing is written inside the directory."""
    (home / "d").mkdir()
    result = await local_session.fs.write_file("d", b"x" * 150_000)
    assert result.error_message == "is a directory: d"
    assert os.listdir(home) == ["d"]
    assert list((home / "d").iterdir()) == []


async def test_content_that_is_not_base64_is_a_bad_answer(
    session: AsyncSession, scripted: Script
) -> None:
    """Content that was decoded in part would be a wrong file."""
    scripted.ok("CallMcpTool", tool_answer("not base64!"))
    result = await session.fs.read_file("f", format="bytes")
    assert isinstance(result.error, BadAnswerError)


_NAMES = ["a b", " lead", "trail ", "[FILE] x", "-n", "new\nline", "汉字", "back\\slash", "[DIR] y"]


async def test_list_returns_exact_names(local_session: AsyncSession, home: Path) -> None:
    """Blanks, markers of the tool and line breaks are part of a name."""
    for name in _NAMES[:-1]:
        (home / name).write_bytes(b"12345")
    (home / _NAMES[-1]).mkdir()
    (home / "link").symlink_to(_NAMES[-1])
    entries = (await local_session.fs.ls(".")).entries
    assert [entry.name for entry in entries] == sorted([*_NAMES, "link"])
    found = {entry.name: entry for entry in entries}
    assert found["new\nline"] == DirectoryEntry("new\nline", False, 5)
    assert found["a b"].is_file
    assert not found["[DIR] y"].is_file
    assert found["link"].is_symlink
    assert not found["link"].is_directory


async def test_list_of_an_empty_directory_is_empty(local_session: AsyncSession, home: Path) -> None:
    """It is not an error."""
    (home / "-d").mkdir()
    assert (await local_session.fs.ls("-d")).entries == []


@pytest.mark.parametrize("path", ["missing", "f"])
async def test_listing_a_file_fails(local_session: AsyncSession, home: Path, path: str) -> None:
    """The result is not an empty list."""
    (home / "f").touch()
    result = await local_session.fs.ls(path)
    assert isinstance(result.error, FileError)
    assert result.error.path == path


@pytest.mark.parametrize(
    "answer",
    [
        {"stdout": "", "stderr": "find: -printf: unrecognized", "exit_code": 1},
        {"stdout": "", "stderr": "sh: 2: find: not found", "exit_code": 127},
        {"stdout": "what a custom image wrote", "stderr": "", "exit_code": 0},
    ],
)
async def test_list_falls_back_to_the_tool_without_gnu_find(
    session: AsyncSession, scripted: Script, answer: object
) -> None:
    """Names may contain blanks; lines of another form are skipped."""
    scripted.ok("CallMcpTool", tool_answer("[DIR] a b\n[FILE] c.txt\n\n[LINK] d\nnoise\n[DIR]"))
    scripted.ok("CallMcpTool", tool_answer(json.dumps(answer)))
    result = await session.fs.ls("/home")
    assert result.entries == [DirectoryEntry("a b", True), DirectoryEntry("c.txt")]
    assert [entry.is_file for entry in result.entries] == [False, True]
    form, _ = scripted.forms("CallMcpTool")
    assert (form["Name"], json.loads(form["Args"])) == ("list_directory", {"path": "/home"})


async def test_a_session_without_find_is_not_asked_for_it_again(
    session: AsyncSession, scripted: Script
) -> None:
    """One that failed to answer is: that may pass."""
    scripted.ok("CallMcpTool", tool_answer("[FILE] a"))
    scripted.fail("CallMcpTool", "ServiceUnavailable", status=503)
    scripted.ok("CallMcpTool", tool_answer("[FILE] a"))
    scripted.ok("CallMcpTool", tool_answer("find: not found", error=True))
    scripted.ok("CallMcpTool", tool_answer("[FILE] a"))
    for _ in range(3):
        assert (await session.fs.ls("/home")).entries == [DirectoryEntry("a")]
    names = [form["Name"] for form in scripted.forms("CallMcpTool")]
    assert names == ["list_directory", "shell"] * 2 + ["list_directory"]


async def test_lines_of_a_windows_image_end_with_carriage_returns(
    session: AsyncSession, scripted: Script
) -> None:
    """They are no part of a name; on Linux one that ends with it stays."""
    scripted.ok("CallMcpTool", tool_answer("[FILE] a\r\n[DIR] b\r\n"))
    scripted.ok("CallMcpTool", tool_answer("sh: not found", error=True))
    scripted.ok("CallMcpTool", tool_answer("/x/a\r\n/x/b"))
    entries = (await session.fs.ls("C:/")).entries
    assert entries == [DirectoryEntry("a"), DirectoryEntry("b", True)]
    assert (await session.fs.search_files("/x", "*")).matches == ["/x/a\r", "/x/b"]


async def test_base64_in_lines_is_read(session: AsyncSession, scripted: Script) -> None:
    """Some programs break it at 76 characters."""
    lines = base64.encodebytes(bytes(range(256))).decode()
    scripted.ok("CallMcpTool", tool_answer(lines))
    result = await session.fs.read_file("f", format="bytes")
    assert result.content == bytes(range(256))


async def test_permissions_and_names_that_look_like_numbers_stay_text(
    session: AsyncSession, scripted: Script
) -> None:
    """``0644`` is not 644, and a file named ``007`` is not 7; a size is a number."""
    scripted.ok("CallMcpTool", tool_answer("name: 007\nsize: 12\npermissions: 0644\nisFile: true"))
    info = (await session.fs.info("/007")).file_info
    assert (info.name, info.permissions, info.size, info.is_file) == ("007", "0644", 12, True)


async def test_file_info_is_parsed(session: AsyncSession, scripted: Script) -> None:
    """Each line is one field; values may contain colons."""
    facts = "size: 12\nisFile: true\nisDirectory: false\npermissions: 644\nmodified: 10:30:00\nodd"
    scripted.ok("CallMcpTool", tool_answer(facts))
    info = (await session.fs.info("/dir/f")).file_info
    assert info == FileInfo("/dir/f", "f", 12, is_file=True, permissions="644", modified="10:30:00")


@pytest.mark.parametrize("size", ["", "big", "-1", "²", "9" * 5000])
async def test_invalid_size_is_zero(session: AsyncSession, scripted: Script, size: str) -> None:
    """An unusual answer of an image does not raise."""
    scripted.ok("CallMcpTool", tool_answer(f"name: g\nisDirectory: TRUE\nsize: {size}"))
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
    session: AsyncSession,
    scripted: Script,
    call: Callable[[Any], Any],
    tool: str,
    args: object,
) -> None:
    """Under every alias; the result is ``True``."""
    scripted.ok("CallMcpTool", tool_answer("ok"))
    assert (await call(session.fs)).data is True
    (form,) = scripted.forms("CallMcpTool")
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
async def test_failure_of_a_tool_is_a_file_error(
    session: AsyncSession, scripted: Script, call: Callable[[Any], Any]
) -> None:
    """The error names the path."""
    scripted.ok("CallMcpTool", tool_answer("not permitted", error=True))
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
        (lambda fs: fs.read_file("f", format="json"), InvalidArgumentError),
        (lambda fs: fs.write_file("f", "x", "truncate"), InvalidArgumentError),
        (lambda fs: fs.write_file(" ", "x"), InvalidArgumentError),
        (lambda fs: fs.write_file("f", 5), ArgumentTypeError),
        (lambda fs: fs.write_file("f", None), ArgumentTypeError),
        (lambda fs: fs.list_directory("\0"), InvalidArgumentError),
        (lambda fs: fs.get_file_info(None), ArgumentTypeError),
        (lambda fs: fs.create_directory(""), InvalidArgumentError),
        (lambda fs: fs.delete_file(["/f"]), ArgumentTypeError),
        (lambda fs: fs.move_file("/a", ""), InvalidArgumentError),
        (lambda fs: fs.move_file("", "/b"), InvalidArgumentError),
        (lambda fs: fs.read_many("/f"), ArgumentTypeError),
        (lambda fs: fs.read_many([""]), InvalidArgumentError),
        (lambda fs: fs.edit_file("/f", []), InvalidArgumentError),
        (lambda fs: fs.edit_file("/f", [("a", "b")]), ArgumentTypeError),
        (lambda fs: fs.edit_file("/f", [{"oldText": "a"}]), ArgumentTypeError),
        (lambda fs: fs.edit_file("/f", [{"oldText": "", "newText": "b"}]), InvalidArgumentError),
        (lambda fs: fs.edit_file("/f", [{"oldText": "a", "newText": 5}]), ArgumentTypeError),
        (lambda fs: fs.search_files("/f", "*", ["a,b"]), InvalidArgumentError),
        (lambda fs: fs.search_files("/f", "*", "a"), ArgumentTypeError),
        (lambda fs: fs.delete_directory("/"), InvalidArgumentError),
        (lambda fs: fs.delete_directory("/d", recursive=1), ArgumentTypeError),
    ],
)
async def test_invalid_arguments_are_rejected(
    session: AsyncSession,
    scripted: Script,
    call: Callable[[Any], Any],
    kind: type[Exception],
) -> None:
    """Nothing is sent."""
    with pytest.raises(kind):
        await call(session.fs)
    assert scripted.requests == []


async def test_several_files_are_read_exactly(local_session: AsyncSession, home: Path) -> None:
    """Rulers, blanks at the ends and line breaks in a name are kept."""
    texts = {"a": "  one\n---\ntwo \n\n", "b": "", "new\nline": "b: x"}
    for name, content in texts.items():
        (home / name).write_text(content)
    result = await local_session.fs.read_multiple_files([*texts, "a"])
    assert result.contents == texts
    assert list(result.contents) == list(texts)
    assert result.errors == {}
    assert result.success


async def test_unreadable_file_does_not_hide_the_others(
    local_session: AsyncSession, home: Path
) -> None:
    """The result has failed, but has the other contents."""
    (home / "a").write_text("one")
    result = await local_session.fs.read_many(["a", "missing"])
    assert not result.success
    assert isinstance(result.error, FileError)
    assert result.error.path == "missing"
    assert (result.contents, list(result.errors)) == ({"a": "one"}, ["missing"])
    with pytest.raises(FileError):
        result.unwrap()


async def test_edit_computes_the_diff_if_the_tool_returns_none(
    session: AsyncSession, scripted: Script
) -> None:
    """From the content before and after, as with the tools of some images."""
    old, new = "a\nb\nb\nend", "a\nB\nb\nend"
    for answer in (old, "True", old, "True", new):
        scripted.ok("CallMcpTool", tool_answer(answer))
    edits = [{"oldText": "b", "newText": "B"}]
    dry = await session.fs.edit_file("f", edits, dry_run=True)
    done = await session.fs.edit("f", edits)
    assert dry.diff == done.diff
    assert done.diff == (
        "--- f\n+++ f\n@@ -1,4 +1,4 @@\n a\n-b\n+B\n b\n end\n\\ No newline at end of file\n"
    )
    assert done.data is True
    calls = [(form["Name"], json.loads(form["Args"])) for form in scripted.forms("CallMcpTool")]
    assert [args["dryRun"] for name, args in calls if name == "edit_file"] == [True, False]
    assert [name for name, _ in calls] == [*["read_file", "edit_file"] * 2, "read_file"]


@pytest.mark.parametrize("fence", ["{}", "```diff\n{}\n```\n\n"])
async def test_edit_returns_the_diff_of_the_tool(
    session: AsyncSession, scripted: Script, fence: str
) -> None:
    """Without the fence of some images; later edits do not read the file."""
    diff = "--- f\n+++ f\n@@ -1 +1 @@\n-a\n+b"
    scripted.ok("CallMcpTool", tool_answer("a"))
    scripted.ok("CallMcpTool", tool_answer(fence.format(diff)))
    edits = [{"oldText": "a", "newText": "b"}]
    assert (await session.fs.edit_file("f", edits)).diff == diff
    assert (await session.fs.edit_file("f", edits, True)).diff == diff
    names = [form["Name"] for form in scripted.forms("CallMcpTool")]
    assert names == ["read_file", "edit_file", "edit_file"]
    args = [json.loads(form["Args"]) for form in scripted.forms("CallMcpTool")[1:]]
    assert [arg["dryRun"] for arg in args] == [False, True]
    assert args[0]["edits"] == edits


async def test_edit_without_a_change_has_an_empty_diff(
    local_session: AsyncSession, home: Path
) -> None:
    """It is not a failure."""
    (home / "f").write_text("a")
    result = await local_session.fs.edit_file("f", [{"oldText": "a", "newText": "a"}])
    assert (result.success, result.diff, result.data) == (True, "", True)


async def test_files_are_found_by_name(session: AsyncSession, scripted: Script) -> None:
    """Each line is a path; exclude patterns are joined by commas."""
    scripted.ok("CallMcpTool", tool_answer("/d/a b.py\n/d/c.py"))
    result = await session.fs.search_files("/d", "*.py", ["x*", "y"])
    assert result.matches == ["/d/a b.py", "/d/c.py"]
    assert json.loads(scripted.forms("CallMcpTool")[0]["Args"]) == {
        "path": "/d",
        "pattern": "*.py",
        "excludePatterns": "x*,y",
    }


@pytest.mark.parametrize("answer", ["No matches found", "", "\n"])
async def test_search_without_a_match_is_a_success(
    session: AsyncSession, scripted: Script, answer: str
) -> None:
    """A file with the name of the tool's text is still found."""
    scripted.ok("CallMcpTool", tool_answer(answer))
    assert (await session.fs.search_files("/d", "*")).matches == []


async def test_delete_directory_needs_recursive_and_a_real_directory(
    local_session: AsyncSession, home: Path
) -> None:
    """A directory with content needs ``recursive``; a link is never deleted."""
    (home / "-d" / "sub").mkdir(parents=True)
    (home / "link").symlink_to("-d")
    assert "not empty" in (await local_session.fs.delete_directory("-d")).error_message
    link = await local_session.fs.delete_directory("link/", recursive=True)
    assert link.error_message == "not a directory: link/"
    assert (await local_session.fs.delete_directory("-d/", recursive=True)).data is True
    assert os.listdir(home) == ["link"]
    result = await local_session.fs.delete_directory("-d")
    assert isinstance(result.error, FileError)


@pytest.mark.parametrize("size", [1, 150_000, 600_000])
async def test_a_file_below_a_file_is_not_made(
    local_session: AsyncSession, home: Path, size: int
) -> None:
    """By no way to write, and whatever its size."""
    (home / "f").write_text("kept")
    content = bytes(size)
    written = await local_session.fs.write_file("f/x", content)
    uploaded = await local_session.fs.upload_file(content, "f/x")
    for result in (written, uploaded):
        assert isinstance(result.error, NotADirectoryError)
        assert result.error_message == "not a directory: f/x"
    assert (home / "f").read_text() == "kept"
    assert os.listdir(home) == ["f"]


async def test_missing_session_keeps_its_error(session: AsyncSession, scripted: Script) -> None:
    """It is neither a file error nor a missing feature."""
    scripted.fail("CallMcpTool", "InvalidMcpSession.NotFound", "gone")
    assert isinstance((await session.fs.ls("/d")).error, SessionNotFoundError)
    assert isinstance((await session.fs.write_file("/f", b"")).error, SessionNotFoundError)
    assert scripted.actions.count("CallMcpTool") == 2


async def test_part_file_that_cannot_be_removed_is_logged(
    session: AsyncSession, scripted: Script, caplog: pytest.LogCaptureFixture
) -> None:
    """The result has the error of the write."""
    scripted.fail("CallMcpTool", "InvalidMcpSession.NotFound", "gone")
    result = await session.fs.write_file("/f", "x" * 150_000)
    assert isinstance(result.error, SessionNotFoundError)
    assert "could not remove" in caplog.text


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        (
            "Failed to read file: /a, error: No such file or directory",
            FileNotFoundError,
            "no such file: /a",
        ),
        (
            "Failed to write file: /a, error: Permission denied",
            PermissionError,
            "permission denied: /a",
        ),
        ("mv: Operation not permitted", PermissionError, "not permitted: /a"),
        ("Failed to move file: /b, error: File exists", FileExistsError, "already exists: /b"),
        ("sh: 1: cannot create a: Is a directory", IsADirectoryError, "is a directory: /a"),
        ("cat: a/b: Not a directory", NotADirectoryError, "not a directory: /a"),
        (
            "first line\nrmdir: failed to remove 'a': Directory not empty",
            FileError,
            "directory not empty: /a",
        ),
        (
            "mkdir: cannot create directory 'a': File exists",
            NotADirectoryError,
            "not a directory: /a",
        ),
        ("the disk is on fire", FileError, "the disk is on fire"),
        ("", FileError, ""),
    ],
)
def test_file_errors_have_plain_messages_and_built_in_classes(
    text: str, kind: type[Exception], message: str
) -> None:
    """The path comes from the tool if it names one; an unknown text stays as it is."""
    found, words = describe_failure(text, "/a")
    assert words == message
    assert issubclass(found, kind)
    assert issubclass(found, FileError)


async def test_exists_tells_files_and_directories_from_nothing(
    local_session: AsyncSession, home: Path
) -> None:
    """A path through a file does not exist; a link does."""
    files = local_session.file_system
    (await files.write_file("a/b", "1")).unwrap()
    (home / "a" / "link").symlink_to("b")
    found = {path: await files.exists(path) for path in ("a", "a/b", "a/link", "a/c", "a/b/c")}
    assert found == {"a": True, "a/b": True, "a/link": True, "a/c": False, "a/b/c": False}


async def test_exists_raises_where_it_cannot_know(session: AsyncSession, scripted: Script) -> None:
    """A closed directory may hide a file: neither True nor False would be right."""
    reason = "Failed to get file info: /root/x, error: Permission denied"
    scripted.ok("CallMcpTool", tool_answer(reason, error=True))
    with pytest.raises(PermissionError, match="permission denied: /root/x"):
        await session.file_system.exists("/root/x")


async def test_an_error_of_a_file_is_also_the_built_in_one(
    local_session: AsyncSession, home: Path
) -> None:
    """Code that handles local files handles those of a session."""
    result = await local_session.file_system.read_file("/tmp/missing")
    with pytest.raises(FileNotFoundError, match="no such file: /tmp/missing") as raised:
        result.unwrap()
    assert isinstance(raised.value, FileError)
    assert raised.value.path == "/tmp/missing"
