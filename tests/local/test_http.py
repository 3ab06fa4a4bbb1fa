"""The HTTP server: authorization, the envelope, and internal errors."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from tests.local.fuzzing import ask

from agentbay_local.actions import ROUTES, Route
from agentbay_local.http import bodies

if TYPE_CHECKING:
    from tests.local.conftest import Api

    from agentbay_local import LocalService

REQUEST_ID = re.compile(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}")


async def test_a_success_has_the_whole_envelope(api: Api) -> None:
    """Request id, status, code, flag and message."""
    body = await api.ok("ListSession", Labels={})
    assert REQUEST_ID.fullmatch(body["RequestId"])
    assert (body["HttpStatusCode"], body["Code"], body["Message"]) == (200, "ok", "")


async def test_a_failure_has_the_whole_envelope(api: Api) -> None:
    """The same keys, and HTTP 400."""
    status, body = await api.call("GetSession", SessionId="s-none")
    assert status == body["HttpStatusCode"] == 400
    assert body["Code"] == "InvalidMcpSession.NotFound"
    assert body["Message"] == "Resource [McpSession] is not found."
    assert REQUEST_ID.fullmatch(body["RequestId"])


@pytest.mark.parametrize("place", ["form", "query", "header"])
async def test_the_key_is_accepted_in_form_query_and_header(api: Api, place: str) -> None:
    """Clients of different ages use different ones."""
    word = f"Bearer {api.service.api_key}"
    async with api.http.post(
        api.service.endpoint + "/",
        params={"Action": "ListSession", **({"Authorization": word} if place == "query" else {})},
        data={"Labels": "{}", **({"Authorization": word} if place == "form" else {})},
        headers={"Authorization": word} if place == "header" else {},
    ) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", "Basic x", "Bearer \ud800"])
async def test_a_missing_or_wrong_key_is_rejected(api: Api, given: str) -> None:
    """With NOT_LOGIN and HTTP 400, before any other check."""
    text = given.encode("utf-8", "replace").decode()
    status, body = await api.call("NoSuchAction", Authorization=text)
    assert (status, body["Code"]) == (400, "NOT_LOGIN")
    assert api.service.api_key not in json.dumps(body)


async def test_a_key_without_the_bearer_scheme_is_rejected(api: Api) -> None:
    """The scheme is part of the credential."""
    assert await api.code("ListSession", Authorization=api.service.api_key) == "NOT_LOGIN"


async def test_a_request_from_a_web_page_is_rejected(api: Api) -> None:
    """Even with the key."""
    async with api.http.post(
        f"{api.service.endpoint}/?Action=ListSession",
        data={"Authorization": f"Bearer {api.service.api_key}"},
        headers={"Origin": "http://evil.example"},
    ) as answer:
        assert answer.status == 403


async def test_the_action_may_be_in_the_header_only(api: Api) -> None:
    """The query wins if both are present."""
    async with api.http.post(
        api.service.endpoint + "/",
        data={"Authorization": f"Bearer {api.service.api_key}"},
        headers={"x-acs-action": "ListSession"},
    ) as answer:
        assert answer.status == 200


async def test_a_request_without_an_action_lacks_a_parameter(api: Api) -> None:
    """The error names it."""
    status, body = await api.call("")
    assert (status, body["Code"]) == (400, "MissingParameter")
    assert "Action" in body["Message"]


async def test_an_unknown_action_is_not_mistaken_for_a_missing_session(api: Api) -> None:
    """Clients search error texts for NotFound."""
    status, body = await api.call("MakeCoffee")
    assert (status, body["Code"]) == (400, "UnsupportedAction")
    assert "NotFound" not in json.dumps(body)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("MaxResults", "many"),
        ("MaxResults", "9" * 5000),
        ("Labels", "{"),
        ("Labels", "[1]"),
        ("Labels", "[" * 100_000),
    ],
)
async def test_an_invalid_field_is_named(api: Api, field: str, value: str) -> None:
    """Invalid numbers and invalid JSON are errors of the caller."""
    status, body = await api.call("ListSession", **{field: value})
    assert (status, body["Code"]) == (400, "InvalidParameter")


async def test_a_host_header_that_is_a_whole_url_is_tolerated(api: Api) -> None:
    """The official client sends its endpoint there."""
    where = urlsplit(api.service.endpoint)
    form = f"Authorization=Bearer+{api.service.api_key}"
    request = (
        f"POST /?Action=ListSession HTTP/1.1\r\nHost: {api.service.endpoint}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nConnection: close\r\n"
        f"Content-Length: {len(form)}\r\n\r\n{form}"
    )
    with socket.create_connection((where.hostname, where.port or 0), timeout=10) as raw:
        raw.sendall(request.encode())
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200")


def test_a_body_that_is_too_large_is_an_error_of_the_protocol(service: LocalService) -> None:
    """It has an error code, not a page of HTML."""
    too_much = b"a=" + b"x" * bodies.BODY_LIMIT
    key = {"Authorization": f"Bearer {service.api_key}"}
    status, body = ask(service, "POST", "/?Action=ListSession", too_much, key)
    assert (status, json.loads(body)["Code"]) == (413, "InvalidParameter")


async def test_an_internal_error_hides_its_details(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a 500 with a request id; the log has the text."""

    async def broken(*_: Any) -> Any:
        raise RuntimeError("the secret of the house")

    route = Route(ROUTES["ListSession"].kind, broken)
    monkeypatch.setitem(ROUTES, "ListSession", route)
    status, body = await api.call("ListSession")
    assert (status, body["Code"]) == (500, "InternalError")
    assert "secret" not in json.dumps(body)
    assert REQUEST_ID.fullmatch(body["RequestId"])


