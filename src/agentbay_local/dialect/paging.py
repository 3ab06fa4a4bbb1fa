"""Pages of a listing: their size, and the tokens that lead from one to the next.

A token carries the position of the last entry, the total of the first page (so that it stays the
same on every page, and is counted once), and a fingerprint of the filter it belongs to.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import attrs

from agentbay_async._wire import codes
from agentbay_local.dialect.problems import Problem, invalid

if TYPE_CHECKING:
    from agentbay_local.dialect.signing import Signer

__all__ = ["DEFAULT_SIZE", "TOP_SIZE", "Cursor", "cursor_from", "page_size", "token_for"]

DEFAULT_SIZE = 10
# The documentation of the service names no upper bound; one must exist, or a page is the whole
# account.
TOP_SIZE = 100


@attrs.frozen
class Cursor:
    """Where the previous page ended (a number or a name), and the total its listing began with."""

    last: int | str
    total: int


def page_size(asked: int | None, *, default: int = DEFAULT_SIZE, top: int = TOP_SIZE) -> int:
    """Return the number of entries on a page.

    Raises:
        Problem: `asked` is not between 1 and `top`.
    """
    if asked is None:
        return default
    if not 1 <= asked <= top:
        raise invalid("MaxResults", f"must be between 1 and {top}, not {asked}.")
    return asked


def _fingerprint(listing: object) -> str:
    return hashlib.sha256(json.dumps(listing, sort_keys=True).encode()).hexdigest()[:24]


def cursor_from(signer: Signer, token: str | None, listing: object) -> Cursor | None:
    """Read a page token; ``None`` asks for the first page.

    Args:
        signer: The service's signer.
        token: What the client sent.
        listing: The filter, as JSON values; a token of another filter is refused.

    Raises:
        Problem: The token is not ours or belongs to another listing.
    """
    if not token:
        return None
    value = signer.open("page", token)
    if value is None or value.get("filter") != _fingerprint(listing):
        raise Problem(
            codes.INVALID_NEXT_TOKEN,
            "NextToken does not belong to this listing; start again without it.",
        )
    return Cursor(last=value["last"], total=value["total"])


def token_for(signer: Signer, cursor: Cursor, listing: object) -> str:
    """Write the token of the page that follows `cursor`."""
    sealed = {"last": cursor.last, "total": cursor.total, "filter": _fingerprint(listing)}
    return signer.seal("page", sealed)
