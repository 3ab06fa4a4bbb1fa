"""Runs over many sessions from blocking code: what is handed over, interrupted, or left early."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentbay import AgentBay, Config, CreateSessionParams, Session
from agentbay_local import LocalService

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PARAMS = CreateSessionParams()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalService]:
    """Run one local service for all of them."""
    with LocalService(home=tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture
def bay(service: LocalService) -> Iterator[AgentBay]:
    """Give a blocking client; every test leaves no session."""
    with AgentBay(service.api_key, Config(endpoint=service.endpoint)) as bay:
        yield bay
        assert bay.list().total_count == 0


def test_a_result_holds_blocking_sessions(bay: AgentBay) -> None:
    """Awaiting is reading: nothing is made before, and once only."""
    made = bay.create_many(PARAMS, 3)
    assert bay.list().total_count == 0
    assert (made.done, made.failed, made.success) == (3, 0, True)
    assert all(isinstance(session, Session) for session in made.sessions)
    assert bay.list().total_count == 3
    deleted = bay.delete_many(made.sessions).run()
    assert deleted.sessions == [session.session_id for session in made.sessions]


def test_inputs_may_block_and_call_the_blocking_api(bay: AgentBay) -> None:
    """A generator is read in a worker thread, and so are sessions that another run yields."""

    def params() -> Iterator[CreateSessionParams]:
        for _ in range(3):
            bay.list(limit=1).unwrap()
            yield PARAMS

    result = bay.delete_many(one.session for one in bay.create_many(params())).run()
    assert result.done == 3


def test_a_loop_that_is_left_early_leaves_what_it_gave_and_no_more(bay: AgentBay) -> None:
    """Nothing is read ahead: an outcome that nobody sees would be a session that nobody deletes."""
    outcomes = iter(bay.create_many(PARAMS, 6, max_concurrency=2))
    session = next(outcomes).session
    outcomes.close()
    assert [one.session_id for one in bay.list()] == [session.session_id]
    session.delete().unwrap()


def test_around_a_block_everything_is_deleted(bay: AgentBay) -> None:
    """Also what was read in a loop that was left, and after an error."""
    with bay.create_many(PARAMS, 3) as made:
        assert len(made.sessions) == 3
    with bay.create_many(PARAMS, 3) as made, iter(made) as outcomes:
        next(outcomes)


def test_a_blocking_function_is_mapped_in_worker_threads(bay: AgentBay) -> None:
    """It gets a blocking session, and may use it."""

    def work(session: Session, item: int) -> str:
        return f"{item} {session.command.run('echo hi').stdout.strip()}"

    outcomes = list(bay.map_sessions(work, range(4), reuse=True, max_concurrency=2))
    assert sorted(one.value for one in outcomes) == ["0 hi", "1 hi", "2 hi", "3 hi"]


def test_an_interrupt_half_way_leaves_nothing(
    service: LocalService, run_child: Callable[..., str], bay: AgentBay
) -> None:
    """Ctrl-C ends the run, waits until what was made is deleted, and goes on to the caller."""
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
