"""Pages of a listing: their size, and the token of the next page.

A token holds the position of the last entry, the total of the first page (so that it is counted
once and is the same on every page), a fingerprint of the filter, and the time of its creation.
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

__all__ = ["DEFAULT_SIZE", "MAX_SIZE", "Cursor", "Pages"]

DEFAULT_SIZE = 10
# The documentation of the service names no maximum; without one a page could be the whole account.
MAX_SIZE = 100


@attrs.frozen
class Cursor:
    """The last entry of the previous page (a number or a name), and the total of the listing."""

    last: int | str
    total: int


def _fingerprint(listing: object) -> str:
    return hashlib.sha256(json.dumps(listing, sort_keys=True).encode()).hexdigest()[:24]


@attrs.frozen
class Pages:
    """The pages of one service.

    Attributes:
        signer: Seals their tokens.
        clock: Measures the age of tokens.
        quotas: The maximum size of a page, and the lifetime of a token.
    """

    signer: Signer
    clock: Clock
    quotas: Quotas

    def size(
        self, requested: int | None, *, default: int = DEFAULT_SIZE, top: int = MAX_SIZE
    ) -> int:
        """Return the number of entries on a page.

        Raises:
            ApiError: `requested` is not between 1 and `top`.
        """
        if requested is not None and not 1 <= requested <= top:
            raise invalid("MaxResults", f"must be between 1 and {top}, not {requested}.")
        size = default if requested is None else requested
        return size if self.quotas.page_size is None else min(size, self.quotas.page_size)

    def cursor(self, token: str | None, listing: object) -> Cursor | None:
        """Return the cursor in a page token; None for the first page.

        Args:
            token: The token from the client.
            listing: The filter, as JSON values; a token of another filter is rejected.

        Raises:
            ApiError: The token is not valid, belongs to another listing, or has expired.
        """
        if not token:
            return None
        value = self.signer.open("page", token)
        if value is None or value.get("filter") != _fingerprint(listing):
            raise ApiError(
                error_codes.INVALID_NEXT_TOKEN,
                "NextToken does not belong to this listing; start again without it.",
            )
        lifetime = self.quotas.page_token_seconds
        if lifetime is not None and self.clock.time() - value.get("made", 0) >= lifetime:
            raise ApiError(error_codes.INVALID_NEXT_TOKEN, "NextToken has expired; start again.")
        return Cursor(last=value["last"], total=value["total"])

    def token(self, cursor: Cursor | None, listing: object) -> str:
        """Return the token of the page that follows `cursor`; empty for None."""
        if cursor is None:
            return ""
        sealed = {
            "last": cursor.last,
            "total": cursor.total,
            "filter": _fingerprint(listing),
            "made": self.clock.time(),
        }
        return self.signer.seal("page", sealed)
