"""Argument checks, chunks and ``.env`` files, for any input."""

from __future__ import annotations

import base64
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from agentbay_async import _check
from agentbay_async._protocol.codec import compact_json
from agentbay_async.config import environment_file
from agentbay_async.errors import UsageError
from agentbay_async.services._files.chunking import ARGUMENT_LIMIT, split_bytes, split_text

_values = st.text() | st.none() | st.integers() | st.binary() | st.booleans()


@given(st.dictionaries(_values, _values) | _values | st.lists(st.tuples(st.text(), st.text())))
def test_labels_are_valid_or_a_usage_error(value: object) -> None:
    """Valid labels map non-blank texts to non-blank texts."""
    try:
        labels = _check.labels(value)
    except UsageError as error:
        refusal = str(error)
    else:
        assert labels == value
        assert all(text.strip() for pair in labels.items() for text in pair)
        return
    assert "labels" in refusal


@given(st.text(st.sampled_from("/.a ")))
def test_an_absolute_path_never_climbs(path: str) -> None:
    """A valid path begins at the root and has no '..' part."""
    try:
        checked = _check.absolute_path(path, "path")
    except UsageError:
        return
    assert checked.startswith("/")
    assert ".." not in checked.split("/")


_long = st.builds(
    lambda text, times, tail: text * times + tail,
    st.text(min_size=1, max_size=40),
    st.integers(0, 4000),
    st.text(),
)


@given(_long)
def test_chunks_of_text_are_small_and_complete(text: str) -> None:
    """No chunk is too large, none splits a character, and nothing is lost."""
    pieces = list(split_text(text))
    assert "".join(pieces) == text
    assert pieces
    assert all(len(compact_json(piece)) <= ARGUMENT_LIMIT for piece in pieces)


@given(st.builds(lambda data, times: data * times, st.binary(min_size=1), st.integers(0, 4000)))
def test_chunks_of_bytes_are_small_and_complete(content: bytes) -> None:
    """As for text; empty content is one empty chunk."""
    pieces = list(split_bytes(content))
    assert b"".join(base64.b64decode(piece) for piece in pieces) == content
    assert pieces
    assert all(len(piece) <= ARGUMENT_LIMIT for piece in pieces)


def _parsed(text: str) -> dict[str, str]:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "file"
        file.write_bytes(text.encode("utf-8", "replace"))
        return dict(environment_file(file).variables)


@given(st.text() | st.text(st.sampled_from("A=# '\"\n\rexport ")))
def test_any_file_is_read_as_variables(text: str) -> None:
    """Names and values, and never an error."""
    for name, value in _parsed(text).items():
        assert name == name.strip()
        assert not name.startswith("#")
        assert "\n" not in value


_names = st.from_regex(r"[A-Z][A-Z0-9_]{0,10}", fullmatch=True)
_plain = st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="'\"#"))


@given(st.dictionaries(_names, _plain), st.sampled_from(["{}={}", "export {}='{}'", '{} = "{}"']))
def test_variables_survive_a_round_trip(variables: dict[str, str], form: str) -> None:
    """In each of the usual forms; unquoted values are stripped."""
    text = "\n".join(form.format(*pair) for pair in variables.items())
    quoted = "'" in form or '"' in form
    wanted = {name: value if quoted else value.strip() for name, value in variables.items()}
    assert _parsed(text) == wanted
