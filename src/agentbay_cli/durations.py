"""Times on the command line, such as 90s, 30m, 2h or 1d."""

from __future__ import annotations

import re

__all__ = ["UNITS", "parse_duration"]

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
"""The seconds of each unit."""


def parse_duration(text: str) -> float:
    """Return the seconds of a time; a number without a unit counts seconds.

    Raises:
        ValueError: It is not a time above 0.

    Example:
        >>> parse_duration("30s"), parse_duration("5m"), parse_duration("45")
        (30.0, 300.0, 45.0)
    """
    match = re.fullmatch(r"(\d{1,9})([smhd]?)", text, re.ASCII)
    if not match or int(match[1]) == 0:
        raise ValueError(f"{text!r} is not a time such as 90s, 30m, 2h or 1d")
    return float(int(match[1]) * UNITS[match[2] or "s"])
