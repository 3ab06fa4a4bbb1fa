"""A cassette is compared with what the local service answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from agentbay_local import Cassette, verify_cassette
from agentbay_local.cassettes.cassette import Exchange, Frame, Response
from agentbay_local.recording import verification
from agentbay_local.recording.comparison import compare_answers, compare_values

from .program import use_everything

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agentbay_async import AsyncAgentBay
    from agentbay_local import Recorder

pytestmark = pytest.mark.usefixtures("sandboxed")


async def recorded(
    recorder_at: Callable[[Path], Recorder],
    client_of: Callable[..., AsyncAgentBay],
    directory: Path,
) -> Cassette:
    """Record a program that uses everything."""
    path = directory / "cassette.jsonl"
    async with recorder_at(path) as recorder, client_of(recorder) as bay:
        await use_everything(bay, directory, "no-secret")
    return Cassette.read(path)


async def small(
    recorder_at: Callable[[Path], Recorder],
    client_of: Callable[..., AsyncAgentBay],
    directory: Path,
) -> Cassette:
    """Record a program that sends few requests."""
    path = directory / "cassette.jsonl"
    async with recorder_at(path) as recorder, client_of(recorder) as bay:
        async with bay.session() as session:
            await session.command.run("no-such-program")
        await bay.get("s-that-never-was")
    return Cassette.read(path)


def changed(cassette: Cassette, action: str, change: Callable[[dict[str, Any]], None]) -> Cassette:
    """Return a cassette in which the JSON of the answers to an action is another one."""
    entries: list[Exchange | Frame] = []
    for entry in cassette.entries:
        if isinstance(entry, Exchange) and entry.request.action == action and entry.response:
            change(entry.response.body["json"])
        entries.append(entry)
    return attrs.evolve(cassette, entries=tuple(entries))


async def test_what_the_local_service_has_answered_it_answers_again(
    recorder_at: Callable[[Path], Recorder],
    client_of: Callable[..., AsyncAgentBay],
    tmp_path: Path,
) -> None:
    """Ids, tokens and URLs are other ones; nothing else is."""
    cassette = await recorded(recorder_at, client_of, tmp_path)

    verification = await asyncio.to_thread(verify_cassette, cassette)

    assert verification.differences == ()
    assert verification.is_same
    assert verification.requests == len(list(cassette.exchanges()))


def rename_member(body: dict[str, Any]) -> None:
    """Answer with another name."""
    body["Data"]["VpcResource"] = body["Data"].pop("SessionId")


def refuse(body: dict[str, Any]) -> None:
    """Answer with another error."""
    body.update(Code="Forbidden.NotPaid", Message="Buy a plan.")


def change_type(body: dict[str, Any]) -> None:
    """Answer with another type."""
    body["Data"]["ResourceId"] = 17


@pytest.mark.slow
@pytest.mark.parametrize(
    ("action", "change", "found"),
    [
        ("CreateMcpSession", rename_member, "Data.SessionId: recorded missing, here text"),
        ("CreateMcpSession", rename_member, "Data.VpcResource: recorded text, here missing"),
        ("CreateMcpSession", change_type, "Data.ResourceId: recorded number, here text"),
        (
            "GetSession",
            refuse,
            "Code: recorded 'Forbidden.NotPaid', here 'InvalidMcpSession.NotFound'",
        ),
        (
            "GetSession",
            refuse,
            "Message: recorded 'Buy a plan.', here 'Resource [McpSession] is not found.'",
        ),
    ],
)
async def test_another_answer_is_a_difference(
    action: str,
    change: Callable[[dict[str, Any]], None],
    found: str,
    recorder_at: Callable[[Path], Recorder],
    client_of: Callable[..., AsyncAgentBay],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The difference names the action and the place."""
    monkeypatch.setattr(verification, "_PATIENCE", 0.5)  # this one does not go away
    cassette = changed(await small(recorder_at, client_of, tmp_path), action, change)

    result = await asyncio.to_thread(verify_cassette, cassette)

    assert (action, found) in [(one.request, one.what) for one in result.differences]


def test_statuses_and_codes_are_compared_and_other_values_are_not() -> None:
    """Ids and numbers in a message do not count, nor does the order of members."""
    one = {"Success": True, "Code": "ok", "Data": {"Size": 1, "Name": "a"}, "RequestId": "r-1"}
    two = {"RequestId": "r-2", "Data": {"Name": "b", "Size": 2.5}, "Code": "ok", "Success": True}
    assert compare_values(one, two) == []
    # A poll sees the end of a task sooner in one run than in another.
    assert compare_values({"status": "Running"}, {"status": "Success", "finishTime": 1}) == []
    assert compare_values({"Success": True}, {"Success": False}) == [
        "Success: recorded True, here False"
    ]
    assert compare_answers(Response(404), Response(400)) == ["HTTP status: recorded 404, here 400"]


@pytest.mark.parametrize("state", ["FINISH", "PAUSED", "RUNNING", "Success", "Failed"])
def test_a_state_that_lasts_is_waited_for(state: str) -> None:
    """A state on the way to another one was seen by chance, and so is the one that came then."""
    assert compare_values({"Status": state}, {"Status": "DELETING"}) == [
        f"Status: recorded '{state}', here 'DELETING'"
    ]
    assert compare_values({"Status": "DELETING"}, {"Status": state}) == []


def test_words_of_errors_are_compared_without_ids() -> None:
    """An error of a tool stands in its text."""
    message = "no file for session s-0a1b2c3d4e5f after 17 s"
    other = "no file for session s-ffff1111eeee after 3 s"
    assert compare_values({"Message": message}, {"Message": other}) == []
    answers = [
        {"isError": True, "content": [{"type": "text", "text": text}]}
        for text in ("cannot open", "not found")
    ]
    assert compare_values(*answers) == ["content[0].text: recorded 'cannot open', here 'not found'"]


def test_texts_that_hold_json_are_compared_as_json() -> None:
    """As tools and context tasks answer."""
    one, two = {"text": '{"exit_code": 0, "stdout": "a"}'}, {"text": '{"exit_code": 1}'}
    assert compare_values(one, two) == [
        "text.exit_code: recorded 0, here 1",
        "text.stdout: recorded text, here missing",
    ]


def test_lists_are_compared_as_far_as_both_go() -> None:
    """How many there are depends on the account."""
    assert compare_values([{"a": 1}, {"a": 2}], [{"a": "1"}]) == [
        "[0].a: recorded number, here text"
    ]
