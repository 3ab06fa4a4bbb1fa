"""Pickling of functions, items and outcomes, one by one, so that one failure concerns one item."""

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


def pickle_argument(value: object, name: str, dumps: Dumps) -> bytes:
    """Pickle an argument of the caller.

    Raises:
        ArgumentTypeError: It cannot be pickled; the message names the argument.
    """
    try:
        return dumps(value)
    except Exception as error:
        raise ArgumentTypeError(
            f"{name} cannot be sent to a worker, because it cannot be pickled: {_describe(error)}",
            hint="Pass plain values, and create files, locks and connections inside fn",
        ) from error


def pickle_optional(value: object, name: str, dumps: Dumps) -> bytes | None:
    """Pickle an argument of the caller, unless it is ``None``."""
    return None if value is None else pickle_argument(value, name, dumps)


def unpickle(data: bytes, name: str) -> Any:
    """Return the pickled value.

    Raises:
        EngineError: This process lacks a module or class of the value.
    """
    try:
        # The data comes from a cluster that runs the code of the caller, and the other way round:
        # both trust each other already.
        return pickle.loads(data)  # noqa: S301
    except Exception as error:
        raise EngineError(
            f"{name} cannot be unpickled here: {_describe(error)}",
            hint="Install the same modules in the same versions for the caller and all workers",
        ) from error


def unpickle_optional(data: bytes | None, name: str) -> Any:
    """Return the pickled value, or ``None`` if there is none."""
    return None if data is None else unpickle(data, name)


def pickle_outcome(outcome: MapOutcome[Any], dumps: Dumps) -> bytes:
    """Pickle an outcome; replace a value or an error that cannot be pickled by an error."""
    error, cause = outcome.error, None
    if error is None:
        try:
            return dumps((outcome, None))
        except Exception as failure:
            message = f"what fn returned cannot be pickled: {_describe(failure)}"
            error = FunctionError(message, hint="Return plain values")
    else:
        cause = _pickle_cause(error, dumps)
        error = error if _is_picklable(error, dumps) else FunctionError(_describe(error))
    return dumps((attrs.evolve(cast("Any", outcome), value=None, error=error), cause))


def unpickle_outcome(data: bytes, index: int, losses: int) -> MapOutcome[Any]:
    """Return the outcome of an item.

    Args:
        data: The pickled outcome.
        index: The index of the item in the run.
        losses: How many workers were lost while they processed it.
    """
    try:
        outcome, cause = unpickle(data, "what fn returned")
    except EngineError as error:
        return MapOutcome(error=error, index=index, attempts=losses + 1)
    if cause is not None:
        # pickle drops the cause of an exception, so it is sent separately.
        outcome.error.__cause__ = pickle.loads(cause)  # noqa: S301  # see unpickle
    evolved = attrs.evolve(outcome, index=index, attempts=outcome.attempts + losses)
    return cast("MapOutcome[Any]", evolved)


def pickle_error(error: BaseException, dumps: Dumps) -> bytes:
    """Pickle an error that ended a chunk, or a description of it."""
    return dumps(error if _is_picklable(error, dumps) else EngineError(_describe(error)))


def _pickle_cause(error: AgentBayError, dumps: Dumps) -> bytes | None:
    cause = error.__cause__
    return dumps(cause) if cause is not None and _is_picklable(cause, dumps) else None


def _is_picklable(error: BaseException, dumps: Dumps) -> bool:
    try:
        # An exception whose __init__ needs several arguments pickles, but fails to unpickle.
        pickle.loads(dumps(error))  # noqa: S301  # pickled in this line
    except Exception:
        return False
    return True


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
