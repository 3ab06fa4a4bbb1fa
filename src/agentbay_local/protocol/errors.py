"""How the service says no: one exception that carries a line of its error dialect.

Rules raise a `Problem`; `agentbay_local.http.app` writes it down. Two channels exist on the wire,
and clients read them differently: most refusals are HTTP 400, but what concerns a context arrives
as HTTP 200 with ``Success`` false, because that is where clients look for it.
"""

from __future__ import annotations

from agentbay_async._protocol import error_codes

__all__ = [
    "ApiError",
    "context_problem",
    "invalid",
    "missing",
    "no_context",
    "no_file",
    "no_session",
    "not_running",
    "required",
    "whole_text",
    "wrong_state",
]


class ApiError(Exception):  # an answer to a client, no error of ours
    """A refusal in the service's own words.

    Attributes:
        code: One of `agentbay_async._protocol.error_codes`.
        message: A sentence for people, without secrets and without paths of the host.
        http_status: Status of the HTTP answer.

    Example:
        >>> problem = Problem(codes.INVALID_PARAMETER, "MaxResults must be at least 1.")
        >>> problem.http_status
        400
    """

    def __init__(self, code: str, message: str, http_status: int = 400) -> None:
        super().__init__(code, message, http_status)
        self.code = code
        self.message = message
        self.http_status = http_status


def invalid(name: str, why: str) -> ApiError:
    """Refuse a parameter: `why` completes the sentence that begins with its name."""
    return ApiError(error_codes.INVALID_PARAMETER, f"{name} {why}")


def missing(name: str) -> ApiError:
    """Refuse a request that lacks a parameter."""
    return ApiError(error_codes.MISSING_PARAMETER, f"{name} is required.")


def no_session() -> ApiError:
    """Say that a session does not exist, or no longer."""
    return ApiError(error_codes.SESSION_NOT_FOUND, "Resource [McpSession] is not found.")


def context_problem(code: str, message: str) -> ApiError:
    """Refuse something about a context, in the channel where clients look for it."""
    return ApiError(code, message, http_status=200)


def no_context(which: str) -> ApiError:
    """Say that a context does not exist."""
    return context_problem(error_codes.CONTEXT_NOT_FOUND, f"The context {which!r} does not exist.")


def no_file(path: str) -> ApiError:
    """Say that a context has no such file."""
    return context_problem(error_codes.CONTEXT_FILE_NOT_FOUND, f"The context has no file {path!r}.")


def wrong_state(status: str, remedy: str) -> ApiError:
    """Return the error of a session whose state does not allow a request."""
    return ApiError(error_codes.SESSION_STATE, f"The session is {status}; {remedy}.")


def not_running(status: str) -> ApiError:
    """Return the error of a session that is paused or being released."""
    releasing = status == "DELETING"
    remedy = "it is being released" if releasing else "resume it and wait until it is RUNNING"
    return wrong_state(status, remedy)


def required(value: str | None, name: str) -> str:
    """Return a parameter that must be there and not blank.

    Raises:
        Problem: It is absent or blank.
    """
    if value is None or not value.strip():
        raise missing(name)
    return value


def whole_text(name: str, text: str) -> str:
    """Return a text that came out of JSON, where half a character can be written.

    Raises:
        Problem: It has half a surrogate pair, which no file and no database can hold.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise invalid(name, "must be text, but has half a surrogate pair.") from error
    return text
