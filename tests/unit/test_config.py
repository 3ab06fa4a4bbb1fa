"""Where the service is, who asks, and how long to wait."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async.config import Config, Settings, find_ledger, resolve
from agentbay_async.errors import (
    AgentBayError,
    ArgumentTypeError,
    ConfigurationError,
    InvalidArgumentError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Resolve = Callable[..., Settings]


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a home without settings, and work in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def lookup(places: Path) -> Resolve:
    """Give ``resolve`` with nothing in the environment but what a test puts there."""

    def look(*arguments: Any, environ: dict[str, str] | None = None, **options: Any) -> Settings:
        home = {"XDG_CONFIG_HOME": str(places), "APPDATA": str(places)}
        return resolve(*arguments, environ={**home, **(environ or {})}, **options)

    return look


def _profile(places: Path, text: str) -> None:
    (places / "agentbay").mkdir()
    (places / "agentbay" / "profiles.ini").write_text(text)


def test_a_key_is_all_that_is_needed(lookup: Resolve) -> None:
    """Everything else has a default."""
    settings = lookup("akm-1")
    assert settings == Settings("https://agentbay.cn-hangzhou.aliyuncs.com", "akm-1")
    assert (settings.region_id, settings.timeout) == ("cn-hangzhou", 60.0)
    assert (settings.deadline, settings.max_connections) == (300.0, 100)


@pytest.mark.parametrize("key", [None, "", "  "])
def test_no_key_is_told_with_its_remedies(lookup: Resolve, key: str | None) -> None:
    """Three ways out, all named."""
    with pytest.raises(ConfigurationError, match="AGENTBAY_API_KEY") as caught:
        lookup(key)
    assert "api_key=" in str(caught.value)
    assert "local" in str(caught.value)


def test_the_local_service_needs_no_key(lookup: Resolve) -> None:
    """It makes one of its own."""
    assert lookup(endpoint="local") == Settings("local", "")
    assert lookup(environ={"AGENTBAY_ENDPOINT": "local"}).endpoint == "local"


@pytest.mark.parametrize("key", ["akm\n1", "schlüssel", "akm-1\x7f"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(lookup: Resolve, key: str) -> None:
    """The message is about the key and does not hold it."""
    with pytest.raises(ConfigurationError, match="api_key") as caught:
        lookup(key)
    assert key not in str(caught.value)


def test_blanks_around_a_key_are_not_part_of_it(lookup: Resolve) -> None:
    """A line break at the end of a secret file is common."""
    assert lookup(" akm-1\n").api_key == "akm-1"


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us-east-1", "agentbay.us-east-1.aliyuncs.com"),
        ("pre-cn-hangzhou", "agentbay-pre.cn-hangzhou.aliyuncs.com"),
        ("pre-ap-southeast-1", "wuyingai-pre.ap-southeast-1.aliyuncs.com"),
    ],
)
def test_a_region_has_its_host(lookup: Resolve, region: str, host: str) -> None:
    """A region that is only a stage of another is asked for by that other's name."""
    settings = lookup("k", region_id=region)
    assert settings.endpoint == f"https://{host}"
    assert settings.region_id == region.removeprefix("pre-")


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("service.example", "https://service.example"),
        ("service.example:8443", "https://service.example:8443"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.0.0.1:8080//", "http://127.0.0.1:8080"),
        (" https://h/base/ ", "https://h/base"),
        ("http://[::1]:80", "http://[::1]:80"),
    ],
)
def test_an_endpoint_is_a_url_or_a_host(lookup: Resolve, endpoint: str, url: str) -> None:
    """A bare host means HTTPS."""
    assert lookup("k", endpoint=endpoint).endpoint == url


@pytest.mark.parametrize(
    "endpoint",
    [
        "ftp://h",
        "https://",
        "https:///path",
        "http://h:99999",
        "http://h:port",
        "http://h:0",
        "http://[::1",
        "https://h/?key=secret",
        "https://h/#secret",
        "https://user:secret@h",
        "two words",
    ],
)
def test_a_bad_endpoint_is_refused_without_showing_a_password(
    lookup: Resolve, endpoint: str
) -> None:
    """What an endpoint may be is in the message; what may be secret is not."""
    with pytest.raises(ConfigurationError, match="endpoint must be") as caught:
        lookup("k", endpoint=endpoint)
    assert "secret" not in str(caught.value)


