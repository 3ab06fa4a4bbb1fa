"""Private user ids for sessions of a service that runs as root.

The user of a session in a user namespace is, for the kernel, the user who created the namespace. If
that were root, the session would be root of the host. So each session gets a number that no account
of the machine has.
"""

from __future__ import annotations

import grp
import hashlib
import os
import pwd

__all__ = ["private_uid"]

FIRST = 1_900_000_000
COUNT = 200_000_000


def private_uid(session_id: str) -> int | None:
    """Return the user and group id for a session, the same one every time.

    Args:
        session_id: Any name of the session.

    Returns:
        The number, or None if this service is not root and sessions run as its own user.

    Example:
        >>> import os
        >>> (private_uid("s-1") is None) == (os.geteuid() != 0)
        True
    """
    if os.geteuid() != 0:
        return None
    digest = hashlib.sha256(session_id.encode()).digest()
    offset = int.from_bytes(digest[:8], "big") % COUNT
    while _is_taken(FIRST + offset):
        offset = (offset + 1) % COUNT
    return FIRST + offset


def _is_taken(number: int) -> bool:
    for lookup in (pwd.getpwuid, grp.getgrgid):
        try:
            lookup(number)
        except KeyError:
            continue
        return True
    return False
