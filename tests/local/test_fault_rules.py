"""Fault rules: when they apply, their JSON form, and rules in a file."""

from __future__ import annotations

import json
import logging
import os
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_local import Call, Delay, Drop, ExpireToken, Fail, Faults, Lag, StickTask
from agentbay_local.testing.fault_actions import Effect, effect_from_json
from agentbay_local.testing.fault_file import FaultFile, faults_from_text
from agentbay_local.testing.faults import fault_from_json

if TYPE_CHECKING:
    from pathlib import Path

CREATE = Call("CreateMcpSession", {"ImageId": "code_latest"})


def struck(faults: Faults, times: int, call: Call = CREATE) -> list[bool]:
    """Return the numbers of the affected calls."""
    return [faults.strike(call, Effect) is not None for _ in range(times)]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"nth": 2}, [False, True, False, False, False, False]),
        ({"every": 3}, [False, False, True, False, False, True]),
        ({"times": 2}, [True, True, False, False, False, False]),
        ({"every": 2, "times": 1}, [False, True, False, False, False, False]),
        ({"action": "ListSession"}, [False] * 6),
        ({"where": {"ImageId": "code_latest"}}, [True] * 6),
        ({"where": {"ImageId": "linux_latest"}}, [False] * 6),
        ({"when": lambda call: "ImageId" not in call.form}, [False] * 6),
        ({"probability": 0.0}, [False] * 6),
    ],
)
def test_a_rule_applies_to_the_given_calls(rule: dict[str, Any], expected: list[bool]) -> None:
    """Only calls that match the rest of the rule are counted."""
    faults = Faults()
    faults.strike(Call("GetSession"), Effect)
    fault = faults.add(Fail(), **rule)
    assert struck(faults, 6) == expected
    assert fault.hits == sum(expected)


def test_a_seed_makes_probability_repeatable() -> None:
    """The same seed affects the same calls, another seed other calls."""
    series = []
    for seed in (1, 1, 2):
        faults = Faults()
        faults.add(Fail(), probability=0.5, seed=seed)
        series.append(struck(faults, 200))
    assert series[0] == series[1] != series[2]
    assert 70 < sum(series[0]) < 130


def test_the_first_matching_rule_applies_and_the_others_count() -> None:
    """A rule for the second call applies to it even if another rule took the first call."""
    faults = Faults()
    first, second = faults.add(Delay(), nth=1), faults.add(Drop(), nth=2)
    assert faults.strike(CREATE, Effect) is first.effect
    assert faults.strike(CREATE, Effect) is second.effect
    faults.remove(second)
    assert list(faults) == [first]
    faults.clear()
    assert len(faults) == 0


def test_a_rule_counts_only_calls_that_its_effect_fits() -> None:
    """A request is not a transfer of files, and does not count for such a rule."""
    faults = Faults()
    fault = faults.add(StickTask(), nth=1)
    assert faults.strike(CREATE, Fail, Lag) is None
    assert faults.strike(Call("upload"), StickTask) is fault.effect


def test_an_expired_token_applies_to_requests_with_a_token() -> None:
    """The first page succeeds."""
    faults = Faults()
    faults.add(ExpireToken(), nth=1)
    assert struck(faults, 1, Call("ListSession")) == [False]
    assert struck(faults, 2, Call("ListSession", {"NextToken": "x"})) == [True, False]


@pytest.mark.parametrize(
    "name",
    [
        "delay",
        "drop",
        "expire-token",
        "fail",
        "fail-task",
        "garbage",
        "lag",
        "slow",
        "stick-task",
        "throttle",
        "truncate",
    ],
)
def test_a_rule_survives_json(name: str) -> None:
    """Reading the JSON returns an equal rule."""
    rule = {"effect": name, "action": "GetSession", "every": 2, "where": {"SessionId": "s"}}
    fault = fault_from_json(rule)
    written = json.loads(json.dumps(fault.as_json()))
    assert (written.pop("seen"), written.pop("hits")) == (0, 0)
    again = fault_from_json(written)
    assert (again.effect, again.action, again.every, again.where) == (
        effect_from_json(name, {}),
        "GetSession",
        2,
        {"SessionId": "s"},
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[1]", "must be an object"),
        ('{"effect": "explode"}', "effect must be one of delay, drop"),
        ('{"action": "GetSession"}', "effect must be one of"),
        ('{"effect": "drop", "code": "x"}', "'code' is not a field of effect 'drop'"),
        ('{"effect": "fail", "status": 99}', "status"),
        ('{"effect": "fail", "status": "500"}', "status"),
        ('{"effect": "delay", "seconds": -1}', "seconds"),
        ('{"effect": "drop", "nth": 0}', "nth"),
        ('{"effect": "drop", "probability": 2}', "probability"),
        ('{"effect": "drop", "where": []}', "where"),
    ],
)
def test_an_invalid_rule_is_rejected(text: str, words: str) -> None:
    """The message has the field and its valid values."""
    with pytest.raises(ValueError, match=words):
        faults_from_text(text)


def write(file: Path, *rules: dict[str, Any]) -> None:
    """Replace a file of rules atomically."""
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(rules))
    os.replace(fresh, file)


def test_rules_of_a_file_are_reloaded(tmp_path: Path) -> None:
    """They follow the file; other rules stay."""
    faults, path = Faults(), tmp_path / "faults.json"
    own = faults.add(Delay(), "GetSession")
    file = FaultFile(path, faults)
    file.refresh()
    assert list(faults) == [own]
    write(path, {"effect": "drop"}, {"effect": "fail"})
    file.refresh()
    assert [rule.effect.name for rule in faults] == ["delay", "drop", "fail"]
    write(path, {"effect": "lag"})
    file.refresh()
    file.refresh()
    assert [rule.effect.name for rule in faults] == ["delay", "lag"]
    path.unlink()
    file.refresh()
    assert list(faults) == [own]


def test_an_unreadable_file_keeps_the_rules_and_warns_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It may be half written."""
    faults, path = Faults(), tmp_path / "faults.json"
    write(path, {"effect": "drop"})
    file = FaultFile(path, faults)
    file.refresh()
    path.write_text("[{")
    with caplog.at_level(logging.WARNING):
        file.refresh()
        file.refresh()
    assert [rule.effect.name for rule in faults] == ["drop"]
    assert len(caplog.records) == 1
