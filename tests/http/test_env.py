"""Environment variables, metrics, links and object storage of a session."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    APIError,
    ArgumentTypeError,
    AsyncOss,
    BadAnswerError,
    CreateSessionParams,
    InvalidArgumentError,
    SessionMetrics,
    ToolError,
)

from .scripted import tool_answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.http.scripted import Script

    from agentbay_async import AsyncAgentBay, AsyncSession


def _asked(scripted: Script) -> tuple[str, Any]:
    (form,) = scripted.forms("CallMcpTool")
    return form["Name"], json.loads(form["Args"])


async def test_variables_are_set_in_one_call(session: AsyncSession, scripted: Script) -> None:
    """As pairs, with any text in the values."""
    scripted.ok("CallMcpTool", tool_answer("ok"))
    assert (await session.env.set({"A": "1 = '2'", "B": ""})).data is True
    pairs = [{"key": "A", "value": "1 = '2'"}, {"key": "B", "value": ""}]
    assert _asked(scripted) == ("set_env", {"envs": pairs})


@pytest.mark.parametrize(("keys", "args"), [(None, {}), (["A"], {"keys": ["A"]})])
async def test_variables_are_read(
    session: AsyncSession, scripted: Script, keys: list[str] | None, args: object
) -> None:
    """All of them or some; values are text, even if they look like numbers."""
    scripted.ok("CallMcpTool", tool_answer('{"A": "007", "B": 1, "C": null}'))
    assert (await session.env.get(keys)).envs == {"A": "007", "B": "1"}
    assert _asked(scripted) == ("get_env", args)


@pytest.mark.parametrize("answer", ["A=1", "[]", "", "null"])
async def test_malformed_variables_are_a_failure(
    session: AsyncSession, scripted: Script, answer: str
) -> None:
    """They are not an empty success."""
    scripted.ok("CallMcpTool", tool_answer(answer))
    result = await session.env.get()
    assert isinstance(result.error, BadAnswerError)
    with pytest.raises(BadAnswerError):
        _ = result.envs


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda session: session.env.set({}), InvalidArgumentError),
        (lambda session: session.env.set([("A", "1")]), ArgumentTypeError),
        (lambda session: session.env.set({"A": 1}), ArgumentTypeError),
        (lambda session: session.env.set({"A=B": "1"}), InvalidArgumentError),
        (lambda session: session.env.set({"A": "\0"}), InvalidArgumentError),
        (lambda session: session.env.get("A"), ArgumentTypeError),
        (lambda session: session.env.get([""]), InvalidArgumentError),
        (lambda session: session.get_link(port=30099), InvalidArgumentError),
        (lambda session: session.get_link(port=30200), InvalidArgumentError),
        (lambda session: session.get_link(port="30100"), ArgumentTypeError),
        (lambda session: session.get_link("http", 30100), InvalidArgumentError),
        (lambda session: session.get_link(options={}), ArgumentTypeError),
        (lambda session: session.get_metrics(timeout=0), InvalidArgumentError),
        (lambda session: session.oss.env_init("", "b", "c"), InvalidArgumentError),
        (lambda session: session.oss.upload("b", "o", ""), InvalidArgumentError),
        (lambda session: session.oss.download_anonymous(5, "p"), ArgumentTypeError),
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
        await call(session)
    assert scripted.requests == []


async def test_errors_do_not_show_values(session: AsyncSession) -> None:
    """A value may be a password."""
    with pytest.raises(InvalidArgumentError) as caught:
        await session.env.set({"PASSWORD": "s3cret\0"})
    assert "s3cret" not in str(caught.value)


async def test_metrics_are_parsed(session: AsyncSession, scripted: Script) -> None:
    """Under the names of any image; a missing number is ``None``."""
    document = {
        "cpu_count": 2,
        "cpu_used_pct": 12.5,
        "mem_total": "4096",
        "mem_used": 1024.0,
        "rx_rate_kbps": 1.5,
        "tx_rate_KBps": 2,
        "rx_used_kb": 3,
        "tx_used_kbyte": 4,
        "tx_used_kb": 99,
        "disk_total": "much",
        "timestamp": "2026-11-22T12:00:00Z",
    }
    scripted.ok("CallMcpTool", tool_answer(json.dumps(document)))
    metrics = (await session.get_metrics()).metrics
    assert metrics == SessionMetrics(
        2, 12.5, None, None, 4096, 1024, 1.5, 2.0, 3.0, 4.0, "2026-11-22T12:00:00Z"
    )
    assert isinstance(metrics.mem_total, int)
    assert _asked(scripted) == ("get_metrics", {})


async def test_malformed_metrics_are_a_failure(session: AsyncSession, scripted: Script) -> None:
    """They are not zeros."""
    scripted.ok("CallMcpTool", tool_answer("busy"))
    assert isinstance((await session.get_metrics()).error, BadAnswerError)


async def test_link_to_a_port_is_returned(session: AsyncSession, scripted: Script) -> None:
    """Its URL is a secret, so no repr has it."""
    scripted.ok("GetLink", {"Url": "https://gateway/request_ai/t0ken/path/"})
    result = await session.get_link("https", 30100, "x")
    assert result.data == result.url == "https://gateway/request_ai/t0ken/path/"
    assert scripted.forms("GetLink") == [
        {"SessionId": "s-1", "ProtocolType": "https", "Port": "30100", "Option": "x"}
    ]
    assert "t0ken" not in repr(result)


async def test_refused_link_is_a_failure(session: AsyncSession, scripted: Script) -> None:
    """An answer without a URL is one as well."""
    scripted.ok("GetLink", Success=False, Code="NotSupported", Message="only BrowserUse images")
    scripted.ok("GetLink", {})
    refused = await session.get_link()
    assert isinstance(refused.error, APIError)
    assert "only BrowserUse images" in repr(refused)
    assert isinstance((await session.get_link()).error, BadAnswerError)


@pytest.mark.parametrize(
    ("call", "tool", "args"),
    [
        (
            lambda oss: oss.upload("b", "o", "/fail.txt"),
            "oss_upload",
            {"bucket": "b", "object": "o", "path": "/fail.txt"},
        ),
        (
            lambda oss: oss.download("b", "fail.txt", "/fail.txt"),
            "oss_download",
            {"bucket": "b", "object": "fail.txt", "path": "/fail.txt"},
        ),
        (
            lambda oss: oss.upload_anonymous("https://u", "/fail.txt"),
            "oss_upload_annon",
            {"url": "https://u", "path": "/fail.txt"},
        ),
        (
            lambda oss: oss.download_anonymous("https://u", "/fail.txt"),
            "oss_download_annon",
            {"url": "https://u", "path": "/fail.txt"},
        ),
    ],
)
async def test_oss_methods_call_their_tools(
    session: AsyncSession,
    scripted: Script,
    call: Callable[[Any], Any],
    tool: str,
    args: object,
) -> None:
    """A file may be called as failures are."""
    scripted.ok("CallMcpTool", tool_answer("Upload success: /fail.txt"))
    assert (await call(session.oss)).content == "Upload success: /fail.txt"
    assert _asked(scripted) == (tool, args)


async def test_a_program_can_make_the_oss_service_of_a_session(
    session: AsyncSession, scripted: Script
) -> None:
    """As programs for the official client do."""
    scripted.ok("CallMcpTool", tool_answer("Upload success"))
    assert (await AsyncOss(session).upload("b", "o", "/p")).success
    assert _asked(scripted) == ("oss_upload", {"bucket": "b", "object": "o", "path": "/p"})


@pytest.mark.parametrize("is_error", [True, False])
async def test_oss_failure_shows_no_secret(
    session: AsyncSession, scripted: Script, is_error: bool
) -> None:
    """Whether or not the tool marks it as an error."""
    text = "Failed to use key-id with s3cret and t0ken"
    scripted.ok("CallMcpTool", tool_answer(text, error=is_error))
    result = await session.oss.env_init("key-id", "s3cret", "t0ken", region="cn")
    assert isinstance(result.error, ToolError)
    assert result.error_message == "Failed to use *** with *** and ***"
    for secret in ("key-id", "s3cret", "t0ken"):
        assert secret not in f"{result!r} {result.error!r} {result.error.args}"


@pytest.mark.parametrize("key", ["fail", "a", "Upload"])
async def test_oss_failure_is_detected_whatever_the_file_is_named(
    session: AsyncSession, scripted: Script, key: str
) -> None:
    """The name of the file is not searched."""
    scripted.ok("CallMcpTool", tool_answer(f"Upload failed: {key}"))
    assert isinstance((await session.oss.upload("b", key, "/p")).error, ToolError)


async def test_empty_oss_answer_is_a_failure(session: AsyncSession, scripted: Script) -> None:
    """It does not confirm anything."""
    scripted.ok("CallMcpTool", tool_answer(""))
    assert isinstance((await session.oss.upload("b", "o", "/p")).error, BadAnswerError)


async def test_variables_of_a_create_are_there_before_the_first_command(
    local_bay: AsyncAgentBay,
) -> None:
    """For commands, code and terminals alike."""
    params = CreateSessionParams(envs={"STAGE": "test one"}, image_id="code_latest")
    async with local_bay.session(params) as session:
        assert (await session.command.run('printf %s "$STAGE"')).stdout == "test one"
        code = await session.code.run("import os; print(os.environ['STAGE'])", timeout=60)
        assert code.stdout == "test one\n"
        process = await session.command.start('printf %s "$STAGE"')
        assert b"".join([chunk async for chunk in process]) == b"test one"


async def test_a_session_whose_variables_cannot_be_set_is_deleted(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """It would run the first command without them."""
    scripted.ok("CreateMcpSession", {"SessionId": "s-9"})
    scripted.ok("CallMcpTool", tool_answer("no such tool", error=True))
    scripted.ok("DeleteSessionAsync", {})
    scripted.ok("GetSessionDetail", {"Status": "FINISH"})
    result = await bay.create(CreateSessionParams(envs={"TOKEN": "secret-1"}))
    assert (result.error_message, result.session_id) == ("no such tool", "s-9")
    assert [form["SessionId"] for form in scripted.forms("DeleteSessionAsync")] == ["s-9"]


async def test_a_cancel_while_variables_are_set_leaves_no_session(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """The caller never gets it."""
    scripted.ok("CreateMcpSession", {"SessionId": "s-9"})
    scripted.ok("DeleteSessionAsync", {})
    scripted.ok("GetSessionDetail", {"Status": "FINISH"})
    scripted.hang("CallMcpTool")
    creating = asyncio.create_task(bay.create(CreateSessionParams(envs={"A": "1"})))
    await scripted.arrival("CallMcpTool")
    creating.cancel()
    with pytest.raises(asyncio.CancelledError):
        await creating
    assert [form["SessionId"] for form in scripted.forms("DeleteSessionAsync")] == ["s-9"]


async def test_a_session_found_by_its_key_gets_the_variables_too(local_bay: AsyncAgentBay) -> None:
    """The program that created it may have died before it set them."""
    first = (await local_bay.create(CreateSessionParams(idempotency_key="job-8"))).session
    params = CreateSessionParams(idempotency_key="job-8", envs={"STAGE": "test"})
    second = (await local_bay.create(params)).session
    assert second.session_id == first.session_id
    assert (await second.env.get()).envs == {"STAGE": "test"}


@pytest.mark.parametrize(
    ("envs", "kind", "message"),
    [
        (["A"], ArgumentTypeError, "envs must map str to str"),
        ({"A": 1}, ArgumentTypeError, r"envs\['A'\] must be a str"),
        ({"A=B": "secret-1"}, InvalidArgumentError, "each name in envs must not contain '='"),
        ({"A": "secret-1\0"}, InvalidArgumentError, r"envs\['A'\] must not contain a NUL"),
    ],
)
def test_wrong_variables_are_refused_without_their_values(
    envs: Any, kind: type[Exception], message: str
) -> None:
    """Values may be secrets: no message has one."""
    with pytest.raises(kind, match=message) as raised:
        CreateSessionParams(envs=envs)
    assert "secret-1" not in str(raised.value)


def test_the_repr_of_parameters_hides_the_values_of_variables() -> None:
    """Programs log their parameters."""
    shown = repr(CreateSessionParams(envs={"TOKEN": "secret-1"}))
    assert "envs={'TOKEN': '***'}" in shown
    assert "secret-1" not in shown
