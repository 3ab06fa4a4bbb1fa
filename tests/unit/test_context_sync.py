"""Context syncs and their policies: validation, defaults and copies."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async.errors import AgentBayError, ArgumentTypeError, InvalidArgumentError
from agentbay_async.models.sync_policy import (
    BWList,
    ContextSync,
    DeletePolicy,
    DownloadPolicy,
    ExtractPolicy,
    Lifecycle,
    MappingPolicy,
    RecyclePolicy,
    SyncPolicy,
    UploadMode,
    UploadPolicy,
    WhiteList,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def test_new_equals_the_constructor() -> None:
    """Both create the same value."""
    policy = SyncPolicy.default()
    sync = ContextSync.new(context_id="c-1", path="/mnt/data", policy=policy)
    assert sync == ContextSync("c-1", "/mnt/data", policy)
    assert sync.wait_for_completion is True
    assert ContextSync.new("c-1", "/mnt").policy is None


def test_with_policy_returns_a_copy() -> None:
    """The original is unchanged."""
    sync = ContextSync("c-1", "/mnt")
    changed = sync.with_policy(SyncPolicy.default())
    assert sync.policy is None
    assert changed.policy == SyncPolicy.default()
    assert changed.path == "/mnt"


@pytest.mark.parametrize(
    ("arguments", "kind", "named"),
    [
        (("", "/mnt"), InvalidArgumentError, "context_id"),
        (("a b", "/mnt"), InvalidArgumentError, "context_id"),
        (({"id": 1}, "/mnt"), ArgumentTypeError, "context_id"),
        (("c-1", ""), InvalidArgumentError, "path"),
        (("c-1", "mnt/data"), InvalidArgumentError, "path must be an absolute path"),
        (("c-1", "/mnt/../etc"), InvalidArgumentError, "give '/etc'"),
        (("c-1", "/mnt/*"), InvalidArgumentError, "wildcards"),
        (("c-1", None), ArgumentTypeError, "path"),
        (("c-1", "/mnt", {}), ArgumentTypeError, "policy"),
        (("c-1", "/mnt", None, 1), ArgumentTypeError, "wait_for_completion"),
    ],
)
def test_an_invalid_sync_is_rejected(
    arguments: tuple[Any, ...], kind: type[Exception], named: str
) -> None:
    """The message has the argument and the reason."""
    with pytest.raises(kind, match=named):
        ContextSync(*arguments)


def test_omitted_parts_have_their_defaults() -> None:
    """All files, both directions, without expiry."""
    policy = SyncPolicy(delete_policy=DeletePolicy(sync_local_file=False))
    assert policy.upload_policy == UploadPolicy()
    assert policy.bw_list == BWList([WhiteList()])
    assert policy.recycle_policy.lifecycle is Lifecycle.LIFECYCLE_FOREVER
    assert policy.recycle_policy.paths == [""]
    assert policy.mapping_policy is None
    assert SyncPolicy.default() == SyncPolicy()


def test_two_policies_share_no_list() -> None:
    """Changing one does not change the other."""
    first, second = SyncPolicy.default(), SyncPolicy.default()
    first.recycle_policy.paths.append("logs")
    first.bw_list.white_lists.clear()
    assert second == SyncPolicy()


def test_policies_can_be_copied() -> None:
    """Shallow and deep, as any value."""
    policy = SyncPolicy(mapping_policy=MappingPolicy("C:/x"))
    assert copy.copy(policy) == copy.deepcopy(policy) == policy


@pytest.mark.parametrize("path", ["*.py", "a?", "[ab]", "a]"])
@pytest.mark.parametrize(
    "make",
    [
        lambda path: RecyclePolicy(paths=["", path]),
        lambda path: UploadPolicy(archive_exclude_paths=[path]),
        lambda path: WhiteList(path),
        lambda path: WhiteList("", ["ok", path]),
        lambda path: WhiteList("", [path], is_path_regex=True),
        lambda path: WhiteList(path, is_exclude_regex=True),
        lambda path: MappingPolicy(path),
    ],
)
def test_wildcards_in_paths_are_rejected(make: Callable[[str], object], path: str) -> None:
    """The service would take them literally."""
    with pytest.raises(InvalidArgumentError, match="wildcards"):
        make(path)


def test_wildcards_are_allowed_in_regular_expressions() -> None:
    """With the flag of the field."""
    assert WhiteList(".*[ab]", [".*?"], is_path_regex=True, is_exclude_regex=True).path == ".*[ab]"


def test_the_message_about_wildcards_has_a_remedy() -> None:
    """It names the flag if there is one."""
    with pytest.raises(InvalidArgumentError, match="regex flag"):
        WhiteList("*")


@pytest.mark.parametrize(
    "make",
    [
        lambda: UploadPolicy(auto_upload="yes"),  # type: ignore[arg-type]  # that is the test
        lambda: UploadPolicy(upload_mode="Archive"),  # type: ignore[arg-type]  # likewise
        lambda: UploadPolicy(upload_strategy=UploadMode.FILE),  # type: ignore[arg-type]  # likewise
        lambda: UploadPolicy(archive_exclude_paths=[5]),  # type: ignore[list-item]  # likewise
        lambda: UploadPolicy(archive_exclude_paths="src"),  # type: ignore[arg-type]  # likewise
        lambda: UploadPolicy(archive_exclude_paths=None),  # type: ignore[arg-type]  # likewise
        lambda: DownloadPolicy(auto_download=None),  # type: ignore[arg-type]  # likewise
        lambda: DownloadPolicy(download_strategy="now"),  # type: ignore[arg-type]  # likewise
        lambda: DeletePolicy(sync_local_file=1),  # type: ignore[arg-type]  # likewise
        lambda: ExtractPolicy(extract=0),  # type: ignore[arg-type]  # likewise
        lambda: RecyclePolicy(lifecycle="Lifecycle_1Day"),  # type: ignore[arg-type]  # likewise
        lambda: RecyclePolicy(paths="logs"),  # type: ignore[arg-type]  # likewise
        lambda: RecyclePolicy(paths=None),  # type: ignore[arg-type]  # likewise
        lambda: WhiteList(5),  # type: ignore[arg-type]  # likewise
        lambda: WhiteList(5, is_path_regex=True),  # type: ignore[arg-type]  # likewise
        lambda: WhiteList("", "src"),  # type: ignore[arg-type]  # likewise
        lambda: WhiteList("", is_path_regex=1),  # type: ignore[arg-type]  # likewise
        lambda: BWList(["src"]),  # type: ignore[list-item]  # likewise
        lambda: BWList(None),  # type: ignore[arg-type]  # likewise
        lambda: MappingPolicy(None),  # type: ignore[arg-type]  # likewise
        lambda: SyncPolicy(upload_policy=1),  # type: ignore[arg-type]  # likewise
        lambda: SyncPolicy(bw_list=[WhiteList()]),  # type: ignore[arg-type]  # likewise
        lambda: SyncPolicy(mapping_policy="C:/"),  # type: ignore[arg-type]  # likewise
    ],
)
def test_a_value_of_the_wrong_type_is_rejected_at_once(make: Callable[[], object]) -> None:
    """By the constructor, and with one of our errors."""
    with pytest.raises(TypeError) as caught:
        make()
    assert isinstance(caught.value, AgentBayError)


def test_assignments_are_checked() -> None:
    """A value stays valid."""
    policy = UploadPolicy()
    wrong: Any = "File"
    with pytest.raises(ArgumentTypeError, match=r"UploadMode\.FILE"):
        policy.upload_mode = wrong
