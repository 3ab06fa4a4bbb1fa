"""Pages of a listing: their size, and the tokens that lead from one to the next.

A token carries the position of the last entry, the total of the first page (so that it stays the
same on every page, and is counted once), a fingerprint of the filter it belongs to, and when it was
made.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import attrs

from agentbay_async._protocol import error_codes
from agentbay_local.protocol.errors import ApiError, invalid

if TYPE_CHECKING:
    from agentbay_local.clock import Clock
    from agentbay_local.protocol.signing import Signer
    from agentbay_local.testing.quotas import Quotas

__all__ = ["DEFAULT_SIZE", "TOP_SIZE", "Cursor", "Pages"]

DEFAULT_SIZE = 10
# The documentation of the service names no upper bound; one must exist, or a page is the whole
# account.
TOP_SIZE = 100


@attrs.frozen
class Cursor:
    """Where the previous page ended (a number or a name), and the total its listing began with."""

    last: int | str
    total: int


def _fingerprint(listing: object) -> str:
    return hashlib.sha256(json.dumps(listing, sort_keys=True).encode()).hexdigest()[:24]


@attrs.frozen
class Pages:
    """The pages of one service.

    Attributes:
        signer: What signs their tokens.
        clock: What their age is told by.
        quotas: How large they may be, and how long their tokens are valid.
    """

    signer: Signer
    clock: Clock
    quotas: Quotas

    def size(self, asked: int | None, *, default: int = DEFAULT_SIZE, top: int = TOP_SIZE) -> int:
        """Return the number of entries on a page.

        Raises:
            Problem: `asked` is not between 1 and `top`.
        """
        if asked is not None and not 1 <= asked <= top:
            raise invalid("MaxResults", f"must be between 1 and {top}, not {asked}.")
        size = default if asked is None else asked
        return size if self.quotas.page_size is None else min(size, self.quotas.page_size)

    def cursor(self, token: str | None, listing: object) -> Cursor | None:
        """Read a page token; ``None`` asks for the first page.

        Args:
            token: What the client sent.
            listing: The filter, as JSON values; a token of another filter is refused.

        Raises:
            Problem: The token is not ours, belongs to another listing, or is too old.
        """
        if not token:
            return None
        value = self.signer.open("page", token)
        if value is None or value.get("filter") != _fingerprint(listing):
            raise ApiError(
                error_codes.INVALID_NEXT_TOKEN,
                "NextToken does not belong to this listing; start again without it.",
            )
        valid = self.quotas.page_token_seconds
        if valid is not None and self.clock.time() - value.get("made", 0) >= valid:
            raise ApiError(error_codes.INVALID_NEXT_TOKEN, "NextToken has expired; start again.")
        return Cursor(last=value["last"], total=value["total"])

    def token(self, cursor: Cursor | None, listing: object) -> str:
        """Write the token of the page that follows `cursor`; empty when there is none."""
        if cursor is None:
            return ""
        sealed = {
            "last": cursor.last,
            "total": cursor.total,
            "filter": _fingerprint(listing),
            "made": self.clock.time(),
        }
        return self.signer.seal("page", sealed)
