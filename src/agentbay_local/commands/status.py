"""``agentbay local status``: whether a service runs, and with how many sessions."""

from __future__ import annotations

import json
import ssl
import sys
import time
from typing import TYPE_CHECKING, Any
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

from agentbay_local.commands.running_service import find_running

if TYPE_CHECKING:
    from pathlib import Path

    from agentbay_local.commands.running_service import RunningService

__all__ = ["NOT_RUNNING", "count_sessions", "status"]

NOT_RUNNING = 3
"""The exit code if no service runs, as that of ``systemctl status``."""
_UNKNOWN = 4
_ANSWER_WITHIN = 30.0


def status(home: Path, *, as_json: bool) -> int:
    """Print the state of the service of a home, and return the exit code.

    Returns:
        0 if it runs, 3 if not, and 4 if it runs and does not answer.

    Raises:
        OSError: The home cannot be read.
        ValueError: The state file of a running service is damaged.
    """
    running = find_running(home)
    if running is None:
        found: dict[str, Any] = {"running": False, "home": str(home)}
        _print(found, [f"not running in {home}"], as_json=as_json)
        return NOT_RUNNING
    found = _describe(running, home)
    _print(found, _lines(found), as_json=as_json)
    return 0 if found["sessions"] is not None else _UNKNOWN


def _describe(running: RunningService, home: Path) -> dict[str, Any]:
    return {
        "running": True,
        "home": str(home),
        "endpoint": running.endpoint,
        "pid": running.pid,
        "sessions": count_sessions(running),
        # The clock of the machine may have been set back.
        "uptime": max(0, int(time.time() - running.started)),
        "isolation": running.isolation,
        "ca_file": running.ca_file or None,
    }


def count_sessions(running: RunningService) -> int | None:
    """Ask a service for the number of its sessions, directly; None if it does not answer."""
    trusted = ssl.create_default_context(cafile=running.ca_file) if running.ca_file else None
    opener = build_opener(ProxyHandler({}), HTTPSHandler(context=trusted))
    request = Request(  # noqa: S310  # an HTTP URL: the running service wrote it to its state file
        f"{running.endpoint}/_control/status",
        headers={"Authorization": f"Bearer {running.api_key}"},
    )
    try:
        with opener.open(request, timeout=_ANSWER_WITHIN) as answer:
            return int(json.load(answer)["sessions"])
    except (OSError, ValueError):
        return None


def _lines(found: dict[str, Any]) -> list[str]:
    sessions = found["sessions"]
    shown = "unknown; the service does not answer" if sessions is None else sessions
    return [
        f"running at {found['endpoint']}",
        f"home: {found['home']}",
        f"process: {found['pid']}",
        f"sessions: {shown}",
        f"uptime: {_duration(found['uptime'])}",
        f"isolation: {found['isolation']}",
        *([f"certificate: {found['ca_file']}"] if found["ca_file"] else []),
    ]


def _duration(seconds: int) -> str:
    """Return a duration in hours, minutes and seconds.

    Example:
        >>> _duration(3725), _duration(59)
        ('1h 2m 5s', '59s')
    """
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    parts = [f"{hours}h"] if hours else []
    if hours or minutes:
        parts.append(f"{minutes}m")
    return " ".join([*parts, f"{seconds}s"])


def _print(found: dict[str, Any], lines: list[str], *, as_json: bool) -> None:
    if as_json:
        lines = [json.dumps(found)]
    sys.stdout.writelines(f"{line}\n" for line in lines)
