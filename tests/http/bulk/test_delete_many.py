"""`delete_many`: sessions, ids, or all sessions with some labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    APIError,
    ArgumentTypeError,
    AsyncAgentBay,
    CreateSessionParams,
    InvalidArgumentError,
)

if TYPE_CHECKING:
    from tests.http.fake_service import FakeService
    from tests.http.scripted import Script

PARAMS = CreateSessionParams(labels={"a": "b"})


async def test_sessions_and_ids_are_deleted(bay: AsyncAgentBay, service: FakeService) -> None:
    """The result maps each input to the id of the deleted session."""
    made = (await bay.create_many(PARAMS, 30)).sessions
    mixed = [one if number % 2 else one.session_id for number, one in enumerate(made)]
    result = await bay.delete_many(mixed)
    assert result.sessions == [one.session_id for one in made]
    assert (result.success, service.alive) == (True, set())


async def test_all_sessions_with_labels_are_deleted(
    bay: AsyncAgentBay, service: FakeService, scripted: Script
) -> None:
    """The listing is read to its end first, because deleting would shift the pages."""
    await bay.create_many(CreateSessionParams(labels={"a": "b"}), 3)
    service.page_size = 2
    scripted.requests.clear()
    result = await bay.delete_many(labels={"a": "b"})
    assert (sorted(result.sessions), service.alive) == (["s-0", "s-1", "s-2"], set())
    assert scripted.actions[:2] == ["ListSession", "ListSession"]
    assert scripted.actions.count("ListSession") == 2
    assert scripted.forms("ListSession")[0]["Labels"] == '{"a":"b"}'


async def test_a_missing_session_is_a_success(
    bay: AsyncAgentBay, service: FakeService, scripted: Script
) -> None:
    """As with one session."""
    scripted.clear()
    scripted.fail("DeleteSessionAsync", "InvalidMcpSession.NotFound")
    assert (await bay.delete_many(["s-8", "s-9"])).sessions == ["s-8", "s-9"]


async def test_a_failed_delete_is_a_typed_failure(bay: AsyncAgentBay, service: FakeService) -> None:
    """The others are deleted nevertheless."""
    await bay.create_many(PARAMS, 5)
    service.undeletable = {"s-3"}
    result = await bay.delete_many(sorted(service.alive))
    assert list(result.failures) == [3]
    assert isinstance(result[3], APIError)
    assert service.alive == {"s-3"}
    outcomes = [one async for one in bay.delete_many(["s-3", "s-4"], max_concurrency=1)]
    assert [one.success for one in outcomes] == [False, True]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "either sessions or labels"),
        ({"sessions": ["s-1"], "labels": {"a": "b"}}, "either sessions or labels"),
        ({"labels": {}}, "labels must not be empty"),
        ({"sessions": "s-1"}, "sessions must be iterable"),
    ],
)
async def test_invalid_arguments_are_rejected_at_once(
    bay: AsyncAgentBay, arguments: dict[str, Any], words: str
) -> None:
    """Empty labels would match every session of the account."""
    with pytest.raises((InvalidArgumentError, ArgumentTypeError), match=words):
        bay.delete_many(**arguments)


async def test_an_invalid_item_is_named(bay: AsyncAgentBay, service: FakeService) -> None:
    """The error has its position and the valid types."""
    wrong: Any = ["s-1", 5]
    with pytest.raises(ArgumentTypeError, match=r"sessions\[1\] must be a session or its id"):
        await bay.delete_many(wrong, max_concurrency=1)
