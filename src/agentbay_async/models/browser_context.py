"""Contexts that keep what a browser leaves: its data, its extensions and its fingerprint."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

import attrs

from agentbay_async import _check
from agentbay_async.errors import ArgumentTypeError, InvalidArgumentError
from agentbay_async.models.browser import EXTENSIONS_FOLDER, FINGERPRINT_FOLDER
from agentbay_async.models.sync_policy import (
    BWList,
    ContextSync,
    DeletePolicy,
    ExtractPolicy,
    SyncPolicy,
    UploadPolicy,
    WhiteList,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

# The directory of a session in which its browser keeps its data: nothing is written there on this
# machine.
_DATA = "/tmp/agentbay_browser"  # noqa: S108  # in a session, not on this machine

# What a profile of Chrome needs for cookies to be read, and for what else a site remembers.
_COOKIES = ("/Local State", "/Default/Cookies", "/Default/Cookies-journal")
_LOGINS = (
    *_COOKIES,
    *(
        f"/Default/{name}"
        for name in (
            "Local Storage",
            "IndexedDB",
            "Session Storage",
            "Login Data",
            "Login Data-journal",
            "Login Data For Account",
            "Login Data For Account-journal",
            "Web Data",
            "Web Data-journal",
            "Preferences",
            "Secure Preferences",
            "TransportSecurity",
            "Network Persistent State",
            "GPUCache",
            "Affiliation Database",
            "Affiliation Database-journal",
        )
    ),
)


class BrowserSyncMode(Enum):
    """How much of the browser's data is kept.

    Attributes:
        MINIMAL: Cookies only.
        STANDARD: All that a site may remember a login by.
    """

    MINIMAL = "minimal"
    STANDARD = "standard"


def _identifier(_instance: object, field: attrs.Attribute[Any], value: object) -> None:
    _check.identifier(value, field.name)


def _boolean(_instance: object, field: attrs.Attribute[Any], value: object) -> None:
    _check.boolean(value, field.name)


def _extension_ids(value: Sequence[str]) -> list[str]:
    names = [
        _check.text(name, "each of extension_ids")
        for name in _check.sequence(value, "extension_ids", str)
    ]
    if not names:
        raise InvalidArgumentError("extension_ids must name at least one extension")
    return names


def _sync_mode(value: BrowserSyncMode | None) -> BrowserSyncMode:
    return BrowserSyncMode.STANDARD if value is None else value


@attrs.frozen
class Extension:
    """An extension of the browser, kept in a context.

    Attributes:
        id: Its name in the context, such as ``"ext_1.zip"``.
        name: The name of its file.
        created_at: When it was uploaded, as the service writes it; ``None`` if unknown.
    """

    id: str
    name: str
    created_at: str | None = None


@attrs.define
class ExtensionOption:
    """Extensions for the browser of a session.

    Attributes:
        context_id: The id of the context that keeps them.
        extension_ids: Their names there, such as ``"ext_1.zip"``.

    Raises:
        ArgumentTypeError: A value has the wrong type.
        InvalidArgumentError: `context_id` is no id, or there is no extension.

    Example:
        >>> ExtensionOption("c-1", ["ext_1.zip"]).validate()
        True
    """

    context_id: str = attrs.field(validator=_identifier)
    extension_ids: list[str] = attrs.field(converter=_extension_ids)

    def validate(self) -> bool:
        """Return ``True``: wrong values are refused when they are set."""
        return True


@attrs.define
class BrowserFingerprintContext:
    """The context that keeps the fingerprint of a browser.

    Raises:
        InvalidArgumentError: `fingerprint_context_id` is no id.
    """

    fingerprint_context_id: str = attrs.field(validator=_identifier)


@attrs.define
class BrowserContext:
    """The context that keeps what the browser of a session leaves, for the next session.

    Attributes:
        context_id: The id of the context for the browser's data.
        auto_upload: Keep the data when the session ends.
        sync_mode: How much of it. Default ``BrowserSyncMode.STANDARD``.
        extension_option: Extensions to load, from a context of their own.
        fingerprint_context: The context that keeps the browser's fingerprint.

    Raises:
        ArgumentTypeError: A value has the wrong type.
        InvalidArgumentError: `context_id` is no id.

    Example:
        ::

            params = CreateSessionParams(
                image_id="browser_latest", browser_context=BrowserContext("c-1")
            )
            session = (await bay.create(params)).session
    """

    context_id: str = attrs.field(validator=_identifier)
    auto_upload: bool = attrs.field(default=True, validator=_boolean)
    sync_mode: BrowserSyncMode = attrs.field(default=None, converter=_sync_mode)
    extension_option: ExtensionOption | None = None
    fingerprint_context: BrowserFingerprintContext | None = None

    def __attrs_post_init__(self) -> None:
        _expect(self.sync_mode, "sync_mode", BrowserSyncMode)
        if self.extension_option is not None:
            _expect(self.extension_option, "extension_option", ExtensionOption)
        if self.fingerprint_context is not None:
            _expect(self.fingerprint_context, "fingerprint_context", BrowserFingerprintContext)

    @property
    def extension_context_id(self) -> str | None:
        """The id of the context with the extensions."""
        return None if self.extension_option is None else self.extension_option.context_id

    @property
    def extension_ids(self) -> list[str]:
        """The names of the extensions."""
        return [] if self.extension_option is None else self.extension_option.extension_ids

    @property
    def extension_context_syncs(self) -> list[ContextSync] | None:
        """What attaches the extensions; ``None`` without any."""
        return None if self.extension_option is None else self.get_extension_context_syncs()

    @property
    def fingerprint_context_id(self) -> str | None:
        """The id of the context with the fingerprint."""
        context = self.fingerprint_context
        return None if context is None else context.fingerprint_context_id

    @property
    def fingerprint_context_sync(self) -> ContextSync | None:
        """What attaches the fingerprint; ``None`` without one."""
        return self.get_fingerprint_context_sync()

    def get_extension_context_syncs(self) -> list[ContextSync]:
        """Return what attaches the extensions."""
        if self.extension_option is None:
            return []
        policy = SyncPolicy(
            upload_policy=UploadPolicy(auto_upload=False),
            delete_policy=DeletePolicy(sync_local_file=False),
            extract_policy=ExtractPolicy(extract=True, delete_src_file=True),
            bw_list=_only(self.extension_ids),
        )
        return [ContextSync(self.extension_option.context_id, EXTENSIONS_FOLDER, policy)]

    def get_fingerprint_context_sync(self) -> ContextSync | None:
        """Return what attaches the fingerprint; ``None`` without one."""
        if self.fingerprint_context is None:
            return None
        policy = SyncPolicy(
            upload_policy=UploadPolicy(auto_upload=False),
            extract_policy=ExtractPolicy(extract=True, delete_src_file=True),
            bw_list=_only([]),
        )
        context_id = self.fingerprint_context.fingerprint_context_id
        return ContextSync(context_id, FINGERPRINT_FOLDER, policy)

    def parts(self) -> list[ContextSync]:
        """Return what attaches the extensions and the fingerprint."""
        fingerprint = self.get_fingerprint_context_sync()
        return self.get_extension_context_syncs() + ([fingerprint] if fingerprint else [])

    def data(self) -> ContextSync:
        """Return what attaches the browser's data."""
        kept = _COOKIES if self.sync_mode is BrowserSyncMode.MINIMAL else _LOGINS
        policy = SyncPolicy(
            upload_policy=UploadPolicy(auto_upload=self.auto_upload), bw_list=_only(kept)
        )
        return ContextSync(self.context_id, _DATA, policy)


def _only(paths: Sequence[str]) -> BWList:
    return BWList(white_lists=[WhiteList(path=path) for path in paths])


def _expect(value: object, name: str, kind: type) -> None:
    if not isinstance(value, kind):
        raise ArgumentTypeError(f"{name} must be a {kind.__name__}, not {type(value).__name__}")
