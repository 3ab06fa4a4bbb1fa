"""Commands of a session: requests, answers and errors."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    APIError,
    ArgumentTypeError,
    BadAnswerError,
    CommandError,
    InvalidArgumentError,
)

if TYPE_CHECKING:
    from tests.http.scripted import Script

    from agentbay_async import AsyncSession


def _answers(scripted: Script, text: str, *, error: bool = False) -> None:
    content = [{"type": "text", "text": text}]
    scripted.ok("CallMcpTool", {"content": content, "isError": error})


def _sent(scripted: Script) -> dict[str, Any]:
    (form,) = scripted.forms("CallMcpTool")
    arguments: dict[str, Any] = json.loads(form["Args"])
    return arguments


async def test_a_command_is_sent_to_the_shell(session: AsyncSession, scripted: Script) -> None:
    """Command, limit in milliseconds, directory and variables are sent as JSON."""
    _answers(scripted, "")
    await session.command.run("echo $A", cwd="/tmp", envs={"A": "ü", "B": ""}, timeout=2.5)
    (form,) = scripted.forms("CallMcpTool")
    assert (form["SessionId"], form["Name"], form["AutoGenSession"]) == ("s-1", "shell", "false")
    assert "Server" not in form
    assert _sent(scripted) == {
        "command": "echo $A",
        "timeout_ms": 2500,
        "cwd": "/tmp",
        "envs": {"A": "ü", "B": ""},
    }


@pytest.mark.parametrize(
    ("limits", "milliseconds"),
    [
        ({}, 50_000),
        ({"timeout_ms": 10}, 10),
        ({"timeout": timedelta(minutes=0.5)}, 30_000),
        ({"timeout": 0.0001}, 1),
    ],
)
async def test_time_limit_is_accepted_in_each_unit(
    session: AsyncSession, scripted: Script, limits: dict[str, Any], milliseconds: int
) -> None:
    """The default is fifty seconds, the minimum one millisecond."""
    _answers(scripted, "")
    await session.command.run("true", **limits)
    assert _sent(scripted) == {"command": "true", "timeout_ms": milliseconds}


async def test_json_answer_of_a_command_is_parsed(session: AsyncSession, scripted: Script) -> None:
    """Streams, exit code and trace id are separate."""
    document = {"stdout": "out\n", "stderr": "err\n", "exit_code": 0, "traceId": "t-1"}
    _answers(scripted, json.dumps(document))
    result = await session.command.run("x")
    assert result.success
    assert (result.stdout, result.stderr, result.exit_code) == ("out\n", "err\n", 0)
    assert (result.output, result.trace_id) == ("out\nerr\n", "t-1")
    assert result.request_id == "REQ-CallMcpTool"


@pytest.mark.parametrize(
    "text",
    [
        "plain output",
        "",
        "7",
        '{"stdout": "no code"}',
        '{"exit_code": 0}',
        '{"exit_code": "0", "stdout": "", "stderr": ""}',
        '{"errorCode": 5, "stdout": "of the user"}',
        '["exit_code"]',
        '{"unfinished": ',
    ],
)
async def test_any_other_text_is_the_output_itself(
    session: AsyncSession, scripted: Script, text: str
) -> None:
    """Some images return the bare output, which may look like anything."""
    _answers(scripted, text)
    result = await session.command.run("x")
    assert result.success
    assert (result.stdout, result.stderr, result.exit_code) == (text, "", 0)


async def test_deeply_nested_json_is_plain_output(session: AsyncSession, scripted: Script) -> None:
    """The output of a command never raises."""
    _answers(scripted, "[" * 20_000)
    assert (await session.command.run("x")).stdout == "[" * 20_000


async def test_failed_command_has_its_output(session: AsyncSession, scripted: Script) -> None:
    """Unwrapping the result raises an error with the output."""
    _answers(scripted, json.dumps({"stdout": "half", "stderr": "no such file\n", "exit_code": 2}))
    result = await session.command.run("cat x")
    assert not result.success
    assert (result.stdout, result.exit_code) == ("half", 2)
    assert result.error_message == "no such file"
    with pytest.raises(CommandError) as caught:
        result.unwrap()
    error = caught.value
    assert (error.exit_code, error.stdout, error.stderr) == (2, "half", "no such file\n")
    assert (error.session_id, error.request_id) == ("s-1", "REQ-CallMcpTool")


async def test_failure_without_output_names_the_exit_code(
    session: AsyncSession, scripted: Script
) -> None:
    """``false`` writes nothing."""
    _answers(scripted, json.dumps({"stdout": "", "stderr": "", "errorCode": 1}))
    assert (
        await session.command.run("false")
    ).error_message == "the command ended with exit code 1"


async def test_timed_out_command_is_an_error_with_its_output(
    session: AsyncSession, scripted: Script
) -> None:
    """The message names the remedy instead of exit code -1."""
    document = {
        "errorCode": -1,
        "stdout": "half",
        "stderr": "",
        "errorMessage": "Execution failed. Error code:-1 Error message: [timeout]",
    }
    _answers(scripted, json.dumps(document), error=True)
    result = await session.command.run("sleep 9", timeout=1)
    assert isinstance(result.error, CommandError)
    assert result.error.timed_out
    assert "timeout=" in result.error_message
    assert result.stdout == "half"


async def test_an_answer_without_an_exit_code_is_a_success(
    session: AsyncSession, scripted: Script
) -> None:
    """Both streams are the form of the service."""
    _answers(scripted, '{"stdout": "hi", "stderr": ""}')
    result = await session.command.run("echo hi")
    assert (result.success, result.stdout, result.exit_code) == (True, "hi", 0)


async def test_a_time_out_without_output_is_recognized(
    session: AsyncSession, scripted: Script
) -> None:
    """Some images send the bare mark."""
    text = "Execution failed. Error code:-1 Error message: [timeout]"
    _answers(scripted, text, error=True)
    result = await session.command.run("sleep 9", timeout=1)
    assert isinstance(result.error, CommandError)
    assert (result.error.timed_out, result.error.exit_code) == (True, 124)
    assert result.stderr == "the command was killed at its time limit of 1 s\n"


async def test_a_time_out_is_told_in_the_error_and_below_the_output(
    session: AsyncSession, scripted: Script
) -> None:
    """Each of the two names the limit."""
    answer = {"errorCode": -1, "errorMessage": "[timeout]", "stdout": "begun", "stderr": "warn"}
    _answers(scripted, json.dumps(answer), error=True)
    result = await session.command.run("make")
    assert (result.success, result.timed_out, result.exit_code) == (False, True, 124)
    assert (result.stdout, result.truncated) == ("begun", False)
    assert result.stderr == "warn\nthe command was killed at its time limit of 50 s\n"
    assert result.error_message == (
        "the command was killed at its time limit of 50 s. Give it more with timeout=..., or start"
        " it with command.start()"
    )


async def test_cut_output_and_the_hint_of_the_session_are_in_the_result(
    session: AsyncSession, scripted: Script
) -> None:
    """A hint is bounded: a session may say anything."""
    answer = {"stdout": "a", "stderr": "e", "exit_code": 6, "truncated": True, "hint": "h" * 9999}
    _answers(scripted, json.dumps(answer))
    result = await session.command.run("curl")
    assert (result.truncated, result.exit_code, result.timed_out) == (True, 6, False)
    assert result.error_message == f"e. {'h' * 500}"


async def test_an_error_with_one_stream_has_its_exit_code(
    session: AsyncSession, scripted: Script
) -> None:
    """The text of an error is the service's own."""
    _answers(scripted, '{"errorCode": 3, "stderr": "bad", "traceId": "t"}', error=True)
    result = await session.command.run("x")
    assert (result.exit_code, result.stderr, result.trace_id) == (3, "bad", "t")


