"""Values that programs of the official client use in its way."""

from __future__ import annotations

import pickle

import pytest

from agentbay_async import (
    AgentBayError,
    APIError,
    BinaryFileContentResult,
    BoolResult,
    BrowserFingerprint,
    ClearContextResult,
    Context,
    ContextFileEntry,
    ContextListParams,
    ContextSync,
    CursorPosition,
    FileInfo,
    FileInfoResult,
    GitError,
    GitStatusResult,
    McpTool,
    OssResult,
    ScreenSize,
    SessionMetrics,
    SessionMetricsResult,
    SyncPolicy,
    UploadPolicy,
    UploadResult,
)
from agentbay_async.models.contexts import Clearing, TransferReceipt
from agentbay_async.models.git import GitFileStatus, GitStatus
from agentbay_async.models.sessions import SessionId


def test_a_result_is_true_if_the_call_succeeded():
    """Also one whose value is false or empty."""
    assert BoolResult.ok(False)
    assert not BoolResult.failed(AgentBayError("no"))
    assert bool(FileInfoResult.failed(AgentBayError("no"))) is False


def test_ids_of_listed_sessions_are_texts_that_answer_to_keys():
    """They stay so when they are pickled."""
    listed = SessionId("s-1", "RUNNING")

    assert listed == "s-1"
    assert (listed["sessionId"], listed["sessionStatus"]) == ("s-1", "RUNNING")
    assert (listed.get("sessionId"), listed.get("none", "x")) == ("s-1", "x")
    assert (listed[0], listed[-1:]) == ("s", "1")
    assert pickle.loads(pickle.dumps(listed)).status == "RUNNING"  # written above
    assert SessionId("s-1")["sessionStatus"] == "UNKNOWN"


def test_facts_of_a_file_can_be_read_like_a_dictionary():
    """With the official keys; an unknown one is missing."""
    info = FileInfo("/f", "f", 5, is_file=True, permissions="644")

    assert (info["size"], info["isFile"], info["isDirectory"]) == (5, True, False)
    assert (info.get("permissions"), info.get("none", 1)) == ("644", 1)
    assert dict(info)["path"] == "/f"
    assert "none" not in info
    with pytest.raises(KeyError):
        info["__class__"]
    result = FileInfoResult.ok(info)
    assert (result.size, result.is_file, result.is_directory, result.permissions) == (
        5,
        True,
        False,
        "644",
    )


def test_contexts_can_be_renamed_in_place_and_are_still_found_in_a_set():
    """The name is no part of the hash."""
    context = Context("c-1", "old")
    known = {context}
    context.name = "new"

    assert context in known
    assert context == Context("c-1", "new")


def test_none_stands_for_the_default_of_a_page_and_of_a_policy():
    """As in calls of the official client."""
    assert ContextListParams(None, None) == ContextListParams(10, "")
    assert SyncPolicy(upload_policy=None, bw_list=None) == SyncPolicy.default()
    assert UploadPolicy.default() == UploadPolicy()


def test_waiting_for_a_context_has_two_names():
    """The official one decides."""
    first = ContextSync.new("c-1", "/a", None, beta_wait_for_completion=False)

    assert first == ContextSync("c-1", "/a", wait_for_completion=False)
    assert ContextSync("c-1", "/a", None, None).wait_for_completion is True


def test_results_have_the_official_names():
    """Each means the same as ours."""
    receipt = TransferReceipt("/f", 5, local_path="f", http_status=200)
    sent = UploadResult.ok(receipt)

    assert (sent.bytes_sent, sent.bytes_received, sent.path) == (5, 5, "/f")
    assert (sent.local_path, sent.http_status) == ("f", 200)
    content = BinaryFileContentResult.ok(b"abc")
    assert (content.size, content.content_type) == (3, "application/octet-stream")
    text = BinaryFileContentResult.ok("\u00fc")
    assert (text.size, text.content_type) == (2, "text/plain")
    cleared = ClearContextResult.ok(Clearing("c-1", "available"))
    assert (cleared.status, cleared.data, cleared.context_id) == ("available", "available", "c-1")
    assert (McpTool("shell", "s").get_name(), McpTool("shell", "s").get_server()) == ("shell", "s")
    assert BoolResult.failed(AgentBayError("no")).message == "no"
    assert APIError("no", http_status=503).status_code == 503


