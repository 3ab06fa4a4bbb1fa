"""Expiry times of uploaded files, from a recycle policy."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from agentbay_local.trees.manifest import DIRECTORY
from agentbay_local.trees.selection import is_below

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentbay_async.models.sync_policy import RecyclePolicy
    from agentbay_local.trees.manifest import Stamp

__all__ = ["expiry_times"]

_DAY = 24 * 3600.0


def expiry_times(policy: RecyclePolicy, added: Mapping[str, Stamp], now: float) -> dict[str, float]:
    """Return path and expiry time, in Unix seconds, of the uploaded files that expire.

    Args:
        policy: The policy of the session.
        added: The uploaded entries.
        now: The current time in Unix seconds.

    Example:
        >>> from agentbay_async.models.sync_policy import RecyclePolicy
        >>> expiry_times(RecyclePolicy(), {}, 0.0)
        {}
    """
    days = re.search(r"\d+", policy.lifecycle.value)
    if days is None:
        return {}
    expiry = now + int(days.group()) * _DAY
    tops = [path.strip("/") for path in policy.paths]
    return {
        path: expiry
        for path, stamp in added.items()
        if stamp.kind != DIRECTORY and any(is_below(path, top) for top in tops)
    }
