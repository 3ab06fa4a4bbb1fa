"""Pages for people: plain HTML without scripts, styles or frames."""

from __future__ import annotations

from aiohttp import web

__all__ = ["page"]


def page(*paragraphs: str, status: int = 200) -> web.Response:
    """Return a page of paragraphs, which are HTML already."""
    body = "".join(f"<p>{paragraph}</p>\n" for paragraph in paragraphs)
    return web.Response(
        status=status,
        text=f'<!doctype html><html lang="en"><title>AgentBay</title>\n{body}</html>\n',
        content_type="text/html",
        charset="utf-8",
        headers={
            "Cache-Control": "no-store",
            "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        },
    )
