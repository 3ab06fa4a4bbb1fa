"""Which files of a session may be uploaded and shown."""

from __future__ import annotations

import pytest
from anthropic.tools import ToolsetConfigError
from anthropic.tools.browser import BetaFilePolicy, BetaURLContext, UploadRefusedError

from agentbay_integrations.anthropic import SessionFilePolicy
from agentbay_integrations.anthropic.file_policy import DOWNLOADS

CONTEXT = BetaURLContext()


def test_files_below_a_root_may_be_uploaded() -> None:
    """Those, and no others."""
    policy = SessionFilePolicy(upload_roots=["/tmp/up", "/data"])
    assert isinstance(policy, BetaFilePolicy)
    given = ["/tmp/up/a/b.txt", "/data/c"]
    assert policy.resolve_upload_paths(CONTEXT, given) == given


@pytest.mark.parametrize(
    "path", ["/tmp/up", "/tmp/upper/a", "/tmp/up/../b", "tmp/up/a", "a", "", "/etc/passwd"]
)
def test_other_paths_are_refused(path: str) -> None:
    """Text alone decides."""
    policy = SessionFilePolicy(upload_roots=["/tmp/up"])
    with pytest.raises(UploadRefusedError, match="outside"):
        policy.resolve_upload_paths(CONTEXT, [path])


def test_documents_are_refused() -> None:
    """A session has files only."""
    with pytest.raises(UploadRefusedError, match="paths of the session"):
        SessionFilePolicy().resolve_upload_documents(CONTEXT, ["file_1"])


@pytest.mark.parametrize("root", ["tmp", "/tmp/../etc"])
def test_a_root_must_be_absolute(root: str) -> None:
    """A session has no working directory of its browser."""
    with pytest.raises(ToolsetConfigError, match="absolute"):
        SessionFilePolicy(upload_roots=[root])


@pytest.mark.parametrize("root", ["/", "/home/wuying", DOWNLOADS, f"{DOWNLOADS}/a"])
def test_a_root_must_be_apart_from_downloads(root: str) -> None:
    """A page could have a file saved there, and sent to another page."""
    with pytest.raises(ToolsetConfigError, match="such as /tmp/uploads"):
        SessionFilePolicy(upload_roots=["/tmp/up", root])


def test_one_path_is_no_list_of_roots() -> None:
    """Its characters would be taken for paths."""
    with pytest.raises(ToolsetConfigError, match="sequence"):
        SessionFilePolicy(upload_roots="/tmp")


def test_paths_of_downloads_are_shown_if_wished() -> None:
    """Only those in the directory of downloads."""
    shown = SessionFilePolicy(expose_download_paths=True)
    assert shown.is_path_visible("/home/wuying/Downloads/a.txt")
    assert not shown.is_path_visible("/home/wuying/other.txt")
    assert not SessionFilePolicy().is_path_visible("/home/wuying/Downloads/a.txt")
