"""Quotas of workers, pickled outcomes, and the registry of engines."""

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
from agentbay_async._bulk.distributed.pickling import (
    pickle_argument,
    pickle_outcome,
    unpickle,
    unpickle_outcome,
)
from agentbay_async._bulk.distributed.quota import DividedLimit
from agentbay_async._bulk.distributed.registry import get_engine

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from agentbay_async import AsyncAgentBay

    from .conftest import ThreadEngine

    Bays = Callable[..., AsyncAgentBay]


@given(
    total=st.integers(1, 50),
    integral=st.booleans(),
    steps=st.lists(st.tuples(st.booleans(), st.integers(1, 12)), max_size=60),
)
def test_parts_never_add_up_to_more_than_the_limit(
    total: int, integral: bool, steps: list[tuple[bool, int]]
) -> None:
    """However workers come and go. A worker that waits alone gets a part."""
    limit = DividedLimit(total, integral=integral)
    held: list[float] = []
    for acquires, slots in steps:
        if acquires:
            part = limit.acquire(slots)
            assert part is not None or held
            held += [] if part is None else [part]
        elif held:
            limit.release(held.pop(0))
        assert sum(held) <= total * (1 + 1e-9)
        assert all(part > 0 for part in held)
        assert not integral or all(part == int(part) for part in held)


def test_the_part_of_a_dead_worker_goes_to_the_others() -> None:
    """Later workers get the next part that is returned, but no small remainders."""
    limit = DividedLimit(9.0)
    assert [limit.acquire(3) for _ in range(3)] == [3.0, 3.0, 3.0]
    assert limit.acquire(4) is None
    limit.release(3.0)
    assert limit.acquire(2) == 3.0
    limit.release(3.0)
    limit.release(3.0)
    assert limit.acquire(2) == 6.0


def test_results_can_be_pickled() -> None:
    """With all attributes, those of errors included."""
    error = ThrottledError("slow down", request_id="REQ-1", http_status=429)
    error.retry_after = 2.5
    whole = BulkResult([BulkOutcome("s-1"), BulkOutcome(error=error, index=1)], 1.5, ["s-9"])
    for value in (MapOutcome(42, index=3, attempts=2, seconds=0.5), Progress(1, 2, 3, 6, 4.0)):
        assert pickle.loads(pickle.dumps(value)) == value
    twin = pickle.loads(pickle.dumps(whole))
    assert (twin.seconds, twin.left_over, twin[0]) == (1.5, ["s-9"], "s-1")
    assert vars(twin[1]) == vars(error)


def test_an_outcome_gets_its_index_in_the_run_and_earlier_attempts() -> None:
    """A worker counts from 0, and does not know of workers that were lost."""
    data = pickle_outcome(MapOutcome("x", request_id="R", index=2, attempts=1), pickle.dumps)
    outcome = unpickle_outcome(data, 40, 2)
    assert (outcome.value, outcome.index, outcome.attempts) == ("x", 40, 3)


def test_a_value_that_cannot_be_unpickled_fails_its_item() -> None:
    """Its module may be missing in the process of the caller."""
    outcome = unpickle_outcome(b"cno_such_module\nthing\n.", 7, 0)
    assert isinstance(outcome.error, EngineError)
    assert "what fn returned cannot be unpickled here: ModuleNotFoundError" in outcome.error.message
    assert (outcome.index, outcome.attempts) == (7, 1)


def test_an_argument_that_cannot_be_pickled_is_named() -> None:
    """The message says what to pass instead."""
    with pytest.raises(
        ArgumentTypeError, match=r"fn cannot be sent to a worker.*Pass plain values"
    ):
        pickle_argument(lambda: None, "fn", pickle.dumps)
    with pytest.raises(EngineError, match="the job cannot be unpickled here"):
        unpickle(b"", "the job")


def test_an_unknown_engine_is_rejected() -> None:
    """The message lists the engines."""
    with pytest.raises(InvalidArgumentError, match="one of ray, dask, or None"):
        get_engine("spark")
    with pytest.raises(ArgumentTypeError, match="engine must be a str or None, not int"):
        get_engine(5)


@pytest.mark.parametrize(("name", "package"), [("ray", "ray"), ("dask", "distributed")])
def test_a_missing_package_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, name: str, package: str
) -> None:
    """The message says how to install it."""
    monkeypatch.setattr(registry, "find_spec", lambda _package: None)
    with pytest.raises(ConfigurationError) as caught:
        get_engine(name)
    assert f"needs the package {package}" in str(caught.value)
    assert f"pip install 'agentbay-async[{name}]'" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "package", "message"),
    [("ray", "ray", r"Call ray\.init\(\)"), ("dask", "distributed", r"Make a distributed\.Client")],
)
def test_without_a_cluster_an_engine_raises(
    run_child: Callable[..., str], name: str, package: str, message: str
) -> None:
    """The message says how to connect to one; none is started."""
    pytest.importorskip(package)
    code = f"""
        from agentbay_async import AsyncAgentBay, ConfigurationError
        try:
            AsyncAgentBay("key").map_sessions(print, [1], engine={name!r})
        except ConfigurationError as error:
            print(error)
    """
    assert re.search(message, run_child(code))


async def test_settings_that_do_not_work_with_an_engine_are_rejected(
    make_bay: Bays, engine: ThreadEngine, tls: ssl.SSLContext
) -> None:
    """Before anything is sent to the cluster."""
    for options, message in (
        ({"ssl_context": tls}, "ssl_context cannot be sent"),
        ({"reserved_labels": False}, "an engine needs reserved_labels=True"),
    ):
        async with make_bay(**options) as bay:
            with pytest.raises(InvalidArgumentError, match=message):
                bay.map_sessions(print, [1], engine="dask")  # type: ignore[arg-type]  # not run
    assert engine.tasks == []


@pytest.fixture
def tls() -> ssl.SSLContext:
    """Give an SSL context."""
    import ssl

    return ssl.create_default_context()