def test_metrics_have_the_answer_and_the_old_names():
    """The old names mean the same numbers."""
    metrics = SessionMetrics(rx_rate_kbyte_per_s=1.5, raw={"gpu": 1})

    assert SessionMetricsResult.ok(metrics).raw == {"gpu": 1}
    assert metrics.rx_rate_kbps == 1.5


def test_the_status_of_a_repository_has_its_numbers():
    """Each is that of the status within."""
    files = [GitFileStatus("a", "M"), GitFileStatus("b", "?", "?")]
    result = GitStatusResult.ok(GitStatus("main", "origin/main", 1, 2, files=files))

    assert (result.upstream, result.ahead, result.behind) == ("origin/main", 1, 2)
    assert (result.staged_count, result.untracked_count, result.total_count) == (1, 1, 2)
    assert (result.has_changes, result.has_staged, result.has_untracked) == (True, True, True)
    assert (result.detached, result.has_conflicts, result.conflict_count) == (False, False, 0)
    assert (result.unstaged_count, result.is_clean) == (0, False)


def test_the_configuration_of_object_storage_is_a_dictionary():
    """A text that is no JSON object is its content."""
    assert OssResult.ok('{"region": "r"}').client_config == {"region": "r"}
    assert OssResult.ok("done").client_config == {"content": "done"}


def test_errors_of_git_and_of_the_api_can_be_made_in_the_official_way():
    """By position, as stand-ins for a client do."""
    error = GitError("no", 128, "fatal")
    assert (str(error), error.exit_code, error.stderr) == ("no", 128, "fatal")
    copy = pickle.loads(pickle.dumps(error))  # written above
    assert (copy.exit_code, copy.stderr) == (128, "fatal")
    assert APIError("no", 503).http_status == 503
    assert APIError("no", http_status=503).status_code == 503


def test_an_error_tells_what_else_is_known_of_it():
    """Without its text, which the error itself has."""
    assert AgentBayError("no", code="Busy", request_id="R").extra == {
        "code": "Busy",
        "request_id": "R",
    }


def test_values_of_contexts_may_be_made_without_what_is_not_known():
    """None, which the official client has there, is an empty text or 0."""
    entry = ContextFileEntry("f-1", "a", "/a", file_type=None, size=None)
    context = Context("c-1", "data", created_at=None)
    context.last_used_at = None

    assert (entry.file_type, entry.size, entry.status) == ("", 0, "")
    assert (context.created_at, context.last_used_at) == ("", "")


def test_an_error_may_be_made_without_a_message():
    """It then says its class, or what the official client says."""
    assert str(AgentBayError()) == AgentBayError().message == "AgentBayError"
    assert str(APIError()) == "API error"
    assert str(AgentBayError("")) == ""
    assert pickle.loads(pickle.dumps(GitError(exit_code=128))).exit_code == 128


def test_places_on_the_screen_are_read_like_dictionaries_too():
    """The official client returns what the service sends."""
    size, position = ScreenSize(1280, 720, 1.5), CursorPosition(512, 384)

    assert dict(size) == {"width": 1280, "height": 720, "dpiScalingFactor": 1.5}
    assert (position["x"], position.get("z", 0), len(position)) == (512, 0, 2)
    with pytest.raises(KeyError):
        size["dpi_scaling_factor"]
    assert pickle.loads(pickle.dumps(size)) == size


def test_what_a_fingerprint_allows_is_a_list_of_any_kind():
    """It is kept as it was then."""
    devices = ["desktop"]
    fingerprint = BrowserFingerprint(devices, locales=["en-US"])
    devices.append("mobile")

    assert (fingerprint.devices, fingerprint.operating_systems) == (("desktop",), None)
