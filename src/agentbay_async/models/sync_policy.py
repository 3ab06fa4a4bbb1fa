"""Synchronisation of contexts with sessions: which context, at which path, by which policy.

A :class:`ContextSync` mounts a context at a path of a session. Its :class:`SyncPolicy` decides
which files are transferred, when, in which form, and how long they are kept. Each value is
validated when it is created.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import attrs

from agentbay_async import _check
from agentbay_async.errors import ArgumentTypeError


class UploadStrategy(str, Enum):
    """Time of the upload of files from the session to the context."""

    UPLOAD_BEFORE_RESOURCE_RELEASE = "UploadBeforeResourceRelease"


class DownloadStrategy(str, Enum):
    """Time of the download of files from the context to the session."""

    DOWNLOAD_ASYNC = "DownloadAsync"


class UploadMode(str, Enum):
    """The form in which files are stored in the context."""

    FILE = "File"
    ARCHIVE = "Archive"


class Lifecycle(str, Enum):
    """Lifetime of the files of a context after their upload."""

    LIFECYCLE_1DAY = "Lifecycle_1Day"
    LIFECYCLE_3DAYS = "Lifecycle_3Days"
    LIFECYCLE_5DAYS = "Lifecycle_5Days"
    LIFECYCLE_10DAYS = "Lifecycle_10Days"
    LIFECYCLE_15DAYS = "Lifecycle_15Days"
    LIFECYCLE_30DAYS = "Lifecycle_30Days"
    LIFECYCLE_90DAYS = "Lifecycle_90Days"
    LIFECYCLE_180DAYS = "Lifecycle_180Days"
    LIFECYCLE_360DAYS = "Lifecycle_360Days"
    LIFECYCLE_FOREVER = "Lifecycle_Forever"


def _member(kind: type[Enum]) -> Any:
    """Build an attrs validator: the value must be a member of the enum `kind`."""

    def check(_instance: object, field: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, kind):
            raise ArgumentTypeError(
                f"{field.name} must be a member of {kind.__name__}, such as "
                f"{kind.__name__}.{next(iter(kind)).name}, not {value!r}"
            )

    return check


def _literals(_instance: object, field: attrs.Attribute[Any], value: object) -> None:
    for path in _check.sequence(value, field.name, str):
        _check.literal_path(path, f"each of {field.name}")


def _flag(_instance: object, field: attrs.Attribute[Any], value: object) -> None:
    _check.boolean(value, field.name)


def _literal(_instance: object, field: attrs.Attribute[Any], value: object) -> None:
    _check.literal_path(value, field.name)


@attrs.define
class UploadPolicy:
    """The upload of files from the session to the context.

    Attributes:
        auto_upload: Upload when the session is released. Default ``True``.
        upload_strategy: When to upload.
        upload_mode: ``FILE`` stores each file as it is, ``ARCHIVE`` packs them.
        archive_exclude_paths: With ``ARCHIVE``, path prefixes of files that are stored as they are.
    """

    auto_upload: bool = attrs.field(default=True, validator=_flag)
    upload_strategy: UploadStrategy = attrs.field(
        default=UploadStrategy.UPLOAD_BEFORE_RESOURCE_RELEASE, validator=_member(UploadStrategy)
    )
    upload_mode: UploadMode = attrs.field(default=UploadMode.FILE, validator=_member(UploadMode))
    archive_exclude_paths: list[str] = attrs.field(factory=list, validator=_literals)

    @classmethod
    def default(cls) -> UploadPolicy:
        """Return the policy with all its defaults."""
        return cls()


@attrs.define
class DownloadPolicy:
    """The download of files from the context to the session.

    Attributes:
        auto_download: Download when the session starts. Default ``True``.
        download_strategy: When to download.
    """

    auto_download: bool = attrs.field(default=True, validator=_flag)
    download_strategy: DownloadStrategy = attrs.field(
        default=DownloadStrategy.DOWNLOAD_ASYNC, validator=_member(DownloadStrategy)
    )

    @classmethod
    def default(cls) -> DownloadPolicy:
        """Return the policy with all its defaults."""
        return cls()


@attrs.define
class DeletePolicy:
    """Whether a file deleted in the session is deleted in the context at the next upload."""

    sync_local_file: bool = attrs.field(default=True, validator=_flag)

    @classmethod
    def default(cls) -> DeletePolicy:
        """Return the policy with all its defaults."""
        return cls()


@attrs.define
class ExtractPolicy:
    """The handling of archives that are downloaded from the context.

    Attributes:
        extract: Unpack them in the session.
        delete_src_file: Delete the archive once it is unpacked.
        extract_current_folder: Unpack next to the archive, not into a folder of its name.
    """

    extract: bool = attrs.field(default=True, validator=_flag)
    delete_src_file: bool = attrs.field(default=True, validator=_flag)
    extract_current_folder: bool = attrs.field(default=False, validator=_flag)

    @classmethod
    def default(cls) -> ExtractPolicy:
        """Return the policy with all its defaults."""
        return cls()


@attrs.define
class RecyclePolicy:
    """The retention of uploaded files.

    Attributes:
        lifecycle: The time from upload to removal. Default: forever.
        paths: The paths it applies to, relative to the context; ``""`` is the whole context.
    """

    lifecycle: Lifecycle = attrs.field(
        default=Lifecycle.LIFECYCLE_FOREVER, validator=_member(Lifecycle)
    )
    paths: list[str] = attrs.field(factory=lambda: [""], validator=_literals)

    @classmethod
    def default(cls) -> RecyclePolicy:
        """Return the policy with all its defaults."""
        return cls()


@attrs.define
class WhiteList:
    """A part of a context that is synchronised; other files are not.

    Attributes:
        path: A path relative to the mount point; ``""`` is all files.
        exclude_paths: Paths to exclude, relative to `path`.
        is_path_regex: Read `path` as a regular expression.
        is_exclude_regex: Read `exclude_paths` as regular expressions.
    """

    path: str = ""
    exclude_paths: list[str] = attrs.field(factory=list)
    is_path_regex: bool = attrs.field(default=False, validator=_flag)
    is_exclude_regex: bool = attrs.field(default=False, validator=_flag)

    def __attrs_post_init__(self) -> None:
        excludes = _check.sequence(self.exclude_paths, "exclude_paths", str)
        _check.literal_path(self.path, "path", regex=self.is_path_regex)
        for path in excludes:
            _check.literal_path(path, "each of exclude_paths", regex=self.is_exclude_regex)


@attrs.define
class BWList:
    """The white lists of a context. The protocol has no black list, in spite of the name."""

    white_lists: list[WhiteList] = attrs.field(
        factory=list,
        validator=lambda _self, field, value: _check.sequence(value, field.name, WhiteList),
    )


@attrs.define
class MappingPolicy:
    """The path of the files on another operating system."""

    path: str = attrs.field(default="", validator=_literal)

    @classmethod
    def default(cls) -> MappingPolicy:
        """Return the policy with all its defaults."""
        return cls()


def _upload_policy(value: UploadPolicy | None) -> UploadPolicy:
    return UploadPolicy() if value is None else value


def _download_policy(value: DownloadPolicy | None) -> DownloadPolicy:
    return DownloadPolicy() if value is None else value


def _delete_policy(value: DeletePolicy | None) -> DeletePolicy:
    return DeletePolicy() if value is None else value


def _extract_policy(value: ExtractPolicy | None) -> ExtractPolicy:
    return ExtractPolicy() if value is None else value


def _recycle_policy(value: RecyclePolicy | None) -> RecyclePolicy:
    return RecyclePolicy() if value is None else value


def _bw_list(value: BWList | None) -> BWList:
    return BWList([WhiteList()]) if value is None else value


@attrs.define
class SyncPolicy:
    """The policies of one synchronised context. Parts that are ``None`` have their defaults.

    Example:
        >>> policy = SyncPolicy(upload_policy=UploadPolicy(auto_upload=False))
        >>> policy.download_policy.auto_download
        True
    """

    upload_policy: UploadPolicy = attrs.field(default=None, converter=_upload_policy)
    download_policy: DownloadPolicy = attrs.field(default=None, converter=_download_policy)
    delete_policy: DeletePolicy = attrs.field(default=None, converter=_delete_policy)
    extract_policy: ExtractPolicy = attrs.field(default=None, converter=_extract_policy)
    recycle_policy: RecyclePolicy = attrs.field(default=None, converter=_recycle_policy)
    bw_list: BWList = attrs.field(
        default=None,
        converter=_bw_list,
    )
    mapping_policy: MappingPolicy | None = None

    def __attrs_post_init__(self) -> None:
        for field, kind in _PARTS.items():
            value = getattr(self, field)
            if not isinstance(value, kind) and not (field == "mapping_policy" and value is None):
                raise ArgumentTypeError(
                    f"{field} must be of type {kind.__name__}, not {type(value).__name__}"
                )

    @classmethod
    def default(cls) -> SyncPolicy:
        """Return the default policy: all files, both directions, kept forever."""
        return cls()


_PARTS: dict[str, type] = {
    "upload_policy": UploadPolicy,
    "download_policy": DownloadPolicy,
    "delete_policy": DeletePolicy,
    "extract_policy": ExtractPolicy,
    "recycle_policy": RecyclePolicy,
    "bw_list": BWList,
    "mapping_policy": MappingPolicy,
}


@attrs.define
class ContextSync:
    """A context, and the path where a session mounts it.

    Attributes:
        context_id: The id of the context, as in ``context.id``.
        path: Absolute path in the session, such as ``"/mnt/data"``; not its root.
        policy: The policy; ``None`` takes the service's default, which is
            :meth:`SyncPolicy.default`.
        beta_wait_for_completion: The official client's name of `wait_for_completion`, which it
            decides if it is not ``None``.
        wait_for_completion: Whether ``create`` waits until the files have arrived.

    Example:
        >>> ContextSync.new("SdkCtx-1", "/mnt/data", SyncPolicy.default()).path
        '/mnt/data'
    """

    context_id: str
    path: str
    policy: SyncPolicy | None = None
    beta_wait_for_completion: bool | None = attrs.field(default=None, repr=False, eq=False)
    wait_for_completion: bool = attrs.field(default=True, validator=_flag)

    def __attrs_post_init__(self) -> None:
        if self.beta_wait_for_completion is not None:
            self.wait_for_completion = self.beta_wait_for_completion
        _check.identifier(self.context_id, "context_id")
        _check.mount_path(self.path, "path")
        _check.literal_path(self.path, "path")
        if self.policy is not None and not isinstance(self.policy, SyncPolicy):
            raise ArgumentTypeError(
                f"policy must be a SyncPolicy, not {type(self.policy).__name__}"
            )

    @classmethod
    def new(
        cls,
        context_id: str,
        path: str,
        policy: SyncPolicy | None = None,
        beta_wait_for_completion: bool | None = None,
    ) -> ContextSync:
        """Create a ContextSync, as calling the class does."""
        return cls(context_id, path, policy, beta_wait_for_completion)

    def with_policy(self, policy: SyncPolicy) -> ContextSync:
        """Return a copy with another policy."""
        return attrs.evolve(self, policy=policy)
