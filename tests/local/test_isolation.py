"""A service on a machine without isolation, and with isolation turned off."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import aiohttp

from agentbay_local import Isolation, LocalService, server
from agentbay_local.sandbox.probe import Capability

if TYPE_CHECKING:
    import pytest
    from tests.local.conftest import Api


async def test_no_session_is_created_without_isolation(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error has the reason, the remedy and the option; contexts work."""

    async def probe(want: Isolation, *_: object) -> Capability:
        return Capability(want, False, "The kernel says no.", "turn it on.")

    monkeypatch.setattr(server, "probe", probe)
    async with LocalService() as poor, aiohttp.ClientSession() as http:
        one = type(api)(http, poor)
        status, body = await one.call("CreateMcpSession")
        context = await one.context()
        await one.put(context, "a", b"x")
    assert (status, body["Code"]) == (400, "SandboxUnavailable")
    for part in ("The kernel says no.", "turn it on.", "--isolation none"):
        assert part.rstrip(".") in body["Message"]


async def test_isolation_can_be_turned_off(api: Api) -> None:
    """Commands, files and contexts work; every session's description has the level."""
    async with LocalService(isolation="none") as bare, aiohttp.ClientSession() as http:
        one = type(api)(http, bare)
        context = await one.context()
        session = await one.mounted(context)
        await one.tool(session, "write_file", path="/mnt/data/a.txt", content="x")
        assert await one.tool(session, "read_file", path="/mnt/data/a.txt") == (False, "x")
        assert await one.sh(session, "echo hi") == "hi\n"
        resource = (await one.ok("GetMcpResource", SessionId=session))["Data"]
        await one.released(session)
        assert await one.fetch(context, "a.txt") == b"x"
    assert json.loads(resource["DesktopInfo"]["ConnectionProperties"]) == {"isolation": "none"}


async def test_a_failed_start_is_an_error_of_the_protocol(
    api: Api, sandboxed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session stays, and its next use tries again."""
    from agentbay_local.sandbox.bubblewrap import BubblewrapBackend
    from agentbay_local.sandbox.errors import SandboxError

    async def broken(*_: Any) -> Any:
        raise SandboxError("it did not come up")

    session = await api.session()
    call = {"SessionId": session, "Name": "shell", "Args": {"command": "echo hi"}}
    with monkeypatch.context() as patch:
        patch.setattr(BubblewrapBackend, "start", broken)
        status, body = await api.call("CallMcpTool", **call)
    assert (status, body["Code"]) == (400, "SandboxUnavailable")
    assert "it did not come up" in body["Message"]
    assert await api.sh(session, "echo hi") == "hi\n"
