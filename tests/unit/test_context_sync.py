"""What to synchronise, and how: values that check themselves."""

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


def test_a_sync_is_made_in_two_ways() -> None:
    """``new`` and the class are the same."""
    policy = SyncPolicy.default()
    sync = ContextSync.new(context_id="c-1", path="/mnt/data", policy=policy)
    assert sync == ContextSync("c-1", "/mnt/data", policy)
    assert sync.wait_for_completion is True
    assert ContextSync.new("c-1", "/mnt").policy is None


def test_with_policy_returns_a_copy() -> None:
    """The value itself stays as it is."""
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
def test_a_sync_that_cannot_be_meant_is_refused(
    arguments: tuple[Any, ...], kind: type[Exception], named: str
) -> None:
    """The message names the argument and what is wrong with it."""
    with pytest.raises(kind, match=named):
        ContextSync(*arguments)


def test_parts_that_are_not_given_have_their_defaults() -> None:
    """Everything, both ways, for ever."""
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
def test_wildcards_in_paths_are_refused(make: Callable[[str], object], path: str) -> None:
    """They would be taken literally by the service, and match nothing."""
    with pytest.raises(InvalidArgumentError, match="wildcards"):
        make(path)


def test_wildcards_are_allowed_in_regular_expressions() -> None:
    """With the flag that belongs to the field."""
    assert WhiteList(".*[ab]", [".*?"], is_path_regex=True, is_exclude_regex=True).path == ".*[ab]"


def test_the_message_about_wildcards_says_what_to_do() -> None:
    """Where there is a flag for it, the flag."""
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
        lambda: SyncPolicy(upload_policy=None),  # type: ignore[arg-type]  # likewise
        lambda: SyncPolicy(bw_list=[WhiteList()]),  # type: ignore[arg-type]  # likewise
        lambda: SyncPolicy(mapping_policy="C:/"),  # type: ignore[arg-type]  # likewise
    ],
)
def test_a_value_of_the_wrong_type_is_refused_where_it_is_made(make: Callable[[], object]) -> None:
    """Not later, when it is sent, and with an error of ours."""
    with pytest.raises(TypeError) as caught:
        make()
    assert isinstance(caught.value, AgentBayError)


def test_assigning_checks_too() -> None:
    """A value stays one that can be meant."""
    policy = UploadPolicy()
    wrong: Any = "File"
    with pytest.raises(ArgumentTypeError, match=r"UploadMode\.FILE"):
        policy.upload_mode = wrong
