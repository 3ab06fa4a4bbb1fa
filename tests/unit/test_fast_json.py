"""orjson is used if it is installed, and reads the same values as the standard library."""

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
def _no_cached_parser() -> Iterator[None]:
    """Look for the parser again, before and after the test."""
    codec._fast_loads.cache_clear()
    yield
    codec._fast_loads.cache_clear()


def test_standard_parser_is_used_without_orjson(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The extra `speed` installs orjson."""
    monkeypatch.setitem(sys.modules, "orjson", None)
    assert codec.read_json(b'{"a": [1, "\xc3\xa9"]}') == {"a": [1, "é"]}


def test_orjson_is_used_if_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parser is looked up once."""
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


def test_standard_parser_reads_what_orjson_rejects(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The standard parser is more lenient. Invalid JSON stays an error."""

    def loads(_body: bytes) -> Any:
        raise ValueError("too strict")

    module = ModuleType("orjson")
    vars(module)["loads"] = loads
    monkeypatch.setitem(sys.modules, "orjson", module)
    assert codec.read_json(rb'"\ud800"') == "\ud800"
    with pytest.raises(ValueError, match="Expecting value"):
        codec.read_json(b"<html>")


@pytest.mark.parametrize("body", [b'{"a": 1.5, "b": [true, null]}', rb'"\ud800"', b"[NaN]"])
def test_orjson_reads_the_same_values(body: bytes) -> None:
    """With the real orjson, if it is installed."""
    pytest.importorskip("orjson")
    assert repr(codec.read_json(body)) == repr(json.loads(body))
