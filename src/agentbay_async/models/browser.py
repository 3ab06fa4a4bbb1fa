"""Options for the browser of a session."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import attrs

from agentbay_async import _check
from agentbay_async.errors import ArgumentTypeError, InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agentbay_async.models.fingerprint import FingerprintFormat

_PROXIES = {
    "custom": (),
    "wuying": ("restricted", "polling"),
    "managed": ("polling", "sticky", "rotating", "matched"),
}
_BROWSERS = ("chrome", "chromium")
# Directories of a session, which its browser reads: nothing is written there on this machine.
FINGERPRINT_FOLDER = "/tmp/browser_fingerprint"  # noqa: S108  # in a session, not on this machine
EXTENSIONS_FOLDER = "/tmp/extensions/"  # noqa: S108  # in a session, not on this machine
#: The file of a session in which a persistent fingerprint is kept.
FINGERPRINT_PATH = f"{FINGERPRINT_FOLDER}/fingerprint.json"


@attrs.frozen
class BrowserProxy:
    """The proxy of the browser.

    Attributes:
        proxy_type: ``"custom"`` (your own), ``"wuying"`` or ``"managed"`` (the service's).
        server: The URL of your own proxy, such as ``"http://proxy.example.com:8080"``, without a
            user name or a password.
        username: The user name for the proxy.
        password: The password for the proxy; a secret.
        strategy: For ``"wuying"`` ``"restricted"`` or ``"polling"``, for ``"managed"`` one of
            ``"polling"``, ``"sticky"``, ``"rotating"`` and ``"matched"``.
        pollsize: Number of addresses to rotate, for ``"wuying"`` with ``"polling"``.
        user_id: The owner of ``"managed"`` addresses; required for them.
        isp: Use addresses of this provider.
        country: Use addresses of this country.
        province: Use addresses of this province.
        city: Use addresses of this city.

    Raises:
        InvalidArgumentError: A field does not fit the kind of proxy, or `server` has an "@".
    """

    proxy_type: str
    server: str | None = None
    username: str | None = None
    password: str | None = attrs.field(default=None, repr=False)
    strategy: str | None = None
    pollsize: int = 10
    user_id: str | None = None
    isp: str | None = None
    country: str | None = None
    province: str | None = None
    city: str | None = None

    def __attrs_post_init__(self) -> None:
        if self.proxy_type not in _PROXIES:
            raise InvalidArgumentError(
                f"proxy_type must be one of {tuple(_PROXIES)}, not {self.proxy_type!r}"
            )
        if self.proxy_type == "custom" and not self.server:
            raise InvalidArgumentError("server must be given for a 'custom' proxy")
        # Without the URL: it is shown by repr and in logs, and would show a password there.
        if self.server is not None and "@" in _check.string(self.server, "server"):
            raise InvalidArgumentError(
                "server must have no '@'; give the user name and the password as username and "
                "password"
            )
        if self.proxy_type == "managed" and not self.user_id:
            raise InvalidArgumentError("user_id must be given for a 'managed' proxy")
        strategies = _PROXIES[self.proxy_type]
        if strategies and self.strategy not in strategies:
            raise InvalidArgumentError(
                f"strategy must be one of {strategies} for a {self.proxy_type!r} proxy, "
                f"not {self.strategy!r}"
            )

        if self.strategy == "matched" and not any(
            (self.isp, self.country, self.province, self.city)
        ):
            raise InvalidArgumentError(
                "isp, country, province or city must be given for the strategy 'matched'"
            )
        _check.positive_int(self.pollsize, "pollsize")

    @property
    def type(self) -> str:
        """:attr:`proxy_type`, under the name of the official client."""
        return self.proxy_type

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON object of the protocol."""
        fields = {"type": self.proxy_type, **{wire: getattr(self, ours) for ours, wire in _PROXY}}
        # The pool of managed addresses has no size: a session gets one of them.
        if (self.proxy_type, self.strategy) == ("wuying", "polling"):
            fields["pollsize"] = self.pollsize
        return {name: value for name, value in fields.items() if value is not None}


_PROXY = (
    ("server", "server"),
    ("username", "username"),
    ("password", "password"),
    ("strategy", "strategy"),
    ("user_id", "userId"),
    ("isp", "isp"),
    ("country", "country"),
    ("province", "province"),
    ("city", "city"),
)


def _as_tuple(value: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return several texts as a tuple; ``None`` stays."""
    return None if value is None else tuple(value)


def _among(*names: str) -> Callable[[object, attrs.Attribute[Any], Any], None]:
    """Return a validator of a tuple of some of `names`; ``None`` leaves the choice."""

    def check(
        _instance: object, field: attrs.Attribute[Any], value: tuple[str, ...] | None
    ) -> None:
        for name in value or ():
            if name not in names:
                raise InvalidArgumentError(f"each of {field.name} must be in {names}, not {name!r}")

    return check


@attrs.frozen
class BrowserFingerprint:
    """What the browser is to look like; the service chooses among what is named.

    Attributes:
        devices: ``"desktop"``, ``"mobile"``.
        operating_systems: ``"windows"``, ``"macos"``, ``"linux"``, ``"android"``, ``"ios"``.
        locales: Languages, such as ``"en-US"``.

    Raises:
        InvalidArgumentError: A device or an operating system is not one of these.
    """

    devices: tuple[str, ...] | None = attrs.field(
        default=None, converter=_as_tuple, validator=_among("desktop", "mobile")
    )
    operating_systems: tuple[str, ...] | None = attrs.field(
        default=None,
        converter=_as_tuple,
        validator=_among("windows", "macos", "linux", "android", "ios"),
    )
    locales: tuple[str, ...] | None = attrs.field(default=None, converter=_as_tuple)

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON object of the protocol."""
        fields = {
            "devices": self.devices,
            "operatingSystems": self.operating_systems,
            "locales": self.locales,
        }
        return {name: list(value) for name, value in fields.items() if value is not None}


class BrowserViewport(NamedTuple):
    """The size of the page, in pixels.

    Example:
        >>> BrowserOption(viewport=BrowserViewport(1280, 720)).viewport.width
        1280
    """

    width: int = 1920
    height: int = 1080


class BrowserScreen(NamedTuple):
    """The size of the screen, in pixels."""

    width: int = 1920
    height: int = 1080


def _parameters(value: Mapping[str, Any] | None) -> dict[str, Any]:
    return {} if value is None else dict(value)


@attrs.frozen
class BrowserNotifyMessage:
    """A message from the browser of a session to the program, or back.

    Attributes:
        type: Its kind, such as ``"call-for-user"``.
        id: Its number; an answer has that of the message it answers.
        code: What it is about, as a number.
        message: The same in words.
        action: What is asked for, such as ``"takeover"``, or was done, such as ``"takeoverdone"``.
        extra_params: More values, such as ``{"max_wait_time": 30}``.

    Example:
        >>> BrowserNotifyMessage("call-for-user", 3, 201, action="pause").to_wire()
        {'type': 'call-for-user', 'id': 3, 'code': 201, 'action': 'pause'}
    """

    type: str | None = None
    id: int | None = None
    code: int | None = None
    message: str | None = None
    action: str | None = None
    extra_params: dict[str, Any] = attrs.field(default=None, converter=_parameters)

    @classmethod
    def from_wire(cls, data: Mapping[str, Any]) -> BrowserNotifyMessage:
        """Read the JSON object of the protocol; what is missing is ``None``."""
        fields: dict[str, Any] = {name: data.get(wire) for name, wire in _MESSAGE.items()}
        if not isinstance(fields["extra_params"], Mapping):
            fields["extra_params"] = None
        return cls(**fields)

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON object of the protocol."""
        fields = {wire: getattr(self, name) for name, wire in _MESSAGE.items()}
        return {wire: value for wire, value in fields.items() if value not in (None, {})}


_MESSAGE = {
    "type": "type",
    "id": "id",
    "code": "code",
    "message": "message",
    "action": "action",
    "extra_params": "extraParams",
}


def _one_proxy(value: Sequence[BrowserProxy] | None) -> tuple[BrowserProxy, ...] | None:
    if value is None:
        return None
    proxies = _check.sequence(value, "proxies", BrowserProxy)
    if len(proxies) > 1:
        raise InvalidArgumentError(f"proxies must have at most 1 proxy, not {len(proxies)}")
    return tuple(proxies)


@attrs.frozen
class BrowserOption:
    """Options for starting the browser.

    Attributes:
        use_stealth: Hide that a program controls the browser.
        user_agent: The user agent header.
        viewport: Width and height of the page, in pixels.
        screen: Width and height of the screen, in pixels.
        fingerprint: Let the browser look like one of these.
        fingerprint_format: Let the browser have exactly this fingerprint.
        fingerprint_persistent: Keep the fingerprint in :data:`FINGERPRINT_PATH` of the session.
        solve_captchas: Let the service solve captchas.
        auto_login: Let the service log in.
        call_for_user: Let the service call a person if it cannot continue.
        proxies: The proxy to use, in a list of its own.
        extension_path: The directory of the session with its extensions.
        cmd_args: More arguments for its command line.
        default_navigate_url: The first page to open.
        browser_type: ``"chrome"`` or ``"chromium"``.
        proxy: The proxy to use; the same as `proxies` with one.

    Raises:
        InvalidArgumentError: `browser_type` is neither, or a length is not above 0, or there is
            more than one proxy.
    """

    use_stealth: bool = False
    user_agent: str | None = None
    viewport: tuple[int, int] | None = None
    screen: tuple[int, int] | None = None
    fingerprint: BrowserFingerprint | None = None
    fingerprint_format: FingerprintFormat | None = None
    fingerprint_persistent: bool = False
    solve_captchas: bool = False
    auto_login: bool = False
    call_for_user: bool = False
    proxies: tuple[BrowserProxy, ...] | None = attrs.field(default=None, converter=_one_proxy)
    extension_path: str | None = EXTENSIONS_FOLDER
    cmd_args: tuple[str, ...] | None = attrs.field(default=None, converter=_as_tuple)
    default_navigate_url: str | None = None
    browser_type: str | None = None
    proxy: BrowserProxy | None = None

    def __attrs_post_init__(self) -> None:
        if self.browser_type is not None and self.browser_type not in _BROWSERS:
            raise InvalidArgumentError(
                f"browser_type must be one of {_BROWSERS}, not {self.browser_type!r}"
            )
        for name, size in (("viewport", self.viewport), ("screen", self.screen)):
            if size is not None and min(size) < 1:
                raise InvalidArgumentError(f"{name} must be a width and a height above 0")
        if self.fingerprint_format is not None and not hasattr(self.fingerprint_format, "to_json"):
            kind = type(self.fingerprint_format).__name__
            raise ArgumentTypeError(f"fingerprint_format must be a FingerprintFormat, not {kind}")
        if self.proxy is not None and self.proxies is not None:
            raise InvalidArgumentError("proxy and proxies exclude each other; keep one of them")

    @property
    def fingerprint_persist_path(self) -> str | None:
        """The file of the session that keeps the fingerprint; ``None`` without one."""
        return FINGERPRINT_PATH if self.fingerprint_persistent else None

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON object of the protocol."""
        fields = {
            "useStealth": self.use_stealth,
            "solveCaptchas": self.solve_captchas,
            "autoLogin": self.auto_login,
            "callForUser": self.call_for_user,
            "extensionPath": self.extension_path,
            "userAgent": self.user_agent,
            "viewport": _size(self.viewport),
            "screen": _size(self.screen),
            "fingerprint": None if self.fingerprint is None else self.fingerprint.to_wire(),
            "fingerprintRawData": self._fingerprint_to_wire(),
            "fingerprintPersistPath": self.fingerprint_persist_path,
            "proxies": self._proxies_to_wire(),
            "cmdArgs": None if self.cmd_args is None else list(self.cmd_args),
            "defaultNavigateUrl": self.default_navigate_url,
            "browserType": self.browser_type,
        }
        return {name: value for name, value in fields.items() if value is not None}

    def _fingerprint_to_wire(self) -> str | None:
        if self.fingerprint_format is None:
            return None
        return b64encode(self.fingerprint_format.to_json().encode()).decode()

    def _proxies_to_wire(self) -> list[dict[str, Any]] | None:
        proxies = self.proxies if self.proxy is None else (self.proxy,)
        return None if proxies is None else [proxy.to_wire() for proxy in proxies]


def _size(size: tuple[int, int] | None) -> dict[str, int] | None:
    return None if size is None else {"width": size[0], "height": size[1]}
