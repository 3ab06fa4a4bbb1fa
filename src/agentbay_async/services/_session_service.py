"""The base of the services of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentbay_async._api import Api
    from agentbay_async.session import AsyncSession


class SessionService:
    """A service of one session, which does not keep the session in memory.

    A session keeps its services. If they kept it too, only the garbage collector could free them.
    """

    __slots__ = ("__weakref__", "_api", "_find_session", "_session_id")

    def __init__(self, api: Api, session_id: str) -> None:
        self._api = api
        self._session_id = session_id
        # The session sets it when it makes the service.
        self._find_session: Callable[[], AsyncSession]

    @property
    def session(self) -> AsyncSession:
        """The session; another object for it if the program has dropped the first one."""
        return self._find_session()
