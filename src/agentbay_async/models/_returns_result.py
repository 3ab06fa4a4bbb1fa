"""The border between errors that are raised and errors that are reported.

Inside the library everything raises. A public method that talks to the service is decorated with
:func:`reports`, and so answers with a result: what the service or the network did is in it, what
the caller did wrong is raised.
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
    """Let a method that raises answer with a failed result of type `kind` instead."""

    def decorate(method: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R]]:
        @wraps(method)
        async def reporting(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return await method(*args, **kwargs)
            except UsageError:
                raise
            except AgentBayError as error:
                failed: Any = kind.failed(error)
                return failed  # type: ignore[no-any-return]  # kind is the class of R

        return reporting

    return decorate
