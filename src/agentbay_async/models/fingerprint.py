"""The fingerprint of a browser in full: what a page can learn of its screen and its navigator.

The names of the fields are those of the document that the service takes, and of JavaScript.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs

from agentbay_async.errors import ArgumentTypeError, InvalidArgumentError


@attrs.define
class ScreenFingerprint:
    """What a page learns of the screen and the window. Lengths are in pixels."""

    availHeight: int
    availWidth: int
    availTop: int
    availLeft: int
    colorDepth: int
    height: int
    pixelDepth: int
    width: int
    devicePixelRatio: float
    pageXOffset: int
    pageYOffset: int
    innerHeight: int
    outerHeight: int
    outerWidth: int
    innerWidth: int
    screenX: int
    clientWidth: int
    clientHeight: int
    hasHDR: bool


@attrs.define
class Brand:
    """A brand of the browser, and its version."""

    brand: str
    version: str


@attrs.define
class UserAgentData:
    """What ``navigator.userAgentData`` says."""

    brands: list[Brand]
    mobile: bool
    platform: str
    architecture: str
    bitness: str
    fullVersionList: list[Brand]
    model: str
    platformVersion: str
    uaFullVersion: str


@attrs.define
class ExtraProperties:
    """What else a page learns of the navigator."""

    vendorFlavors: list[str]
    isBluetoothSupported: bool
    # These two are the browser's, of any type.
    globalPrivacyControl: Any | None
    pdfViewerEnabled: bool
    installedApps: list[Any]


@attrs.define
class NavigatorFingerprint:
    """What a page learns of ``navigator``."""

    userAgent: str
    userAgentData: UserAgentData
    doNotTrack: str
    appCodeName: str
    appName: str
    appVersion: str
    oscpu: str
    webdriver: str
    language: str
    languages: list[str]
    platform: str
    deviceMemory: int | None
    hardwareConcurrency: int
    product: str
    productSub: str
    vendor: str
    vendorSub: str
    maxTouchPoints: int | None
    extraProperties: ExtraProperties


@attrs.define
class VideoCard:
    """What WebGL says of the graphics card."""

    renderer: str
    vendor: str


@attrs.define
class Fingerprint:
    """All that a page can learn of a browser."""

    screen: ScreenFingerprint
    navigator: NavigatorFingerprint
    videoCodecs: dict[str, str]
    audioCodecs: dict[str, str]
    pluginsData: dict[str, str]
    battery: dict[str, str] | None
    videoCard: VideoCard
    multimediaDevices: list[str]
    fonts: list[str]
    mockWebRTC: bool
    slim: bool | None


@attrs.define
class FingerprintFormat:
    """A fingerprint, and the headers that the browser sends with it.

    Give it to ``BrowserOption(fingerprint_format=...)``; :meth:`load` reads it from a document.

    Example:
        ::

            fingerprint = FingerprintFormat.load(Path("fingerprint.json").read_text())
            await session.browser.initialize(BrowserOption(fingerprint_format=fingerprint))
    """

    fingerprint: Fingerprint
    headers: dict[str, str]

    @classmethod
    def load(cls, data: Mapping[str, Any] | str) -> FingerprintFormat:
        """Read a fingerprint from a document, or from its JSON text.

        Raises:
            ArgumentTypeError: `data` is neither a mapping nor a text.
            InvalidArgumentError: The text is no JSON object, or the screen of the document lacks a
                field.
        """
        document = _document(data)
        found = _part(document, "fingerprint")
        return cls(
            Fingerprint(
                screen=_screen(_part(found, "screen")),
                navigator=_navigator(_part(found, "navigator")),
                videoCodecs=_part(found, "videoCodecs"),
                audioCodecs=_part(found, "audioCodecs"),
                pluginsData=_part(found, "pluginsData"),
                battery=found.get("battery"),
                videoCard=_video_card(_part(found, "videoCard")),
                multimediaDevices=found.get("multimediaDevices", []),
                fonts=found.get("fonts", []),
                mockWebRTC=found.get("mockWebRTC", False),
                slim=found.get("slim"),
            ),
            _part(document, "headers"),
        )

    @classmethod
    def create(
        cls,
        screen: ScreenFingerprint,
        navigator: NavigatorFingerprint,
        video_card: VideoCard,
        headers: dict[str, str],
        video_codecs: dict[str, str] | None = None,
        audio_codecs: dict[str, str] | None = None,
        plugins_data: dict[str, str] | None = None,
        battery: dict[str, str] | None = None,
        multimedia_devices: list[str] | None = None,
        fonts: list[str] | None = None,
        mock_webrtc: bool = False,
        slim: bool | None = None,
    ) -> FingerprintFormat:
        """Make a fingerprint of its parts; those that are left out are empty."""
        fingerprint = Fingerprint(
            screen,
            navigator,
            video_codecs or {},
            audio_codecs or {},
            plugins_data or {},
            battery,
            video_card,
            multimedia_devices or [],
            fonts or [],
            mock_webrtc,
            slim,
        )
        return cls(fingerprint, headers)

    def to_json(self) -> str:
        """Return the document as the service takes it."""
        return json.dumps(attrs.asdict(self), indent=2, ensure_ascii=False)


def _document(data: Mapping[str, Any] | str) -> Mapping[str, Any]:
    document: object = data
    if isinstance(data, str):
        try:
            document = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise InvalidArgumentError(f"data must be a JSON object: {error}") from None
    elif not isinstance(data, Mapping):
        raise ArgumentTypeError(f"data must be a mapping or a text, not {type(data).__name__}")
    if not isinstance(document, Mapping) or not document:
        raise InvalidArgumentError("data must be a JSON object with the part 'fingerprint'")
    return document


def _part(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    part = document.get(name) or {}
    if not isinstance(part, Mapping):
        raise InvalidArgumentError(f"{name} must be an object, not {type(part).__name__}")
    return dict(part)


def _screen(part: Mapping[str, Any]) -> ScreenFingerprint:
    names = [field.name for field in attrs.fields(ScreenFingerprint)]
    if missing := [name for name in names if name not in part]:
        raise InvalidArgumentError(f"screen must have {', '.join(missing)}")
    return ScreenFingerprint(**{name: part[name] for name in names})


def _navigator(part: Mapping[str, Any]) -> NavigatorFingerprint:
    agent, extra = _part(part, "userAgentData"), _part(part, "extraProperties")
    texts = {
        field.name: part.get(field.name, "")
        for field in attrs.fields(NavigatorFingerprint)
        if str(field.type) == "str"
    }
    return NavigatorFingerprint(
        **texts,
        userAgentData=_user_agent(agent),
        languages=part.get("languages", []),
        deviceMemory=part.get("deviceMemory"),
        hardwareConcurrency=part.get("hardwareConcurrency", 8),
        maxTouchPoints=part.get("maxTouchPoints"),
        extraProperties=ExtraProperties(
            extra.get("vendorFlavors", []),
            extra.get("isBluetoothSupported", False),
            extra.get("globalPrivacyControl"),
            extra.get("pdfViewerEnabled", True),
            extra.get("installedApps", []),
        ),
    )


def _user_agent(part: Mapping[str, Any]) -> UserAgentData:
    return UserAgentData(
        brands=_brands(part.get("brands")),
        mobile=part.get("mobile", False),
        platform=part.get("platform", ""),
        architecture=part.get("architecture", ""),
        bitness=part.get("bitness", ""),
        fullVersionList=_brands(part.get("fullVersionList")),
        model=part.get("model", ""),
        platformVersion=part.get("platformVersion", ""),
        uaFullVersion=part.get("uaFullVersion", ""),
    )


def _brands(value: object) -> list[Brand]:
    entries = value if isinstance(value, list) else []
    return [
        Brand(entry.get("brand", ""), entry.get("version", ""))
        for entry in entries
        if isinstance(entry, Mapping)
    ]


def _video_card(part: Mapping[str, Any]) -> VideoCard:
    return VideoCard(part.get("renderer", "Unknown"), part.get("vendor", "Unknown"))
