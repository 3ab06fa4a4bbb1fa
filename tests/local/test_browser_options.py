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


def test_a_custom_proxy_is_that_of_the_browser() -> None:
    """It replaces that of the session."""
    proxy = BrowserProxy("custom", server="http://127.0.0.1:3128")
    options = parse_options(BrowserOption(proxy=proxy).to_wire(), PROFILE)
    assert "--proxy-server=http://127.0.0.1:3128" in options.command()


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
        ({"proxies": [{"type": "custom", "server": "x", "username": "a"}]}, "with a user name"),
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
