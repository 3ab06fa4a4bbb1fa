"""Configuration: the key, the endpoint, the timeout, and the sources of settings."""

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
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home without settings, and work in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def lookup(empty_home: Path) -> Resolve:
    """Return ``resolve`` with an environment that only the test fills."""

    def look(*arguments: Any, environ: dict[str, str] | None = None, **options: Any) -> Settings:
        home = {"XDG_CONFIG_HOME": str(empty_home), "APPDATA": str(empty_home)}
        return resolve(*arguments, environ={**home, **(environ or {})}, **options)

    return look


def _profile(empty_home: Path, text: str) -> None:
    (empty_home / "agentbay").mkdir()
    (empty_home / "agentbay" / "profiles.ini").write_text(text)


def test_only_a_key_is_required(lookup: Resolve) -> None:
    """All other settings have defaults."""
    settings = lookup("akm-1")
    assert settings == Settings("https://agentbay.cn-hangzhou.aliyuncs.com", "akm-1")
    assert (settings.region_id, settings.timeout) == ("cn-hangzhou", 60.0)
    assert (settings.deadline, settings.max_connections) == (300.0, 100)


@pytest.mark.parametrize("key", [None, "", "  "])
def test_a_missing_key_is_an_error_with_remedies(lookup: Resolve, key: str | None) -> None:
    """The message names three ways to set it."""
    with pytest.raises(ConfigurationError, match="AGENTBAY_API_KEY") as caught:
        lookup(key)
    assert "api_key=" in str(caught.value)
    assert "local" in str(caught.value)


def test_the_local_service_needs_no_key(lookup: Resolve) -> None:
    """It creates one."""
    assert lookup(endpoint="local") == Settings("local", "")
    assert lookup(environ={"AGENTBAY_ENDPOINT": "local"}).endpoint == "local"


@pytest.mark.parametrize("key", ["akm\n1", "schlüssel", "akm-1\x7f"])
def test_an_invalid_key_is_rejected_and_not_quoted(lookup: Resolve, key: str) -> None:
    """The message does not contain it."""
    with pytest.raises(ConfigurationError, match="api_key") as caught:
        lookup(key)
    assert key not in str(caught.value)


def test_blanks_around_a_key_are_removed(lookup: Resolve) -> None:
    """Secret files often end with a line break."""
    assert lookup(" akm-1\n").api_key == "akm-1"


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us-east-1", "agentbay.us-east-1.aliyuncs.com"),
        ("pre-cn-hangzhou", "agentbay-pre.cn-hangzhou.aliyuncs.com"),
        ("pre-ap-southeast-1", "wuyingai-pre.ap-southeast-1.aliyuncs.com"),
    ],
)
def test_a_region_has_a_host(lookup: Resolve, region: str, host: str) -> None:
    """A stage of a region has the name of the region in its host."""
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


_STRANGER = "AGENTBAY_ENDPOINT=https://stranger.example"


@pytest.mark.parametrize("text", [_STRANGER, "AGENTBAY_REGION_ID=us-east-1"])
def test_an_endpoint_of_an_env_file_gets_only_the_key_of_that_file(
    lookup: Resolve, empty_home: Path, text: str
) -> None:
    """Otherwise a file in a stranger's project could collect keys."""
    file = empty_home / ".env"
    file.write_text(text)
    _profile(empty_home, "[default]\napi_key = profile\n")
    for arguments, environ in (
        (["argument"], {}),
        ([], {"AGENTBAY_API_KEY": "environ"}),
        ([], {}),
    ):
        with pytest.raises(ConfigurationError) as caught:
            lookup(*arguments, environ=environ)
        assert str(file) in str(caught.value)
        with pytest.raises(ConfigurationError, match="comes from elsewhere"):
            lookup(*arguments, env_file=file, environ=environ)
    file.write_text(f"{text}\nAGENTBAY_API_KEY=own")
    assert lookup().api_key == "own"
    with pytest.raises(ConfigurationError, match="comes from elsewhere"):
        lookup("argument")


