"""Reserved labels: labels that the library sets on sessions, beside the user's.

They record the idempotency key of a session's create, its owner, the process that created it, the
time, and its chunk of a distributed run. Users cannot see them, set them or filter by them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_async._check import RESERVED_PREFIX as PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

CHUNK = f"{PREFIX}chunk"
IDEMPOTENCY_KEY = f"{PREFIX}idempotency-key"
OWNER = f"{PREFIX}owner"
RUN = f"{PREFIX}run"
SINCE = f"{PREFIX}since"


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
