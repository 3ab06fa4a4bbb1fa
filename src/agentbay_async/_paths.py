"""Directories of the user for configuration, data and runtime files.

One rule for all of them: the XDG variable if it is set, otherwise the platform's usual directory.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from agentbay_async.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_APPLICATION = "agentbay"
_WINDOWS = {"APPDATA": "AppData/Roaming", "LOCALAPPDATA": "AppData/Local"}


def config_dir(environ: Mapping[str, str]) -> Path:
    """Return the directory of files that the user writes, such as profiles.

    Example:
        >>> config_dir({"XDG_CONFIG_HOME": "/settings"}).as_posix()
        '/settings/agentbay'
    """
    return _directory(
        environ, "XDG_CONFIG_HOME", ".config", "Library/Application Support", "APPDATA"
    )


def data_dir(environ: Mapping[str, str]) -> Path:
    """Return the directory of files that must survive a reboot, such as the ledger."""
    return _directory(
        environ, "XDG_DATA_HOME", ".local/share", "Library/Application Support", "LOCALAPPDATA"
    )


def runtime_dir(environ: Mapping[str, str]) -> Path:
    """Return the directory of files that running processes share; a reboot may clear it."""
    if base := environ.get("XDG_RUNTIME_DIR"):
        return _expanded(base) / _APPLICATION
    return _directory(environ, "XDG_CACHE_HOME", ".cache", "Library/Caches", "LOCALAPPDATA")


def _directory(
    environ: Mapping[str, str], variable: str, linux: str, macos: str, windows: str
) -> Path:
    if base := environ.get(variable):
        return _expanded(base) / _APPLICATION
    if sys.platform == "win32":
        base = environ.get(windows)
        return (_expanded(base) if base else _home(environ) / _WINDOWS[windows]) / _APPLICATION
    return _home(environ) / (macos if sys.platform == "darwin" else linux) / _APPLICATION


def _home(environ: Mapping[str, str]) -> Path:
    return _expanded(environ.get("HOME") or "~")


def _expanded(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        # A container may run under a number that has no name and no home.
        raise ConfigurationError(
            "the home directory of this user is unknown", hint="Set HOME"
        ) from error
