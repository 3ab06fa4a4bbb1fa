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
NOT_RECORDED = "NotRecorded"  # a replay of the local service

_BY_CODE: dict[str, type[AgentBayError]] = {
    NOT_LOGIN: errors.AuthenticationError,
    SESSION_NOT_FOUND: errors.SessionNotFoundError,
    CONTEXT_NOT_FOUND: errors.ContextNotFoundError,
    INVALID_NEXT_TOKEN: errors.PageTokenError,
    SERVICE_UNAVAILABLE: errors.ServiceError,
    INTERNAL: errors.ServiceError,
    NOT_RECORDED: errors.NotRecordedError,
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


# Seconds after which a failure may be the gateway's, which ends a request after 60.
_GATEWAY_ENDS = 55.0
_OWN_FAULTS = frozenset({INVALID_PARAMETER, MISSING_PARAMETER, NOT_LOGIN, SESSION_STATE})


def find_hint(action: str, error: AgentBayError, endpoint: str = "") -> str:
    """Return how to fix a problem whose cause is known, or ``""``.

    Args:
        action: The action that failed.
        error: The error of its last attempt.
        endpoint: The URL of the service.

    Example:
        >>> find_hint("GetLink", errors.APIError("only BrowserUse image support cdp"))[:37]
        'Without a port, only images with a br'
    """
    if isinstance(error, (errors.ConnectionFailedError, errors.OtherServerError)):
        return _find_endpoint_hint(error, endpoint)
    text = error.message.lower()
    if action == "GetLink" and "support cdp" in text:
        return "Without a port, only images with a browser have a link; give a port"
    if isinstance(error, errors.APIError) and "paused" in text:
        return "A paused session refuses every call, deletion too: resume it first"
    refused = type(error) in (errors.APIError, errors.AuthenticationError)
    if action == "GetLink" and refused and error.code not in _OWN_FAULTS:
        return "Links are for accounts with a paid plan (Pro or Ultra)"
    lost = isinstance(error, (errors.ServiceError, errors.TransportError))
    lasted = error.attempts[-1].duration if error.attempts else 0.0
    if action == "CallMcpTool" and lost and lasted >= _GATEWAY_ENDS:
        return (
            "The gateway ends a request after 60 seconds, and what it started may still run; start"
            " long work with command.start()"
        )
    return ""


def _find_endpoint_hint(error: AgentBayError, endpoint: str) -> str:
    """Return which server was tried, and how to choose another one."""
    scheme, _, host = endpoint.rpartition("://")
    if isinstance(error, errors.OtherServerError):
        return (
            f"Another server answers at {endpoint}: check the port and the endpoint; `agentbay"
            " local status` prints that of the local service"
        )
    if error.retryable:
        return f"Tried {host}: check endpoint= or AGENTBAY_ENDPOINT, and that the service runs"
    if "certificate" in error.message.lower():
        return (
            f"{host} shows a certificate that is not trusted here: pass"
            " Config(ssl_context=...), or set SSL_CERT_FILE"
        )
    if scheme == "https":
        return (
            f"Tried {host} with https://, which an endpoint without a scheme means; a service"
            f" without TLS, such as `agentbay local`, is endpoint='http://{host}'"
        )
    return f"Tried {host}"
