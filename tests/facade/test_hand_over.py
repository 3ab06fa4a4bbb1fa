"""A Ctrl-C between the end of a blocking call and the return of its value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentbay import AgentBay, Config, CreateSessionParams
from agentbay._call import BlockingFuture
from agentbay_async._lifecycle import unheld
from agentbay_local import LocalService

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Create = Callable[[AgentBay], object]

_PARAMS = CreateSessionParams()
_CREATES: dict[str, Create] = {
    "create": lambda bay: bay.create(_PARAMS),
    "create_many": lambda bay: bay.create_many(_PARAMS, 3).run(),
}


@pytest.fixture
def service() -> Iterator[LocalService]:
    """Run a local service."""
    with LocalService() as service:
        yield service


@pytest.fixture
def bay(service: LocalService) -> Iterator[AgentBay]:
    """Give a client over HTTP."""
    with AgentBay(service.api_key, Config(endpoint=service.endpoint, ledger=None)) as bay:
        yield bay


@pytest.fixture
def interrupted_hand_over(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Interrupt the thread when the call has ended and its value is unread."""

    def interrupt(_future: BlockingFuture[object]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(BlockingFuture, "result", interrupt)
    return monkeypatch


@pytest.mark.parametrize("create", _CREATES.values(), ids=_CREATES)
def test_a_session_that_was_not_read_is_deleted_with_its_client(
    service: LocalService,
    bay: AgentBay,
    interrupted_hand_over: pytest.MonkeyPatch,
    create: Create,
) -> None:
    """Until then it is known as one that nobody holds."""
    with pytest.raises(KeyboardInterrupt):
        create(bay)
    interrupted_hand_over.undo()
    assert set(service.living()) == set(unheld.sessions) != set()
    bay.close()
    assert not service.living()


@pytest.mark.parametrize("create", _CREATES.values(), ids=_CREATES)
def test_a_session_that_was_read_is_held(
    service: LocalService, bay: AgentBay, create: Create
) -> None:
    """Closing the client does not delete it."""
    create(bay)
    assert not unheld.sessions
    bay.close()
    assert service.living()
