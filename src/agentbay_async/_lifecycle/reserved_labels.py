"""Reserved labels: labels that the library sets on sessions, beside the user's.

They record the idempotency key of a session's create, its owner, the process that created it, and
its chunk of a distributed run. Users cannot see them, set them or filter by them.

A session has room for 20 labels, and filters match exactly. So the time of the create, by which
nobody filters, is a part of the key. Only beside a key of the caller it is a label of its own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from agentbay_async._check import MAX_LABELS
from agentbay_async._check import RESERVED_PREFIX as PREFIX
from agentbay_async.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

CHUNK = f"{PREFIX}chunk"
IDEMPOTENCY_KEY = f"{PREFIX}idempotency-key"
OWNER = f"{PREFIX}owner"
RUN = f"{PREFIX}run"
SINCE = f"{PREFIX}since"

# Labels come from the service; nobody lives to see a time with more digits.
_MAX_DIGITS = 16
# Process, number of the create, and its time, in hexadecimal.
_OWN_KEY = re.compile(r"[0-9a-f]{16}-[0-9a-f]{1,16}-([0-9a-f]{1,12})")


def created_at(labels: Mapping[str, str]) -> float | None:
    """Return when the create of a session began, in seconds since 1970, or ``None`` if unknown.

    Example:
        >>> created_at({IDEMPOTENCY_KEY: "00000000000000f7-a-ff"})
        255.0
    """
    if (since := labels.get(SINCE)) is not None:
        digits = since.isascii() and since.isdecimal() and len(since) < _MAX_DIGITS
        return float(since) if digits else None
    own = _OWN_KEY.fullmatch(labels.get(IDEMPOTENCY_KEY, ""))
    return float(int(own[1], 16)) if own is not None else None


def too_many_labels(labels: Mapping[str, str], own: int) -> InvalidArgumentError:
    """Return the error for more labels than a session can have, `own` of them the library's."""
    return InvalidArgumentError(
        f"labels must have at most {MAX_LABELS - own} entries, not {len(labels)}: a session has"
        f" {MAX_LABELS}, of which the library needs {own} (see Config.reserved_labels)"
    )


def reserved(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the reserved labels among `labels`.

    Example:
        >>> reserved({"project": "demo", "agentbay-run": "7"})
        {'agentbay-run': '7'}
    """
    return {key: value for key, value in labels.items() if key.startswith(PREFIX)}


def visible(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that the user set.

    Example:
        >>> visible({"project": "demo", "agentbay-run": "7"})
        {'project': 'demo'}
    """
    return {key: value for key, value in labels.items() if not key.startswith(PREFIX)}
