"""Directories of the user, on each platform."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from agentbay_async import _paths
from agentbay_async._lifecycle.ledger import default_path
from agentbay_async._paths import config_dir, data_dir, runtime_dir
from agentbay_async.config import profile_path
from agentbay_async.errors import ConfigurationError

_APPLE = "/h/Library/Application Support/agentbay"


@pytest.mark.parametrize(
    ("platform", "config", "data", "runtime"),
    [
        ("linux", "/h/.config/agentbay", "/h/.local/share/agentbay", "/h/.cache/agentbay"),
        ("darwin", _APPLE, _APPLE, "/h/Library/Caches/agentbay"),
        ("win32", "/roaming/agentbay", "/local/agentbay", "/local/agentbay"),
    ],
)
def test_each_platform_has_its_usual_directories(
    monkeypatch: pytest.MonkeyPatch, platform: str, config: str, data: str, runtime: str
) -> None:
    """Windows names them by variables, the others place them below the home directory."""
    monkeypatch.setattr(_paths, "sys", SimpleNamespace(platform=platform))
    environ = {"HOME": "/h", "APPDATA": "/roaming", "LOCALAPPDATA": "/local"}
    assert config_dir(environ) == Path(config)
    assert data_dir(environ) == Path(data)
    assert runtime_dir(environ) == Path(runtime)


def test_windows_without_its_variables_uses_the_home_directory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A service account may lack them."""
    monkeypatch.setattr(_paths, "sys", SimpleNamespace(platform="win32"))
    assert config_dir({"HOME": "/h"}) == Path("/h/AppData/Roaming/agentbay")
    assert data_dir({"HOME": "/h"}) == Path("/h/AppData/Local/agentbay")


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_xdg_variables_override_each_platform(
    monkeypatch: pytest.MonkeyPatch, platform: str
) -> None:
    """The runtime directory falls back to the cache."""
    monkeypatch.setattr(_paths, "sys", SimpleNamespace(platform=platform))
    environ = {"HOME": "/h", "APPDATA": "/a", "LOCALAPPDATA": "/l"}
    environ |= {"XDG_CONFIG_HOME": "/c", "XDG_DATA_HOME": "/d", "XDG_CACHE_HOME": "/e"}
    assert config_dir(environ) == Path("/c/agentbay")
    assert data_dir(environ) == Path("/d/agentbay")
    assert runtime_dir(environ) == Path("/e/agentbay")
    assert runtime_dir(environ | {"XDG_RUNTIME_DIR": "/r"}) == Path("/r/agentbay")


def test_an_unknown_home_directory_is_a_configuration_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in a container that runs under a number without a name."""

    def fail(_path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", fail)
    with pytest.raises(ConfigurationError, match="home directory"):
        data_dir({})


def test_profile_file_and_ledger_follow_the_rule() -> None:
    """Each has one file name in its directory; the ledger has one file for each host."""
    environ = {"XDG_CONFIG_HOME": "/c", "XDG_DATA_HOME": "/d"}
    assert profile_path(environ) == Path("/c/agentbay/profiles.ini")
    assert default_path(environ).parent == Path("/d/agentbay")
