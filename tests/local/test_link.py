"""Direct tool calls at a session's address: the same answers as by the API, only with its token."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_local import LocalService

from .websocket_client import SessionAddress, session_address

if TYPE_CHECKING:
    from tests.local.conftest import Api

pytestmark = pytest.mark.usefixtures("sandboxed")


async def post(api: Api, address: SessionAddress, body: object, **headers: str) -> tuple[int, Any]:
    """Send a body to the address of a session; return the HTTP status and the answer."""
    text = body if isinstance(body, str) else json.dumps(body)
    sent = {**address.headers, "Content-Type": "application/json", **headers}
    url = f"{address.link}/callTool"
    async with api.http.post(url, data=io.BytesIO(text.encode()), headers=sent) as answer:
        return answer.status, await answer.json()


def call(tool: str, **args: Any) -> dict[str, Any]:
    """Return a request body as the official client writes it."""
    named = {"tool": tool, "server": "wuying_shell", "requestId": "link-1", "token": "repeated"}
    return {"args": args, **named}


async def test_create_and_look_up_return_the_address(api: Api) -> None:
    """The same address and token; another session has another token."""
    names = ("LinkUrl", "WsUrl", "Token", "ToolList")
    created = [(await api.ok("CreateMcpSession"))["Data"] for _ in range(2)]
    found = (await api.ok("GetSession", SessionId=created[0]["SessionId"]))["Data"]

    assert [created[0][name] for name in names] == [found[name] for name in names]
    assert all(found[name] for name in names)
    assert created[0]["Token"] != created[1]["Token"]


async def test_a_tool_returns_the_same_answer_as_by_the_api(api: Api) -> None:
    """With the id of the request."""
    address = await session_address(api)

    status, answer = await post(api, address, call("shell", command="echo $((40 + 2)); exit 3"))

    assert (status, answer["code"], answer["requestId"]) == (200, 200, "link-1")
    result = answer["data"]["result"]
    assert result["isError"] is False
    assert json.loads(result["content"][0]["text"])["stdout"] == "42\n"
    assert json.loads(result["content"][0]["text"])["exit_code"] == 3


async def test_a_failed_tool_is_an_answer(api: Api) -> None:
    """It is marked as an error with the reason; so is a tool that the service lacks."""
    address = await session_address(api, image="linux_latest")
    for request in (
        call("read_file", path="/no/such"),
        call("run_code", code="1", language="cobol"),
        call("fly"),
    ):
        status, answer = await post(api, address, request)
        result = answer["data"]["result"]
        assert (status, result["isError"]) == (200, True)
        assert result["content"][0]["text"]


async def test_a_text_of_megabytes_is_written_and_read_in_one_call(api: Api) -> None:
    """The channel has no small limit."""
    address, text = await session_address(api), "0123456789" * 500_000

    await post(api, address, call("write_file", path="/tmp/f", content=text, mode="overwrite"))
    _, answer = await post(api, address, call("read_file", path="/tmp/f", offset=0, length=0))

    assert answer["data"]["result"]["content"][0]["text"] == text


async def test_only_the_token_of_the_session_is_accepted(api: Api) -> None:
    """Not the key of the account, nor the token of another session."""
    address, other = await session_address(api), await session_address(api)
    wrong = ["", "x", api.service.api_key, other.token, address.token[:-1], address.token + "ü"]
    for token in wrong:
        status, answer = await post(
            api, address, call("shell", command="id"), **{"X-Access-Token": token}
        )
        assert status == 401, token
        assert answer["message"]


async def test_the_token_of_another_service_is_rejected(api: Api) -> None:
    """Each has its own secret."""
    address = await session_address(api)
    async with LocalService() as second:
        foreign = SessionAddress(
            address.session, f"{second.endpoint}/link/{address.session}", "", address.token
        )
        status, _ = await post(api, foreign, call("shell", command="id"))
    assert status == 401


async def test_a_released_or_paused_session_is_an_error(api: Api) -> None:
    """With the status and the code that clients know."""
    address = await session_address(api)
    await api.ok("PauseSessionAsync", SessionId=address.session)
    await api.reached(address.session, "PAUSED")
    status, answer = await post(api, address, call("shell", command="id"))
    assert status == 400
    assert "PAUSED" in answer["message"]

    await api.ok("ResumeSessionAsync", SessionId=address.session)
    await api.reached(address.session, "RUNNING")
    await api.released(address.session)
    status, answer = await post(api, address, call("shell", command="id"))
    assert (status, answer["code"]) == (404, "InvalidMcpSession.NotFound")


@pytest.mark.parametrize(
    "body",
    ["", "{", "[]", "[" * 100_000, '"x"', '{"args":{}}', '{"tool":7}', '{"tool":"shell","args":1}'],
    ids=lambda body: body[:12],
)
async def test_an_invalid_body_is_rejected(api: Api, body: str) -> None:
    """The error has the reason."""
    status, answer = await post(api, await session_address(api), body)
    assert status == 400
    assert answer["code"] == "InvalidParameter"


async def test_a_web_page_cannot_call_a_tool(api: Api) -> None:
    """Even with the token."""
    status, _ = await post(
        api, await session_address(api), call("shell", command="id"), Origin="http://x"
    )
    assert status == 403


async def test_the_token_is_in_no_log(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    """After calls of every kind."""
    caplog.set_level(logging.DEBUG)
    address = await session_address(api)
    for body in ("{", call("shell", command="id"), call("read_file", path="/no")):
        await post(api, address, body)
    await post(api, address, call("shell"), **{"X-Access-Token": f"{address.token}x"})
    assert address.token not in caplog.text
