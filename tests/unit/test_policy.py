"""Sync policies to the JSON of the wire and back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentbay_async._protocol.policy import policy_from_text, policy_to_text
from agentbay_async.models.sync_policy import (
    BWList,
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

_DEFAULT: dict[str, Any] = {
    "uploadPolicy": {
        "autoUpload": True,
        "uploadStrategy": "UploadBeforeResourceRelease",
        "uploadMode": "File",
    },
    "downloadPolicy": {"autoDownload": True, "downloadStrategy": "DownloadAsync"},
    "deletePolicy": {"syncLocalFile": True},
    "extractPolicy": {"extract": True, "deleteSrcFile": True, "extractToCurrentFolder": False},
    "recyclePolicy": {"lifecycle": "Lifecycle_Forever", "paths": [""]},
    "bwList": {
        "whiteLists": [
            {"path": "", "excludePaths": [], "isPathRegex": False, "isExcludeRegex": False}
        ]
    },
}

_FULL = SyncPolicy(
    UploadPolicy(False, upload_mode=UploadMode.ARCHIVE, archive_exclude_paths=["big", "ü"]),
    DownloadPolicy(False),
    DeletePolicy(False),
    ExtractPolicy(False, False, True),
    RecyclePolicy(Lifecycle.LIFECYCLE_90DAYS, ["logs", "tmp"]),
    BWList([WhiteList("src", ["node_modules"]), WhiteList(".*", ["[a]"], True, True)]),
    MappingPolicy("C:/data"),
)


def test_the_default_policy_is_that_of_the_protocol() -> None:
    """Key by key; unset parts are absent."""
    assert json.loads(policy_to_text(SyncPolicy.default())) == _DEFAULT


def test_what_the_go_client_leaves_empty_has_its_default() -> None:
    """It sends the choices and lists that its user has not set as they are in memory."""
    sent = {
        "uploadPolicy": {"autoUpload": False, "uploadStrategy": "", "uploadMode": ""},
        "downloadPolicy": {"autoDownload": True, "downloadStrategy": ""},
        "recyclePolicy": {"lifecycle": "", "paths": None},
        "mappingPolicy": {"path": ""},
    }
    expected = SyncPolicy(UploadPolicy(auto_upload=False), mapping_policy=MappingPolicy())
    assert policy_from_text(json.dumps(sent)) == expected


def test_a_full_policy_has_every_key() -> None:
    """Also the keys that the default leaves out."""
    document = json.loads(policy_to_text(_FULL))
    assert document["mappingPolicy"] == {"path": "C:/data"}
    assert document["uploadPolicy"]["archiveExcludePaths"] == ["big", "ü"]
    assert document["extractPolicy"]["extractToCurrentFolder"] is True
    assert document["bwList"]["whiteLists"][1] == {
        "path": ".*",
        "excludePaths": ["[a]"],
        "isPathRegex": True,
        "isExcludeRegex": True,
    }


@pytest.mark.parametrize("policy", [SyncPolicy.default(), _FULL, SyncPolicy(bw_list=BWList())])
def test_a_policy_survives_a_round_trip(policy: SyncPolicy) -> None:
    """Reading returns the policy that was written."""
    assert policy_from_text(policy_to_text(policy)) == policy


@pytest.mark.parametrize("text", [None, "", "{}", '{"unknown": 1}', '{"uploadPolicy": null}'])
def test_absent_parts_have_their_defaults(text: str | None) -> None:
    """Older clients send fewer keys, newer clients more."""
    assert policy_from_text(text) == SyncPolicy.default()


def test_unknown_and_null_keys_of_a_part_are_ignored() -> None:
    """The rest of the part is read."""
    text = '{"uploadPolicy": {"autoUpload": false, "period": 30, "uploadMode": null}}'
    assert policy_from_text(text) == SyncPolicy(UploadPolicy(auto_upload=False))


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        '{"uploadPolicy": 5}',
        '{"uploadPolicy": {"uploadMode": "Tape"}}',
        '{"uploadPolicy": {"uploadMode": []}}',
        '{"uploadPolicy": {"autoUpload": "yes"}}',
        '{"recyclePolicy": {"paths": ["*"]}}',
        '{"recyclePolicy": {"paths": 5}}',
        '{"bwList": []}',
        '{"bwList": {"whiteLists": 5}}',
        '{"bwList": {"whiteLists": [5]}}',
        '{"mappingPolicy": {"path": 5}}',
        "[" * 50_000,
    ],
)
def test_an_invalid_policy_is_a_value_error(text: str) -> None:
    """Whatever its shape."""
    with pytest.raises(ValueError, match=r"."):
        policy_from_text(text)
