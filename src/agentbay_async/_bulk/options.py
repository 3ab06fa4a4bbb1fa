"""Options of a bulk run: check what the caller passes, and apply the defaults."""

from __future__ import annotations

from copy import copy, deepcopy
from typing import TYPE_CHECKING, TypeVar

import attrs

from agentbay_async import _check
from agentbay_async._bulk.rate_limits import TokenBucket
from agentbay_async.errors import ArgumentTypeError, InvalidArgumentError
from agentbay_async.models.sessions import CreateSessionParams

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from agentbay_async._api import Api, RunSpanHook, TelemetryHook

T = TypeVar("T")


@attrs.frozen
class RunOptions:
    """Options of a run.

    Attributes:
        operation: The name of the run in messages.
        action: The action of the protocol that counts as an attempt.
        concurrency: How many inputs are processed at once.
        throttle_timeout: Seconds for which an input is retried while the service throttles it.
        deadline: Seconds for the whole run, or ``None``.
        each_deadline: Seconds for one input, or ``None``.
        rate: How many inputs start per second, or ``None``.
        burst: How many of them may start at once after a pause.
        trusted: Whether workers run only code of this library, which sets no timeouts.
        telemetry: Traces the run, or ``None``.
    """

    operation: str
    action: str
    concurrency: int
    throttle_timeout: float
    deadline: float | None = None
    each_deadline: float | None = None
    rate: float | None = None
    burst: float = 1.0
    trusted: bool = False
    telemetry: TelemetryHook | None = attrs.field(default=None, eq=False)

    def begin_span(self, size: int | None) -> RunSpanHook | None:
        """Begin the span of a run over `size` inputs; return ``None`` without telemetry."""
        return None if self.telemetry is None else self.telemetry.run(self.operation, size)

    def token_bucket(self) -> TokenBucket | None:
        """Return a token bucket for the rate, or ``None`` if there is no rate."""
        return None if self.rate is None else TokenBucket(self.rate, self.burst)


@attrs.frozen
class RunLimits:
    """The limits of a run as the caller passed them, not yet checked."""

    max_concurrency: int | None
    rate: float | None
    burst: int | None
    deadline: float | timedelta | None
    each_deadline: float | timedelta | None

    def options(self, api: Api, operation: str, action: str) -> RunOptions:
        """Check the limits and return the options of a run.

        Raises:
            InvalidArgumentError: A value is out of range.
            ArgumentTypeError: A value has the wrong type.
        """
        if self.burst is not None and self.rate is None:
            raise InvalidArgumentError("burst needs rate: pass both, or neither")
        concurrency = check_optional(_check.positive_int, self.max_concurrency, "max_concurrency")
        return RunOptions(
            operation,
            action,
            concurrency or api.settings.max_connections,
            throttle_timeout=api.settings.deadline,
            deadline=check_optional(_check.seconds, self.deadline, "deadline"),
            each_deadline=check_optional(_check.seconds, self.each_deadline, "each_deadline"),
            rate=check_optional(_check_rate, self.rate, "rate"),
            burst=check_optional(_check.positive_int, self.burst, "burst") or 1,
            telemetry=api.telemetry,
        )


def check_optional(check: Callable[[object, str], T], value: object, name: str) -> T | None:
    """Return the checked value, or ``None`` if there is none."""
    return None if value is None else check(value, name)


def check_function(value: object, name: str) -> object:
    """Return a callable; raise ArgumentTypeError for anything else."""
    if not callable(value):
        raise ArgumentTypeError(f"{name} must be a function, not {type(value).__name__}")
    return value


def check_async_function(value: object, name: str) -> object:
    """Return a function that can be awaited; raise ArgumentTypeError for anything else."""
    check_function(value, name)
    if _check.is_plain_function(value):
        raise ArgumentTypeError(
            f"{name} must be an async function, and this one is a plain `def`",
            hint="Define it with `async def`, or use the blocking package agentbay",
        )
    return value


def _check_rate(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ArgumentTypeError(f"{name} must be a number per second, not {type(value).__name__}")
    if not 0 < value < float("inf"):
        raise InvalidArgumentError(f"{name} must be above 0 and finite, not {value}")
    return float(value)


def copy_params(params: object, name: str) -> CreateSessionParams:
    """Return a copy of params, so that the caller may change the original while inputs wait.

    Raises:
        ArgumentTypeError: `params` is not a CreateSessionParams.
    """
    if not isinstance(params, CreateSessionParams):
        raise ArgumentTypeError(f"{name} must be CreateSessionParams, not {type(params).__name__}")
    copied = copy(params)
    copied.labels = dict(params.labels)
    # Most sessions have neither, and a deep copy of thousands of params takes time.
    if params.context_syncs or params.lifecycle_policy is not None:
        copied.context_syncs = deepcopy(params.context_syncs)
        copied.lifecycle_policy = copy(params.lifecycle_policy)
    if params.browser_context is not None:
        copied.browser_context = deepcopy(params.browser_context)
    return copied
