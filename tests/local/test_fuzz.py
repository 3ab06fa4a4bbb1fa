"""Whatever is sent, the service answers in its dialect and never with a failure of its own."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

import attrs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.local.wild import DEADLINE, DEEP, JSON, TEXT, ask, quiet_log, said, wild

from agentbay_async._protocol.codec import wire_name
from agentbay_local.actions import ROUTES
from agentbay_local.tools.handlers import HANDLERS

if TYPE_CHECKING:
    from agentbay_local import LocalService

# What is nested deeply is long, too.
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
# IDS stand for things that exist, so that rules are reached behind the look-up.
VALUES = (
    st.sampled_from(["IDS:session", "IDS:context"])
    | TEXT
    | JSON.map(json.dumps)
    | DEEP
    | st.lists(ITEM, max_size=2).map(json.dumps)
    | st.integers(-3, 200).map(str)
)


@st.composite
def forms(draw: st.DrawFn) -> tuple[str, dict[str, str]]:
    """An action, and some of its fields with any values."""
    action = draw(st.sampled_from(ACTIONS))
    fields = draw(st.dictionaries(st.sampled_from(FIELDS[action]), VALUES, max_size=6))
    return action, fields


def send(service: LocalService, action: str, fields: dict[str, str]) -> tuple[int, dict[str, Any]]:
    """Send a form, whatever is in it."""
    form = urlencode(fields, errors="surrogatepass").encode()
    status, body = ask(service, "POST", f"/?Action={action}", form)
    return status, said(body)


def is_told(status: int, body: dict[str, Any]) -> bool:
    """Whether an answer is a success or a refusal with a code, and no failure."""
    return status < 500 and bool(body["Code"]) and body["Success"] is (body["Code"] == "ok")


@wild(200)
@given(forms())
def test_no_form_breaks_the_service(
    service: LocalService, form: tuple[str, dict[str, str]]
) -> None:
    """Every answer is a success or a refusal with a code; nothing is a 500."""
    action, fields = form
    key = {"Authorization": f"Bearer {service.api_key}"}
    known = {
        "IDS:session": lambda: send(service, "CreateMcpSession", key)[1].get("Data", {}),
        "IDS:context": lambda: send(
            service, "GetContext", {**key, "Name": "fuzz", "AllowCreate": "true"}
        )[1]["Data"],
    }
    ids = {"IDS:session": "SessionId", "IDS:context": "Id"}
    with quiet_log():
        filled = {
            name: known[value]().get(ids[value], "s-none") if value in known else value
            for name, value in fields.items()
        }
        status, body = send(service, action, {**filled, **key})
    assert is_told(status, body), (action, filled, body)


PIECES = st.sampled_from(
    [b"&", b"=", b"%", b"+", b";", b"%zz", b"%00", b"Action", b"Labels", b"\0"]
)
RAW = st.binary(max_size=40) | st.lists(PIECES | st.binary(max_size=4), max_size=20).map(b"".join)


@wild(150)
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
    """What comes twice, in pieces, packed, or in thousands is answered with words."""
    key = quote(f"Bearer {service.api_key}")
    path = f"/?Action={action}&Authorization={key}&{quote(query, safe='&=+;')}"
    headers = {"Content-Type": kind, "Content-Encoding": coding}
    with quiet_log():
        status, answer = ask(service, "POST", path, body * times, headers)
    assert is_told(status, said(answer)), answer


@wild(60)
@given(
    st.binary(max_size=80)
    | st.binary(max_size=30).map(
        lambda body: b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    )
    | st.binary(max_size=30).map(lambda head: b"GET /healthz HTTP/1.1\r\n" + head + b"\r\n\r\n")
)
def test_no_bytes_break_a_connection(service: LocalService, sent: bytes) -> None:
    """What is no HTTP is refused, in HTTP, and the log does not hear of it."""
    with quiet_log():
        place = urlsplit(service.endpoint)
        with socket.create_connection((place.hostname, place.port), DEADLINE) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            heard = b""
            while piece := connection.recv(65536):
                heard += piece
        assert not heard or int(heard.split()[1]) < 500, heard
        assert ask(service, "GET", "/healthz")[0] == 200


@pytest.fixture(scope="module")
def session(service: LocalService) -> str:
    """One session for all calls of tools."""
    if not service.isolation.available:
        pytest.skip(service.isolation.reason)
    key = {"Authorization": f"Bearer {service.api_key}"}
    return str(send(service, "CreateMcpSession", key)[1]["Data"]["SessionId"])


CALLS = st.dictionaries(
    st.sampled_from(ARGUMENTS), JSON | st.just("fuzz") | st.just("true"), max_size=5
)


@wild(100)
@given(tool=st.sampled_from([*HANDLERS, "none"]), arguments=CALLS)
def test_no_arguments_break_a_tool(
    service: LocalService, session: str, tool: str, arguments: dict[str, Any]
) -> None:
    """A tool answers or says what is wrong with its arguments."""
    key = {"Authorization": f"Bearer {service.api_key}"}
    call = {"Name": tool, "Args": json.dumps(arguments), "SessionId": session, **key}
    with quiet_log():
        status, body = send(service, "CallMcpTool", call)
    assert status == 200, (tool, arguments, body)
    assert isinstance(body["Data"]["content"][0]["text"], str)


@wild(150)
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
    """A call is answered or refused; without the session's token always refused."""
    key = {"Authorization": f"Bearer {service.api_key}"}
    place = send(service, "GetSession", {**key, "SessionId": session})[1]["Data"]
    token = place["Token"] if right else other
    with quiet_log():
        status, answer = ask(
            service,
            "POST",
            f"{urlsplit(place['LinkUrl']).path}/callTool",
            body,
            {"X-Access-Token": token.strip()},
        )
    assert status in ((200, 400) if right else (401,)), answer
    assert said(answer)["code"]


