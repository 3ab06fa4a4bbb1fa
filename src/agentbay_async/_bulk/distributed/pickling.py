"""Values on their way between processes: packed one by one, so that none holds up the others."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, cast

import attrs

from agentbay_async.errors import ArgumentTypeError, EngineError, FunctionError
from agentbay_async.models.bulk import MapOutcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentbay_async.errors import AgentBayError

    Dumps = Callable[[object], bytes]


def packed(value: object, name: str, dumps: Dumps) -> bytes:
    """Return a value of the caller's as bytes.

    Raises:
        ArgumentTypeError: It cannot be pickled; the message names the argument.
    """
    try:
        return dumps(value)
    except Exception as error:
        raise ArgumentTypeError(
            f"{name} cannot be sent to a worker, because it cannot be pickled: {_told(error)}",
            hint="Make what it needs where it runs, and send plain values",
        ) from error


def unpacked(data: bytes, what: str) -> Any:
    """Return what was packed.

    Raises:
        EngineError: This process lacks something that it is made of.
    """
    try:
        # From the cluster, which runs the caller's code, and to which the caller's code goes.
        return pickle.loads(data)  # noqa: S301
    except Exception as error:
        raise EngineError(
            f"{what} cannot be unpacked here: {_told(error)}",
            hint="The caller and all workers need the same modules, in the same versions",
        ) from error


def sealed(outcome: MapOutcome[Any], dumps: Dumps) -> bytes:
    """Return an outcome as bytes; what cannot be pickled of it is told in words instead."""
    error, cause = outcome.error, None
    if error is None:
        try:
            return dumps((outcome, None))
        except Exception as refusal:
            words = f"what fn returned cannot be pickled: {_told(refusal)}"
            error = FunctionError(words, hint="Return plain values")
    else:
        cause = _cause(error, dumps)
        error = error if _travels(error, dumps) else FunctionError(_told(error))
    return dumps((attrs.evolve(cast("Any", outcome), value=None, error=error), cause))


def opened(data: bytes, index: int, losses: int) -> MapOutcome[Any]:
    """Return the outcome of an item.

    Args:
        data: What a worker sealed.
        index: The place of the item in the run.
        losses: How often it was worked on before, by workers that were lost.
    """
    try:
        outcome, cause = unpacked(data, "what fn returned")
    except EngineError as error:
        return MapOutcome(error=error, index=index, attempts=losses + 1)
    if cause is not None:
        # Errors leave their cause behind when they are pickled.
        outcome.error.__cause__ = pickle.loads(cause)  # noqa: S301  # as above
    evolved = attrs.evolve(outcome, index=index, attempts=outcome.attempts + losses)
    return cast("MapOutcome[Any]", evolved)


def failure(error: BaseException, dumps: Dumps) -> bytes:
    """Return what ended the work of a chunk as bytes."""
    return dumps(error if _travels(error, dumps) else EngineError(_told(error)))


def _cause(error: AgentBayError, dumps: Dumps) -> bytes | None:
    cause = error.__cause__
    return dumps(cause) if cause is not None and _travels(cause, dumps) else None


def _travels(error: BaseException, dumps: Dumps) -> bool:
    try:
        # Errors that want several arguments can be pickled, and then not be made again.
        pickle.loads(dumps(error))  # noqa: S301  # made in this line
    except Exception:
        return False
    return True


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
