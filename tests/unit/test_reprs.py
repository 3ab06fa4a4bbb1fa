"""What a prompt, rich and a notebook show of values."""

from __future__ import annotations

import pydoc
from types import SimpleNamespace
from typing import Any

import pytest

import agentbay
import agentbay_async
import agentbay_local
import agentbay_mcp
from agentbay_async import (
    APIError,
    BulkOutcome,
    BulkResult,
    CodeOutcome,
    CodeOutput,
    CodeResult,
    CommandError,
    CommandOutput,
    CommandResult,
    LinkResult,
    QuotaExceededError,
    Screenshot,
    ScreenshotResult,
    SessionListResult,
    SessionPage,
)

PNG = b"\x89PNG"


def _failed(**values: Any) -> CommandResult:
    error = CommandError("boom\nmore")
    error.ran = True
    for name, value in values.items():
        setattr(error, name, value)
    return CommandResult.failed(error)


@pytest.mark.parametrize(
    ("result", "shown"),
    [
        (CommandResult.ok(CommandOutput("hi\n"), "R"), "exit_code=0, stdout='hi'"),
        (CommandResult.ok(CommandOutput("a\nb\nc")), "exit_code=0, stdout='a' and 2 more lines"),
        (CommandResult.ok(CommandOutput("a\nb\n")), "exit_code=0, stdout='a' and 1 more line"),
        (CommandResult.ok(CommandOutput("x" * 99)), f"stdout='{'x' * 80}...'"),
        (CommandResult.ok(CommandOutput(truncated=True)), "exit_code=0, stdout='', truncated"),
        (_failed(exit_code=2), "exit_code=2, error='boom' and 1 more line"),
        (_failed(exit_code=124, timed_out=True), "more line, timed_out"),
        (CommandResult.failed(APIError("no")), "CommandResult(error=APIError('no')"),
        (
            CodeResult.ok(CodeOutcome([CodeOutput(text="42", formats=("text",))])),
            "CodeResult('42', formats=['text']",
        ),
    ],
)
def test_a_result_shows_its_exit_code_and_its_first_line(result: Any, shown: str) -> None:
    """Not a megabyte of output; in rich too."""
    assert shown in repr(result)
    (text, request_id) = result.__rich_repr__()
    assert repr(text) in repr(result)
    assert request_id == ("request_id", result.request_id)


def test_a_bulk_result_shows_its_first_reasons() -> None:
    """The most frequent first, at most three."""
    errors = [QuotaExceededError("full"), QuotaExceededError("full"), APIError("<b>")]
    outcomes = [BulkOutcome[str](error=error, index=n) for n, error in enumerate(errors)]
    result = BulkResult([*outcomes, BulkOutcome("s-1", index=3)], 1.5)
    shown = "1 done, 3 failed, 1.5 s: 2 QuotaExceededError: full; 1 APIError: <b>"
    assert repr(result) == f"BulkResult({shown})"
    assert dict(result.__rich_repr__())["reasons"] == {
        "QuotaExceededError: full": 2,
        "APIError: <b>": 1,
    }
    assert "<td>1</td><td>APIError: &lt;b&gt;</td>" in result._repr_html_()
    assert repr(BulkResult([], 0.0)) == "BulkResult(0 done, 0 failed, 0 s)"


def test_a_page_of_sessions_names_some_and_is_a_table_in_a_notebook() -> None:
    """What the service sent is escaped."""
    sessions = [
        SimpleNamespace(session_id=f"s-{n}", status="RUNNING", image_id="<i>") for n in range(5)
    ]
    page = SessionListResult.ok(SessionPage(sessions, total_count=27), "R")
    assert repr(page) == ("SessionListResult(5 of 27 sessions: s-0, s-1, s-2, ..., request_id='R')")
    table = page._repr_html_()
    assert table is not None
    assert table.count("<tr>") == 6
    assert "<td>&lt;i&gt;</td>" in table
    failed = SessionListResult.failed(APIError("no"))
    assert failed._repr_html_() is None
    empty = SessionListResult.ok(SessionPage([], total_count=0))
    assert "0 of 0 sessions: none" in repr(empty)


