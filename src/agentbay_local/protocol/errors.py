"""`ApiError`: an error that the service answers with, and functions that build the usual ones.

Handlers raise it, and `agentbay_local.http.middleware` turns it into an answer. Most errors have
HTTP status 400. Those about a context have 200 and ``Success`` false, because clients look for them
there.
"""

from __future__ import annotations

from agentbay_async._protocol import error_codes
from agentbay_local.store import states

__all__ = [
    "ApiError",
    "context_error",
    "invalid",
    "missing",
    "no_context",
    "no_file",
    "no_session",
    "not_running",
    "required",
    "valid_text",
    "wrong_state",
]


class ApiError(Exception):
    """An error that the service answers with.

    Attributes:
        code: One of `agentbay_async._protocol.error_codes`.
        message: A sentence for people, without secrets and paths of the host.
        http_status: HTTP status of the answer.

    Example:
        >>> error = ApiError(error_codes.INVALID_PARAMETER, "MaxResults must be at least 1.")
        >>> error.http_status
        400
    """

    def __init__(self, code: str, message: str, http_status: int = 400) -> None:
        super().__init__(code, message, http_status)
        self.code = code
        self.message = message
        self.http_status = http_status


def invalid(name: str, why: str) -> ApiError:
    """Return the error of an invalid parameter; `why` continues a sentence after its name."""
    return ApiError(error_codes.INVALID_PARAMETER, f"{name} {why}")


def missing(name: str) -> ApiError:
    """Return the error of a missing parameter."""
    return ApiError(error_codes.MISSING_PARAMETER, f"{name} is required.")


def no_session() -> ApiError:
    """Return the error of a session that does not exist or is released."""
    return ApiError(error_codes.SESSION_NOT_FOUND, "Resource [McpSession] is not found.")


def context_error(code: str, message: str) -> ApiError:
    """Return an error about a context, in the channel where clients look for it."""
    return ApiError(code, message, http_status=200)


def no_context(which: str) -> ApiError:
    """Return the error of a context that does not exist."""
    return context_error(error_codes.CONTEXT_NOT_FOUND, f"The context {which!r} does not exist.")


def no_file(path: str) -> ApiError:
    """Return the error of a file that a context does not have."""
    return context_error(error_codes.CONTEXT_FILE_NOT_FOUND, f"The context has no file {path!r}.")


def wrong_state(status: str, remedy: str) -> ApiError:
    """Return the error of a session whose state does not allow a request."""
    return ApiError(error_codes.SESSION_STATE, f"The session is {status}; {remedy}.")


def not_running(status: str) -> ApiError:
    """Return the error of a session that is paused or being released.

    One that is being released is already gone for its users: a call that its release interrupts
    and a call that begins a moment later fail in the same way.
    """
    if status == states.DELETING:
        return no_session()
    return wrong_state(status, "resume it and wait until it is RUNNING")


def disk_full(message: str) -> ApiError:
    """Return the error of a full disk; retrying the request does not help."""
    return ApiError(error_codes.DISK_FULL, message)


def required(value: str | None, name: str) -> str:
    """Return the value of a required parameter.

    Raises:
        ApiError: It is missing or blank.
    """
    if value is None or not value.strip():
        raise missing(name)
    return value


def valid_text(name: str, text: str) -> str:
    """Return a text from JSON, which can express lone surrogates.

    Raises:
        ApiError: It has a lone surrogate, which neither a file nor a database can hold.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise invalid(name, "must not contain lone surrogates.") from error
    return text
