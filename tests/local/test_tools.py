"""Tools: answers, errors and invalid arguments."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.local.conftest import Api

pytestmark = pytest.mark.usefixtures("sandboxed")


async def shell(api: Api, session: str, **arguments: Any) -> tuple[bool, dict[str, Any]]:
    """Call the tool `shell` and parse its answer."""
    is_error, text = await api.tool(session, "shell", **arguments)
    return is_error, json.loads(text)


@pytest.fixture
async def session(api: Api) -> str:
    """Return a new session."""
    return await api.session()


async def test_a_command_answers_with_both_streams_and_its_exit_code(
    api: Api, session: str
) -> None:
    """A failing command is an ordinary answer."""
    is_error, answer = await shell(api, session, command="echo out; echo err >&2; exit 3")
    assert not is_error
    assert (answer["stdout"], answer["stderr"], answer["exit_code"]) == ("out\n", "err\n", 3)


@pytest.mark.parametrize(("command", "traced"), [("true", False), ("exit 3", True)])
async def test_only_a_command_that_fails_has_a_trace_id(
    api: Api, session: str, command: str, traced: bool
) -> None:
    """As in the cloud."""
    _, answer = await shell(api, session, command=command)
    assert bool(answer["traceId"]) is traced


async def test_cwd_and_variables_reach_the_command(api: Api, session: str) -> None:
    """With spaces and quotes."""
    await api.sh(session, "mkdir -p '/tmp/a b'")
    arguments = {"command": 'pwd; echo "$GREETING"', "cwd": "/tmp/a b"}
    _, answer = await shell(api, session, envs={"GREETING": 'it\'s "me"'}, **arguments)
    assert answer["stdout"] == '/tmp/a b\nit\'s "me"\n'


async def test_a_timeout_is_an_error_that_keeps_the_output(api: Api, session: str) -> None:
    """The reason is in a separate field, not in a stream."""
    is_error, answer = await shell(api, session, command="echo first; sleep 60", timeout_ms=300)
    assert is_error
    assert (answer["stdout"], answer["stderr"], answer["errorCode"]) == ("first\n", "", -1)
    assert "timeout" in answer["errorMessage"]


async def test_output_that_is_not_text_is_decoded(api: Api, session: str) -> None:
    """NUL stays; invalid UTF-8 becomes replacement characters."""
    _, answer = await shell(api, session, command=r"printf 'a\000b\377c'")
    assert answer["stdout"] == "a\0b�c"


async def test_commands_run_concurrently(api: Api, session: str) -> None:
    """Two commands that wait for each other both end."""
    await api.sh(session, "mkfifo /tmp/meet")
    there, here = await asyncio.gather(
        api.sh(session, "cat /tmp/meet"), api.sh(session, "echo hello > /tmp/meet")
    )
    assert (there, here) == ("hello\n", "")


async def test_concurrent_first_calls_start_one_sandbox(api: Api, session: str) -> None:
    """All commands run in the same session."""
    outputs = await asyncio.gather(
        *(
            api.sh(session, "cat /proc/sys/kernel/random/boot_id; readlink /proc/self/ns/pid")
            for _ in range(8)
        )
    )
    assert len(set(outputs)) == 1


async def test_a_missing_directory_is_an_error(api: Api, session: str) -> None:
    """Official clients look for the reason in stderr."""
    is_error, answer = await shell(api, session, command="ls", cwd="/no/such")
    assert is_error
    assert "No such file or directory" in answer["stderr"]


async def test_a_file_is_written_read_appended_and_described(api: Api, session: str) -> None:
    """Parents are created."""
    path = "/home/wuying/new/dir/note.txt"
    assert await api.tool(session, "write_file", path=path, content="héllo\n") == (False, "True")
    await api.tool(session, "write_file", path=path, content="more", mode="append")
    assert await api.tool(session, "read_file", path=path) == (False, "héllo\nmore")
    _, info = await api.tool(session, "get_file_info", path=path)
    fields = dict(line.split(": ", 1) for line in info.splitlines())
    assert (fields["size"], fields["isFile"], fields["isDirectory"]) == ("11", "true", "false")
    assert (fields["name"], fields["owner"]) == ("note.txt", "wuying")


async def test_a_relative_path_starts_at_the_home_directory(api: Api, session: str) -> None:
    """For tools and commands."""
    await api.tool(session, "write_file", path="here.txt", content="x")
    assert await api.sh(session, "cat /home/wuying/here.txt") == "x"


async def test_byte_ranges_of_a_text_join_to_the_whole(api: Api, session: str) -> None:
    """Also if they cut through characters."""
    text = "aé漢🚀" * 50
    await api.tool(session, "write_file", path="t", content=text)
    size = len(text.encode())
    pieces = [
        (await api.tool(session, "read_file", path="t", offset=start, length=7))[1]
        for start in range(0, size, 7)
    ]
    assert "".join(pieces) == text


async def test_binary_is_read_as_base64(api: Api, session: str) -> None:
    """All bytes survive, also from an offset."""
    await api.sh(session, r"printf '\000\001\377abc' > /tmp/b")
    arguments = {"path": "/tmp/b", "format": "binary"}
    _, text = await api.tool(session, "read_file", offset=1, length=3, **arguments)
    assert base64.b64decode(text) == b"\x01\xffa"


async def test_a_large_file_makes_the_round_trip(api: Api, session: str) -> None:
    """Five megabytes in one call each way."""
    content = "0123456789abcdef" * 320_000
    await api.tool(session, "write_file", path="/tmp/big", content=content)
    _, text = await api.tool(session, "read_file", path="/tmp/big")
    assert text == content


async def test_a_listing_marks_directories_and_files(api: Api, session: str) -> None:
    """One line each, sorted by name; a line break in a name is escaped."""
    await api.sh(session, r'mkdir -p d/sub; touch d/a.txt "d/b$(printf "\nx")"')
    _, text = await api.tool(session, "list_directory", path="d")
    assert text.splitlines() == ["[FILE] a.txt", "[FILE] b\\nx", "[DIR] sub"]


@pytest.mark.parametrize(
    "excludes",
    [
        {"excludePatterns": "skip, none"},
        {"excludePatterns": ["skip", "none"]},
        {"exclude_patterns": ["none", "skip"]},
        {"exclude_patterns": "skip"},
        {"excludePatterns": ["none"], "exclude_patterns": "skip"},
    ],
    ids=str,
)
async def test_search_finds_names_except_excluded_ones(
    api: Api, session: str, excludes: dict[str, Any]
) -> None:
    """Excluded directories are not entered; clients of different ages name them differently."""
    await api.sh(session, "mkdir -p s/keep s/skip; touch s/a.py s/keep/b.py s/skip/c.py s/d.txt")
    arguments = {"path": "/home/wuying/s", "pattern": "*.py", **excludes}
    _, text = await api.tool(session, "search_files", **arguments)
    assert text.splitlines() == ["/home/wuying/s/a.py", "/home/wuying/s/keep/b.py"]
    assert await api.tool(session, "search_files", path="s", pattern="zzz") == (
        False,
        "No matches found",
    )


async def test_a_search_with_an_empty_pattern_finds_every_name(api: Api, session: str) -> None:
    """Except those to leave out."""
    await api.sh(session, "mkdir -p s; touch s/a.py s/b.txt")
    arguments = {"path": "/home/wuying/s", "pattern": "", "excludePatterns": ["b.txt"]}
    assert await api.tool(session, "search_files", **arguments) == (False, "/home/wuying/s/a.py")


async def test_an_edit_replaces_the_first_occurrence_and_shows_the_difference(
    api: Api, session: str
) -> None:
    """A dry run changes nothing."""
    await api.tool(session, "write_file", path="e", content="one two one\n")
    edits = [{"oldText": "one", "newText": "1"}]
    _, output = await api.tool(session, "edit_file", path="e", edits=edits, dryRun=True)
    assert "+1 two one" in output
    assert await api.sh(session, "cat e") == "one two one\n"
    await api.tool(session, "edit_file", path="e", edits=edits)
    assert await api.sh(session, "cat e") == "1 two one\n"


async def test_an_edit_whose_text_is_missing_changes_nothing(api: Api, session: str) -> None:
    """The error names the edit."""
    await api.tool(session, "write_file", path="e", content="abc")
    edits = [{"oldText": "a", "newText": "x"}, {"oldText": "zzz", "newText": "y"}]
    is_error, text = await api.tool(session, "edit_file", path="e", edits=edits)
    assert is_error
    assert "edits[1].oldText" in text
    assert await api.sh(session, "cat e") == "abc"


async def test_moving_and_deleting(api: Api, session: str) -> None:
    """Directories can be moved; only files can be deleted."""
    await api.sh(session, "mkdir -p from/x; echo 1 > from/x/f")
    await api.tool(session, "move_file", source="from", destination="to")
    assert await api.sh(session, "cat to/x/f") == "1\n"
    is_error, text = await api.tool(session, "delete_file", path="to")
    assert is_error
    assert "Is a directory" in text
    assert await api.tool(session, "delete_file", path="to/x/f") == (False, "True")
    is_error, _ = await api.tool(session, "get_file_info", path="to/x/f")
    assert is_error


async def test_several_files_are_read_at_once(api: Api, session: str) -> None:
    """A missing one does not hide the others."""
    await api.sh(session, "echo 1 > a; echo 2 > b")
    _, text = await api.tool(session, "read_multiple_files", paths=["a", "none", "b"])
    blocks = text.split("\n---\n")
    assert [blocks[0], blocks[2]] == ["a:\n1\n\n", "b:\n2\n\n"]
    assert "No such file or directory" in blocks[1]


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("read_file", {"path": "/no/such"}),
        ("get_file_info", {"path": "/no/such"}),
        ("list_directory", {"path": "/no/such"}),
        ("delete_file", {"path": "/no/such"}),
        ("edit_file", {"path": "/no/such", "edits": [{"oldText": "a", "newText": "b"}]}),
        ("move_file", {"source": "/no/such", "destination": "/tmp/x"}),
    ],
)
async def test_the_error_of_a_missing_file_has_the_wire_form(
    api: Api, session: str, tool: str, arguments: dict[str, Any]
) -> None:
    """It has the path and the reason."""
    is_error, text = await api.tool(session, tool, **arguments)
    assert is_error
    assert text.startswith("Execution failed. Error code:-32602 Error message: Failed to ")
    assert text.endswith(": /no/such, error: No such file or directory")


@pytest.mark.parametrize(
    ("tool", "arguments", "named"),
    [
        ("shell", {}, "command"),
        ("shell", {"command": 5}, "command"),
        ("shell", {"command": "ls", "timeout_ms": -1}, "timeout_ms"),
        ("shell", {"command": "ls", "timeout_ms": True}, "timeout_ms"),
        ("shell", {"command": "ls", "envs": {"A": 1}}, "envs"),
        ("read_file", {"path": ""}, "path"),
        ("read_file", {"path": "a\0b"}, "path"),
        ("read_file", {"path": "a", "offset": -1}, "offset"),
        ("write_file", {"path": "a"}, "content"),
        ("write_file", {"path": "a", "content": "b", "mode": "sideways"}, "mode"),
        ("edit_file", {"path": "a", "edits": []}, "edits"),
        ("edit_file", {"path": "a", "edits": [{"oldText": ""}]}, "edits[0]"),
        ("read_multiple_files", {"paths": [1]}, "paths"),
    ],
)
async def test_an_invalid_argument_is_named(
    api: Api, session: str, tool: str, arguments: dict[str, Any], named: str
) -> None:
    """The error says which and why."""
    is_error, text = await api.tool(session, tool, **arguments)
    assert is_error
    assert named in text


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("write_file", {"path": "f", "content": "\ud800"}),
        ("write_file", {"path": "\ud800", "content": "x"}),
        ("edit_file", {"path": "t", "edits": [{"oldText": "a", "newText": "\ud800"}]}),
        ("shell", {"command": "echo \ud800"}),
    ],
)
async def test_half_a_surrogate_pair_is_an_error(
    api: Api, session: str, tool: str, arguments: dict[str, Any]
) -> None:
    """JSON can carry it, and no file can."""
    await api.sh(session, "echo a > t")
    is_error, text = await api.tool(session, tool, **arguments)
    assert is_error
    assert "surrogate" in text


async def test_reading_beyond_the_end_is_empty(api: Api, session: str) -> None:
    """An offset beyond the end is not an error."""
    await api.sh(session, "echo a > t")
    arguments = {"path": "t", "offset": 2**61, "length": 5}
    assert await api.tool(session, "read_file", **arguments) == (False, "")


async def test_an_unknown_tool_is_an_error(api: Api, session: str) -> None:
    """The text has the image and the tool."""
    is_error, text = await api.tool(session, "fly")
    assert is_error
    assert "'fly' is not offered by image 'linux_latest'" in text


async def test_the_list_of_tools_has_their_schemas(api: Api) -> None:
    """The required arguments are among the properties."""
    body = await api.ok("ListMcpTools")
    tools = json.loads(body["Data"])
    assert {"shell", "read_file", "write_file"} <= {tool["name"] for tool in tools}
    for tool in tools:
        assert set(tool["inputSchema"]["required"]) <= set(tool["inputSchema"]["properties"])
        assert tool["server"]


async def test_a_sandbox_that_died_is_started_again_with_its_files(api: Api, session: str) -> None:
    """The files of a session outlive its processes."""
    await api.sh(session, "echo kept > /tmp/f")
    await api.tool(session, "shell", command="kill -9 -1; sleep 5", timeout_ms=2000)
    assert await api.sh(session, "cat /tmp/f") == "kept\n"
