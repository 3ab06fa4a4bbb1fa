"""Bulk runs from blocking code: results, callbacks, interrupts and early exits."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from agentbay import AgentBay, ArgumentTypeError, Config, CreateSessionParams, RetryPolicy, Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agentbay_local import LocalService

PARAMS = CreateSessionParams()


@pytest.fixture
def bay(service: LocalService) -> Iterator[AgentBay]:
    """Return a blocking client, and check that the test leaves no session."""
    with AgentBay(service.api_key, Config(endpoint=service.endpoint)) as bay:
        yield bay
        assert bay.list().total_count == 0


def test_a_listing_is_true_if_its_first_page_can_be_fetched() -> None:
    """As the result that the official client returns."""
    with AgentBay("key", endpoint="http://127.0.0.1:1", retry=RetryPolicy(attempts=1)) as bay:
        listing = bay.list()
        assert not listing
        assert listing.message == listing.error_message != ""


def test_result_holds_blocking_sessions(bay: AgentBay) -> None:
    """The first read starts the run, and there is only one."""
    created = bay.create_many(PARAMS, 3)
    assert bay.list().total_count == 0
    assert (created.done, created.failed, created.success) == (3, 0, True)
    assert all(isinstance(session, Session) for session in created.sessions)
    assert bay.list().total_count == 3
    deleted = bay.delete_many(created.sessions).run()
    assert deleted.sessions == [session.session_id for session in created.sessions]


def test_inputs_may_block_and_call_the_blocking_api(bay: AgentBay) -> None:
    """A generator and the sessions of another run are read in a worker thread."""

    def params() -> Iterator[CreateSessionParams]:
        for _ in range(3):
            bay.list(limit=1).unwrap()
            yield PARAMS

    result = bay.delete_many(one.session for one in bay.create_many(params())).run()
    assert result.done == 3


def test_early_exit_of_a_loop_keeps_only_the_sessions_it_has_seen(bay: AgentBay) -> None:
    """Outcomes are not read ahead: nobody would delete the session of an unseen outcome."""
    outcomes = iter(bay.create_many(PARAMS, 6, max_concurrency=2))
    session = next(outcomes).session
    outcomes.close()
    assert [one.session_id for one in bay.list()] == [session.session_id]
    session.delete().unwrap()


def test_with_block_deletes_its_sessions(bay: AgentBay) -> None:
    """Also after an early exit of a loop."""
    with bay.create_many(PARAMS, 3) as created:
        assert len(created.sessions) == 3
    with bay.create_many(PARAMS, 3) as created, iter(created) as outcomes:
        next(outcomes)


def test_blocking_function_is_mapped_in_worker_threads(bay: AgentBay) -> None:
    """It gets a blocking session."""

    def work(session: Session, item: int) -> str:
        return f"{item} {session.command.run('echo hi').stdout.strip()}"

    outcomes = list(bay.map_sessions(work, range(4), reuse=True, max_concurrency=2))
    assert sorted(one.value for one in outcomes) == ["0 hi", "1 hi", "2 hi", "3 hi"]


def test_interrupted_run_leaves_no_sessions(
    service: LocalService, run_child: Callable[..., str], bay: AgentBay
) -> None:
    """Ctrl-C ends the run and deletes its sessions before the caller continues."""
    code = """
        import os, signal
        from agentbay import AgentBay, CreateSessionParams

        def interrupt(progress):
            if progress.done >= 3:
                os.kill(os.getpid(), signal.SIGINT)

        with AgentBay() as bay:
            run = bay.create_many(CreateSessionParams(), 60, rate=20, on_progress=interrupt)
            try:
                run.run()
            except KeyboardInterrupt:
                print("interrupted", bay.list().total_count)
    """
    variables = {"AGENTBAY_ENDPOINT": service.endpoint, "AGENTBAY_API_KEY": service.api_key}
    assert run_child(code, **variables) == "interrupted 0"


async def _async_function(*_arguments: object) -> None:
    """Do nothing."""


class _AsyncCall:
    async def __call__(self, *_arguments: object) -> None:
        """Do nothing."""


@pytest.mark.parametrize("function", [_async_function, partial(_async_function, 1), _AsyncCall()])
@pytest.mark.parametrize("name", ["fn", "reset", "healthy", "on_progress"])
def test_async_function_is_rejected_at_once(bay: AgentBay, name: str, function: object) -> None:
    """Nothing would ever await it."""
    arguments: dict[str, Any] = {"fn": lambda _session, item: item, "items": [1], name: function}
    with pytest.raises(ArgumentTypeError, match=f"{name} must be a plain function.*`def`"):
        bay.map_sessions(**arguments)


def test_lambda_that_returns_a_coroutine_fails(bay: AgentBay) -> None:
    """Its value would be a coroutine that nothing awaits."""
    outcomes = list(bay.map_sessions(lambda _session, item: _async_function(item), [1]))
    assert isinstance(outcomes[0].error, ArgumentTypeError)
    assert "fn must not return a coroutine" in str(outcomes[0].error)
