"""Fuzz the HTTP interface: every answer is a success or an error with a code, never a 500."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

import attrs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.local.fuzzing import (
    DEADLINE,
    DEEP,
    JSON,
    TEXT,
    ask,
    fuzz,
    own_service,
    parse_object,
    quiet_log,
)

from agentbay_async._protocol.codec import wire_name
from agentbay_local.actions import ROUTES
from agentbay_local.tools.handlers import HANDLERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentbay_local import LocalService

# Deeply nested values have long reprs.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")

ACTIONS = sorted(set(ROUTES) - {"CallMcpTool"})
FIELDS = {
    action: [wire_name(field) for field in attrs.fields(route.kind)]
    for action, route in ROUTES.items()
}
ARGUMENTS = [
    "path",
    "paths",
    "content",
    "mode",
    "source",
    "destination",
    "pattern",
    "excludePatterns",
    "offset",
    "length",
    "format",
    "edits",
    "command",
    "timeout_ms",
    "cwd",
    "envs",
    "keys",
    "code",
    "language",
    "timeout_s",
    "url",
]
ITEM = st.fixed_dictionaries(
    {}, optional={"ContextId": TEXT, "Path": TEXT, "Policy": TEXT | JSON.map(json.dumps) | DEEP}
)
# IDS stand for existing objects, so that checks after the look-up are reached.
VALUES = (
    st.sampled_from(["IDS:session", "IDS:context"])
    | TEXT
    | JSON.map(json.dumps)
    | DEEP
    | st.lists(ITEM, max_size=2).map(json.dumps)
    | st.integers(-3, 200).map(str)
)


@pytest.fixture(scope="module")
def service() -> Iterator[LocalService]:
    """Return a service for this module alone."""
    with own_service() as running:
        yield running


@st.composite
def forms(draw: st.DrawFn) -> tuple[str, dict[str, str]]:
    """Return an action with some of its fields and any values."""
    action = draw(st.sampled_from(ACTIONS))
    fields = draw(st.dictionaries(st.sampled_from(FIELDS[action]), VALUES, max_size=6))
    return action, fields


def send(service: LocalService, action: str, fields: dict[str, str]) -> tuple[int, dict[str, Any]]:
    """Send a form."""
    form = urlencode(fields, errors="surrogatepass").encode()
    status, body = ask(service, "POST", f"/?Action={action}", form)
    return status, parse_object(body)


def is_answer(status: int, body: dict[str, Any]) -> bool:
    """Return whether an answer is a success or an error with a code."""
    return status < 500 and bool(body["Code"]) and body["Success"] is (body["Code"] == "ok")


@fuzz(200)
@given(forms())
def test_no_form_breaks_the_service(
    service: LocalService, form: tuple[str, dict[str, str]]
) -> None:
    """Every answer is a success or an error with a code."""
    action, fields = form
    key = {"Authorization": f"Bearer {service.api_key}"}
    known = {
        "IDS:session": lambda: send(service, "CreateMcpSession", key)[1].get("Data", {}),
        "IDS:context": lambda: send(
            service, "GetContext", {**key, "Name": "fuzz", "AllowCreate": "true"}
        )[1]["Data"],
    }
    ids = {"IDS:session": "SessionId", "IDS:context": "Id"}
    with quiet_log(service):
        filled = {
            name: known[value]().get(ids[value], "s-none") if value in known else value
            for name, value in fields.items()
        }
        status, body = send(service, action, {**filled, **key})
    assert is_answer(status, body), (action, filled, body)


PIECES = st.sampled_from(
    [b"&", b"=", b"%", b"+", b";", b"%zz", b"%00", b"Action", b"Labels", b"\0"]
)
RAW = st.binary(max_size=40) | st.lists(PIECES | st.binary(max_size=4), max_size=20).map(b"".join)


@fuzz(150)
@given(
    action=st.sampled_from(ACTIONS),
    query=RAW,
    body=RAW,
    times=st.sampled_from([1, 1, 1, 1500, 100_000]),
    coding=st.sampled_from(["identity", "gzip", "deflate", "nonsense"]),
    kind=st.sampled_from(["application/x-www-form-urlencoded", "multipart/form-data", ";", "a/b"]),
)
def test_no_bytes_break_the_form_parser(
    service: LocalService,
    action: str,
    query: bytes,
    body: bytes,
    times: int,
    coding: str,
    kind: str,
) -> None:
    """Repeated, incomplete, compressed and very long forms are answered."""
    key = quote(f"Bearer {service.api_key}")
    path = f"/?Action={action}&Authorization={key}&{quote(query, safe='&=+;')}"
    headers = {"Content-Type": kind, "Content-Encoding": coding}
    with quiet_log(service):
        status, answer = ask(service, "POST", path, body * times, headers)
    assert is_answer(status, parse_object(answer)), answer


@fuzz(60)
@given(
    st.binary(max_size=80)
    | st.binary(max_size=30).map(
        lambda body: b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    )
    | st.binary(max_size=30).map(lambda head: b"GET /healthz HTTP/1.1\r\n" + head + b"\r\n\r\n")
)
def test_no_bytes_break_a_connection(service: LocalService, sent: bytes) -> None:
    """Invalid HTTP is answered in HTTP, and logs no error."""
    with quiet_log(service):
        address = urlsplit(service.endpoint)
        with socket.create_connection((address.hostname, address.port), DEADLINE) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            heard = b""
            while piece := connection.recv(65536):
                heard += piece
        assert not heard or int(heard.split()[1]) < 500, heard
        assert ask(service, "GET", "/healthz")[0] == 200


@pytest.fixture(scope="module")
def session(service: LocalService) -> str:
    """Return one session for all tool calls."""
    if not service.isolation.available:
        pytest.skip(service.isolation.reason)
    key = {"Authorization": f"Bearer {service.api_key}"}
    return str(send(service, "CreateMcpSession", key)[1]["Data"]["SessionId"])


CALLS = st.dictionaries(
    st.sampled_from(ARGUMENTS), JSON | st.just("fuzz") | st.just("true"), max_size=5
)


@fuzz(100)
@given(tool=st.sampled_from([*HANDLERS, "none"]), arguments=CALLS)
def test_no_arguments_break_a_tool(
    service: LocalService, session: str, tool: str, arguments: dict[str, Any]
) -> None:
    """A tool answers, or names an invalid argument."""
    key = {"Authorization": f"Bearer {service.api_key}"}
    call = {"Name": tool, "Args": json.dumps(arguments), "SessionId": session, **key}
    with quiet_log(service):
        status, body = send(service, "CallMcpTool", call)
    assert status == 200, (tool, arguments, body)
    assert isinstance(body["Data"]["content"][0]["text"], str)


@fuzz(150)
@given(
    body=st.binary(max_size=40)
    | JSON.map(json.dumps).map(str.encode)
    | DEEP.map(str.encode)
    | DEEP.map(lambda deep: f'{{"tool":"shell","requestId":{deep},"args":{{}}}}'.encode())
    | DEEP.map(lambda deep: f'{{"tool":"get_env","args":{{"keys":{deep}}}}}'.encode())
    | st.fixed_dictionaries(
        {}, optional={"tool": st.sampled_from(list(HANDLERS)) | JSON, "args": CALLS | JSON}
    ).map(lambda call: json.dumps({**call, "requestId": "1"}).encode()),
    right=st.sampled_from([True, True, True, False]),
    other=st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"])),
)
def test_no_body_breaks_the_direct_address_of_a_session(
    service: LocalService, session: str, body: bytes, right: bool, other: str
) -> None:
    """A call succeeds or fails; without the session's token it always fails."""
    key = {"Authorization": f"Bearer {service.api_key}"}
    address = send(service, "GetSession", {**key, "SessionId": session})[1]["Data"]
    token = address["Token"] if right else other
    with quiet_log(service):
        status, answer = ask(
            service,
            "POST",
            f"{urlsplit(address['LinkUrl']).path}/callTool",
            body,
            {"X-Access-Token": token.strip()},
        )
    assert status in ((200, 400) if right else (401,)), answer
    assert parse_object(answer)["code"]