def test_an_endpoint_of_the_user_gets_the_key_of_any_source(
    lookup: Resolve, empty_home: Path
) -> None:
    """Arguments, the environment and the profile are trusted, and hide the .env file."""
    (empty_home / ".env").write_text(_STRANGER)
    assert lookup("k", endpoint="h").endpoint == "https://h"
    assert lookup("k", Config(endpoint="h")).endpoint == "https://h"
    assert lookup("k", environ={"AGENTBAY_ENDPOINT": "h"}).endpoint == "https://h"
    (empty_home / ".env").write_text("AGENTBAY_API_KEY=dotenv")
    _profile(empty_home, "[default]\nendpoint = h\n")
    assert (lookup().api_key, lookup().endpoint) == ("dotenv", "https://h")
    assert lookup("argument").endpoint == "https://h"


def test_an_env_file_may_choose_the_local_service(lookup: Resolve, empty_home: Path) -> None:
    """No key is sent to it."""
    (empty_home / ".env").write_text("AGENTBAY_ENDPOINT=local")
    assert lookup("k") == Settings("local", "")


@pytest.mark.parametrize(
    "endpoint", ["http://service.example", "http://10.0.0.1:8080", "http://127.0.0.1.example"]
)
def test_http_to_another_host_must_be_allowed(lookup: Resolve, endpoint: str) -> None:
    """The key would cross the network in the clear."""
    with pytest.raises(ConfigurationError, match=r"without encryption.*allow_http=True"):
        lookup("k", endpoint=endpoint)
    assert lookup("k", Config(endpoint=endpoint, allow_http=True)).endpoint == endpoint


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1.2.3", "[::1]", "localhost", "LOCALHOST", "token.s.localhost"]
)
def test_http_to_this_host_is_allowed(lookup: Resolve, host: str) -> None:
    """The local service has no certificate that a client would trust."""
    assert lookup("k", endpoint=f"http://{host}:80").endpoint == f"http://{host}:80"


@pytest.mark.parametrize("region", ["stranger.example/", "a@b", "a.b", "-a", "a#", "a" * 64])
def test_a_region_that_is_no_part_of_a_host_name_is_rejected(lookup: Resolve, region: str) -> None:
    """It could name another host."""
    with pytest.raises(ConfigurationError, match="region_id must be letters"):
        lookup("k", region_id=region)


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
def test_an_invalid_endpoint_is_rejected_without_its_password(
    lookup: Resolve, endpoint: str
) -> None:
    """The message has the valid forms, but no secret."""
    with pytest.raises(ConfigurationError, match="endpoint must be") as caught:
        lookup("k", endpoint=endpoint)
    assert "secret" not in str(caught.value)


def test_arguments_have_the_highest_priority(lookup: Resolve, empty_home: Path) -> None:
    """Then Config, environment, .env and profile; the first one with the setting wins."""
    (empty_home / ".env").write_text("AGENTBAY_API_KEY=dotenv\nAGENTBAY_ENDPOINT=dotenv\n")
    _profile(empty_home, "[default]\napi_key = profile\nendpoint = profile\ntimeout_ms = 4000\n")
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
    (empty_home / ".env").unlink()
    assert (lookup().api_key, lookup().endpoint) == ("profile", "https://profile")


def test_a_region_wins_over_an_endpoint_of_the_same_source_only(lookup: Resolve) -> None:
    """An endpoint of a source with higher priority wins."""
    environ = {"AGENTBAY_REGION_ID": "us-east-1", "AGENTBAY_ENDPOINT": "local"}
    assert lookup("k", environ=environ).region_id == "us-east-1"
    assert lookup("k", endpoint="h", environ=environ).endpoint == "https://h"
    both = Config(region_id="us-east-1", endpoint="h")
    assert lookup("k", both).endpoint == "https://agentbay.us-east-1.aliyuncs.com"


@pytest.mark.parametrize(
    "name", ["AGENTBAY_API_KEY", "AGENTBAY_ENDPOINT", "AGENTBAY_REGION_ID", "AGENTBAY_TIMEOUT_MS"]
)
def test_a_blank_variable_is_ignored(lookup: Resolve, empty_home: Path, name: str) -> None:
    """It does not hide the setting of a file."""
    (empty_home / ".env").write_text(
        "AGENTBAY_API_KEY=k\nAGENTBAY_ENDPOINT=h\nAGENTBAY_TIMEOUT_MS=2000\n"
    )
    settings = lookup(environ={name: "  "})
    assert (settings.api_key, settings.endpoint, settings.timeout) == ("k", "https://h", 2.0)


