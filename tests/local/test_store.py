"""The database: its answers equal those of a plain dictionary, at any size."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agentbay_local.store import Filter, NewSession, Store, states
from agentbay_local.store.bindings import PathTakenError
from agentbay_local.store.contexts import NameTakenError
from agentbay_local.store.totals import Tag, Totals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEYS, VALUES = st.sampled_from(["a", "b", "c"]), st.sampled_from(["1", "2"])
LABELS = st.dictionaries(KEYS, VALUES, max_size=3)
STATUSES = st.sampled_from([*sorted(states.LISTED), states.DELETING])


def memory() -> Store:
    """Open a database in memory."""
    return Store.open(Path(":memory:"))


class Listing(RuleBasedStateMachine):
    """Drives the table of sessions beside a list of dictionaries."""

    def __init__(self) -> None:
        super().__init__()
        self.store = memory()
        self.model: dict[str, tuple[str, str, dict[str, str]]] = {}

    @rule(labels=LABELS, image=st.sampled_from(["x", "y"]))
    def create(self, labels: dict[str, str], image: str) -> None:
        """Add a session."""
        name = f"s-{len(self.model)}"
        self.store.sessions.add([(NewSession(name, image, labels, 0.0), None)])
        self.model[name] = (states.RUNNING, image, labels)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), labels=LABELS)
    def label(self, data: st.DataObject, labels: dict[str, str]) -> None:
        """Replace the labels of one."""
        name = data.draw(st.sampled_from(sorted(self.model)))
        self.store.sessions.set_labels(name, labels)
        self.model[name] = (*self.model[name][:2], labels)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), status=STATUSES)
    def move(self, data: st.DataObject, status: str) -> None:
        """Move one to another state."""
        name = data.draw(st.sampled_from(sorted(self.model)))
        self.store.sessions.set_status(name, status)
        self.model[name] = (status, *self.model[name][1:])

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        """End one."""
        name = data.draw(st.sampled_from(sorted(self.model)))
        self.store.sessions.finish(name, "over", 1.0)
        self.model[name] = (states.FINISH, *self.model[name][1:])

    @rule(
        labels=LABELS,
        status=st.none() | STATUSES,
        image=st.none() | st.sampled_from(["x", "y"]),
        size=st.integers(1, 3),
    )
    def compare(
        self, labels: dict[str, str], status: str | None, image: str | None, size: int
    ) -> None:
        """Compare a filtered listing, page by page, and its count."""
        wanted = Filter(tuple(labels.items()), status, image)
        expected = [
            name
            for name, (has_status, has_image, has) in reversed(self.model.items())
            if has_status in states.LISTED
            and labels.items() <= has.items()
            and status in (None, has_status)
            and image in (None, has_image)
        ]
        listed: list[str] = []
        before = None
        while page := self.store.sessions.page(wanted, size, before):
            assert len(page) <= size
            listed += [session.id for session in page]
            before = page[-1].seq
        assert listed == expected
        assert self.store.sessions.count(wanted) == len(expected)

    @invariant()
    def labels_are_kept(self) -> None:
        """Look every label up."""
        for name, (_, _, labels) in self.model.items():
            assert self.store.sessions.labels(name) == labels

    def teardown(self) -> None:
        """Close the file."""
        self.store.close()


Listing.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestListing = Listing.TestCase


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sets(st.sampled_from("xyz")))))
def test_remembered_totals_follow_every_change(changes: list[tuple[str, set[str]]]) -> None:
    """After any changes of tags, each total equals a count."""
    filters = [[("x", ""), ("y", "")], [("y", ""), ("z", "")], [("x", ""), ("y", ""), ("z", "")]]
    totals, tagged = Totals(), dict[str, set[Tag]]()
    for wanted in filters:
        assert totals.of(wanted, lambda: 0) == 0
    for name, keys in changes:
        new = {(key, "") for key in keys}
        totals.moved(tagged.get(name, set()), new)
        tagged[name] = new
    for wanted in filters:
        expected = sum(set(wanted) <= tags for tags in tagged.values())
        assert totals.of(wanted, lambda: -1) == expected


def test_use_sets_no_deadline_for_a_paused_session() -> None:
    """A call may end just after the pause."""
    store = memory()
    store.sessions.add([(NewSession("s", "x", {}, 0.0, idle_seconds=5.0), 5.0)])
    store.sessions.set_status("s", states.PAUSING)
    store.sessions.set_expiry("s", None)
    store.sessions.postpone("s", 10.0)
    assert store.sessions.expired(100.0) == []
    store.close()


def test_names_of_contexts_are_unique() -> None:
    """The database itself ensures it."""
    store = memory()
    store.contexts.add("c1", "name", 0.0)
    with pytest.raises(NameTakenError):
        store.contexts.add("c2", "name", 0.0)
    store.close()


def test_contexts_are_attached_all_or_none() -> None:
    """One used path prevents all of them."""
    store = memory()
    store.bindings.add("s", [("c1", "/a", "")], 0.0)
    with pytest.raises(PathTakenError, match="/a"):
        store.bindings.add("s", [("c2", "/b", ""), ("c3", "/a", "")], 0.0)
    assert [binding.path for binding in store.bindings.of("s")] == ["/a"]
    store.close()


def test_an_interrupted_transaction_leaves_no_trace() -> None:
    """It is rolled back."""
    store = memory()
    store.sessions.add([(NewSession("s", "x", {}, 0.0), None)])
    with pytest.raises(sqlite3.IntegrityError):
        store.sessions.add([(NewSession("s", "x", {"a": "1"}, 0.0), None)])
    assert store.sessions.count(Filter()) == 1
    assert store.sessions.labels("s") == {}
    store.close()


def test_a_database_of_another_format_is_rejected(tmp_path: Path) -> None:
    """The state of a newer version is not misread."""
    with sqlite3.connect(tmp_path / "state.db") as other:
        other.execute("PRAGMA user_version=99")
    other.close()
    with pytest.raises(sqlite3.DatabaseError, match="use another home"):
        Store.open(tmp_path / "state.db")


def test_contexts_of_the_previous_format_are_kept(tmp_path: Path) -> None:
    """They belong to users; new features work beside them."""
    Store.open(tmp_path / "state.db").close()
    with sqlite3.connect(tmp_path / "state.db") as old:
        old.execute("DROP INDEX context_session")
        old.execute("ALTER TABLE context DROP COLUMN session_id")
        old.execute("ALTER TABLE context DROP COLUMN mount_paths")
        old.execute(
            "INSERT INTO context (id, name, state, created, used) VALUES ('c', 'n', 'x', 1, 1)"
        )
        old.execute("PRAGMA user_version=1")
    old.close()
    for _ in range(2):
        store = Store.open(tmp_path / "state.db")
        assert [(entry.id, entry.session_id) for entry in store.contexts.page(9, None)] == [
            ("c", None)
        ]
        assert store.contexts.own("s") is None
        assert [entry.mount_paths for entry in store.contexts.page(9, None)] == [{}]
        store.close()


def filled(number: int) -> Store:
    """Open a database with that many sessions: some tags are common, others rare."""
    store = memory()
    store.sessions.add(
        [
            (
                NewSession(
                    id=f"s-{n}",
                    image="x",
                    labels={"all": "1", "n": str(n)} | ({"rare": "1"} if n in (7, 50) else {}),
                    created=float(n),
                ),
                1e6 + n,
            )
            for n in range(number)
        ]
    )
    return store


def calls(store: Store, number: int) -> dict[str, Callable[[], object]]:
    """Return the queries of a service on a database of `filled`, by name."""
    sessions, everything = store.sessions, Filter((("all", "1"),))
    rare = Filter((("all", "1"), ("rare", "1")))
    lagging = Filter((("all", "1"),), created_by=number - 5.0)
    return {
        "get": lambda: sessions.get("s-3"),
        "first page": lambda: sessions.page(everything, 10, None),
        "middle page": lambda: sessions.page(everything, 10, number // 2),
        "last page": lambda: sessions.page(everything, 10, 11),
        "page without a filter": lambda: sessions.page(Filter(), 10, None),
        "page of a state and an image": lambda: sessions.page(
            Filter((), states.RUNNING, "x"), 10, None
        ),
        "page of a rare label": lambda: sessions.page(rare, 10, None),
        "page that lags": lambda: sessions.page(lagging, 10, None),
        "total": lambda: sessions.count(everything),
        "total of two": lambda: sessions.count(rare),
        "total that lags": lambda: sessions.count(lagging),
        "alive": sessions.alive,
        "set_labels": lambda: sessions.set_labels("s-4", {"all": "1", "n": "moved"}),
        "set_status": lambda: sessions.set_status("s-5", states.PAUSED),
        "postpone": lambda: sessions.postpone("s-6", 2e6),
        "next_expiry": sessions.next_expiry,
        "expired": lambda: sessions.expired(1e6),
        "first_finished": sessions.first_finished,
        "forget": lambda: sessions.forget(0.0),
        "add": lambda: sessions.add([(NewSession("new", "x", {"all": "1"}, float(number)), None)]),
        "finish": lambda: sessions.finish("new", "over", 1.0),
    }


@contextmanager
def traced(store: Store) -> Iterator[tuple[sqlite3.Connection, list[str]]]:
    """Record each statement that a database executes."""
    connection = store._database._connection
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    yield connection, statements
    connection.set_trace_callback(None)


def test_no_call_reads_more_rows_among_many_sessions() -> None:
    """SQLite takes as many steps with 5,000 sessions as with 100."""
    steps: dict[str, list[int]] = {}
    for number in (100, 5000):
        store = filled(number)
        for filters in (Filter((("all", "1"), ("rare", "1"))), Filter()):
            store.sessions.count(filters)
        store.sessions.alive()
        for name, call in calls(store, number).items():
            taken = iter(range(10**9))
            store._database._connection.set_progress_handler(lambda: next(taken) and None, 1)  # noqa: B023  # called within the turn
            call()
            store._database._connection.set_progress_handler(None, 1)
            steps.setdefault(name, []).append(next(taken))
        store.close()
    assert {name: (few, many) for name, (few, many) in steps.items() if many > few * 1.1} == {}


def test_no_call_scans_a_table_or_sorts_one() -> None:
    """Each statement finds its rows by an index, in the required order."""
    store = filled(100)
    # Once per filter: its total is then followed and no longer counted.
    store.sessions.alive()
    with traced(store) as (connection, statements):
        for name, call in calls(store, 100).items():
            if "lags" not in name:
                call()
    ours = [sql for sql in statements if sql.split()[0] in ("SELECT", "UPDATE", "DELETE")]
    assert len(ours) > 40
    for sql in ours:
        plan = [row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")]
        assert not [step for step in plan if "SCAN" in step or "TEMP B-TREE" in step], sql
    store.close()


def test_lagging_listings_have_old_sessions_only() -> None:
    """Page by page, with the total; also if all or none are old enough."""
    store = filled(30)
    for moment, expected in ((-1.0, 0), (9.0, 10), (10.5, 11), (99.0, 30)):
        for labels in ((("all", "1"),), (("all", "1"), ("rare", "1"))):
            wanted = Filter(labels, created_by=moment)
            listed = [7] if len(labels) == 2 else range(30)
            names = [f"s-{n}" for n in reversed(listed) if n <= moment]
            first = store.sessions.page(wanted, 4, None)
            rest = store.sessions.page(wanted, 99, first[-1].seq) if first else []
            assert [entry.id for entry in (*first, *rest)] == names
            assert store.sessions.count(wanted) == len(names)
            assert len(labels) == 2 or len(names) == expected
    store.close()


def test_the_count_of_live_sessions_follows_all_changes() -> None:
    """Sessions in release still count; finished ones do not."""
    store = memory()
    assert store.sessions.alive() == 0
    store.sessions.add([(NewSession(name, "x", {}, 0.0), None) for name in "abc"])
    store.sessions.set_status("a", states.DELETING)
    assert store.sessions.alive() == 3
    for _ in range(2):
        store.sessions.finish("a", "over", 1.0)
    assert store.sessions.alive() == 2
    store.sessions.finish_all("the service stopped", 2.0)
    assert (store.sessions.alive(), store.sessions.count(Filter())) == (0, 0)
    ended = [store.sessions.get(name) for name in "abc"]
    assert [entry.end_reason for entry in ended if entry] == ["over", *["the service stopped"] * 2]
    store.close()


def test_totals_are_recounted_after_a_restore(tmp_path: Path) -> None:
    """The earlier counts are invalid."""
    full, store = memory(), memory()
    labels = {"a": "1", "b": "1"}
    wanted = Filter(tuple(labels.items()))
    full.sessions.add([(NewSession("s", "x", labels, 0.0), None)])
    full.copy_to(tmp_path / "rows")
    Store.verify(tmp_path / "rows")
    assert store.sessions.count(wanted) == 0
    store.load(tmp_path / "rows")
    assert store.sessions.count(wanted) == 1
    store.wipe()
    assert store.sessions.count(wanted) == 0
    (tmp_path / "text").write_text("no rows")
    with pytest.raises(sqlite3.Error):
        Store.verify(tmp_path / "text")
    for opened in (full, store):
        opened.close()
