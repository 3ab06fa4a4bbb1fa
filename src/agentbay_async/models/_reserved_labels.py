"""Labels that the library sets by itself, beside the user's own.

They say of a session which create made it, whose it is, which process made it and when, and for
which part of a run that is spread over a cluster. Users never see them, cannot set them and cannot
filter by them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What the keys of all reserved labels begin with.
PREFIX = "agentbay-"

CHUNK = f"{PREFIX}chunk"
IDEMPOTENCY_KEY = f"{PREFIX}idempotency-key"
OWNER = f"{PREFIX}owner"
RUN = f"{PREFIX}run"
SINCE = f"{PREFIX}since"


def reserved(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that are the library's.

    Example:
        >>> reserved({"project": "demo", "agentbay-run": "7"})
        {'agentbay-run': '7'}
    """
    return {key: value for key, value in labels.items() if key.startswith(PREFIX)}


def visible(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that are the user's.

    Example:
        >>> visible({"project": "demo", "agentbay-run": "7"})
        {'project': 'demo'}
    """
    return {key: value for key, value in labels.items() if not key.startswith(PREFIX)}
