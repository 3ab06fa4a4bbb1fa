"""The options of a browser, and the command line of Chromium that they become."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs

from agentbay_local.browser.proxy_relay import CustomProxy
from agentbay_local.protocol.errors import invalid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypeGuard

__all__ = ["PROFILE", "BrowserOptions", "parse_options"]

PROFILE = "/tmp/agentbay_browser"  # noqa: S108 - a path of the session
"""The directory of a browser's profile, where clients attach the context that keeps it."""

EXTENSIONS = "/tmp/extensions/"  # noqa: S108 - a path of the session

_NAME = "BrowserOption"
_MOST_ARGUMENTS = 100
_LONGEST = 4096
_LARGEST_SIZE = 8192
_BROWSERS = ("chrome", "chromium")
# The service needs these as it sets them, to reach the browser and to keep its profile.
_OWN = ("headless", "remote-debugging-", "user-data-dir", "no-sandbox", "proxy-server")

_FIXED = (
    "--headless=new",
    # The session is the sandbox: it permits no namespaces, of which Chromium would make its own.
    "--no-sandbox",
    # /dev/shm of a session is small; its /tmp counts as disk space.
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--no-default-browser-check",
    # A profile must open in another session, so its cookies cannot need a key ring of this one.
    "--password-store=basic",
    "--use-mock-keychain",
    # Without it, a bar that warns of the argument above takes room of the first page.
    "--test-type",
    # Nothing that is sent without being asked for, to hosts that a session cannot reach anyway.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-sync",
    "--disable-breakpad",
    "--metrics-recording-only",
    "--no-pings",
    # Pages in the background go on, since nobody looks at the one in front.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
)


@attrs.frozen
class BrowserOptions:
    """The options of one start.

    Attributes:
        profile: The directory of the profile in the session.
        user_agent: The user agent header, and `navigator.userAgent`.
        language: The first language that pages are asked for.
        viewport: Width and height of a page, in pixels.
        screen: Width and height of the screen, in pixels.
        arguments: More arguments of the command line.
        url: The first page.
        proxy: A proxy of the user; None for that of the session, if any.
        extensions: A directory whose subdirectories are extensions.
        stealth: Do not tell pages that a program controls the browser.
    """

    profile: str = PROFILE
    user_agent: str | None = None
    language: str | None = None
    viewport: tuple[int, int] = (1280, 720)
    screen: tuple[int, int] = (1920, 1080)
    arguments: tuple[str, ...] = ()
    url: str = "about:blank"
    proxy: CustomProxy | None = None
    extensions: str = EXTENSIONS
    stealth: bool = False

    def command(self, extensions: Sequence[str] = (), relay: str | None = None) -> list[str]:
        """Return the arguments of Chromium; the last of two equal ones counts.

        Args:
            extensions: The directories of the extensions to load.
            relay: The address of what relays to `proxy`, if that needs it.

        Example:
            >>> BrowserOptions(viewport=(800, 600)).command()[-2:]
            ['--window-size=800,600', 'about:blank']
        """
        found = [*self.arguments, *_FIXED, f"--user-data-dir={self.profile}"]
        if self.user_agent:
            found.append(f"--user-agent={self.user_agent}")
        if self.language:
            found += [f"--lang={self.language}", f"--accept-lang={self.language}"]
        if self.stealth:
            found.append("--disable-blink-features=AutomationControlled")
        if extensions:
            found.append(f"--load-extension={','.join(extensions)}")
        if self.proxy:
            found.append(f"--proxy-server={relay or self.proxy.url}")
        width, height = (max(pair) for pair in zip(self.screen, self.viewport, strict=True))
        found.append(f"--screen-info={{{width}x{height}}}")
        return [*found, f"--window-size={self.viewport[0]},{self.viewport[1]}", self.url]


_DEFAULTS = BrowserOptions()


def parse_options(values: Mapping[str, Any], profile: str) -> BrowserOptions:
    """Return the options of a request.

    Options that only the cloud's service can carry out, such as solving captchas, have no effect:
    official clients send them always.

    Args:
        values: The JSON object of the protocol.
        profile: The checked path of the profile.

    Raises:
        ApiError: An option has a wrong value, or asks for a proxy of the cloud.
    """
    _check_browser(values.get("browserType"))
    fingerprint = _fingerprint(values)
    return BrowserOptions(
        profile=profile,
        user_agent=_text(values, "userAgent") or fingerprint.get("userAgent"),
        language=fingerprint.get("language"),
        viewport=_read_size(values, "viewport") or _DEFAULTS.viewport,
        screen=_read_size(values, "screen") or fingerprint.get("screen") or _DEFAULTS.screen,
        arguments=_arguments(values),
        url=_url(values),
        proxy=_proxy(values),
        extensions=_text(values, "extensionPath") or EXTENSIONS,
        stealth=values.get("useStealth") is True or bool(fingerprint),
    )


def _wrong(option: str, why: str) -> Exception:
    return invalid(_NAME, f"{option} {why}")


def _check_browser(kind: object) -> None:
    if kind is not None and kind not in _BROWSERS:
        raise _wrong("browserType", f"must be 'chrome' or 'chromium', not {kind!r:.40}.")


