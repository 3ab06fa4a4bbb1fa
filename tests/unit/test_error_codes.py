"""Error codes of the service to error classes."""

from __future__ import annotations

import pytest

from agentbay_async import errors
from agentbay_async._protocol import error_codes


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        (error_codes.NOT_LOGIN, 400, errors.AuthenticationError),
        (error_codes.SESSION_NOT_FOUND, 400, errors.SessionNotFoundError),
        (error_codes.CONTEXT_NOT_FOUND, 200, errors.ContextNotFoundError),
        (error_codes.INVALID_NEXT_TOKEN, 400, errors.PageTokenError),
        (error_codes.SERVICE_UNAVAILABLE, 503, errors.ServiceError),
        (error_codes.INTERNAL, 200, errors.ServiceError),
        (error_codes.THROTTLING, 400, errors.ThrottledError),
        ("Throttling.Api", 200, errors.ThrottledError),
        ("ThrottlingElse", 400, errors.APIError),
        ("", 429, errors.ThrottledError),
        ("", 401, errors.AuthenticationError),
        ("", 403, errors.AuthenticationError),
        ("", 502, errors.ServiceError),
        ("Unknown", 404, errors.APIError),
        ("InvalidAction.NotFound", 404, errors.APIError),
        ("ContextFile.NotFound", 400, errors.APIError),
    ],
)
def test_the_code_decides_before_the_status(
    code: str, status: int, kind: type[errors.AgentBayError]
) -> None:
    """Known codes first, then families of codes, then the status."""
    assert error_codes.error_type(code, status) is kind


def test_no_other_code_looks_like_a_missing_session() -> None:
    """Some clients search error texts for NotFound."""
    assert "NotFound" not in error_codes.UNSUPPORTED_ACTION
