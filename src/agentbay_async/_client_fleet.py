"""The sessions of an account by the thousand."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict, TypeVar

from agentbay_async import _check
from agentbay_async._client_sessions import Sessions
from agentbay_async._lifecycle.creation import owner_of
from agentbay_async.bulk import AsyncBulkCreation, AsyncBulkDeletion
from agentbay_async.errors import InvalidArgumentError
from agentbay_async.models._returns_result import returns_result
from agentbay_async.models.results import ReapResult
from agentbay_async.models.sessions import CreateSessionParams

if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterable,
        AsyncIterator,
        Awaitable,
        Callable,
        Iterable,
        Mapping,
    )
    from datetime import timedelta
    from typing import Literal

    from agentbay_async.models.bulk import MapOutcome, Progress
    from agentbay_async.session import AsyncSession

I = TypeVar("I")  # noqa: E741  # the customary name of an input
T = TypeVar("T")


class Fleet(Sessions):
    """What a client does with many sessions at once."""

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
        """Make many sessions at once: awaited, iterated, or for the length of a block.

        When the service asks to slow down, fewer are asked for at once, and more again once it is
        content; nothing has to be set for that. Params are copied when they are pulled.

        Args:
            params: What they are like: one for all of them, with `count`; or an iterable with one
                for each, which may be asynchronous or have no end. It is pulled while there is
                room. What it raises ends the run.
            count: How many sessions like `params` to make.
            max_concurrency: How many are asked for at once. Default the client's connections, 100.
            rate: How many are begun in a second; by default as many as go.
            burst: How many of them may begin at once after a rest. Default 1.
            max_starting: How many sessions may be waiting for files of contexts at once. A session
                without any runs as soon as it is accepted.
            deadline: Seconds (or a timedelta) for the whole run; what is not there by then failed.
            each_deadline: The same for each input.
            on_outcome: ``"best_effort"`` keeps what was made when others fail; with
                ``"all_or_nothing"`` the first failure ends the run and deletes what it made.
            min_success: Delete what was made, too, unless at least so many succeed.
            on_progress: Called with a :class:`~agentbay_async.models.bulk.Progress`, at most ten
                times a second, and at the end.
            progress: Show it on stderr: a bar on a terminal (extra ``cli``), lines elsewhere.

        Raises:
            InvalidArgumentError: A value cannot be meant.
            ArgumentTypeError: A value has the wrong type.
        """
        from agentbay_async._bulk.options import Pacing, Watching, making

        return AsyncBulkCreation(
            making(
                self._api,
                self.create,
                params,
                count,
                Pacing(max_concurrency, rate, burst, deadline, each_deadline),
                Watching(on_progress, progress),
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
        """Delete many sessions at once: awaited, or iterated. What is gone already is a success.

        Args:
            sessions: Sessions or ids; the iterable may be asynchronous.
            labels: Instead of these, all sessions that have all of these labels; at least one.
            sync_context: First upload the files of their contexts, and verify that they arrived.
            force: Delete even if that upload failed; the files are then lost.
            max_concurrency: How many are deleted at once. Default the client's connections, 100.
            rate: How many are begun in a second; by default as many as go.
            burst: How many of them may begin at once after a rest. Default 1.
            deadline: Seconds (or a timedelta) for the whole run; what is there then still failed.
            each_deadline: The same for each session.
            on_progress: Called with a :class:`~agentbay_async.models.bulk.Progress`, at most ten
                times a second, and at the end.
            progress: Show it on stderr: a bar on a terminal (extra ``cli``), lines elsewhere.

        Raises:
            InvalidArgumentError: A value cannot be meant.
            ArgumentTypeError: A value has the wrong type.
        """
        from agentbay_async._bulk.options import Pacing, Watching, ending

        if (sessions is None) == (labels is None):
            raise InvalidArgumentError("give either sessions or labels")
        if labels is not None:
            sessions = self._labelled(_labels_to_delete(labels))
        run, teller = ending(
            self._api,
            sessions,
            Pacing(max_concurrency, rate, burst, deadline, each_deadline),
            Watching(on_progress, progress),
            sync_context=sync_context,
            force=force,
        )
        return AsyncBulkDeletion(run, teller)

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
    ) -> AsyncIterator[MapOutcome[T]]:
        """Run a function on each item, in a session, and yield what it returns when it does.

        The sessions are deleted when they are no longer needed, whatever happens. An item whose
        session is lost under way is tried again in another one. What the function raises becomes
        the error of its outcome: errors of this library as they are, others as the cause of a
        :class:`~agentbay_async.errors.FunctionError`.

        With an `engine`, the workers of a cluster do it, each with a client of its own. They get
        the items in chunks, and outcomes come when their chunk is done; sessions do not outlive it.
        What a dead worker left is deleted, and another worker gets its chunk, also those items of
        it that were done: `fn` may run twice on them. The functions, the items and what `fn`
        returns have to be pickled; those of a script, lambdas included, can be.

        Args:
            fn: What to do in a session with an item.
            items: The items; the iterable may be asynchronous or have no end.
            params: What the sessions are like.
            max_concurrency: How many items are worked on at once. Default the client's
                connections, 100; with an engine, so many in each worker.
            reuse: A fresh session for each item (``False``), one for that many items, or for as
                many as there are (``True``). A session in which `fn` raised is not used again.
            reset: Called with a session before its next item; if it raises an error of this
                library, the session is not used again.
            healthy: Called with a session before its next item: whether it may be used. By default
                one that runs may.
            retries: How often an item is tried again because its session was lost, or its chunk
                because its worker was.
            rate: How many items are begun in a second; by default as many as go.
            burst: How many of them may begin at once after a rest. Default 1.
            deadline: Seconds (or a timedelta) for the whole run; what is not done by then failed.
            each_deadline: The same for each item.
            on_progress: Called with a :class:`~agentbay_async.models.bulk.Progress`, at most ten
                times a second, and at the end.
            progress: Show it on stderr: a bar on a terminal (extra ``cli``), lines elsewhere.
            engine: ``"ray"`` or ``"dask"`` (extras of these names): the cluster that this process
                is connected to does it, and its workers share concurrency, rate, burst and budget.
                By default this process does it.

        Raises:
            InvalidArgumentError: A value cannot be meant.
            ArgumentTypeError: A value has the wrong type, or cannot be pickled for an engine.
            ConfigurationError: The package of the engine is missing, or there is no cluster.
            EngineError: The cluster has no workers, or they cannot do it.

        Example:
            ::

                async def check(session, repository):
                    return (await session.command.run(f"git ls-remote {repository}")).stdout


                async for outcome in bay.map_sessions(check, repositories, reuse=20):
                    print(outcome.index, outcome.success and outcome.value)
        """
        from agentbay_async._bulk.options import Pacing, Watching, mapped

        what = (fn, items, CreateSessionParams() if params is None else params)
        pacing = Pacing(max_concurrency, rate, burst, deadline, each_deadline)
        watching = Watching(on_progress, progress)
        how = _How(reuse=reuse, reset=reset, healthy=healthy, retries=retries)
        if engine is None:
            return mapped(self._api, self.create, *what, pacing, watching, **how).walk()
        from agentbay_async._bulk.distributed.arguments import distributed_map

        return distributed_map(self._api, engine, *what, pacing, watching, **how).walk()

    @returns_result(ReapResult)
    async def reap(
        self,
        owner: str | None = None,
        older_than: float | timedelta | None = None,
        *,
        dry_run: bool = False,
    ) -> ReapResult:
        """Delete the sessions that outlived the process that created them.

        Sessions of other owners, and of processes that live, are never touched. A process of this
        host is looked up in the ledger; whether one of another host lives cannot be seen from here.

        Args:
            owner: Whose sessions; by default those of this client's owner.
            older_than: Only those older than this, in seconds or as a timedelta. Sessions of
                processes that cannot be seen from here are deleted only if this is given: choose
                more than your programs ever run.
            dry_run: Delete nothing, and tell what would be deleted.

        Example:
            ::

                print((await bay.reap(older_than=24 * 3600)).deleted)
        """
        from agentbay_async._lifecycle.reaper import reap

        whose = owner_of(self._api) if owner is None else _check.identifier(owner, "owner")
        age = None if older_than is None else _check.seconds(older_than, "older_than")
        dry = _check.boolean(dry_run, "dry_run")
        return ReapResult.ok(await reap(self._api, whose, age, dry_run=dry))

    async def _labelled(self, labels: dict[str, str]) -> AsyncIterator[AsyncSession]:
        # Read to its end first: what is deleted meanwhile would shift the pages.
        for session in [session async for session in self.list(labels)]:
            yield session


class _How(TypedDict):
    """What the two ways of running a function over items have in common."""

    reuse: bool | int
    reset: Callable[[AsyncSession], Awaitable[None]] | None
    healthy: Callable[[AsyncSession], Awaitable[bool]] | None
    retries: int


def _labels_to_delete(labels: Mapping[str, str]) -> dict[str, str]:
    checked = _check.labels(labels)
    if not checked:
        raise InvalidArgumentError("labels must not be empty: that would delete every session")
    return checked
