"""The files that settings are read from: the nearest ``.env``, and the user's profile file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from agentbay_async.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_PROFILE_KEYS = {
    "api_key": "AGENTBAY_API_KEY",
    "endpoint": "AGENTBAY_ENDPOINT",
    "region_id": "AGENTBAY_REGION_ID",
    "timeout_ms": "AGENTBAY_TIMEOUT_MS",
}


def environment_file(path: str | os.PathLike[str] | None) -> dict[str, str]:
    """Return the variables of an ``.env`` file.

    Args:
        path: The file; ``None`` takes the first ``.env`` from the working directory upward.

    Raises:
        ConfigurationError: A file was named that cannot be read.
    """
    file = Path(path) if path is not None else _nearest(".env")
    if file is None:
        return {}
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        if path is None:
            # Found by accident; somebody else's unreadable file is none of our business.
            return {}
        raise ConfigurationError(f"env_file {str(file)!r} cannot be read: {error}") from error
    return dict(pair for line in lines if (pair := _assignment(line)) is not None)


def _nearest(name: str) -> Path | None:
    try:
        start = Path.cwd()
    except FileNotFoundError:
        return None
    return next((d / name for d in (start, *start.parents) if (d / name).is_file()), None)


def _assignment(line: str) -> tuple[str, str] | None:
    """Read ``NAME=value``, with or without ``export``, quotes and a trailing comment."""
    name, equals, value = line.strip().removeprefix("export ").partition("=")
    if not equals or name.startswith("#"):
        return None
    value = value.strip()
    if value[:1] in ("'", '"'):
        return name.strip(), value[1:].partition(value[0])[0]
    return name.strip(), value.partition(" #")[0].strip()


def profile_path(environ: Mapping[str, str]) -> Path:
    """Return where the profile file is, whether it exists or not."""
    if os.name == "nt":
        return Path(environ.get("APPDATA", "~")).expanduser() / "agentbay" / "profiles.ini"
    base = environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME", "~")) / ".config"
    return Path(base).expanduser() / "agentbay" / "profiles.ini"


def profile_file(profile: str | None, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of a profile, under the names of their variables.

    Args:
        profile: A section of the file; ``None`` is ``default``, which may be missing.
        environ: Says where the user's files are.

    Raises:
        ConfigurationError: The file is not an INI file, or lacks the profile asked for.
    """
    path = profile_path(environ)
    sections = _sections(path)
    if profile is not None and profile not in sections:
        raise ConfigurationError(f"AGENTBAY_PROFILE: {str(path)!r} has no section [{profile}]")
    entries = sections.get(profile or "default", {})
    return {_PROFILE_KEYS[key]: value for key, value in entries.items() if key in _PROFILE_KEYS}


def _sections(path: Path) -> dict[str, dict[str, str]]:
    if not path.is_file():
        return {}
    from configparser import ConfigParser, Error

    parser = ConfigParser(interpolation=None, default_section="")
    try:
        parser.read_string(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, Error) as error:
        # The parser quotes the lines it cannot read, and one of them may be the key.
        raise ConfigurationError(
            f"the profile file {str(path)!r} cannot be read: {type(error).__name__}"
        ) from None
    return {name: dict(parser[name]) for name in parser.sections()}