@pytest.mark.parametrize("ends", [("[", "]"), ('{"a":', "}")])
def test_no_depth_breaks_the_direct_address_of_a_session(
    service: LocalService, session: str, ends: tuple[str, str]
) -> None:
    """Just before it is too deep to be read, it may be too deep to be written."""
    key = {"Authorization": f"Bearer {service.api_key}"}
    place = send(service, "GetSession", {**key, "SessionId": session})[1]["Data"]
    path, token = f"{urlsplit(place['LinkUrl']).path}/callTool", place["Token"]
    with quiet_log():
        for depth in range(920, 1000):
            deep = ends[0] * depth + "1" + ends[1] * depth
            body = f'{{"tool":"get_env","args":{{}},"requestId":{deep}}}'.encode()
            status, _ = ask(service, "POST", path, body, {"X-Access-Token": token})
            assert status in (200, 400), depth


@pytest.fixture(scope="module")
def sealed(service: LocalService) -> dict[str, str]:
    """One token of each kind that the service hands out."""
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
    """Any text, or a token that is right but for some characters."""
    if draw(st.booleans()):
        return draw(TEXT)
    at, much = draw(st.integers(0, len(real))), draw(st.integers(0, 3))
    return real[:at] + draw(TEXT) + real[at + much :]


@wild(120)
@given(data=st.data(), place=st.sampled_from(["page", "file", "port"]))
def test_no_token_that_is_not_of_the_service_is_taken(
    service: LocalService, sealed: dict[str, str], data: st.DataObject, place: str
) -> None:
    """What was changed, cut, or made for something else is refused, for pages, files and ports."""
    kind = data.draw(st.sampled_from(sorted(sealed)))
    token = data.draw(st.just(sealed[kind]) | altered(sealed[kind]))
    assume(token.strip() and token != sealed[place])
    with quiet_log():
        if place == "page":
            key = {"Authorization": f"Bearer {service.api_key}"}
            status, body = send(service, "ListContexts", {**key, "NextToken": token})
            assert (status, body["Code"]) == (400, "InvalidParameter.NextToken")
        else:
            path = "/files/{}/a" if place == "file" else "/port/{}"
            sent = quote(token, safe="", errors="surrogatepass")
            assert ask(service, "GET", path.format(sent))[0] in (403, 404)
