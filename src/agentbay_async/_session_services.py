"""The services of a session, each of them made when it is first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
    from agentbay_async.syncing import AsyncSessionContext


class Services:
    """What one can do in a session.

    Attributes:
        session_id: What it is addressed by.
    """

    __slots__ = (
        "__weakref__",
        "_agent",
        "_api",
        "_browser",
        "_code",
        "_command",
        "_computer",
        "_context",
        "_env",
        "_file_system",
        "_git",
        "_mobile",
        "_oss",
        "_pty",
        "session_id",
    )

    def __init__(self, api: Api, session_id: str) -> None:
        self._api = api
        self.session_id = session_id
        self._agent: AsyncAgent | None = None
        self._browser: AsyncBrowser | None = None
        self._code: AsyncCode | None = None
        self._command: AsyncCommand | None = None
        self._computer: AsyncComputer | None = None
        self._context: AsyncSessionContext | None = None
        self._env: AsyncEnv | None = None
        self._file_system: AsyncFileSystem | None = None
        self._git: AsyncGit | None = None
        self._mobile: AsyncMobile | None = None
        self._oss: AsyncOss | None = None
        self._pty: AsyncPty | None = None

    @property
    def command(self) -> AsyncCommand:
        """Runs commands in the session."""
        if self._command is None:
            from agentbay_async.services.command import AsyncCommand

            self._command = AsyncCommand(self._api, self.session_id)
        return self._command

    @property
    def code(self) -> AsyncCode:
        """Runs code in the session."""
        if self._code is None:
            from agentbay_async.services.code import AsyncCode

            self._code = AsyncCode(self._api, self.session_id)
        return self._code

    @property
    def file_system(self) -> AsyncFileSystem:
        """Reads and writes the files of the session."""
        if self._file_system is None:
            from agentbay_async.services.file_system import AsyncFileSystem

            self._file_system = AsyncFileSystem(self._api, self.session_id)
        return self._file_system

    fs = filesystem = files = file_system

    @property
    def env(self) -> AsyncEnv:
        """Sets and reads the variables of the session."""
        if self._env is None:
            from agentbay_async.services.env import AsyncEnv

            self._env = AsyncEnv(self._api, self.session_id)
        return self._env

    @property
    def git(self) -> AsyncGit:
        """Works on git repositories in the session."""
        if self._git is None:
            from agentbay_async.services.git import AsyncGit

            self._git = AsyncGit(self._api, self.session_id)
        return self._git

    @property
    def agent(self) -> AsyncAgent:
        """The service's own agents, which do tasks in the session."""
        if self._agent is None:
            from agentbay_async.services.agent import AsyncAgent

            self._agent = AsyncAgent(self._api, self.session_id)
        return self._agent

    @property
    def browser(self) -> AsyncBrowser:
        """Starts and stops the session's browser."""
        if self._browser is None:
            from agentbay_async.services.browser import AsyncBrowser

            self._browser = AsyncBrowser(self._api, self.session_id)
        return self._browser

    @property
    def computer(self) -> AsyncComputer:
        """Mouse, keyboard, windows and apps of the session's desktop."""
        if self._computer is None:
            from agentbay_async.services.computer import AsyncComputer

            self._computer = AsyncComputer(self._api, self.session_id)
        return self._computer

    @property
    def mobile(self) -> AsyncMobile:
        """Touch, elements and apps of the session's phone."""
        if self._mobile is None:
            from agentbay_async.services.mobile import AsyncMobile

            self._mobile = AsyncMobile(self._api, self.session_id)
        return self._mobile

    @property
    def oss(self) -> AsyncOss:
        """Carries files between the session and object storage."""
        if self._oss is None:
            from agentbay_async.services.oss import AsyncOss

            self._oss = AsyncOss(self._api, self.session_id)
        return self._oss

    @property
    def pty(self) -> AsyncPty:
        """Opens terminals in the session."""
        if self._pty is None:
            from agentbay_async.services.pty import AsyncPty

            self._pty = AsyncPty(self._api, self.session_id)
        return self._pty

    @property
    def context(self) -> AsyncSessionContext:
        """Moves files between the session and its contexts."""
        if self._context is None:
            from agentbay_async.syncing import AsyncSessionContext

            self._context = AsyncSessionContext(self._api, self.session_id)
        return self._context