def _text(values: Mapping[str, Any], option: str) -> str | None:
    text = values.get(option)
    if text is None or text == "":
        return None
    if not isinstance(text, str) or len(text) > _LONGEST or not text.isprintable():
        raise _wrong(option, f"must be printable text of at most {_LONGEST} characters.")
    return text


def _read_size(values: Mapping[str, Any], option: str) -> tuple[int, int] | None:
    size = values.get(option)
    if size is None:
        return None
    sides = size if isinstance(size, dict) else {}
    width, height = sides.get("width"), sides.get("height")
    if not _is_length(width) or not _is_length(height):
        raise _wrong(option, f"must have a width and a height from 1 to {_LARGEST_SIZE}.")
    return width, height


def _is_length(side: object) -> TypeGuard[int]:
    return isinstance(side, int) and not isinstance(side, bool) and 1 <= side <= _LARGEST_SIZE


def _arguments(values: Mapping[str, Any]) -> tuple[str, ...]:
    given = values.get("cmdArgs")
    if given is None:
        return ()
    if not isinstance(given, list) or len(given) > _MOST_ARGUMENTS:
        raise _wrong("cmdArgs", f"must be a list of at most {_MOST_ARGUMENTS} arguments.")
    for one in given:
        if not isinstance(one, str) or len(one) > _LONGEST or not one.isprintable():
            raise _wrong("cmdArgs", f"must be printable texts of at most {_LONGEST} characters.")
        if not one.startswith("--"):
            raise _wrong("cmdArgs", f"must begin with '--', not {one!r:.80}.")
    return tuple(one for one in given if not one[2:].startswith(_OWN))


def _url(values: Mapping[str, Any]) -> str:
    url = _text(values, "defaultNavigateUrl")
    if url is None:
        return "about:blank"
    if not urlsplit(url).scheme:
        # Without the URL, which may have a password.
        raise _wrong("defaultNavigateUrl", "must be a URL with a scheme, such as 'https://'.")
    return url


def _proxy(values: Mapping[str, Any]) -> CustomProxy | None:
    proxies = values.get("proxies")
    if not proxies:
        return None
    if not isinstance(proxies, list) or len(proxies) > 1 or not isinstance(proxies[0], dict):
        raise _wrong("proxies", "must be a list of one proxy.")
    kind = proxies[0].get("type")
    if kind != "custom":
        raise _wrong(
            "proxies",
            f"must be of type 'custom' here, not {kind!r:.40}: the addresses of the others belong "
            "to the cloud service.",
        )
    proxy = _parse_proxy(proxies[0])
    if proxy.needs_relay and not proxy.url.startswith("http://"):
        raise _wrong(
            "proxies",
            "must begin with http:// if the proxy is outside the session or has a user name.",
        )
    return proxy


def _parse_proxy(given: Mapping[str, Any]) -> CustomProxy:
    scheme, host, port = _parse_server(_text(given, "server") or "")
    name, password = (_text(given, option) or "" for option in ("username", "password"))
    if password and not name:
        raise _wrong("proxies", "must have a username if it has a password.")
    if ":" in name:
        raise _wrong("proxies", "must have a username without ':', which ends it (RFC 7617).")
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return CustomProxy(f"{scheme}://{address}", host, port, name, password)


def _parse_server(server: str) -> tuple[str, str, int]:
    """Return scheme, host and port; no error repeats the text, which may have a password."""
    if "@" in server:
        raise _wrong(
            "proxies",
            "must have no '@' in server; give username and password as options of the proxy.",
        )
    host = port = None
    with suppress(ValueError):
        parts = urlsplit(server if "://" in server else f"http://{server}")
        host, port = parts.hostname, parts.port
    if not host or not port:
        raise _wrong("proxies", "must have a server such as 'http://proxy.example.com:8080'.")
    return parts.scheme, host, port


def _fingerprint(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what Chromium can take over from a fingerprint: user agent, language, screen."""
    locales = values.get("fingerprint")
    wanted = locales.get("locales") if isinstance(locales, dict) else None
    found: dict[str, Any] = {}
    if isinstance(wanted, list) and wanted and isinstance(wanted[0], str):
        found["language"] = _text({"locales": wanted[0]}, "locales")
    raw = _text_of_any_length(values.get("fingerprintRawData"))
    return {**found, **_read_raw(raw)} if raw else found


def _text_of_any_length(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _read_raw(raw: str) -> dict[str, Any]:
    try:
        data = json.loads(base64.b64decode(raw, validate=True))
        inner = data.get("fingerprint", data)
        navigator, screen = inner.get("navigator", {}), inner.get("screen", {})
        fields = {
            "userAgent": _text(navigator, "userAgent"),
            "language": _text(navigator, "language"),
            "screen": _read_size({"screen": screen}, "screen") if screen else None,
        }
    except (ValueError, AttributeError, RecursionError):
        raise _wrong("fingerprintRawData", "must be a JSON object in base64.") from None
    return {name: value for name, value in fields.items() if value is not None}
