"""The border between raised errors and failed results.

Inside the library, everything raises. Public methods that call the service are decorated with
:func:`returns_result`, which turns errors of the service and of the network into failed results.
Wrong calls (:class:`~agentbay_async.errors.UsageError`) raise.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from agentbay_async.errors import AgentBayError, UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from agentbay_async.models.results import Result

P = ParamSpec("P")
R = TypeVar("R", bound="Result[Any]")


def returns_result(
    kind: type[Result[Any]],
) -> Callable[[Callable[P, Awaitable[R]]], Callable[P, Coroutine[Any, Any, R]]]:
    """Decorate a method to return a failed result of type `kind` instead of raising."""

    def decorate(method: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R]]:
        @wraps(method)
        async def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return await method(*args, **kwargs)
            except UsageError:
                raise
            except AgentBayError as error:
                failed: Any = kind.failed(error)
                return failed  # type: ignore[no-any-return]  # kind is the class of R

        return wrapper

    return decorate
