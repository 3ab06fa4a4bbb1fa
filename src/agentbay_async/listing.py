"""Listing of sessions: one page as a result, or all sessions by iteration."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

import attrs

from agentbay_async._lifecycle import unheld
from agentbay_async.errors import PageTokenError
from agentbay_async.models._later import AwaitableCoroutine, ClosingIterator
from agentbay_async.models.results import SessionListResult, returns_result
from agentbay_async.models.sessions import SessionPage
from agentbay_async.session import AsyncSession

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from typing import Any

    from agentbay_async._api import Api
    from agentbay_async._protocol import schema
    from agentbay_async._protocol.envelope import Answer

# The default of the protocol.
_PAGE = 10
# For an iteration. The service documents no upper bound; 100 is the usual one of its gateway.
_WALK_PAGE = 100


class AsyncSessionListing(AwaitableCoroutine[SessionListResult[AsyncSession]]):
    """The sessions that match a query. Nothing is sent before it is used.

    Example:
        ::

            first = await bay.list(labels={"project": "demo"})
            print(first.total_count)

            async for session in bay.list(labels={"project": "demo"}):
                print(session.session_id)
    """

    __slots__ = ("__weakref__", "_api", "_page", "_query")

    def __init__(self, api: Api, query: schema.ListSession, page: int = 1) -> None:
        self._api = api
        self._query = query
        self._page = page

    def __repr__(self) -> str:
        asked = {
            "labels": self._query.labels,
            "page": self._page if self._page > 1 else None,
            "status": self._query.status,
            "image_id": self._query.image_id,
        }
        shown = ", ".join(f"{name}={value!r}" for name, value in asked.items() if value)
        return f"{type(self).__name__}({shown or 'all sessions'})"

    def __await__(self) -> Generator[Any, None, SessionListResult[AsyncSession]]:
        return self.first().__await__()

    @returns_result(SessionListResult)
    async def first(self) -> SessionListResult[AsyncSession]:
        """Return the first page, or the page that was asked for."""
        query = await self._start(self._query.max_results or _PAGE)
        page, request_id = await fetch_page(self._api, query)
        return SessionListResult.ok(page, request_id)

    def __aiter__(self) -> ClosingIterator[AsyncSession]:
        return ClosingIterator(self._walk())

    async def _walk(self) -> AsyncGenerator[AsyncSession, None]:
        """Yield every session once, page after page, from the page asked for on.

        Raises:
            AgentBayError: A page cannot be fetched; the pages before it were yielded.
        """
        seen: set[str] = set()
        query = await self._start(self._query.max_results or _WALK_PAGE)
        async with aclosing(self._api.pages(query)) as answers:
            async for answer in answers:
                for session in _page(self._api, answer).sessions:
                    # Sessions that start or end meanwhile shift the pages.
                    if session.session_id not in seen:
                        seen.add(session.session_id)
                        yield session

    async def _start(self, size: int) -> schema.ListSession:
        """Return the query of the wanted page, which needs the tokens of all pages before it."""
        query = attrs.evolve(self._query, max_results=size)
        for number in range(1, self._page):
            page, request_id = await fetch_page(self._api, query)
            if not page.next_token:
                raise PageTokenError(
                    f"there is no page {self._page}; page {number} is the last",
                    request_id=request_id,
                )
            query = attrs.evolve(query, next_token=page.next_token)
        return query


async def fetch_page(api: Api, query: schema.ListSession) -> tuple[SessionPage[AsyncSession], str]:
    """Return one page of sessions, and the id of the request."""
    answer = await api.call(query)
    return _page(api, answer), answer.request_id


def _page(api: Api, answer: Answer[list[schema.ListedSession]]) -> SessionPage[AsyncSession]:
    sessions = [
        AsyncSession(
            api,
            entry.session_id,
            entry.image_id or "",
            entry.session_status or "",
            entry.app_instance_id or "",
        )
        for entry in answer.data or ()
        if entry.session_id
    ]
    unheld.remember_found(session.session_id for session in sessions)
    return SessionPage(sessions, answer.next_token, answer.max_results, answer.total_count)