@pytest.mark.parametrize(("code", "expected"), [(0, 1), (124, 124)])
async def test_failure_reported_by_the_tool_is_a_failure(
    session: AsyncSession, scripted: Script, code: int, expected: int
) -> None:
    """An exit code of 0 is then reported as 1."""
    document = {"stdout": "part", "stderr": "timed out", "exit_code": code}
    _answers(scripted, json.dumps(document), error=True)
    result = await session.command.run("sleep 100")
    assert not result.success
    assert (result.exit_code, result.stdout) == (expected, "part")


async def test_reading_output_raises_if_nothing_ran(
    session: AsyncSession, scripted: Script
) -> None:
    """The tool answered with an error text instead of output."""
    _answers(scripted, "the shell is gone", error=True)
    result = await session.command.run("x")
    assert result.error_message == "the shell is gone"
    for read in ("stdout", "stderr", "output", "exit_code", "trace_id"):
        with pytest.raises(CommandError, match="the shell is gone"):
            getattr(result, read)


async def test_check_raises_when_the_command_fails(session: AsyncSession, scripted: Script) -> None:
    """The error has exit code and output."""
    _answers(scripted, json.dumps({"stdout": "", "stderr": "", "exit_code": 3}))
    with pytest.raises(CommandError) as caught:
        await session.command.run("exit 3", check=True)
    assert caught.value.exit_code == 3


