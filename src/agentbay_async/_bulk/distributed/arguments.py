"""What callers say who want a run spread over a cluster, checked before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import attrs

from agentbay_async._bulk.distributed.distributed_map import DistributedMap
from agentbay_async._bulk.distributed.pickling import packed
from agentbay_async._bulk.distributed.registry import engine_named
from agentbay_async._bulk.distributed.worker import Job
from agentbay_async._bulk.inputs import Inputs
from agentbay_async._bulk.options import map_terms
from agentbay_async._lifecycle.creation import owner_of
from agentbay_async.config import LOCAL
from agentbay_async.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable, Iterable

    from agentbay_async._api import Api
    from agentbay_async._bulk.distributed.pickling import Dumps
    from agentbay_async._bulk.distributed.worker import Connect
    from agentbay_async._bulk.options import Pacing, Watching
    from agentbay_async._bulk.session_pool import Healthy, Reset
    from agentbay_async.config import Settings
    from agentbay_async.models.sessions import CreateSessionParams
    from agentbay_async.session import AsyncSession

I = TypeVar("I")  # noqa: E741  # the customary name of an input
T = TypeVar("T")


def distributed_map(
    api: Api,
    connect: Connect,
    engine: str,
    function: Callable[[AsyncSession, I], Awaitable[T]],
    items: Iterable[I] | AsyncIterable[I],
    params: CreateSessionParams,
    pacing: Pacing,
    watching: Watching,
    *,
    reuse: bool | int,
    reset: Reset | None,
    healthy: Healthy | None,
    retries: int,
) -> DistributedMap[T]:
    """Return a run of a function over items on a cluster.

    Raises:
        InvalidArgumentError: A value cannot be meant.
        ArgumentTypeError: A value has the wrong type, or cannot be sent to a worker.
        ConfigurationError: The package of the engine is missing, or there is no cluster.
    """
    terms = map_terms(api, function, params, pacing, reuse, reset, healthy, retries)
    if terms.params.idempotency_key is not None:
        raise InvalidArgumentError("params.idempotency_key stands for one session; leave it out")
    settings = _sendable(api)
    cluster = engine_named(engine)
    dumps = cluster.dumps
    job = Job(
        connect=connect,
        settings=settings,
        retry=api.retry,
        params=terms.params,
        function=packed(function, "fn", dumps),
        reset=_optional(reset, "reset", dumps),
        healthy=_optional(healthy, "healthy", dumps),
        reuse=reuse,
        retries=retries,
        each_deadline=terms.plan.each_deadline,
        dumps=dumps,
    )
    source = Inputs(items, lambda item, name: packed(item, name, dumps), "items")
    teller = watching.teller(api, terms.plan.what)
    return DistributedMap(api, cluster, job, source, terms, pacing.max_concurrency, teller)


def _optional(function: object, name: str, dumps: Dumps) -> bytes | None:
    return None if function is None else packed(function, name, dumps)


def _sendable(api: Api) -> Settings:
    """Return settings for the clients of workers.

    Raises:
        InvalidArgumentError: There are some that workers cannot have, or cannot do without.
    """
    settings = api.settings
    if settings.ssl_context is not None:
        raise InvalidArgumentError(
            "ssl_context cannot be sent to the workers of an engine",
            hint="Leave it out, and set SSL_CERT_FILE where the workers are",
        )
    if not settings.reserved_labels:
        raise InvalidArgumentError(
            "an engine needs the labels of the library (reserved_labels=True): by them the sessions"
            " of a dead worker are found"
        )
    # Sessions of a service inside this process end with it, and are not worth writing down.
    ledger = None if settings.endpoint == LOCAL else settings.ledger
    return attrs.evolve(settings, owner=owner_of(api), budget=None, ledger=ledger)
