"""The error codes of the service, and the error class for each.

Codes marked *seen* are in the service's documentation or tests. The codes of the real service for
the other cases are unknown; the local service uses these, which follow the same pattern.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_async import errors

if TYPE_CHECKING:
    from agentbay_async.errors import AgentBayError

OK = "ok"  # seen
NOT_LOGIN = "NOT_LOGIN"  # seen
SESSION_NOT_FOUND = "InvalidMcpSession.NotFound"  # seen
CONTEXT_NOT_FOUND = "Context.NotFound"  # seen
SERVICE_UNAVAILABLE = "ServiceUnavailable"  # seen
THROTTLING = "Throttling"  # the gateway's family: Throttling, Throttling.User, Throttling.Api
QUOTA_EXCEEDED = "QuotaExceeded"  # the gateway's family for limits of an account
# Not "InvalidAction.NotFound", which the gateway uses: clients that search error texts for
# "NotFound" take that for a missing session.
UNSUPPORTED_ACTION = "UnsupportedAction"
INVALID_PARAMETER = "InvalidParameter"
MISSING_PARAMETER = "MissingParameter"
INVALID_NEXT_TOKEN = "InvalidParameter.NextToken"  # noqa: S105  # a code, not a password
CONTEXT_FILE_NOT_FOUND = "ContextFile.NotFound"
CONTEXT_NAME_TAKEN = "Context.AlreadyExists"
CONTEXT_IN_USE = "Context.InUse"
SESSION_STATE = "IncorrectSessionStatus"
SANDBOX_UNAVAILABLE = "SandboxUnavailable"
INTERNAL = "InternalError"
DISK_FULL = "InsufficientStorage"

_BY_CODE: dict[str, type[AgentBayError]] = {
    NOT_LOGIN: errors.AuthenticationError,
    SESSION_NOT_FOUND: errors.SessionNotFoundError,
    CONTEXT_NOT_FOUND: errors.ContextNotFoundError,
    INVALID_NEXT_TOKEN: errors.PageTokenError,
    SERVICE_UNAVAILABLE: errors.ServiceError,
    INTERNAL: errors.ServiceError,
}

# The gateway's codes for a quota that is used up; they may follow a dot.
_QUOTAS = frozenset({QUOTA_EXCEEDED, "ExceedQuota", "LimitExceeded", "QuotaFull"})


def error_type(code: str, http_status: int) -> type[AgentBayError]:
    """Return the error class for a code of the service and the HTTP status it came with.

    Example:
        >>> error_type("InvalidMcpSession.NotFound", 400).__name__
        'SessionNotFoundError'
        >>> error_type("Throttling.User", 400).__name__
        'ThrottledError'
        >>> error_type("QuotaExceeded.Session", 429).__name__
        'QuotaExceededError'
    """
    if code in _BY_CODE:
        return _BY_CODE[code]
    if not _QUOTAS.isdisjoint(code.split(".")):
        return errors.QuotaExceededError
    if code.split(".")[0] == THROTTLING or http_status == 429:
        return errors.ThrottledError
    if http_status in (401, 403):
        return errors.AuthenticationError
    return errors.ServiceError if http_status >= 500 else errors.APIError