async def test_check_raises_when_nothing_could_be_run(
    session: AsyncSession, scripted: Script
) -> None:
    """Every failure raises, not only that of the command."""
    scripted.fail("CallMcpTool", "Some.Code")
    with pytest.raises(APIError):
        await session.command.run("true", check=True)


async def test_check_returns_the_result_of_a_successful_command(
    session: AsyncSession, scripted: Script
) -> None:
    """Without a failure ``check`` has no effect."""
    _answers(scripted, "fine")
    assert (await session.command.run("true", check=True)).stdout == "fine"


async def test_an_answer_without_data_is_a_failure(session: AsyncSession, scripted: Script) -> None:
    """A command whose output is missing did not succeed."""
    scripted.ok("CallMcpTool")
    result = await session.command.run("true")
    assert isinstance(result.error, BadAnswerError)
    assert result.error.session_id == "s-1"


async def test_the_exchange_may_take_longer_than_the_command(
    session: AsyncSession, scripted: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the session reports a timeout before the connection times out."""
    seen: list[float] = []
    send = session.command._api.call

    async def watched(request: Any, timeout: float, **options: Any) -> Any:
        seen.append(timeout)
        return await send(request, timeout, **options)

    _answers(scripted, "")
    monkeypatch.setattr(session.command._api, "call", watched)
    await session.command.run("true", timeout=40)
    assert seen == [55]


async def test_all_names_of_run_are_one_method(session: AsyncSession) -> None:
    """``execute_command`` of the official client has short aliases."""
    kind = type(session.command)
    assert kind.run is kind.exec is kind.execute_command


@pytest.mark.parametrize(
    ("arguments", "kind", "named"),
    [
        ({"command": ""}, InvalidArgumentError, "command"),
        ({"command": " \n"}, InvalidArgumentError, "command"),
        ({"command": "a\0b"}, InvalidArgumentError, "command"),
        ({"command": ["ls"]}, ArgumentTypeError, "command"),
        ({"timeout_ms": 5, "timeout": 5}, InvalidArgumentError, "timeout"),
        ({"timeout_ms": 0}, InvalidArgumentError, "timeout_ms"),
        ({"timeout_ms": 1.5}, ArgumentTypeError, "timeout_ms"),
        ({"timeout": -1}, InvalidArgumentError, "timeout"),
        ({"cwd": ""}, InvalidArgumentError, "cwd"),
        ({"envs": ["A=1"]}, ArgumentTypeError, "envs"),
        ({"envs": {"A": 1}}, ArgumentTypeError, "envs"),
        ({"envs": {1: "a"}}, ArgumentTypeError, "envs"),
        ({"envs": {"": "a"}}, InvalidArgumentError, "envs"),
        ({"envs": {"A B": "a"}}, InvalidArgumentError, "envs"),
        ({"envs": {"A=B": "a"}}, InvalidArgumentError, "envs"),
        ({"envs": {"A": "a\0"}}, InvalidArgumentError, "envs"),
    ],
)
async def test_invalid_arguments_of_a_command_are_rejected(
    session: AsyncSession,
    scripted: Script,
    arguments: dict[str, Any],
    kind: type[Exception],
    named: str,
) -> None:
    """The error names the argument, and nothing is sent."""
    with pytest.raises(kind, match=named):
        await session.command.run(**{"command": "true", **arguments})
    assert scripted.requests == []
