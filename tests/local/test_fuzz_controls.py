"""Fuzz the test controls: the service goes on, and its controls can be reset."""

from __future__ import annotations

import json
from contextlib import suppress
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.local.fuzzing import DEEP, JSON, TEXT, ask, fuzz, parse_object, quiet_log

from agentbay_local import LocalService, ManualClock
from agentbay_local.testing.fault_file import faults_from_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Deeply nested values have long reprs.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")

NUMBERS = st.integers() | st.floats() | st.sampled_from([0, 1, 1e308, 10**400, 2**63])
EFFECTS = {
    "fail": ["code", "status", "message"],
    "throttle": ["after", "code", "status", "own_header"],
    "delay": ["seconds"],
    "drop": ["committed", "reset"],
    "truncate": ["at"],
    "garbage": ["body"],
    "slow": ["seconds", "pieces"],
    "expire-token": [],
    "fail-task": ["message"],
    "stick-task": [],
    "lag": ["seconds"],
}
NARROWING = ["action", "nth", "every", "probability", "times", "where", "seed"]


@st.composite
def rules(draw: st.DrawFn) -> dict[str, Any]:
    """Return a rule of valid form with any values."""
    name = draw(st.sampled_from(sorted(EFFECTS)))
    fields = st.sampled_from([*EFFECTS[name], *NARROWING])
    values = NUMBERS | TEXT | st.booleans() | st.dictionaries(TEXT, TEXT, max_size=2)
    options = draw(st.dictionaries(fields, values, max_size=2))
    return {"action": "ListSession", **options, "effect": name}


BODIES = (
    st.binary(max_size=30)
    | DEEP.map(str.encode)
    | (JSON | rules() | st.lists(rules(), max_size=2)).map(lambda one: json.dumps(one).encode())
    | st.dictionaries(
        st.sampled_from(["advance", "pause", "resume", "delete", "clear", "kind"]),
        st.sampled_from(["manual", "immediate", "pause", "clear"]) | NUMBERS | JSON,
        max_size=2,
    ).map(lambda one: json.dumps(one).encode())
)


@pytest.fixture(scope="module")
def flagged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalService, Path]]:
    """Return a service with a manual clock, and its fault file."""
    file = tmp_path_factory.mktemp("faults") / "faults.json"
    clock = ManualClock(auto=True)
    with LocalService(isolation="none", clock=clock, faults=file) as running:
        yield running, file


def works(service: LocalService) -> None:
    """Remove the rules, and check that nothing else has changed."""
    service.faults.clear()
    service.transitions.reset()
    path = f"/?Action=ListSession&Authorization=Bearer+{service.api_key}"
    assert parse_object(ask(service, "POST", path)[1])["Success"]


def suffer(service: LocalService) -> None:
    """Send a request that a rule may affect; only an internal error is a failure."""
    path = f"/?Action=ListSession&Authorization=Bearer+{service.api_key}"
    with suppress(ConnectionError, HTTPException):
        ask(service, "POST", path)


@fuzz(150)
@given(
    what=st.sampled_from(["faults", "clock", "transitions", "finish", "reset", "journal?x"]),
    method=st.sampled_from(["POST", "POST", "POST", "GET", "DELETE"]),
    body=BODIES,
)
def test_no_request_to_the_controls_breaks_the_service(
    flagged: tuple[LocalService, Path], what: str, method: str, body: bytes
) -> None:
    """A request succeeds or fails with an error; accepted rules take effect."""
    service, _ = flagged
    key = {"Authorization": f"Bearer {service.api_key}"}
    with quiet_log(service):
        status, answer = ask(service, method, f"/_control/{what}", body, key)
        assert status < 500, (what, body, answer)
        suffer(service)
        assert ask(service, "GET", "/_control/faults", headers=key)[0] == 200
        works(service)


@fuzz(100)
@given(body=BODIES)
def test_any_text_is_a_list_of_rules_or_a_value_error(body: bytes) -> None:
    """No other exception escapes."""
    with suppress(ValueError):
        json.dumps([rule.as_json() for rule in faults_from_text(body)])


@pytest.mark.parametrize(
    "rule",
    [
        {"effect": "delay", "seconds": float("inf")},
        {"effect": "lag", "seconds": 10**400},
        {"effect": "throttle", "after": 1e308},
        {"effect": "slow", "pieces": 10**400},
        {"effect": "garbage", "body": "\ud800"},
        {"effect": "fail", "code": "\ud800"},
    ],
)
def test_a_rule_with_impossible_values_is_rejected(rule: dict[str, Any]) -> None:
    """Infinite times and half surrogate pairs are errors when the rule is read."""
    with pytest.raises(ValueError, match=f"'{list(rule)[1]}'"):
        faults_from_text(json.dumps(rule))


@fuzz(60)
@given(body=BODIES)
def test_no_file_of_faults_breaks_the_service(
    flagged: tuple[LocalService, Path], body: bytes
) -> None:
    """An invalid file logs a warning and changes nothing."""
    service, file = flagged
    with quiet_log(service):
        file.write_bytes(body)
        suffer(service)
        file.unlink()
        suffer(service)
        works(service)
