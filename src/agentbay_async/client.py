"""The client: create, find, list and delete sessions, one or many."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, TypedDict, TypeVar, cast
from weakref import ref

import attrs

from agentbay_async import _check
from agentbay_async._api import Api, check_local_options
from agentbay_async._clock import SystemClock
from agentbay_async._lifecycle import unheld
from agentbay_async._lifecycle.back_references import finder
from agentbay_async._lifecycle.creation import create_session
from agentbay_async._lifecycle.deletion import delete_abandoned, log_abandoned
from agentbay_async._lifecycle.orphans import clean_up_client
from agentbay_async._lifecycle.processes import default_owner
from agentbay_async._lifecycle.shielding import BackgroundTasks, run_shielded
from agentbay_async._protocol import schema
from agentbay_async._retry import RetryPolicy
from agentbay_async.bulk import AsyncBulkCreation, AsyncBulkDeletion
from agentbay_async.config import LOCAL, resolve
from agentbay_async.errors import (
    ArgumentTypeError,
    BadAnswerError,
    ConfigurationError,
    ContextSyncError,
    InvalidArgumentError,
    SyncUnknownError,
)
from agentbay_async.listing import AsyncSessionListing, fetch_page
from agentbay_async.models._later import ClosingIterator
from agentbay_async.models.results import (
    DeleteResult,
    ReapResult,
    SessionListResult,
    SessionResult,
    SessionStatusResult,
    returns_result,
)
from agentbay_async.models.sessions import CreateSessionParams, ListSessionParams, SessionStatus
from agentbay_async.session import AsyncSession

if TYPE_CHECKING:
    import os
    from collections.abc import (
        AsyncIterable,
        AsyncIterator,
        Awaitable,
        Callable,
        Iterable,
        Mapping,
    )
    from datetime import timedelta
    from types import TracebackType
    from typing import Any, Literal

    from agentbay_async._clock import Clock
    from agentbay_async._lifecycle.creation import CreatedSession
    from agentbay_async._lifecycle.ledger import Ledger
    from agentbay_async._transport.base import Transport
    from agentbay_async.config import Config, Settings
    from agentbay_async.contexts import AsyncContextService
    from agentbay_async.models.bulk import MapOutcome, Progress
    from agentbay_async.models.local import LocalOptions
    from agentbay_async.services.beta import AsyncBeta
    from agentbay_async.services.beta_network import AsyncBetaNetwork
    from agentbay_async.services.beta_skills import AsyncBetaSkills

I = TypeVar("I")  # noqa: E741  # the customary name of an input
T = TypeVar("T")

logger = logging.getLogger("agentbay")


class AsyncAgentBay:
    """A client of AgentBay. One is enough for a program; concurrent calls may share it.

    Settings that are not passed are looked up: see :mod:`agentbay_async.config`.

    Args:
        api_key: The key of the account; not needed with ``endpoint="local"``.
        cfg: Settings as one value.
        env_file: A file of variables instead of the nearest ``.env``.
        endpoint: The service: a URL, a host, or ``"local"`` for one inside this process.
        region_id: The region of the service.
        timeout: Seconds to wait for one answer. Default 60.
        retry: When to send a failed request again. Default: ``RetryPolicy()``.
        clock: The source of time, for tests; see :class:`agentbay_async.Clock`.
        transport: Sends the requests, instead of aiohttp; see :class:`agentbay_async.Transport`.
        local: The options of the service inside this process, with ``endpoint="local"``.

    Attributes:
        context: The account's persistent stores of files.

    Raises:
        ConfigurationError: There is no key, or a setting is invalid.

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
        transport: Transport | None = None,
        local: LocalOptions | None = None,
    ) -> None:
        settings = resolve(
            api_key,
            cfg,
            endpoint=endpoint,
            region_id=region_id,
            timeout=timeout,
            env_file=env_file,
        )
        if retry is not None and not isinstance(retry, RetryPolicy):
            raise ArgumentTypeError(
                f"retry must be a RetryPolicy, not {type(retry).__name__}; write"
                " RetryPolicy(attempts=...)"
            )
        if local is not None:
            settings = attrs.evolve(settings, local=_checked_local(local, settings))
        self._connect(settings, retry or RetryPolicy(), clock or SystemClock(), transport)

    def _connect(
        self,
        settings: Settings,
        retry: RetryPolicy,
        clock: Clock,
        transport: Transport | None = None,
    ) -> None:
        from agentbay_async._lifecycle.ledger import Ledger

        settings = attrs.evolve(settings, owner=settings.owner or default_owner())
        # Sessions of a service inside this process end with it, so they need no record.
        recorded = settings.ledger is not None and settings.endpoint != LOCAL
        self._ledger = Ledger(settings.ledger or "", settings.endpoint, clock) if recorded else None
        api_type = Api
        if settings.budget is not None or settings.host_limit is not None:
            from agentbay_async._bulk.admission import AdmittingApi

            api_type = AdmittingApi
        arguments = settings, retry, clock, BackgroundTasks(clock), self._ledger, transport
        if settings.telemetry:
            from agentbay_async._bulk.telemetry import TracedApi

            self._api: Api = TracedApi(*arguments).observe()
        else:
            self._api = api_type(*arguments)
        self._api.find_client = finder(self, partial(_client_of, ref(self._api)))
        self._services: dict[Callable[[Api], Any], Any] = {}

    @classmethod
    def _from_settings(cls, settings: Settings, retry: RetryPolicy) -> AsyncAgentBay:
        """Return a client with resolved settings, for the workers of a cluster."""
        bay = cls.__new__(cls)
        bay._connect(settings, retry, SystemClock())
        return bay

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._api.settings.endpoint!r})"

    @property
    def api_key(self) -> str:
        """The key of the account, a secret; ``""`` without one."""
        return self._api.settings.api_key

    @property
    def region_id(self) -> str:
        """The region of new sessions."""
        return self._api.settings.region_id

    @property
    def context(self) -> AsyncContextService:
        """The account's persistent stores of files."""
        from agentbay_async.contexts import AsyncContextService

        return self._service(AsyncContextService)

    @property
    def beta(self) -> AsyncBeta:
        """Trial features of the cloud."""
        from agentbay_async.services.beta import AsyncBeta

        return self._service(AsyncBeta)

    @property
    def beta_skills(self) -> AsyncBetaSkills:
        """Skills of the account, a trial feature of the cloud."""
        from agentbay_async.services.beta_skills import AsyncBetaSkills

        return self._service(AsyncBetaSkills)

    @property
    def beta_network(self) -> AsyncBetaNetwork:
        """Networks that join sessions to machines of yours, a trial feature of the cloud."""
        from agentbay_async.services.beta_network import AsyncBetaNetwork

        return self._service(AsyncBetaNetwork)

    def _service(self, kind: Callable[[Api], T]) -> T:
        """Return the service of this class, the same one each time."""
        if kind not in self._services:
            self._services[kind] = kind(self._api)
        return cast("T", self._services[kind])

    @returns_result(SessionResult)
    async def create(
        self, params: CreateSessionParams | None = None
    ) -> SessionResult[AsyncSession]:
        """Create a session, and wait until the files of its contexts have arrived.

        If they do not arrive, the session is deleted and the result is a failure. If the caller is
        cancelled, no session is left behind. If the answer of the service is lost, the client looks
        for the session before it creates another.

        Args:
            params: Its parameters. Default: the service's defaults.
        """
        params = CreateSessionParams() if params is None else params
        if not isinstance(params, CreateSessionParams):
            raise ArgumentTypeError(
                f"params must be CreateSessionParams, not {type(params).__name__}"
            )
        set_up = self._set_up(params) if params.envs or params.extra_configs else None
        created = await create_session(self._api, params, set_up)
        session = AsyncSession(
            self._api,
            created.session_id,
            created.image_id,
            SessionStatus.RUNNING.value,
            created.app_instance_id,
            created.resource_url,
            created.access,
            created.reserved,
            created.ends,
        )
        unheld.hand_over.get()(created.session_id, None)
        return SessionResult.ok(session, created.request_id)

    def _set_up(self, params: CreateSessionParams) -> Callable[[CreatedSession], Awaitable[None]]:
        """Return what to do with a session before the caller gets it."""
        commands: list[str] = []
        if params.extra_configs is not None and params.extra_configs.mobile is not None:
            from agentbay_async.services._mobile_settings import setup_commands

            # Made now: a package that is no name is refused before anything is sent.
            commands = setup_commands(params.extra_configs.mobile)
        envs = params.envs

        async def set_up(created: CreatedSession) -> None:
            if envs:
                from agentbay_async.services.env import set_variables

                # Of one that an earlier create made too: that program may have died before this.
                await set_variables(self._api, created.session_id, envs)
            if commands and created.new:
                from agentbay_async.services._mobile_settings import run_setup

                await run_setup(self._api, created.session_id, commands)

        return set_up

    @asynccontextmanager
    async def session(
        self,
        params: CreateSessionParams | None = None,
        *,
        sync_context: bool = False,
        force: bool = False,
    ) -> AsyncIterator[AsyncSession]:
        """Create a session for the length of a block, and always delete it at the end.

        Args:
            params: Its parameters.
            sync_context: Upload the files of its contexts before it is deleted.
            force: Delete it even if that upload fails or its outcome is unknown.

        Raises:
            SyncUnknownError: The session ended before its files were known to be saved.
            AgentBayError: Creating the session failed, or deleting it after a block without error.

        Example:
            ::

                async with bay.session() as session:
                    await session.command.run("make test")
        """
        session = (await self.create(params)).unwrap()
        try:
            yield session
        except BaseException:
            await run_shielded(_release(session, sync_context=sync_context, force=force))
            raise
        try:
            error = (await session.delete(sync_context, force=force)).error
            if error is not None and error.retryable and not isinstance(error, ContextSyncError):
                error = await delete_abandoned(self._api, session.session_id, log=False)
        except BaseException:
            # A cancel does not wait for the files: what the policies say is uploaded at release.
            await run_shielded(_release(session))
            raise
        if error is not None:
            raise error

    @returns_result(SessionResult)
    async def get(self, session_id: str) -> SessionResult[AsyncSession]:
        """Look a session up.

        Args:
            session_id: Its id.

        Raises:
            InvalidArgumentError: The id is blank.
            ArgumentTypeError: It is not a string.
        """
        request = schema.GetSession(session_id=_check.identifier(session_id, "session_id"))
        answer = await self._api.call(request)
        record = answer.data
        if record is None:
            raise BadAnswerError("GetSession: the answer has no data", request_id=answer.request_id)
        unheld.remember_found([record.session_id or session_id])
        session = AsyncSession(
            self._api,
            record.session_id or session_id,
            status=record.status or "",
            app_instance_id=record.app_instance_id or "",
            resource_url=record.resource_url or "",
            access=self._api.access.remember(record.session_id or session_id, record),
        )
        return SessionResult.ok(session, answer.request_id)

    def list(
        self,
        labels: Mapping[str, str] | None = None,
        page: int | None = None,
        limit: int | None = None,
        status: SessionStatus | str | None = None,
        image_id: str | None = None,
    ) -> AsyncSessionListing:
        """List sessions: one page, or by iterating all of them.

        Args:
            labels: Only those that have all of these labels.
            page: The number of the page to begin with; the first is 1.
            limit: Sessions on a page. Default 10 for one page, 100 when iterating.
            status: Only those in this state, such as ``"RUNNING"``.
            image_id: Only those of this image.

        Raises:
            InvalidArgumentError: A value is out of range.
            ArgumentTypeError: A value has the wrong type.
        """
        query = schema.ListSession(
            labels=_check.labels(labels or {}),
            max_results=None if limit is None else _check.positive_int(limit, "limit"),
            status=None if status is None else _status(status),
            image_id=None if image_id is None else _check.identifier(image_id, "image_id"),
        )
        number = 1 if page is None else _check.positive_int(page, "page")
        return AsyncSessionListing(self._api, query, number)

    @returns_result(SessionListResult)
    async def list_by_labels(
        self, params: ListSessionParams | Mapping[str, str] | None = None
    ) -> SessionListResult[AsyncSession]:
        """Return one page of the sessions that have all of some labels.

        Args:
            params: Labels, page size and token; or just labels.
        """
        if not isinstance(params, ListSessionParams):
            params = ListSessionParams(labels=_check.labels(params or {}, "params"))
        query = schema.ListSession(
            labels=_check.labels(params.labels),
            max_results=_check.positive_int(params.max_results, "max_results"),
            next_token=params.next_token or None,
        )
        page, request_id = await fetch_page(self._api, query)
        return SessionListResult.ok(page, request_id)

    async def delete(
        self, session: AsyncSession | str, sync_context: bool = False, *, force: bool = False
    ) -> DeleteResult:
        """Release a session and wait until it is gone. Succeeds if it is gone already.

        Args:
            session: The session, or its id.
            sync_context: First upload the files of its contexts, and verify that they arrived.
            force: Delete even if that upload failed; its files are then lost.
        """
        return await self._session(session).delete(sync_context, force=force)

    async def pause(
        self,
        session: AsyncSession | str,
        timeout: float | timedelta = 600,
        poll_interval: float = 2.0,
    ) -> SessionStatusResult:
        """Pause a session; see :meth:`AsyncSession.pause`."""
        return await self._session(session).pause(timeout, poll_interval)

    async def resume(
        self,
        session: AsyncSession | str,
        timeout: float | timedelta = 600,
        poll_interval: float = 2.0,
    ) -> SessionStatusResult:
        """Let a paused session go on; see :meth:`AsyncSession.resume`."""
        return await self._session(session).resume(timeout, poll_interval)

    def create_many(
        self,
        params: CreateSessionParams
        | Iterable[CreateSessionParams]
        | AsyncIterable[CreateSessionParams],
        count: int | None = None,
        *,
        max_concurrency: int | None = None,
        rate: float | None = None,
        burst: int | None = None,
        max_starting: int | None = None,
        deadline: float | timedelta | None = None,
        each_deadline: float | timedelta | None = None,
        on_outcome: Literal["best_effort", "all_or_nothing"] = "best_effort",
        min_success: int | None = None,
        on_progress: Callable[[Progress], Awaitable[None] | None] | None = None,
        progress: bool = False,
    ) -> AsyncBulkCreation:
        """Create many sessions at once: as one result, one by one, or for a block.

        When the service throttles, fewer creates run at once; the number grows again as creates
        succeed. Each params object is copied when it is pulled.

        Args:
            params: The parameters of all sessions, with `count`; or an iterable with the parameters
                of each session. The iterable may be infinite: workers pull from it as they become
                free. An exception that it raises ends the run.
            count: The number of sessions to create with `params`.
            max_concurrency: The number of creates at once. Default: the client's connections, 100.
            rate: The number of creates to start per second. Default: no limit.
            burst: The number of creates that may start at once after a pause. Default 1.
            max_starting: The number of sessions that may wait for files of contexts. A session
                without contexts runs as soon as the service accepts it.
            deadline: Seconds (or a timedelta) for the whole run; sessions that are not ready by
                its end fail.
            each_deadline: Seconds (or a timedelta) for each session.
            on_outcome: ``"best_effort"`` keeps the created sessions when others fail; with
                ``"all_or_nothing"`` the first failure ends the run and deletes its sessions.
            min_success: Delete the created sessions if fewer than this many succeed.
            on_progress: Called with a :class:`~agentbay_async.models.bulk.Progress`, at most ten
                times a second, and at the end.
            progress: Show progress on stderr: a bar on a terminal (extra ``cli``), lines elsewhere.

        Raises:
            InvalidArgumentError: A value is out of range.
            ArgumentTypeError: A value has the wrong type.
        """
        from agentbay_async._bulk.create_many import create_many
        from agentbay_async._bulk.options import RunLimits
        from agentbay_async._bulk.progress import ProgressOptions

        return AsyncBulkCreation(
            create_many(
                self._api,
                self.create,
                params,
                count,
                RunLimits(max_concurrency, rate, burst, deadline, each_deadline),
                ProgressOptions(on_progress, progress),
                max_starting=max_starting,
                on_outcome=on_outcome,
                min_success=min_success,
            )
        )

    def delete_many(
        self,
        sessions: Iterable[AsyncSession | str] | AsyncIterable[AsyncSession | str] | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        sync_context: bool = False,
        force: bool = False,
        max_concurrency: int | None = None,
        rate: float | None = None,
        burst: int | None = None,
        deadline: float | timedelta | None = None,
        each_deadline: float | timedelta | None = None,
        on_progress: Callable[[Progress], Awaitable[None] | None] | None = None,
        progress: bool = False,
    ) -> AsyncBulkDeletion:
        """Delete many sessions at once. Deleting a session that does not exist is a success.

        Args:
            sessions: Sessions or ids.
            labels: At least one label. Instead of `sessions`: delete all sessions that have all of
                these labels.
            sync_context: First upload the files of their contexts, and verify that they arrived.
            force: Delete even if that upload failed; the files are then lost.
            max_concurrency: The number of deletes at once. Default: the client's connections, 100.
            rate: The number of deletes to start per second. Default: no limit.
            burst: The number of deletes that may start at once after a pause. Default 1.
            deadline: Seconds (or a timedelta) for the whole run; sessions that still exist after it
                fail.
            each_deadline: Seconds (or a timedelta) for each session.
            on_progress: Called with a :class:`~agentbay_async.models.bulk.Progress`, at most ten
                times a second, and at the end.
            progress: Show progress on stderr: a bar on a terminal (extra ``cli``), lines elsewhere.

        Raises:
            InvalidArgumentError: A value is out of range.
            ArgumentTypeError: A value has the wrong type.
        """
        from agentbay_async._bulk.delete_many import delete_many
        from agentbay_async._bulk.options import RunLimits
        from agentbay_async._bulk.progress import ProgressOptions

        if (sessions is None) == (labels is None):
            raise InvalidArgumentError("give either sessions or labels")
        if labels is not None:
            sessions = self._labelled(_labels_to_delete(labels))
        run, reporter = delete_many(
            self._api,
            sessions,
            RunLimits(max_concurrency, rate, burst, deadline, each_deadline),
            ProgressOptions(on_progress, progress),
            sync_context=sync_context,
            force=force,
        )
        return AsyncBulkDeletion(run, reporter)

    def map_sessions(
        self,
        fn: Callable[[AsyncSession, I], Awaitable[T]],
        items: Iterable[I] | AsyncIterable[I],
        params: CreateSessionParams | None = None,
        *,
        max_concurrency: int | None = None,
        reuse: bool | int = False,
        reset: Callable[[AsyncSession], Awaitable[None]] | None = None,
        healthy: Callable[[AsyncSession], Awaitable[bool]] | None = None,
        retries: int = 2,
        rate: float | None = None,
        burst: int | None = None,
        deadline: float | timedelta | None = None,
        each_deadline: float | timedelta | None = None,
        on_progress: Callable[[Progress], Awaitable[None] | None] | None = None,
        progress: bool = False,
        engine: Literal["ray", "dask"] | None = None,
    ) -> ClosingIterator[MapOutcome[T]]:
        """Call a function with each item and a session; yield the outcomes as they arrive.

        The sessions are always deleted when they are no longer needed. An item whose session is
        lost is tried again in another one. An exception of the function becomes the error of its
        outcome: errors of this library as they are, others as the cause of a
        :class:`~agentbay_async.errors.FunctionError`.

        With an `engine`, the workers of a cluster process the items. Each makes a client from the
        settings of this one, so it uses aiohttp even if this client has a `transport`. Workers get
        the items in chunks; the outcomes of a chunk arrive when it is done, and its sessions
        end with it. When a worker dies, its sessions are deleted and another worker gets its whole
        chunk, so `fn` may run twice on an item. The functions, the items and the results of `fn`
        must be picklable; functions of a script, lambdas included, are.

        Args:
            fn: The function to call with a session and an item.
            items: The items; the iterable may be infinite.
            params: The parameters of the sessions.
            max_concurrency: The number of items processed at once. Default: the client's
                connections, 100; with an engine, that many in each worker.
            reuse: The number of items for each session: one (``False``), this many, or no limit
                (``True``). A session in which `fn` raised is not used again.
            reset: Called with a session before its next item; if it raises an error of this
                library, the session is not used again.
            healthy: Called with a session before its next item; returns whether to use the session.
                Default: use it if it runs.
            retries: The number of times to try an item again after its session was lost, or a chunk
                after its worker was lost.
            rate: The number of items to start per second. Default: no limit.
            burst: The number of items that may start at once after a pause. Default 1.
            deadline: Seconds (or a timedelta) for the whole run; items that are not done in time
                fail.
            each_deadline: Seconds (or a timedelta) for each item.
            on_progress: Called with a :class:`~agentbay_async.models.bulk.Progress`, at most ten
                times a second, and at the end.
            progress: Show progress on stderr: a bar on a terminal (extra ``cli``), lines elsewhere.
            engine: ``"ray"`` or ``"dask"`` (extras of these names): process the items on the
                cluster that this process is connected to. Its workers share concurrency, rate,
                burst and budget. Default: process them in this process.

        Raises:
            InvalidArgumentError: A value is out of range.
            ArgumentTypeError: A value has the wrong type, or cannot be pickled for an engine.
            ConfigurationError: The package of the engine is missing, or there is no cluster.
            EngineError: The cluster has no workers, or they cannot run the function.

        Example:
            ::

                async def check(session, repository):
                    return (await session.command.run(f"git ls-remote {repository}")).stdout


                async for outcome in bay.map_sessions(check, repositories, reuse=20):
                    print(outcome.index, outcome.success and outcome.value)
        """
        from agentbay_async._bulk.map_sessions import map_sessions
        from agentbay_async._bulk.options import RunLimits
        from agentbay_async._bulk.progress import ProgressOptions

        arguments = (
            fn,
            items,
            CreateSessionParams() if params is None else params,
            RunLimits(max_concurrency, rate, burst, deadline, each_deadline),
            ProgressOptions(on_progress, progress),
        )
        reuse_options = _ReuseOptions(reuse=reuse, reset=reset, healthy=healthy, retries=retries)
        if engine is None:
            run = map_sessions(self._api, self.create, *arguments, **reuse_options)
            return ClosingIterator(run.iterate())
        from agentbay_async._bulk.distributed.distributed_map import distributed_map

        distributed = distributed_map(
            self._api, self._from_settings, engine, *arguments, **reuse_options
        )
        return ClosingIterator(distributed.iterate())

    @returns_result(ReapResult)
    async def reap(
        self,
        owner: str | None = None,
        older_than: float | timedelta | None = None,
        *,
        dry_run: bool = False,
    ) -> ReapResult:
        """Delete the sessions that outlived the process that created them.

        Sessions of other owners, and of processes that live, are never touched. The ledger
        tells which processes of this host live; nothing tells it of processes of other hosts.

        Args:
            owner: The owner of the sessions. Default: the owner of this client.
            older_than: Only sessions older than this, in seconds or as a timedelta. Sessions of
                other hosts are deleted only if this is given: choose more than your longest run.
            dry_run: Delete nothing; only report the sessions that would be deleted.

        Example:
            ::

                print((await bay.reap(older_than=24 * 3600)).deleted)
        """
        from agentbay_async._lifecycle.reaper import reap

        owner = self._api.settings.owner if owner is None else _check.identifier(owner, "owner")
        age = None if older_than is None else _check.seconds(older_than, "older_than")
        dry = _check.boolean(dry_run, "dry_run")
        return ReapResult.ok(await reap(self._api, self._ledger, owner, age, dry_run=dry))

    async def __aenter__(self) -> AsyncAgentBay:
        self._api.check_open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the client's connections. Sessions live on; later calls raise ClosedError.

        First, creates that are under way end, and sessions that a bulk run created and nobody read
        are deleted. That takes seconds at most, unless the service is slow.
        """
        try:
            await self._finish()
        finally:
            await self._api.aclose()
            unheld.warn_of_unheld(self._api)

    async def _finish(self) -> None:
        try:
            await self._api.background.aclose()
        finally:
            await run_shielded(clean_up_client(self._api))

    def _session(self, session: AsyncSession | str) -> AsyncSession:
        if isinstance(session, AsyncSession):
            return session
        if not isinstance(session, str):
            raise ArgumentTypeError(
                f"session must be a session or its id, not {type(session).__name__}"
            )
        return AsyncSession(self._api, _check.identifier(session, "session"))

    async def _labelled(self, labels: dict[str, str]) -> AsyncIterator[AsyncSession]:
        # Read to its end first: deleting meanwhile would shift the pages.
        for session in [session async for session in self.list(labels)]:
            yield session

    # Names of the official client, from scripts/official_names.toml.
    close = aclose
    beta_pause = pause
    beta_pause_async = pause
    beta_resume = resume
    beta_resume_async = resume


def _client_of(found: ref[Api]) -> AsyncAgentBay:
    """Return another client of an API, which shares its connections.

    Args:
        found: The API. It holds what calls this, and must not be held by it.
    """
    api = cast("Api", found())
    client = AsyncAgentBay.__new__(AsyncAgentBay)
    client._api, client._services = api, {}
    client._ledger = cast("Ledger | None", api.ledger)
    return client


async def _release(
    session: AsyncSession, *, sync_context: bool = False, force: bool = False
) -> None:
    """Delete a session while an error propagates, which must not be replaced by another."""
    if sync_context:
        error = (await session.delete(sync_context, force=force)).error
        if error is None:
            return
        if isinstance(error, SyncUnknownError):
            logger.warning("%s", error)
            return
        if isinstance(error, ContextSyncError):
            # Its files could not be saved: they are worth more than the session costs.
            log_abandoned(session._api, [session.session_id], error)
            return
    await delete_abandoned(session._api, session.session_id)


def _status(status: SessionStatus | str) -> str:
    name = _check.identifier(status, "status").upper()
    if name not in SessionStatus.__members__:
        raise InvalidArgumentError(
            f"status must be one of {', '.join(SessionStatus.__members__)}, not {status!r}"
        )
    return SessionStatus[name].value


class _ReuseOptions(TypedDict):
    """Arguments that a map and a distributed map have in common."""

    reuse: bool | int
    reset: Callable[[AsyncSession], Awaitable[None]] | None
    healthy: Callable[[AsyncSession], Awaitable[bool]] | None
    retries: int


def _labels_to_delete(labels: Mapping[str, str]) -> dict[str, str]:
    checked = _check.labels(labels)
    if not checked:
        raise InvalidArgumentError("labels must not be empty: that would delete every session")
    return checked


def _checked_local(local: object, settings: Settings) -> LocalOptions:
    from agentbay_async.models.local import LocalOptions

    if not isinstance(local, LocalOptions):
        raise ArgumentTypeError(f"local must be LocalOptions, not {type(local).__name__}")
    if settings.endpoint != LOCAL:
        raise ConfigurationError(
            "local is for endpoint='local'; another service has its own options",
            hint="Pass endpoint='local' too, or leave local out.",
        )
    check_local_options(local)
    return local
