"""Unified diffs of texts, of any size."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbay_async._protocol import text_diff
from agentbay_async._protocol.text_diff import unified_diff

TEXTS = st.lists(st.sampled_from(["a", "b", "", "-", "+ x"]), max_size=12).map("\n".join)
HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@\n")


def apply_diff(old: str, diff: str) -> str:
    """Apply a diff with one hunk, as ``patch`` would."""
    if not diff:
        return old
    before = old.splitlines(keepends=True)
    _, _, hunk, *lines = diff.splitlines(keepends=True)
    found = HUNK.fullmatch(hunk)
    assert found is not None, hunk
    start, count = int(found[1]), int(found[2] or 1)
    start -= 1 if count else 0
    bodies = [line for line in lines if not line.startswith("\\")]
    cut = {
        n for n, line in enumerate(lines, 1) if lines[n:][:1] == ["\\ No newline at end of file\n"]
    }
    whole = [line[:-1] if n in cut else line for n, line in enumerate(lines, 1) if line[0] != "\\"]
    removed = [line[1:] for line in whole if line[0] in " -"]
    added = [line[1:] for line in whole if line[0] in " +"]
    assert removed == before[start : start + count]
    assert len(added) == int(found[4] or 1)
    assert len(bodies) == len(whole)
    return "".join([*before[:start], *added, *before[start + count :]])


@given(TEXTS, TEXTS)
def test_diff_of_a_large_text_turns_the_old_one_into_the_new_one(old: str, new: str) -> None:
    """It has one hunk, from the first difference to the last."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_diff, "_MOST_LINES", -1)
        assert apply_diff(old, unified_diff("f", old, new)) == new


@pytest.mark.parametrize("place", [0, 1, 50, 98, 99])
def test_diff_of_one_change_is_the_same_for_small_and_large_texts(
    place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader sees no difference between the two ways."""
    lines = [f"line {number}" for number in range(100)]
    old, new = "\n".join(lines), "\n".join([*lines[:place], "changed", *lines[place + 1 :]])
    small = unified_diff("f", old, new)
    monkeypatch.setattr(text_diff, "_MOST_LINES", 0)
    assert unified_diff("f", old, new) == small


def test_diff_of_a_huge_text_takes_no_time_to_speak_of() -> None:
    """The worst text for a shortest diff: many lines, of which many are the same."""
    old = "\n".join(str(number % 101) for number in range(200_000))
    assert unified_diff("f", old, old[::-1]).count("\n") > 200_000
