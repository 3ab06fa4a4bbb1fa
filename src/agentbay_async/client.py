"""The client: where sessions come from, and where they go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_async._api import Api
from agentbay_async._client_fleet import Fleet
from agentbay_async.config import resolve

if TYPE_CHECKING:
    import os
    from types import TracebackType

    from agentbay_async._clock import Clock
    from agentbay_async._retry import RetryPolicy
    from agentbay_async.config import Config
    from agentbay_async.contexts import AsyncContextService


class AsyncAgentBay(Fleet):
    """A client of AgentBay. One is enough for a program; it may be used from many places at once.

    Each setting that is not given is looked up: see :mod:`agentbay_async.config`.

    Args:
        api_key: The key of the account; not needed with ``endpoint="local"``.
        cfg: Settings as one value.
        env_file: A file of variables instead of the nearest ``.env``.
        endpoint: Where the service is: a URL, a host, or ``"local"`` for one inside this process.
        region_id: The region of the service.
        timeout: Seconds to wait for one answer. Default 60.
        retry: How patient to be with a service that is not well.
        clock: Time, for tests; see :class:`agentbay_async.Clock`.

    Attributes:
        context: The account's persistent stores of files.

    Raises:
        ConfigurationError: There is no key, or a setting cannot be used.

    Example:
        ::

            async with AsyncAgentBay(endpoint="local") as bay:
                async with bay.session() as session:
                    print((await session.command.run("echo hi")).stdout)
    """

    def __init__(
        self,
        api_key: str | None = None,
        cfg: Config | None = None,
        env_file: str | os.PathLike[str] | None = None,
        *,
        endpoint: str | None = None,
        region_id: str | None = None,
        timeout: float | None = None,
        retry: RetryPolicy | None = None,
        clock: Clock | None = None,
    ) -> None:
        settings = resolve(
            api_key,
            cfg,
            endpoint=endpoint,
            region_id=region_id,
            timeout=timeout,
            env_file=env_file,
        )
        super().__init__(Api(settings, retry, clock))
        self._context: AsyncContextService | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._api.settings.endpoint!r})"

    @property
    def region_id(self) -> str:
        """The region that sessions are asked for in."""
        return self._api.settings.region_id

    @property
    def context(self) -> AsyncContextService:
        """The account's persistent stores of files."""
        if self._context is None:
            from agentbay_async.contexts import AsyncContextService

            self._context = AsyncContextService(self._api)
        return self._context

    async def __aenter__(self) -> AsyncAgentBay:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the client's connections. Sessions live on; later calls raise ClosedError."""
        await self._api.aclose()
