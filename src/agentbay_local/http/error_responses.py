"""Turn an `ApiError` into an HTTP response, in the envelope of actions or in that of direct calls.

The envelope is a failure's body; the HTTP status depends on the channel, because plain HTTP clients
read nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from agentbay_async._protocol import error_codes
from agentbay_local.protocol import answers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentbay_local.protocol.errors import ApiError

__all__ = ["direct_error_response", "error_response"]


def error_response(
    error: ApiError,
    status: int | None = None,
    *,
    request_id: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """Return the response of an action that failed; `status` replaces that of the error."""
    return web.Response(
        text=answers.failure(error, request_id or answers.request_id()),
        status=status or error.http_status,
        content_type="application/json",
        headers=headers,
    )


def direct_error_response(error: ApiError) -> web.Response:
    """Return the response of a direct call that failed; a session that is gone is a 404."""
    status = 404 if error.code == error_codes.SESSION_NOT_FOUND else error.http_status
    return web.json_response({"code": error.code, "message": error.message}, status=status)
