"""A :class:`SyncPolicy` as the JSON text of the wire, and back.

On the wire a policy is JSON text inside the JSON of a list; its keys are camelCase, with one name
that differs from ours (``extractToCurrentFolder``).
"""

from __future__ import annotations

import json
from enum import Enum
from typing import Any

import attrs

from agentbay_async._protocol.codec import compact_json
from agentbay_async.models.sync_policy import (
    BWList,
    DeletePolicy,
    DownloadPolicy,
    DownloadStrategy,
    ExtractPolicy,
    Lifecycle,
    MappingPolicy,
    RecyclePolicy,
    SyncPolicy,
    UploadMode,
    UploadPolicy,
    UploadStrategy,
    WhiteList,
)

_WIRE = {"extract_current_folder": "extractToCurrentFolder"}
_PARTS: dict[str, type] = {
    "upload_policy": UploadPolicy,
    "download_policy": DownloadPolicy,
    "delete_policy": DeletePolicy,
    "extract_policy": ExtractPolicy,
    "recycle_policy": RecyclePolicy,
    "mapping_policy": MappingPolicy,
}
_ENUMS: dict[str, type[Enum]] = {
    "upload_strategy": UploadStrategy,
    "download_strategy": DownloadStrategy,
    "upload_mode": UploadMode,
    "lifecycle": Lifecycle,
}


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return _WIRE.get(name) or head + "".join(word.title() for word in rest)


def policy_to_text(policy: SyncPolicy) -> str:
    """Return the wire form of `policy`.

    Example:
        >>> '"autoUpload":true' in policy_to_text(SyncPolicy.default())
        True
    """
    parts = {
        _camel(name): _written(getattr(policy, name))
        for name in _PARTS
        if getattr(policy, name) is not None
    }
    if not parts["uploadPolicy"]["archiveExcludePaths"]:
        del parts["uploadPolicy"]["archiveExcludePaths"]
    white_lists = [_written(entry) for entry in policy.bw_list.white_lists]
    return compact_json({**parts, "bwList": {"whiteLists": white_lists}})


def _written(part: Any) -> dict[str, Any]:
    values = attrs.asdict(part, recurse=False)
    return {
        _camel(name): value.value if isinstance(value, Enum) else value
        for name, value in values.items()
    }


def policy_from_text(text: str | None) -> SyncPolicy:
    """Read a policy from the wire; what it does not say has its default.

    Raises:
        ValueError: The text is not a policy; the message names the part.
    """
    try:
        document = json.loads(text) if text else {}
    except RecursionError as error:
        raise ValueError("a policy must not be nested so deeply") from error
    if not isinstance(document, dict):
        raise ValueError("a policy must be a JSON object")
    parts = {
        name: _read(kind, document[_camel(name)])
        for name, kind in _PARTS.items()
        if document.get(_camel(name)) is not None
    }
    if document.get("bwList") is not None:
        entries = _object(document["bwList"], "bwList").get("whiteLists") or []
        if not isinstance(entries, list):
            raise ValueError("whiteLists must be a JSON array")
        parts["bw_list"] = BWList([_read(WhiteList, entry) for entry in entries])
    return SyncPolicy(**parts)


def _object(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be a JSON object")
    return value


def _read(kind: type, value: object) -> Any:
    known = {_camel(field.name): field.name for field in attrs.fields(kind)}
    values = {
        known[key]: _ENUMS[known[key]](entry) if known[key] in _ENUMS else entry
        for key, entry in _object(value, kind.__name__).items()
        if key in known and entry is not None
    }
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(f"{kind.__name__}: {error}") from error
