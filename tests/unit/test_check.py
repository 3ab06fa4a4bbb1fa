"""Argument checks: each returns its value, or raises an error that names the argument."""

from __future__ import annotations

from collections import OrderedDict
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import _check
from agentbay_async.errors import ArgumentTypeError, InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (_check.text, "a b\n"),
        (_check.identifier, "s-04ü"),
        (_check.boolean, True),
        (_check.boolean, False),
        (_check.positive_int, 1),
        (_check.seconds, 0.5),
        (_check.absolute_path, "/"),
        (_check.absolute_path, "/a/..b/c..d/..."),
        (_check.literal_path, ""),
        (_check.literal_path, "  "),
        (_check.literal_path, "a/b c"),
    ],
)
def test_a_valid_value_is_returned(check: Callable[[Any, str], object], value: object) -> None:
    """A check can stand in an expression."""
    assert check(value, "name") == value


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (_check.text, ""),
        (_check.text, " \n"),
        (_check.text, "a\0b"),
        (_check.text, "a\ud800"),
        (_check.identifier, "a b"),
        (_check.identifier, " a"),
        (_check.identifier, "a\u2003"),
        (_check.positive_int, 0),
        (_check.positive_int, -5),
        (_check.seconds, 0),
        (_check.seconds, -0.1),
        (_check.seconds, float("nan")),
        (_check.seconds, float("inf")),
        (_check.seconds, timedelta(0)),
        (_check.absolute_path, "a/b"),
        (_check.absolute_path, "/.."),
        (_check.absolute_path, "/a/../b"),
        (_check.literal_path, "*"),
        (_check.literal_path, "a[0]"),
        (_check.labels, {"": "x"}),
        (_check.labels, {"a": "\t"}),
    ],
)
def test_an_invalid_value_is_rejected(check: Callable[[Any, str], object], value: object) -> None:
    """The message names the argument."""
    with pytest.raises(InvalidArgumentError, match="the_argument"):
        check(value, "the_argument")


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (_check.text, None),
        (_check.text, b"a"),
        (_check.identifier, {}),
        (_check.boolean, 1),
        (_check.boolean, "true"),
        (_check.boolean, None),
        (_check.positive_int, True),
        (_check.positive_int, 1.0),
        (_check.positive_int, "1"),
        (_check.seconds, True),
        (_check.seconds, "1"),
        (_check.seconds, None),
        (_check.absolute_path, 5),
        (_check.literal_path, None),
        (_check.labels, None),
        (_check.labels, [("a", "b")]),
        (_check.labels, {"a": None}),
        (_check.labels, {None: "a"}),
    ],
)
def test_a_value_of_the_wrong_type_is_rejected(
    check: Callable[[Any, str], object], value: object
) -> None:
    """The message has the argument and the type."""
    with pytest.raises(ArgumentTypeError, match="the_argument"):
        check(value, "the_argument")


def test_a_duration_is_in_seconds() -> None:
    """Whether given as a number or as a timedelta."""
    assert _check.seconds(timedelta(minutes=1, milliseconds=500), "t") == 60.5
    assert isinstance(_check.seconds(5, "t"), float)


@pytest.mark.parametrize("kind", [dict, OrderedDict, MappingProxyType])
def test_labels_are_copied_from_any_mapping(kind: Callable[[dict[str, str]], Any]) -> None:
    """The caller's mapping is not shared."""
    given = kind({"a": "b"})
    labels = _check.labels(given)
    assert labels == {"a": "b"}
    assert type(labels) is dict
    assert labels is not given


def test_an_invalid_label_is_named() -> None:
    """The error has the key."""
    with pytest.raises(InvalidArgumentError, match=r"labels\['owner'\]"):
        _check.labels({"project": "x", "owner": ""})
    with pytest.raises(InvalidArgumentError, match="each key of filter"):
        _check.labels({" ": "x"}, "filter")


def test_a_remedy_is_named() -> None:
    """The message says what to write instead."""
    with pytest.raises(InvalidArgumentError, match="give '/etc'"):
        _check.absolute_path("/mnt/../etc", "path")
    with pytest.raises(InvalidArgumentError, match=r"\(\* \[ \]\).*; name the directory"):
        _check.literal_path("[*]", "path")
