"""A faster parser of JSON is used where it is installed, and nothing is read differently by it."""

from __future__ import annotations

import json
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async._protocol import codec

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """Look for the parser anew, before and after."""
    codec._fast_loads.cache_clear()
    yield
    codec._fast_loads.cache_clear()


def test_the_standard_parser_is_used_where_there_is_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The faster one is an extra."""
    monkeypatch.setitem(sys.modules, "orjson", None)
    assert codec.read_json(b'{"a": [1, "\xc3\xa9"]}') == {"a": [1, "é"]}


def test_the_faster_parser_is_used_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """And found once for all."""
    bodies: list[bytes] = []

    def loads(body: bytes) -> Any:
        bodies.append(body)
        return json.loads(body)

    module = ModuleType("orjson")
    vars(module)["loads"] = loads
    monkeypatch.setitem(sys.modules, "orjson", module)
    assert codec.read_json(b"[1]") == [1]
    monkeypatch.setitem(sys.modules, "orjson", None)
    assert codec.read_json(b"[2]") == [2]
    assert bodies == [b"[1]", b"[2]"]


def test_what_the_faster_parser_refuses_is_read_by_the_standard_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same answers are read with and without it; what is not JSON stays an error."""

    def loads(_body: bytes) -> Any:
        raise ValueError("too strict")

    module = ModuleType("orjson")
    vars(module)["loads"] = loads
    monkeypatch.setitem(sys.modules, "orjson", module)
    assert codec.read_json(rb'"\ud800"') == "\ud800"
    with pytest.raises(ValueError, match="Expecting value"):
        codec.read_json(b"<html>")


@pytest.mark.parametrize("body", [b'{"a": 1.5, "b": [true, null]}', rb'"\ud800"', b"[NaN]"])
def test_the_real_one_reads_what_the_standard_one_reads(body: bytes) -> None:
    """Where it is installed."""
    pytest.importorskip("orjson")
    assert repr(codec.read_json(body)) == repr(json.loads(body))