async def test_health_needs_no_key_and_reports_the_isolation(api: Api) -> None:
    """Scripts poll it until the service has started."""
    async with api.http.get(f"{api.service.endpoint}/healthz") as answer:
        assert answer.status == 200
        assert (await answer.json())["isolation"] == "namespaces"


def test_the_key_is_not_in_the_repr(api: Api) -> None:
    """Printing a service is safe."""
    assert api.service.api_key not in repr(api.service)


@pytest.mark.usefixtures("sandboxed")
async def test_an_action_comes_by_get_as_clients_in_typescript_send_it(api: Api) -> None:
    """All fields are in the query, and a list has one field for each entry."""
    session, where = await api.session(), urlsplit(api.service.endpoint)
    request = (
        "GET /?Action=GetAndLoadInternalContext&Format=json&Version=2025-05-06"
        "&Timestamp=2026-01-01T00%3A00%3A00Z&SignatureNonce=0123456789abcdef"
        f"&Authorization=Bearer%20{api.service.api_key}"
        f"&ContextTypes.1=file_transfer&SessionId={session} HTTP/1.1\r\n"
        f"accept: application/json\r\nhost: {where.netloc}\r\n"
        "x-acs-version: 2025-05-06\r\nx-acs-action: GetAndLoadInternalContext\r\n"
        "user-agent: AlibabaCloud (linux; x64) Node.js/v22.0.0 Core/1.0.1 TeaDSL/2\r\n"
        "Connection: close\r\n\r\n"
    )

    def exchange() -> bytes:
        with socket.create_connection((where.hostname, where.port or 0), timeout=30) as raw:
            raw.sendall(request.encode())
            return b"".join(iter(lambda: raw.recv(65536), b""))

    head, _, body = (await asyncio.to_thread(exchange)).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200 ")
    (entry,) = json.loads(body)["Data"]
    assert (entry["ContextPath"], entry["ContextType"]) == ("/tmp/file-transfer", "file_transfer")


async def test_an_action_by_get_needs_the_key(api: Api) -> None:
    """Like any other."""
    async with api.http.get(f"{api.service.endpoint}/", params={"Action": "ListSession"}) as answer:
        assert (answer.status, (await answer.json())["Code"]) == (400, "NOT_LOGIN")


async def test_an_action_that_is_not_offered_is_an_error_that_names_it(api: Api) -> None:
    """And says who may offer it."""
    status, body = await api.call("NoSuchAction")
    assert (status, body["Code"], body["Success"]) == (400, "UnsupportedAction", False)
    assert "does not offer action 'NoSuchAction'; the cloud service may" in body["Message"]