@pytest.mark.parametrize("ends", [("[", "]"), ('{"a":', "}")])
def test_no_depth_breaks_the_direct_address_of_a_session(
    service: LocalService, session: str, ends: tuple[str, str]
) -> None:
    """A value that can just be decoded may be nested too deeply to encode."""
    key = {"Authorization": f"Bearer {service.api_key}"}
    address = send(service, "GetSession", {**key, "SessionId": session})[1]["Data"]
    path, token = f"{urlsplit(address['LinkUrl']).path}/callTool", address["Token"]
    with quiet_log(service):
        for depth in range(920, 1000):
            deep = ends[0] * depth + "1" + ends[1] * depth
            body = f'{{"tool":"get_env","args":{{}},"requestId":{deep}}}'.encode()
            status, _ = ask(service, "POST", path, body, {"X-Access-Token": token})
            assert status in (200, 400), depth


@pytest.fixture(scope="module")
def tokens(service: LocalService) -> dict[str, str]:
    """Return one token of each kind that the service issues."""
    key = {"Authorization": f"Bearer {service.api_key}"}

    def data(action: str, **fields: str) -> Any:
        return send(service, action, {**key, **fields})[1]["Data"]

    contexts = [data("GetContext", Name=name, AllowCreate="true")["Id"] for name in ("1", "2")]
    page = send(service, "ListContexts", {**key, "MaxResults": "1"})[1]["NextToken"]
    file = data("GetContextFileUploadUrl", ContextId=contexts[0], FilePath="a")["Url"]
    port = data("GetLink", SessionId=data("CreateMcpSession")["SessionId"], Port="30100")["Url"]
    return {"page": page, "file": file.split("/")[4], "port": port.split("/")[4]}


@st.composite
def altered(draw: st.DrawFn, real: str) -> str:
    """Return any text, or a valid token with some characters changed."""
    if draw(st.booleans()):
        return draw(TEXT)
    at, much = draw(st.integers(0, len(real))), draw(st.integers(0, 3))
    return real[:at] + draw(TEXT) + real[at + much :]


@fuzz(120)
@given(data=st.data(), target=st.sampled_from(["page", "file", "port"]))
def test_no_forged_token_is_accepted(
    service: LocalService, tokens: dict[str, str], data: st.DataObject, target: str
) -> None:
    """Altered tokens, and tokens of another kind, are rejected for pages, files and ports."""
    kind = data.draw(st.sampled_from(sorted(tokens)))
    token = data.draw(st.just(tokens[kind]) | altered(tokens[kind]))
    assume(token.strip() and token != tokens[target])
    with quiet_log(service):
        if target == "page":
            key = {"Authorization": f"Bearer {service.api_key}"}
            status, body = send(service, "ListContexts", {**key, "NextToken": token})
            assert (status, body["Code"]) == (400, "InvalidParameter.NextToken")
        else:
            path = "/files/{}/a" if target == "file" else "/port/{}"
            sent = quote(token, safe="", errors="surrogatepass")
            assert ask(service, "GET", path.format(sent))[0] in (403, 404)
