"""Answers of tools, git and gateways: any text gives a value or an error of ours."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agentbay_async._protocol import error_codes, schema
from agentbay_async._transport import direct_call
from agentbay_async.errors import AgentBayError
from agentbay_async.models.tools import SessionMetrics
from agentbay_async.services import _metrics, _ui
from agentbay_async.services._files import parsing as file_parsing
from agentbay_async.services._git import parsing

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_pieces = st.sampled_from(
    [
        "\0",
        "\n",
        " ",
        "# ",
        "1 ",
        "2 ",
        "u ",
        "? ",
        "branch.ab ",
        "+",
        "-",
        "9" * 5000,
        "R100",
        "end",
        "d 4096 ",
        "[DIR] ",
        "size: ",
        "isDirectory: ",
        "\u0663",
        "refs/heads/",
        "https://u:p@h/",
    ]
)
_output = st.lists(_pieces | st.text(max_size=3), max_size=12).map("".join)


@given(_output)
def test_git_parsers_accept_any_output(output: str) -> None:
    """An unknown git may lose details, but nothing raises."""
    for file in parsing.parse_status(output).files:
        assert len(file.index_status + file.work_tree_status) == 2
    parsing.parse_log(output)
    parsing.parse_branches(output)
    parsing.parse_names(output)
    assert parsing.parse_last_hash(output) == "" or len(parsing.parse_last_hash(output)) >= 40
    parsing.classify_failure(1, output)
    assert "u:p@" not in parsing.mask_credentials(output)


@given(_output)
def test_file_parsers_accept_any_output(output: str) -> None:
    """An invalid number is 0, or the listing is ``None``."""
    file_parsing.parse_find(output)
    file_parsing.parse_entries(output)
    file_parsing.parse_matches(output)
    file_parsing.parse_diff(output)
    assert file_parsing.parse_file_info("/a", output).size >= 0


@given(st.dictionaries(st.sampled_from(["cpu_count", "mem_used", "rx_rate_kbps"]), _json))
def test_metrics_accept_any_document(document: dict[str, Any]) -> None:
    """An invalid or infinite number is ``None``."""
    assert isinstance(_metrics._read_metrics(document), SessionMetrics)


@given(_json)
def test_to_int_accepts_any_value(value: object) -> None:
    """An invalid number is 0."""
    assert isinstance(_ui.to_int(value), int)


_results = st.fixed_dictionaries(
    {},
    optional={
        "content": st.lists(_json | st.dictionaries(st.sampled_from(["type", "text"]), _json)),
        "isError": _json,
    },
)
_calls = st.fixed_dictionaries(
    {},
    optional={
        "code": _json,
        "message": _json,
        "data": _json | st.fixed_dictionaries({"result": _results | _results.map(json.dumps)}),
    },
)
_bodies = (
    st.binary()
    | st.just(b"[" * 20_000)
    | (_calls | _json).map(lambda one: json.dumps(one).encode())
)


@given(status=st.sampled_from([200, 204, 301, 400, 404, 500]), body=_bodies)
def test_direct_answers_are_parsed_or_raise_our_errors(status: int, body: bytes) -> None:
    """Bytes, JSON of any shape, and the forms of several gateways."""
    answer = _outcome(status, body)
    if isinstance(answer, AgentBayError):
        assert answer.http_status == status
    else:
        assert isinstance(answer, schema.ToolAnswer)
        assert status < 300


def _outcome(status: int, body: bytes) -> object:
    try:
        return direct_call._read("shell", status, body, "r-1", "s-1")
    except AgentBayError as error:
        return error


@given(st.text(), st.integers(100, 999))
def test_any_error_code_gives_an_error(code: str, status: int) -> None:
    """Codes of the service are not a closed set."""
    assert issubclass(error_codes.error_type(code, status), AgentBayError)
