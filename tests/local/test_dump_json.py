"""Large answers: the same JSON, encoded in chunks so that other requests are answered meanwhile."""

from __future__ import annotations

import threading
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbay_async._protocol.codec import compact_json
from agentbay_local.protocol import json
from agentbay_local.protocol.json import dump_json, encode_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.local.conftest import Api

TEXT = st.text(alphabet=st.sampled_from('a"\\\n\0é🚀\ud83d\ude80'), max_size=20)
LONG = st.builds(lambda text, times: text * times, TEXT, st.sampled_from([1, 5000]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | LONG,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@given(value=st.dictionaries(TEXT, VALUES, max_size=3))
async def test_chunks_join_to_the_same_json(value: dict[str, Any]) -> None:
    """For any content, wherever a long text is split."""
    assert await dump_json(value, json._LARGE + 1) == compact_json(value)
    file = await encode_json(value, json._LARGE + 1)
    assert isinstance(file, BytesIO)
    assert file.read() == compact_json(value).encode()


def test_no_chunk_takes_long() -> None:
    """Other requests run between two chunks."""
    value = {"Data": {"content": [{"text": "\0" * 1_000_000}, {"text": "short"}]}}
    pieces = list(json._chunks(value))
    assert len(pieces) > 1_000_000 // json._CHUNK
    assert max(map(len, pieces)) <= 6 * json._CHUNK


@pytest.mark.parametrize(("size", "elsewhere"), [(1000, False), (1_000_000, True)])
async def test_only_large_answers_are_written_on_a_thread(
    monkeypatch: pytest.MonkeyPatch, size: int, elsewhere: bool
) -> None:
    """A thread costs more than a small answer does."""
    threads = set[int]()

    def noting(value: object) -> str:
        threads.add(threading.get_ident())
        return compact_json(value)

    monkeypatch.setattr(json, "compact_json", noting)
    await dump_json({"text": "x" * size}, size)
    assert (threading.get_ident() not in threads) is elsewhere


async def test_a_long_output_is_complete(
    api: Api, sandboxed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Megabytes that grow by escaping; both layers of the answer are in chunks."""
    layers = 0
    whole = json._object

    def counted(members: dict[str, Any]) -> Iterator[str]:
        nonlocal layers
        layers += "RequestId" in members or "exit_code" in members
        return whole(members)

    monkeypatch.setattr(json, "_object", counted)
    session = await api.session()
    command = "head -c 2000000 /dev/zero | tr '\\0' '\\n'; printf 'end\\\\\"'"
    assert await api.sh(session, command) == "\n" * 2_000_000 + 'end\\"'
    assert layers == 2
