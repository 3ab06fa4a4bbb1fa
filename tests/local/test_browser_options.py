"""The options of a browser, without one."""

from __future__ import annotations

import base64
import json

import pytest

from agentbay_async import BrowserFingerprint, BrowserOption, BrowserProxy
from agentbay_local.browser.options import PROFILE, BrowserOptions, parse_options
from agentbay_local.protocol.errors import ApiError


def test_the_defaults_of_a_client_are_those_of_a_start() -> None:
    """A client sends many options that are off."""
    assert parse_options(BrowserOption().to_wire(), PROFILE) == BrowserOptions()


def test_arguments_of_the_service_come_last() -> None:
    """Chromium takes the last of two."""
    given = ["--user-data-dir=/x", "--headless=old", "--remote-debugging-port=1", "--lang=de"]
    options = parse_options({"cmdArgs": given}, PROFILE)
    command = options.command()
    assert command[0] == "--lang=de"
    assert f"--user-data-dir={PROFILE}" in command
    assert not {"--user-data-dir=/x", "--remote-debugging-port=1"} & set(command)


def test_what_chromium_can_take_over_from_a_fingerprint_is_used() -> None:
    """User agent, language and screen; nothing else of it has an effect."""
    data = {
        "fingerprint": {
            "navigator": {"userAgent": "Mine/1.0", "language": "fr-FR"},
            "screen": {"width": 1600, "height": 900},
        }
    }
    raw = base64.b64encode(json.dumps(data).encode()).decode()
    options = parse_options({"fingerprintRawData": raw}, PROFILE)
    assert (options.user_agent, options.language) == ("Mine/1.0", "fr-FR")
    assert (options.screen, options.stealth) == ((1600, 900), True)
    wanted = BrowserOption(fingerprint=BrowserFingerprint(locales=("de-DE",))).to_wire()
    assert "--lang=de-DE" in parse_options(wanted, PROFILE).command()


@pytest.mark.parametrize(
    ("server", "username", "needs_relay"),
    [
        ("http://127.0.0.1:3128", None, False),
        ("socks5://localhost:1080", None, False),
        ("http://127.0.0.2:3128", None, False),
        ("http://[::1]:3128", None, False),
        ("http://127.0.0.1:3128", "ada", True),
        ("http://proxy.example.com:3128", None, True),
    ],
)
def test_a_custom_proxy_needs_a_relay_if_chromium_cannot_use_it(
    server: str, username: str | None, needs_relay: bool
) -> None:
    """It replaces that of the session; the password is not shown."""
    password = "a-secret" if username else None
    proxy = BrowserProxy("custom", server=server, username=username, password=password)
    options = parse_options(BrowserOption(proxy=proxy).to_wire(), PROFILE)
    assert options.proxy is not None
    assert options.proxy.needs_relay is needs_relay
    assert f"--proxy-server={server}" in options.command()
    assert "--proxy-server=http://relay" in options.command(relay="http://relay")
    assert "a-secret" not in repr(options)


@pytest.mark.parametrize(
    ("server", "url"),
    [
        ("localhost:3128", "http://localhost:3128"),
        ("HTTP://[::1]:80/path?password=a-secret", "http://[::1]:80"),
    ],
)
def test_the_url_of_a_proxy_is_made_of_scheme_host_and_port(server: str, url: str) -> None:
    """Nothing else of it reaches the command line."""
    options = parse_options({"proxies": [{"type": "custom", "server": server}]}, PROFILE)
    assert f"--proxy-server={url}" in options.command()
    assert "a-secret" not in repr(options)


@pytest.mark.parametrize(
    "server",
    [
        "http://:a-secret@127.0.0.1:8080",
        "http://ada:a-secret@proxy.example.com:8080",
        ":a-secret@localhost:8080",
        "http://a-secret@proxy.example.com:8080",
        "http://ada:8080/a-secret@proxy.example.com:8080",
    ],
)
def test_a_password_in_the_url_of_a_proxy_is_refused_and_not_repeated(server: str) -> None:
    """The error names the options for it."""
    with pytest.raises(ApiError) as raised:
        parse_options({"proxies": [{"type": "custom", "server": server}]}, PROFILE)
    assert "give username and password as options of the proxy" in raised.value.message
    assert "a-secret" not in str(raised.value) + raised.value.message


def test_an_error_does_not_repeat_the_first_page() -> None:
    """It may have a password too."""
    with pytest.raises(ApiError) as raised:
        parse_options({"defaultNavigateUrl": "//ada:a-secret@example.com"}, PROFILE)
    assert "a-secret" not in raised.value.message


@pytest.mark.parametrize(
    ("wire", "what"),
    [
        ({"browserType": "firefox"}, "must be 'chrome' or 'chromium'"),
        ({"viewport": {"width": 0, "height": 1}}, "viewport must have a width"),
        ({"viewport": 7}, "viewport must have a width"),
        ({"screen": {"width": True, "height": 1}}, "screen must have a width"),
        ({"cmdArgs": ["no-dashes"]}, "must begin with '--'"),
        ({"cmdArgs": ["--a\0b"]}, "must be printable"),
        ({"cmdArgs": "--x"}, "must be a list"),
        ({"cmdArgs": ["--x"] * 101}, "must be a list of at most 100"),
        ({"defaultNavigateUrl": "somewhere"}, "must be a URL with a scheme"),
        ({"userAgent": "a\nb"}, "must be printable"),
        ({"extensionPath": 7}, "must be printable"),
        ({"proxies": [{"type": "managed", "strategy": "sticky"}]}, "must be of type 'custom'"),
        ({"proxies": [{"type": "custom", "server": "x", "username": "a"}]}, "have a server such"),
        (
            {"proxies": [{"type": "custom", "server": "http://c:1", "password": "b"}]},
            "must have a username if it has a password.",
        ),
        (
            {"proxies": [{"type": "custom", "server": "http://c:1", "username": "a:b"}]},
            "must have a username without ':'",
        ),
        ({"proxies": [{"type": "custom", "server": "http://c:123456"}]}, "have a server such"),
        ({"proxies": [{"type": "custom", "server": "socks5://c:1"}]}, "begin with http://"),
        ({"proxies": [{"type": "custom"}]}, "must have a server"),
        ({"proxies": [1, 2]}, "must be a list of one proxy"),
        ({"fingerprintRawData": "?"}, "must be a JSON object in base64"),
        ({"fingerprintRawData": "W10="}, "must be a JSON object in base64"),
    ],
)
def test_a_wrong_option_is_an_error_that_names_it(wire: dict[str, object], what: str) -> None:
    """Before a browser is started."""
    with pytest.raises(ApiError) as raised:
        parse_options(wire, PROFILE)
    assert raised.value.code == "InvalidParameter"
    assert what in raised.value.message