def test_pictures_are_shown_by_notebooks() -> None:
    """In the format that they have."""
    png, jpeg = Screenshot(PNG, "image/png"), Screenshot(b"j", "image/jpeg")
    assert (png._repr_png_(), png._repr_jpeg_()) == (PNG, None)
    assert (jpeg._repr_png_(), jpeg._repr_jpeg_()) == (None, b"j")
    assert ScreenshotResult.ok(png)._repr_png_() == PNG
    assert ScreenshotResult.ok(jpeg)._repr_jpeg_() == b"j"
    assert ScreenshotResult.failed(APIError("no"))._repr_png_() is None


def test_the_result_of_code_is_shown_in_its_best_format() -> None:
    """Of several outputs, the main one; without any, what was written; of a failure, the error."""
    outputs = [
        CodeOutput(png="aGk=", formats=("png",)),
        CodeOutput(html="<b>1</b>", text="1", is_main_result=True, formats=("text", "html")),
    ]
    shown = CodeResult.ok(CodeOutcome(outputs))._repr_mimebundle_()
    assert shown == {"text/plain": "1", "text/html": "<b>1</b>"}
    written = CodeResult.ok(CodeOutcome(logs=agentbay.CodeLogs(["hi"])))
    assert written._repr_mimebundle_() == {"text/plain": "hi"}
    failed = CodeResult.failed(APIError("no"))
    assert failed._repr_mimebundle_() == {"text/plain": repr(failed)}


def test_rich_shows_no_secret() -> None:
    """A link has a token in its address."""
    link = LinkResult.ok("https://host/?token=t0ken")
    assert "t0ken" not in repr([*link.__rich_repr__()]) + repr(link)


async def test_what_is_not_awaited_says_what_it_is_for() -> None:
    """Nothing is sent."""
    bay = agentbay_async.AsyncAgentBay("key", endpoint="https://127.0.0.1:1")
    labels = {"project": "demo"}
    assert repr(bay.list()) == "AsyncSessionListing(all sessions)"
    shown = "labels={'project': 'demo'}, page=2, status='RUNNING'"
    assert repr(bay.list(labels, 2, status="RUNNING")) == f"AsyncSessionListing({shown})"
    params = agentbay_async.CreateSessionParams()
    assert repr(bay.create_many(params, 5)) == "AsyncBulkCreation(5 inputs, not awaited)"
    deletion = bay.delete_many(iter(["s-1"]))
    assert repr(deletion) == "AsyncBulkDeletion(any number of inputs, not awaited)"


def test_blocking_objects_show_their_own_names() -> None:
    """Those of sessions say which."""
    names = (
        "agent",
        "browser",
        "code",
        "command",
        "computer",
        "context",
        "env",
        "file_system",
        "git",
        "mobile",
        "oss",
        "pty",
    )
    with agentbay.AgentBay("key", endpoint="https://127.0.0.1:1") as bay:
        transport = agentbay.MockTransport(
            lambda _: agentbay.HttpResponse.success({"SessionId": "s-1"})
        )
        assert [repr(one) for one in (bay.context, bay.beta, bay.list())] == [
            "ContextService()",
            "Beta()",
            "SessionListing(all sessions)",
        ]
    with agentbay.AgentBay("key", endpoint="https://h.invalid", transport=transport) as bay:
        session = bay.get("s-1").session
        for name in names:
            service = getattr(session, name)
            assert repr(service) == f"{type(service).__name__}(session 's-1')"


@pytest.mark.parametrize("package", [agentbay, agentbay_async, agentbay_local, agentbay_mcp])
def test_dir_shows_every_name(package: Any) -> None:
    """Although nothing is imported before it is used; completion by tab takes them from there."""
    assert set(package.__all__) <= set(dir(package))
    assert len(package.__all__) > 1


def test_help_describes_what_was_not_used_yet() -> None:
    """Classes with their docstrings."""
    text = pydoc.plain(pydoc.render_doc(agentbay_local))
    assert "class LocalService(" in text
    assert "class Limits(" in text
