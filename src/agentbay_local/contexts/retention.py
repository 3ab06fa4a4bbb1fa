"""How long uploaded files are kept: a recycle policy as dates. Pure."""

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
    """Return when which of the uploaded files are to be removed, in Unix seconds.

    Args:
        policy: What the session asks for.
        added: The files that are uploaded.
        now: When.

    Example:
        >>> from agentbay_async.models.sync_policy import RecyclePolicy
        >>> expiries(RecyclePolicy(), {}, 0.0)
        {}
    """
    days = re.search(r"\d+", policy.lifecycle.value)
    if days is None:
        return {}
    moment = now + int(days.group()) * _DAY
    tops = [path.strip("/") for path in policy.paths]
    return {
        path: moment
        for path, mark in added.items()
        if mark.kind != DIRECTORY and any(is_below(path, top) for top in tops)
    }
