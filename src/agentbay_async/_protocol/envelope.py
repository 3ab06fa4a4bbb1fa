"""The envelope of an answer: return the data of a success, raise the error of a failure.

HTTP 200 with ``Success: false`` is a failure, without exception. An answer without ``Success`` is a
success if its HTTP status is below 400 and its ``Code`` is empty, ``ok``, ``Success`` or ``200``.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs

from agentbay_async._protocol import codec
from agentbay_async._protocol.error_codes import OK, error_type
from agentbay_async.errors import (
    AgentBayError,
    APIError,
    BadAnswerError,
    OtherServerError,
    QuotaExceededError,
    ThrottledError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentbay_async._protocol.schema import Request

D = TypeVar("D")

_GOOD_CODES = frozenset({"", OK, "200", "success"})
# An answer of the service has one of them; gateways differ in upper and lower case.
_OWN_KEYS = frozenset({"success", "code", "message", "requestid", "data"})
# A service or a gateway that has no such page, method or action says why.
_NO_SUCH_PAGE = frozenset({404, 405, 501})
_PAGING = frozenset({"NextToken", "MaxResults", "TotalCount", "Count"})


@attrs.define
class Answer(Generic[D]):
    """The answer to one request; ``data`` is ``None`` if the service sent none."""

    data: D | None
    request_id: str = ""
    next_token: str = ""
    max_results: int | None = None
    total_count: int | None = None
    count: int | None = None


def read_answer(
    request: Request[D],
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    now: float,
    *,
    is_known: bool = False,
) -> Answer[D]:
    """Return the answer to `request`.

    Args:
        request: The request that is answered.
        status: The HTTP status.
        headers: The headers, in a case-insensitive mapping.
        body: The body.
        now: Seconds since 1970, for a ``Retry-After`` that is a date.
        is_known: Whether the endpoint has given an answer of the protocol before. Then something
            on the way has replaced a foreign one.

    Raises:
        APIError: The service answered with an error.
        OtherServerError: The answer looks like that of a server of something else.
        BadAnswerError: The answer is not of the protocol.
    """
    try:
        document = codec.read_json(body)
    except (ValueError, RecursionError) as error:
        if not is_known and _is_foreign_page(status, headers, body):
            raise _other_server(request, status) from None
        failure = _unreadable(request, status, headers, now, "is not JSON")
        raise failure from (None if status >= 400 else error)
    if not isinstance(document, dict):
        raise _unreadable(request, status, headers, now, "is not a JSON object")
    success = document.get("Success")
    if not (is_known or success is True) and _is_foreign_document(status, document):
        raise _other_server(request, status)
    if status >= 400 or (success is not True and not _is_success(success, document)):
        raise _error_of(request, document, status, headers, now)
    data = document.get("Data")
    try:
        answer = Answer(
            None if request.DATA is None or data is None else codec.from_json(request.DATA, data),
            _text(document, "RequestId"),
        )
        if not _PAGING.isdisjoint(document):
            _read_paging(answer, document)
    except ValueError as error:
        raise _bad_answer(request, status, f"has a Data that cannot be read ({error})") from error
    return answer


def _read_paging(answer: Answer[Any], document: dict[str, Any]) -> None:
    answer.next_token = _text(document, "NextToken")
    answer.max_results = _number(document, "MaxResults")
    answer.total_count = _number(document, "TotalCount")
    answer.count = _number(document, "Count")


def _is_success(flag: object, document: dict[str, Any]) -> bool:
    if flag is None:
        return _text(document, "Code").lower() in _GOOD_CODES
    return isinstance(flag, str) and flag.lower() == "true"


def _is_foreign_page(status: int, headers: Mapping[str, str], body: bytes) -> bool:
    """Return whether a body that is not JSON is the page of a server of something else."""
    if status >= 400:
        return status in _NO_SUCH_PAGE
    is_html = "html" in headers.get("Content-Type", "") or body.lstrip()[:1] == b"<"
    return status >= 300 or is_html


def _is_foreign_document(status: int, document: dict[str, Any]) -> bool:
    if not _OWN_KEYS.isdisjoint(key.lower() for key in document):
        return False
    return status in _NO_SUCH_PAGE or (status < 400 and bool(document))


def _other_server(request: Request[Any], status: int) -> OtherServerError:
    return OtherServerError(
        f"{request.ACTION}: the server that answers is not AgentBay [HTTP {status}]",
        http_status=status,
        session_id=getattr(request, "session_id", None) or "",
    )


def _unreadable(
    request: Request[Any], status: int, headers: Mapping[str, str], now: float, what: str
) -> AgentBayError:
    """Return the error for an answer without an envelope."""
    if status >= 400:
        # A proxy or load balancer answers in HTML: only its status says anything.
        return _error_of(request, {}, status, headers, now)
    return _bad_answer(request, status, what)


def _error_of(
    request: Request[Any],
    document: dict[str, Any],
    status: int,
    headers: Mapping[str, str],
    now: float,
) -> AgentBayError:
    code = _text(document, "Code") or _text(document, "code")
    message = _text(document, "Message") or _text(document, "message")
    wait = retry_after(headers, now)
    kind = error_type(code, status)
    if wait is not None and status < 500 and kind is not QuotaExceededError:
        kind = ThrottledError
    error = kind(
        f"{request.ACTION}: {message or 'the service gave no reason'}"
        f" [{', '.join(part for part in (code, f'HTTP {status}') if part)}]",
        code=code,
        request_id=_text(document, "RequestId") or _text(document, "requestId"),
        http_status=status,
        session_id=getattr(request, "session_id", None) or "",
    )
    if isinstance(error, APIError):
        error.retry_after = wait
    return error


def _bad_answer(request: Request[Any], status: int, what: str) -> BadAnswerError:
    return BadAnswerError(
        f"{request.ACTION}: the answer {what}",
        http_status=status,
        session_id=getattr(request, "session_id", None) or "",
        hint="Check that the endpoint is an AgentBay service.",
    )


def _text(document: dict[str, Any], key: str) -> str:
    value = document.get(key)
    try:
        return value if isinstance(value, str) else "" if value is None else str(value)
    except RecursionError:
        return "..."  # Nested so deeply that parsing just succeeded, and str() fails.


def _number(document: dict[str, Any], key: str) -> int | None:
    value = document.get(key)
    try:
        return None if value is None or value == "" else int(value)
    except (TypeError, OverflowError) as error:
        raise ValueError(f"{key} is not a number") from error


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that the service asks to wait, or ``None`` if it does not ask.

    ``x-acs-retry-after`` is in milliseconds, ``Retry-After`` in seconds or a date.
    """
    milliseconds = headers.get("x-acs-retry-after", "")
    if _is_count(milliseconds) and int(milliseconds) > 0:
        return int(milliseconds) / 1000
    text = headers.get("Retry-After", "")
    if _is_count(text):
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now) if text else None
    except (ValueError, OverflowError):
        return None


def _is_count(text: str) -> bool:
    # int() raises for thousands of digits, and no real delay has 16.
    return text.isascii() and text.isdecimal() and len(text) < 16