def test_arguments_go_before_everything(lookup: Resolve, places: Path) -> None:
    """Argument, Config, environment, .env, profile: the first place that has a setting wins."""
    (places / ".env").write_text("AGENTBAY_API_KEY=dotenv\nAGENTBAY_ENDPOINT=dotenv\n")
    _profile(places, "[default]\napi_key = profile\nendpoint = profile\ntimeout_ms = 4000\n")
    environ = {"AGENTBAY_API_KEY": "environ", "AGENTBAY_ENDPOINT": "environ"}
    config = Config(endpoint="config", timeout_ms=2000)
    first = lookup("argument", config, endpoint="argument", timeout=1, environ=environ)
    assert (first.api_key, first.endpoint, first.timeout) == ("argument", "https://argument", 1.0)
    second = lookup(None, config, environ=environ)
    assert (second.api_key, second.endpoint, second.timeout) == ("environ", "https://config", 2.0)
    third = lookup(environ={**environ, "AGENTBAY_TIMEOUT_MS": "3000"})
    assert (third.api_key, third.endpoint, third.timeout) == ("environ", "https://environ", 3.0)
    fourth = lookup()
    assert (fourth.api_key, fourth.endpoint, fourth.timeout) == ("dotenv", "https://dotenv", 4.0)
    (places / ".env").unlink()
    assert (lookup().api_key, lookup().endpoint) == ("profile", "https://profile")


def test_a_region_goes_before_an_endpoint_of_the_same_place_only(lookup: Resolve) -> None:
    """An endpoint that is nearer goes before a region that is farther."""
    environ = {"AGENTBAY_REGION_ID": "us-east-1", "AGENTBAY_ENDPOINT": "local"}
    assert lookup("k", environ=environ).region_id == "us-east-1"
    assert lookup("k", endpoint="h", environ=environ).endpoint == "https://h"
    both = Config(region_id="us-east-1", endpoint="h")
    assert lookup("k", both).endpoint == "https://agentbay.us-east-1.aliyuncs.com"


@pytest.mark.parametrize(
    "name", ["AGENTBAY_API_KEY", "AGENTBAY_ENDPOINT", "AGENTBAY_REGION_ID", "AGENTBAY_TIMEOUT_MS"]
)
def test_a_blank_variable_is_no_setting(lookup: Resolve, places: Path, name: str) -> None:
    """An empty variable does not hide the file behind it."""
    (places / ".env").write_text(
        "AGENTBAY_API_KEY=k\nAGENTBAY_ENDPOINT=h\nAGENTBAY_TIMEOUT_MS=2000\n"
    )
    settings = lookup(environ={name: "  "})
    assert (settings.api_key, settings.endpoint, settings.timeout) == ("k", "https://h", 2.0)


def test_a_chosen_profile_is_used(lookup: Resolve, places: Path) -> None:
    """The environment or .env names it; unknown keys in it are passed over."""
    _profile(places, "[default]\napi_key=a\n[work]\napi_key=b%\nregion_id=us-east-1\ncolour=blue\n")
    assert lookup().api_key == "a"
    settings = lookup(environ={"AGENTBAY_PROFILE": "work"})
    assert (settings.api_key, settings.region_id) == ("b%", "us-east-1")
    (places / ".env").write_text("AGENTBAY_PROFILE=work\n")
    assert lookup().api_key == "b%"


@pytest.mark.parametrize("text", ["[default]\napi_key=secret\n", ""])
def test_a_profile_that_is_missing_is_told(lookup: Resolve, places: Path, text: str) -> None:
    """Whoever asks for one by name wants that one."""
    _profile(places, text)
    with pytest.raises(ConfigurationError, match=r"AGENTBAY_PROFILE.*\[work\]"):
        lookup("k", environ={"AGENTBAY_PROFILE": "work"})


@pytest.mark.parametrize("text", ["api_key=secret\n", "[a]\nx\nsecret", "[a]\n[a]\nk=secret"])
def test_a_profile_file_that_cannot_be_read_is_told_without_its_lines(
    lookup: Resolve, places: Path, text: str
) -> None:
    """One of them may be the key; the parser's own message is not passed on either."""
    _profile(places, text)
    with pytest.raises(ConfigurationError, match=r"profiles\.ini") as caught:
        lookup()
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("value", ["0", "soon", "-5", "1.5", "²"])
def test_a_bad_timeout_of_the_environment_is_told_by_its_variable(
    lookup: Resolve, value: str
) -> None:
    """The variable, and what it must be."""
    with pytest.raises(ConfigurationError, match="AGENTBAY_TIMEOUT_MS"):
        lookup("k", environ={"AGENTBAY_TIMEOUT_MS": value})


