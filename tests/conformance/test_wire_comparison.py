"""How recordings are compared, and what the table explains."""

from __future__ import annotations

from wire.comparison import Difference, Row, differences, read_table
from wire.recording import Operation, Request, flatten


def operation(*requests: tuple[str, dict[str, str]], outcome: str = "succeeded") -> Operation:
    """Return an operation that sent these."""
    return Operation([Request.of(*request, "http://127.0.0.1:1") for request in requests], outcome)


def compare(official: Operation, ours: Operation) -> list[Difference]:
    """Return the differences between two operations."""
    return list(differences({"call": official}, {"call": ours}))


def test_equal_operations_have_no_differences():
    """Random ids, times and the recorder's port are no differences."""
    first = operation(("A", {"query.Nonce": "0" * 32, "url": "http://127.0.0.1:1/x"}))
    second = operation(("A", {"query.Nonce": "f" * 32, "url": "http://127.0.0.1:1/x"}))

    assert not compare(first, second)


def test_another_value_a_missing_and_an_empty_one_are_differences():
    """An empty field is not a missing one."""
    official = operation(("A", {"same": "1", "other": "1", "missing": "1", "empty": ""}))
    ours = operation(("A", {"same": "1", "other": "2"}))

    assert compare(official, ours) == [
        Difference("call", "A", "empty", "<empty>", ""),
        Difference("call", "A", "missing", "1", ""),
        Difference("call", "A", "other", "1", "2"),
    ]


def test_the_number_and_the_order_of_requests_are_compared():
    """Requests that both send are compared all the same."""
    official = operation(("A", {}), ("B", {"x": "1"}), ("A", {}))
    ours = operation(("B", {"x": "2"}), ("A", {}))

    assert compare(official, ours) == [
        Difference("call", "A", "count", "2", "1"),
        Difference("call", "B", "x", "1", "2"),
    ]
    assert compare(operation(("A", {}), ("B", {})), operation(("B", {}), ("A", {}))) == [
        Difference("call", "", "order", "A, B", "B, A")
    ]


def test_an_operation_that_only_one_of_them_can_do_is_a_difference():
    """How it ended is compared, and what it sent."""
    ours = operation(outcome="misses a name")

    assert compare(operation(("A", {})), ours) == [
        Difference("call", "", "outcome", "succeeded", "misses a name"),
        Difference("call", "A", "count", "1", "0"),
    ]


def test_json_inside_of_texts_is_compared_by_value():
    """White space and the order of keys are no differences."""
    assert flatten("f", '{"b": [1, true], "a": "x"}') == flatten("f", {"a": "x", "b": [1, True]})
    assert flatten("f", "{no json") == {"f": "{no json"}
    assert flatten("f", {"a": []}) == {"f.a": "[]"}


def test_a_row_explains_what_all_its_patterns_match():
    """A star stands for any text, everything else for itself."""
    row = Row("git.*", "*", "form.Args[0]", "*", "", "a reason")

    assert row.explains(Difference("git.clone", "A", "form.Args[0]", "1", ""))
    assert not row.explains(Difference("git.clone", "A", "form.Args[0]", "1", "2"))
    assert not row.explains(Difference("xgit.clone", "A", "form.Args[0]", "1", ""))
    assert not row.explains(Difference("git.clone", "A", "form.Args0", "1", ""))


def test_each_row_of_the_table_has_a_reason():
    """It tells in a sentence why the difference is meant to be."""
    assert all(len(row.reason.split()) > 3 and row.reason.endswith(".") for row in read_table())
