"""Results: a value or an error, with the id of the request.

Every call to the service returns a :class:`Result`. Check ``success``, and read ``error_message``
after a failure. Reading the value of a failed result raises its error; it is never ``None``.

This module has the results of calls on sessions. Those of other calls are beside their values, for
example in :mod:`agentbay_async.models.contexts`.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast

import attrs

from agentbay_async.errors import AgentBayError, UsageError
from agentbay_async.models._reprs import Text, html_table
from agentbay_async.models.sessions import Reaping, SessionId, SessionPage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator


P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S")
U = TypeVar("U")
R = TypeVar("R", bound="Result[Any]")

# The most items that a repr names.
_SHOWN = 3


@attrs.frozen(repr=False)
class Result(Generic[T]):
    """A value or an error.

    Attributes:
        error: The error, or ``None`` after a success.
        request_id: The id of the request in the logs of the service, or ``""``.

    Example:
        >>> result = OperationResult.ok({"project": "demo"}, request_id="5C0E")
        >>> result.success, result.data["project"]
        (True, 'demo')
    """

    _value: T | None = attrs.field(default=None, alias="value")
    error: AgentBayError | None = None
    request_id: str = ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._show()}, request_id={self.request_id!r})"

    def _show(self) -> str:
        """Return what a repr says of the outcome."""
        return self._show_value() if self.error is None else f"error={self.error!r}"

    def _show_value(self) -> str:
        return repr(self._value)

    def __rich_repr__(self) -> Iterator[object]:
        yield Text(self._show())
        yield "request_id", self.request_id

    @classmethod
    def ok(cls: type[R], value: object = None, request_id: str = "") -> R:
        """Make a successful result."""
        return cls(value, None, request_id)

    @classmethod
    def failed(cls: type[R], error: AgentBayError) -> R:
        """Make a failed result."""
        return cls(None, error, error.request_id)

    def __bool__(self) -> bool:
        return self.error is None

    @property
    def success(self) -> bool:
        """Whether the call succeeded; ``bool(result)`` is the same."""
        return self.error is None

    @property
    def error_message(self) -> str:
        """The text of the error; ``""`` after a success."""
        return "" if self.error is None else str(self.error)

    @property
    def code(self) -> str:
        """The service's error code; ``""`` after a success."""
        return "" if self.error is None else self.error.code

    @property
    def http_status_code(self) -> int | None:
        """The HTTP status of a failure; ``None`` without an answer, or after a success."""
        return None if self.error is None else self.error.http_status

    def unwrap(self) -> T:
        """Return the value.

        Raises:
            AgentBayError: The call failed.
        """
        if self.error is not None:
            raise self.error
        return cast("T", self._value)

    # Names of the official client, from scripts/official_names.toml.
    message = error_message

    def get_request_id(self) -> str:
        """Return :attr:`request_id`, under the name of the official client."""
        return self.request_id


class SessionResult(Result[S], Generic[S]):
    """The result of ``create`` and ``get``."""

    __slots__ = ()

    @property
    def session(self) -> S:
        """The session; raises the error of a failed result."""
        return self.unwrap()

    @property
    def session_id(self) -> str:
        """The id of the session; of a failed result, the session concerned, or ``""``."""
        return cast("Any", self._value).session_id if self.error is None else self.error.session_id

    def map(self, change: Callable[[S], U]) -> SessionResult[U]:
        """Return a result with `change` applied to the session; an error stays as it is."""
        value = None if self._value is None else change(self._value)
        return SessionResult(value, self.error, self.request_id)


class SessionListResult(Result[SessionPage[S]], Generic[S]):
    """One page of sessions. Iteration covers this page only."""

    __slots__ = ()

    def _show_value(self) -> str:
        shown = [one.session_id for one in cast("list[Any]", self.sessions)[:_SHOWN]]
        more = ["..."] if len(self) > _SHOWN else []
        return f"{len(self)} of {self.total_count} sessions: {', '.join(shown + more) or 'none'}"

    def _repr_html_(self) -> str | None:
        """Return a table, for notebooks."""
        if self.error is not None:
            return None
        rows = [(one.session_id, one.status, one.image_id) for one in cast("Any", self.sessions)]
        caption = f"{len(self)} of {self.total_count} sessions"
        return html_table(caption, ("session", "status", "image"), rows)

    @property
    def sessions(self) -> list[S]:
        """The sessions on this page; raises the error of a failed result."""
        return self.unwrap().sessions

    @property
    def session_ids(self) -> list[SessionId]:
        """The ids of the sessions on this page."""
        return [SessionId(one.session_id, one.status) for one in cast("list[Any]", self.sessions)]

    @property
    def next_token(self) -> str:
        """The token of the next page; ``""`` on the last."""
        return self.unwrap().next_token

    @property
    def max_results(self) -> int | None:
        """The size of a page."""
        return self.unwrap().max_results

    @property
    def total_count(self) -> int | None:
        """The number of all matching sessions."""
        return self.unwrap().total_count

    def __iter__(self) -> Iterator[S]:
        return iter(self.sessions)

    def __len__(self) -> int:
        return len(self.sessions)

    def map(self, change: Callable[[S], U]) -> SessionListResult[U]:
        """Return a result with `change` applied to each session; an error stays as it is."""
        page = self._value
        value: SessionPage[U] | None = None
        if page is not None:
            changed = [change(session) for session in page.sessions]
            value = SessionPage(changed, page.next_token, page.max_results, page.total_count)
        return SessionListResult(value, self.error, self.request_id)


class OperationResult(Result[T], Generic[T]):
    """The result of a call with a plain value."""

    __slots__ = ()

    @property
    def data(self) -> T:
        """The value; raises the error of a failed result."""
        return self.unwrap()


class DeleteResult(Result[None]):
    """The result of ``delete``. Deleting a session that is already gone is a success."""

    __slots__ = ()


class ReapResult(Result[Reaping]):
    """The result of ``reap``. It is a success if the sessions could be listed."""

    __slots__ = ()

    @property
    def deleted(self) -> tuple[str, ...]:
        """The ids of the sessions that were deleted."""
        return self.unwrap().deleted

    @property
    def kept(self) -> tuple[str, ...]:
        """The ids of the sessions whose process lives, or is not known to be dead."""
        return self.unwrap().kept

    @property
    def failed_to_delete(self) -> dict[str, str]:
        """The error texts of the sessions that could not be deleted, by id."""
        return self.unwrap().failed


class SessionStatusResult(Result[str]):
    """The result of ``get_status``, ``pause`` and ``resume``."""

    __slots__ = ()

    @property
    def status(self) -> str:
        """The state, a value of :class:`~agentbay_async.models.sessions.SessionStatus`."""
        return self.unwrap()


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