@pytest.mark.parametrize(
    ("arguments", "options", "named"),
    [
        ((5,), {}, "api_key"),
        (("k", {"endpoint": "h"}), {}, "config"),
        (("k",), {"endpoint": 5}, "endpoint"),
        (("k",), {"endpoint": ""}, "endpoint"),
        (("k",), {"region_id": "a b"}, "region_id"),
        (("k",), {"region_id": 5}, "region_id"),
        (("k",), {"timeout": 0}, "timeout"),
        (("k",), {"timeout": "5"}, "timeout"),
        (("k", Config(timeout_ms=0)), {}, "timeout_ms"),
        (("k", Config(timeout_ms=1.5)), {}, "timeout_ms"),  # type: ignore[arg-type]  # the test
        (("k", Config(deadline=-1)), {}, "deadline"),
        (("k", Config(max_connections=0)), {}, "max_connections"),
        (("k", Config(ssl_context=True)), {}, "ssl_context"),  # type: ignore[arg-type]  # the test
    ],
)
def test_settings_that_cannot_be_meant_are_refused(
    lookup: Resolve, arguments: tuple[Any, ...], options: dict[str, Any], named: str
) -> None:
    """An error of ours that names the setting."""
    with pytest.raises((ValueError, TypeError), match=named) as caught:
        lookup(*arguments, **options)
    assert isinstance(caught.value, AgentBayError)


def test_settings_of_a_config_are_used(lookup: Resolve) -> None:
    """Those that no variable has, too."""
    settings = lookup("k", Config(deadline=5, max_connections=7))
    assert (settings.deadline, settings.max_connections) == (5.0, 7)


def test_owner_and_ledger_are_looked_up(lookup: Resolve) -> None:
    """By default they are those of this host; ``off`` is no file."""
    settings = lookup("akm-1")
    assert (settings.owner, settings.ledger, settings.reserved_labels) == ("", "", True)
    environ = {"AGENTBAY_OWNER": "ci", "AGENTBAY_LEDGER": "/data/ledger"}
    settings = lookup("akm-1", environ=environ)
    assert (settings.owner, settings.ledger) == ("ci", "/data/ledger")
    assert lookup("akm-1", environ={"AGENTBAY_LEDGER": "OFF"}).ledger is None


def test_a_config_decides_over_the_environment_about_the_ledger(lookup: Resolve) -> None:
    """Whether there is one; where it is, the environment alone can say."""
    named, off = {"AGENTBAY_LEDGER": "/data/ledger"}, {"AGENTBAY_LEDGER": "off"}
    config = Config(owner="me", ledger=False, reserved_labels=False)
    settings = lookup("akm-1", config, environ=named)
    assert (settings.owner, settings.ledger, settings.reserved_labels) == ("me", None, False)
    assert lookup("akm-1", Config(ledger=True), environ=named).ledger == "/data/ledger"
    assert lookup("akm-1", Config(ledger=True), environ=off).ledger == ""
    assert find_ledger(named) == "/data/ledger"
    assert find_ledger(off) is None


@pytest.mark.parametrize("config", [Config(owner="a b"), Config(owner="")])
def test_an_owner_is_one_word(lookup: Resolve, config: Config) -> None:
    """It becomes a label, and an argument of the command line."""
    with pytest.raises(InvalidArgumentError, match="owner"):
        lookup("akm-1", config)


def test_the_environment_of_the_process_is_read_and_not_changed(
    places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is found in files is not written back."""
    (places / ".env").write_text("AGENTBAY_REGION_ID=us-east-1\n")
    monkeypatch.setenv("AGENTBAY_API_KEY", "akm-env")
    before = dict(os.environ)
    assert resolve().region_id == "us-east-1"
    assert resolve().api_key == "akm-env"
    assert dict(os.environ) == before


def test_a_wrong_type_is_a_type_error(lookup: Resolve) -> None:
    """And an error of ours."""
    with pytest.raises(ArgumentTypeError, match="api_key"):
        lookup(b"akm-1")
