"""A refusal as HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from agentbay_local.protocol import answers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentbay_local.protocol.errors import ApiError

__all__ = ["refused"]


def refused(
    problem: ApiError,
    status: int | None = None,
    *,
    request_id: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """Write a refusal; `status` replaces the problem's own where clients look at that alone."""
    return web.Response(
        text=answers.failure(problem, request_id or answers.request_id()),
        status=status or problem.http_status,
        content_type="application/json",
        headers=headers,
    )
