"""What a handler answers, and the envelope it travels in. Values only."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import attrs

from agentbay_async._protocol import error_codes
from agentbay_async._protocol.codec import compact_json, to_json
from agentbay_local.protocol.json import dump_json

if TYPE_CHECKING:
    from agentbay_local.protocol.errors import ApiError

__all__ = ["Answer", "failure", "request_id", "success"]


@attrs.frozen
class Answer:
    """What comes beside ``Success``: data, and for listings how to go on.

    Attributes:
        data: A schema value, a list of them, or text; None for a bare acknowledgement.
        next_token: The token of the next page; None when there is none.
        max_results: The page size that was used.
        total_count: Entries on all pages together.
        count: Entries in the folder, for listings of files.
        size: Characters of text in the data, where they can be many.
    """

    data: Any = None
    next_token: str | None = None
    max_results: int | None = None
    total_count: int | None = None
    count: int | None = None
    size: int = 0


def request_id() -> str:
    """Return a fresh id in the service's form."""
    return str(uuid.uuid4()).upper()


async def success(answer: Answer, identity: str) -> str:
    """Write the JSON text of an answer."""
    extra = {
        "NextToken": answer.next_token,
        "MaxResults": answer.max_results,
        "TotalCount": answer.total_count,
        "Count": answer.count,
    }
    envelope = _envelope(identity, 200, error_codes.OK, "", good=True)
    if answer.data is not None:
        envelope["Data"] = to_json(answer.data)
    given = {key: value for key, value in extra.items() if value is not None}
    return await dump_json(envelope | given, answer.size)


def failure(problem: ApiError, identity: str) -> str:
    """Write the JSON text of a refusal."""
    # The envelope repeats the logical status, also where HTTP itself says 200.
    status = 400 if problem.http_status == 200 else problem.http_status
    return compact_json(_envelope(identity, status, problem.code, problem.message, good=False))


def _envelope(identity: str, status: int, code: str, message: str, *, good: bool) -> dict[str, Any]:
    return {
        "RequestId": identity,
        "HttpStatusCode": status,
        "Code": code,
        "Success": good,
        "Message": message,
    }
