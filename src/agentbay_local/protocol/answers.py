"""The answer of a handler, and its envelope."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import attrs

from agentbay_async._protocol import error_codes
from agentbay_async._protocol.codec import compact_json, to_json
from agentbay_local.protocol.json import encode_json

if TYPE_CHECKING:
    from io import BytesIO

    from agentbay_local.protocol.errors import ApiError

__all__ = ["Answer", "failure", "request_id", "success"]


@attrs.frozen
class Answer:
    """The data of a successful answer, and the paging of a listing.

    Attributes:
        data: A schema value, a list of them, or text; None for a bare acknowledgement.
        next_token: The token of the next page, empty on the last one; None for no listing.
        max_results: The page size that was used.
        total_count: Number of entries on all pages.
        count: Number of entries in the folder, for listings of files.
        size: Number of characters in the data, where it can be large.
    """

    data: Any = None
    next_token: str | None = None
    max_results: int | None = None
    total_count: int | None = None
    count: int | None = None
    size: int = 0


def request_id() -> str:
    """Return a new request id."""
    return str(uuid.uuid4()).upper()


async def success(answer: Answer, identity: str) -> bytes | BytesIO:
    """Return the JSON of an answer."""
    extra = {
        "NextToken": answer.next_token,
        "MaxResults": answer.max_results,
        "TotalCount": answer.total_count,
        "Count": answer.count,
    }
    envelope = _envelope(identity, 200, error_codes.OK, "", good=True)
    if answer.data is not None:
        envelope["Data"] = to_json(answer.data)
    present = {key: value for key, value in extra.items() if value is not None}
    return await encode_json(envelope | present, answer.size)


def failure(error: ApiError, identity: str) -> str:
    """Return the JSON text of an error."""
    # An error with HTTP status 200 has a 400 in its envelope.
    status = 400 if error.http_status == 200 else error.http_status
    return compact_json(_envelope(identity, status, error.code, error.message, good=False))


def _envelope(identity: str, status: int, code: str, message: str, *, good: bool) -> dict[str, Any]:
    return {
        "RequestId": identity,
        "HttpStatusCode": status,
        "Code": code,
        "Success": good,
        "Message": message,
    }
