"""Whatever is sent, the service answers in its dialect and never with a failure of its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentbay_local.actions import ROUTES
from agentbay_local.tools.programs import PROGRAMS

if TYPE_CHECKING:
    from agentbay_local import LocalService

FIELDS = [
    "SessionId",
    "ContextId",
    "Id",
    "Name",
    "Labels",
    "MaxResults",
    "NextToken",
    "PageNumber",
    "PageSize",
    "Path",
    "FilePath",
    "ParentFolderPath",
    "Mode",
    "TaskType",
    "Status",
    "ImageId",
    "Args",
    "PersistenceDataList",
    "Timeout",
    "MaxRuntime",
    "ManualRelease",
    "AllowCreate",
]
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
]
ODD = st.sampled_from(["\ud800", "\udcff", "\0", "..", "/", "é", "🚀", " ", "-1", "9" * 20])
TEXT = st.text(max_size=12) | ODD
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
ITEM = st.fixed_dictionaries({}, optional={"ContextId": TEXT, "Path": TEXT, "Policy": TEXT})
# IDS stand for things that exist, so that rules are reached behind the look-up.
VALUES = (
    st.sampled_from(["IDS:session", "IDS:context"])
    | TEXT
    | JSON.map(json.dumps)
    | st.lists(ITEM, max_size=2).map(json.dumps)
    | st.integers(-3, 200).map(str)
)


def send(service: LocalService, action: str, fields: dict[str, str]) -> tuple[int, dict[str, Any]]:
    """Send a form, whatever is in it."""
    form = urlencode(fields, errors="surrogatepass").encode()
    try:
        with urlopen(f"{service.endpoint}/?Action={action}", form, 30) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    action=st.sampled_from(sorted(set(ROUTES) - {"CallMcpTool"})),
    fields=st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=6),
)
def test_no_form_breaks_the_service(
    service: LocalService, action: str, fields: dict[str, str]
) -> None:
    """Every answer is a success or a refusal with a code; nothing is a 500."""
    key = {"Authorization": f"Bearer {service.api_key}"}
    known = {
        "IDS:session": lambda: send(service, "CreateMcpSession", key)[1].get("Data", {}),
        "IDS:context": lambda: send(
            service, "GetContext", {**key, "Name": "fuzz", "AllowCreate": "true"}
        )[1]["Data"],
    }
    ids = {"IDS:session": "SessionId", "IDS:context": "Id"}
    filled = {
        name: known[value]().get(ids[value], "s-none") if value in known else value
        for name, value in fields.items()
    }
    status, body = send(service, action, {**filled, **key})
    assert status < 500, (action, filled, body)
    assert body["Code"]
    assert body["Success"] is (body["Code"] == "ok")


@pytest.fixture(scope="module")
def session(service: LocalService) -> str:
    """One session for all calls of tools."""
    if not service.isolation.available:
        pytest.skip(service.isolation.reason)
    key = {"Authorization": f"Bearer {service.api_key}"}
    return str(send(service, "CreateMcpSession", key)[1]["Data"]["SessionId"])


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    tool=st.sampled_from([*PROGRAMS, "none"]),
    arguments=st.dictionaries(
        st.sampled_from(ARGUMENTS),
        JSON | st.just("fuzz") | st.just("true"),
        max_size=5,
    ),
)
def test_no_arguments_break_a_tool(
    service: LocalService, session: str, tool: str, arguments: dict[str, Any]
) -> None:
    """A tool answers or says what is wrong with its arguments."""
    key = {"Authorization": f"Bearer {service.api_key}"}
    call = {"Name": tool, "Args": json.dumps(arguments), "SessionId": session, **key}
    status, body = send(service, "CallMcpTool", call)
    assert status == 200, (tool, arguments, body)
    assert isinstance(body["Data"]["content"][0]["text"], str)
