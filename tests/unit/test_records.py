"""The values that results carry."""

from __future__ import annotations

import pytest

from agentbay_async import (
    ContextPage,
    ContextStatusData,
    DirectoryEntry,
    FileUrl,
    McpTool,
    SessionInfo,
    SessionPage,
    SessionStatus,
)


def test_a_state_is_its_own_text() -> None:
    """A member compares and formats as what the service writes."""
    assert SessionStatus.PAUSED == "PAUSED"
    assert {member.value for member in SessionStatus} == set(SessionStatus.__members__)
    assert "FINISH" in SessionStatus.__members__


@pytest.mark.parametrize(
    ("status", "finished"), [("Success", True), ("Failed", True), ("Running", False), ("", False)]
)
def test_only_two_words_end_a_movement(status: str, finished: bool) -> None:
    """Whatever else the service says is still going on."""
    assert ContextStatusData(status=status).finished is finished


def test_an_entry_is_a_file_unless_it_is_a_directory() -> None:
    """One or the other."""
    assert DirectoryEntry("a").is_file
    assert not DirectoryEntry("a", is_directory=True).is_file


def test_pages_share_no_list() -> None:
    """Each empty page is its own."""
    assert SessionPage().sessions is not SessionPage().sessions
    assert ContextPage().contexts is not ContextPage().contexts


@pytest.mark.parametrize(
    "record",
    [
        SessionInfo(resource_url="hidden"),
        SessionInfo(auth_code="hidden"),
        SessionInfo(ticket="hidden"),
        FileUrl("hidden"),
    ],
)
def test_secrets_are_not_in_reprs(record: object) -> None:
    """Reprs end up in logs."""
    assert "hidden" not in repr(record)


def test_tools_can_be_kept_in_sets() -> None:
    """A schema is no part of what makes a tool that tool."""
    tool = McpTool("shell", input_schema={"type": "object"})
    assert len({tool, McpTool("shell")}) == 1