def test_a_selected_profile_is_used(lookup: Resolve, empty_home: Path) -> None:
    """By the environment or .env; unknown keys in it are ignored."""
    _profile(
        empty_home, "[default]\napi_key=a\n[work]\napi_key=b%\nregion_id=us-east-1\ncolour=blue\n"
    )
    assert lookup().api_key == "a"
    settings = lookup(environ={"AGENTBAY_PROFILE": "work"})
    assert (settings.api_key, settings.region_id) == ("b%", "us-east-1")
    (empty_home / ".env").write_text("AGENTBAY_PROFILE=work\n")
    assert lookup().api_key == "b%"


@pytest.mark.parametrize("text", ["[default]\napi_key=secret\n", ""])
def test_a_missing_profile_is_an_error(lookup: Resolve, empty_home: Path, text: str) -> None:
    """If it was requested by name."""
    _profile(empty_home, text)
    with pytest.raises(ConfigurationError, match=r"AGENTBAY_PROFILE.*\[work\]"):
        lookup("k", environ={"AGENTBAY_PROFILE": "work"})


@pytest.mark.parametrize("text", ["api_key=secret\n", "[a]\nx\nsecret", "[a]\n[a]\nk=secret"])
def test_a_malformed_profile_file_is_an_error_without_its_lines(
    lookup: Resolve, empty_home: Path, text: str
) -> None:
    """A line may be the key, so the parser's message is not quoted either."""
    _profile(empty_home, text)
    with pytest.raises(ConfigurationError, match=r"profiles\.ini") as caught:
        lookup()
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("value", ["0", "soon", "-5", "1.5", "²"])
def test_an_invalid_timeout_of_the_environment_names_its_variable(
    lookup: Resolve, value: str
) -> None:
    """With the valid values."""
    with pytest.raises(ConfigurationError, match="AGENTBAY_TIMEOUT_MS"):
        lookup("k", environ={"AGENTBAY_TIMEOUT_MS": value})


@pytest.mark.parametrize(
    ("arguments", "options", "named"),
    [
        ((5,), {}, "api_key"),
        (("k", {"endpoint": "h"}), {}, "cfg"),
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
def test_invalid_settings_are_rejected(
    lookup: Resolve, arguments: tuple[Any, ...], options: dict[str, Any], named: str
) -> None:
    """The error is ours and names the setting."""
    with pytest.raises((ValueError, TypeError), match=named) as caught:
        lookup(*arguments, **options)
    assert isinstance(caught.value, AgentBayError)


def test_settings_of_a_config_are_used(lookup: Resolve) -> None:
    """Also those that no variable has."""
    settings = lookup("k", Config(deadline=5, max_connections=7))
    assert (settings.deadline, settings.max_connections) == (5.0, 7)


def test_owner_and_ledger_are_looked_up(lookup: Resolve) -> None:
    """The defaults are those of this host; ``off`` disables the ledger."""
    settings = lookup("akm-1")
    assert (settings.owner, settings.ledger, settings.reserved_labels) == ("", "", True)
    environ = {"AGENTBAY_OWNER": "ci", "AGENTBAY_LEDGER": "/data/ledger"}
    settings = lookup("akm-1", environ=environ)
    assert (settings.owner, settings.ledger) == ("ci", "/data/ledger")
    assert lookup("akm-1", environ={"AGENTBAY_LEDGER": "OFF"}).ledger is None


def test_a_config_enables_or_disables_the_ledger(lookup: Resolve) -> None:
    """Only the environment can set its path."""
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
    """It is used as a label and as a command-line argument."""
    with pytest.raises(InvalidArgumentError, match="owner"):
        lookup("akm-1", config)


def test_the_environment_of_the_process_is_read_and_not_changed(
    empty_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings of files are not written to it."""
    (empty_home / ".env").write_text("AGENTBAY_TIMEOUT_MS=2000\n")
    monkeypatch.setenv("AGENTBAY_API_KEY", "akm-env")
    before = dict(os.environ)
    assert resolve().timeout == 2.0
    assert resolve().api_key == "akm-env"
    assert dict(os.environ) == before


def test_a_wrong_type_is_a_type_error(lookup: Resolve) -> None:
    """It is one of our errors as well."""
    with pytest.raises(ArgumentTypeError, match="api_key"):
        lookup(b"akm-1")
