"""The values of results."""

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


def test_a_session_status_equals_its_text() -> None:
    """A member compares and formats like the text of the service."""
    assert SessionStatus.PAUSED == "PAUSED"
    assert {member.value for member in SessionStatus} == set(SessionStatus.__members__)
    assert "FINISH" in SessionStatus.__members__


@pytest.mark.parametrize(
    ("status", "finished"), [("Success", True), ("Failed", True), ("Running", False), ("", False)]
)
def test_only_two_statuses_end_a_sync_task(status: str, finished: bool) -> None:
    """Any other status means that the task is running."""
    assert ContextStatusData(status=status).finished is finished


def test_an_entry_is_a_file_unless_it_is_a_directory() -> None:
    """It is never both."""
    assert DirectoryEntry("a").is_file
    assert not DirectoryEntry("a", is_directory=True).is_file


def test_pages_share_no_list() -> None:
    """Each empty page has its own list."""
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


def test_tools_are_hashable() -> None:
    """Schemas are not compared."""
    tool = McpTool("shell", input_schema={"type": "object"})
    assert len({tool, McpTool("shell")}) == 1
