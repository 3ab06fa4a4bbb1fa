"""The parts of engines: portions of a limit, parcels between processes, and which engines exist."""

from __future__ import annotations

import pickle
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbay_async import (
    ArgumentTypeError,
    BulkOutcome,
    BulkResult,
    ConfigurationError,
    EngineError,
    InvalidArgumentError,
    MapOutcome,
    Progress,
    ThrottledError,
)
from agentbay_async._bulk.distributed import registry
from agentbay_async._bulk.distributed.pickling import opened, packed, sealed, unpacked
from agentbay_async._bulk.distributed.portions import Portions
from agentbay_async._bulk.distributed.registry import engine_named

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from agentbay_async import AsyncAgentBay

    from .conftest import Threads

    Bays = Callable[..., AsyncAgentBay]


@given(
    whole=st.integers(1, 50),
    counted=st.booleans(),
    steps=st.lists(st.tuples(st.booleans(), st.integers(1, 12)), max_size=60),
)
def test_portions_never_add_up_to_more_than_the_whole(
    whole: int, counted: bool, steps: list[tuple[bool, int]]
) -> None:
    """However workers come and go; and whoever waits alone gets something."""
    portions = Portions(whole, counted=counted)
    held: list[float] = []
    for takes, places in steps:
        if takes:
            part = portions.take(places)
            assert part is not None or held
            held += [] if part is None else [part]
        elif held:
            portions.give_back(held.pop(0))
        assert sum(held) <= whole * (1 + 1e-9)
        assert all(part > 0 for part in held)
        assert not counted or all(part == int(part) for part in held)


def test_what_a_dead_worker_held_goes_to_the_others() -> None:
    """And who comes later gets what is given back next, but no scraps."""
    portions = Portions(9.0)
    assert [portions.take(3) for _ in range(3)] == [3.0, 3.0, 3.0]
    assert portions.take(4) is None
    portions.give_back(3.0)
    assert portions.take(2) == 3.0
    portions.give_back(3.0)
    portions.give_back(3.0)
    assert portions.take(2) == 6.0


def test_outcomes_survive_the_way_between_processes() -> None:
    """With all that they know."""
    error = ThrottledError("slow down", request_id="REQ-1", http_status=429)
    error.retry_after = 2.5
    whole = BulkResult([BulkOutcome("s-1"), BulkOutcome(error=error, index=1)], 1.5, ["s-9"])
    for value in (MapOutcome(42, index=3, attempts=2, seconds=0.5), Progress(1, 2, 3, 6, 4.0)):
        assert pickle.loads(pickle.dumps(value)) == value
    twin = pickle.loads(pickle.dumps(whole))
    assert (twin.seconds, twin.left_over, twin[0]) == (1.5, ["s-9"], "s-1")
    assert vars(twin[1]) == vars(error)


def test_an_outcome_gets_its_place_in_the_run_and_the_attempts_before() -> None:
    """A worker counts from 0, and knows nothing of workers that died."""
    data = sealed(MapOutcome("x", request_id="R", index=2, attempts=1), pickle.dumps)
    outcome = opened(data, 40, 2)
    assert (outcome.value, outcome.index, outcome.attempts) == ("x", 40, 3)


def test_a_result_that_cannot_be_made_here_fails_its_item() -> None:
    """Its module may be missing in the caller's process."""
    outcome = opened(b"cno_such_module\nthing\n.", 7, 0)
    assert isinstance(outcome.error, EngineError)
    assert "what fn returned cannot be unpacked here: ModuleNotFoundError" in outcome.error.message
    assert (outcome.index, outcome.attempts) == (7, 1)


def test_what_cannot_be_packed_is_named() -> None:
    """So that its owner can mend it."""
    with pytest.raises(ArgumentTypeError, match=r"fn cannot be sent to a worker.*plain values"):
        packed(lambda: None, "fn", pickle.dumps)
    with pytest.raises(EngineError, match="the job cannot be unpacked"):
        unpacked(b"", "the job")


def test_an_engine_that_does_not_exist_is_refused() -> None:
    """With the names of those that do."""
    with pytest.raises(InvalidArgumentError, match="one of ray, dask, or None"):
        engine_named("spark")
    with pytest.raises(ArgumentTypeError, match="engine must be a str or None, not int"):
        engine_named(5)


@pytest.mark.parametrize(("name", "package"), [("ray", "ray"), ("dask", "distributed")])
def test_a_package_that_is_missing_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, name: str, package: str
) -> None:
    """The extra, and where it is needed."""
    monkeypatch.setattr(registry, "find_spec", lambda _package: None)
    with pytest.raises(ConfigurationError) as caught:
        engine_named(name)
    assert f"needs the package {package}" in str(caught.value)
    assert f"pip install 'agentbay-async[{name}]'" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "package", "words"),
    [("ray", "ray", r"Call ray\.init\(\)"), ("dask", "distributed", r"Make a distributed\.Client")],
)
def test_no_cluster_is_started_for_anybody(
    run_child: Callable[..., str], name: str, package: str, words: str
) -> None:
    """Whoever has none is told how to connect to one."""
    pytest.importorskip(package)
    code = f"""
        from agentbay_async import AsyncAgentBay, ConfigurationError
        try:
            AsyncAgentBay("key").map_sessions(print, [1], engine={name!r})
        except ConfigurationError as error:
            print(error)
    """
    assert re.search(words, run_child(code))


async def test_settings_that_workers_cannot_have_are_refused(
    make_bay: Bays, threads: Threads, tls: ssl.SSLContext
) -> None:
    """Before anything is sent."""
    for options, words in (
        ({"ssl_context": tls}, "ssl_context cannot be sent"),
        ({"reserved_labels": False}, "needs the labels of the library"),
    ):
        async with make_bay(**options) as bay:
            with pytest.raises(InvalidArgumentError, match=words):
                bay.map_sessions(print, [1], engine="dask")  # type: ignore[arg-type]  # not run
    assert threads.orders == []


@pytest.fixture
def tls() -> ssl.SSLContext:
    """Give settings of TLS."""
    import ssl

    return ssl.create_default_context()
