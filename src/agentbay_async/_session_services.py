"""The services of a session, each of them made when it is first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from agentbay_async._api import Api
    from agentbay_async.services.agent import AsyncAgent
    from agentbay_async.services.browser import AsyncBrowser
    from agentbay_async.services.code import AsyncCode
    from agentbay_async.services.command import AsyncCommand
    from agentbay_async.services.computer import AsyncComputer
    from agentbay_async.services.env import AsyncEnv
    from agentbay_async.services.file_system import AsyncFileSystem
    from agentbay_async.services.git import AsyncGit
    from agentbay_async.services.mobile import AsyncMobile
    from agentbay_async.services.oss import AsyncOss
    from agentbay_async.services.pty import AsyncPty
    from agentbay_async.session_context import AsyncSessionContext

T = TypeVar("T")


class Services:
    """What one can do in a session.

    Attributes:
        session_id: What it is addressed by.
    """

    __slots__ = ("__weakref__", "_api", "_services", "session_id")

    # Session objects are made by the hundred: the last of the classes fills all their slots.
    _api: Api
    _services: dict[Callable[[Api, str], Any], Any] | None
    session_id: str

    def _service(self, kind: Callable[[Api, str], T]) -> T:
        """Return the service of a kind, always the same one."""
        if self._services is None:
            self._services = {}
        service: T | None = self._services.get(kind)
        if service is None:
            service = self._services[kind] = kind(self._api, self.session_id)
        return service

    @property
    def command(self) -> AsyncCommand:
        """Runs commands in the session."""
        from agentbay_async.services.command import AsyncCommand

        return self._service(AsyncCommand)

    @property
    def code(self) -> AsyncCode:
        """Runs code in the session."""
        from agentbay_async.services.code import AsyncCode

        return self._service(AsyncCode)

    @property
    def file_system(self) -> AsyncFileSystem:
        """Reads and writes the files of the session."""
        from agentbay_async.services.file_system import AsyncFileSystem

        return self._service(AsyncFileSystem)

    fs = filesystem = files = file_system

    @property
    def env(self) -> AsyncEnv:
        """Sets and reads the variables of the session."""
        from agentbay_async.services.env import AsyncEnv

        return self._service(AsyncEnv)

    @property
    def git(self) -> AsyncGit:
        """Works on git repositories in the session."""
        from agentbay_async.services.git import AsyncGit

        return self._service(AsyncGit)

    @property
    def agent(self) -> AsyncAgent:
        """The service's own agents, which do tasks in the session."""
        from agentbay_async.services.agent import AsyncAgent

        return self._service(AsyncAgent)

    @property
    def browser(self) -> AsyncBrowser:
        """Starts and stops the session's browser."""
        from agentbay_async.services.browser import AsyncBrowser

        return self._service(AsyncBrowser)

    @property
    def computer(self) -> AsyncComputer:
        """Mouse, keyboard, windows and apps of the session's desktop."""
        from agentbay_async.services.computer import AsyncComputer

        return self._service(AsyncComputer)

    @property
    def mobile(self) -> AsyncMobile:
        """Touch, elements and apps of the session's phone."""
        from agentbay_async.services.mobile import AsyncMobile

        return self._service(AsyncMobile)

    @property
    def oss(self) -> AsyncOss:
        """Carries files between the session and object storage."""
        from agentbay_async.services.oss import AsyncOss

        return self._service(AsyncOss)

    @property
    def pty(self) -> AsyncPty:
        """Opens terminals in the session."""
        from agentbay_async.services.pty import AsyncPty

        return self._service(AsyncPty)

    @property
    def context(self) -> AsyncSessionContext:
        """Moves files between the session and its contexts."""
        from agentbay_async.session_context import AsyncSessionContext

        return self._service(AsyncSessionContext)
