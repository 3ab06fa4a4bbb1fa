"""What calls answer: a value or an error, with the id of the request.

Every call to the service returns a :class:`Result`. Whoever checks ``success`` gets to see
``error_message``; whoever does not, and reads the value of a failed result, gets the error itself
raised. Nobody gets ``None`` where a value was meant.

Here are the results of calls on sessions; those on contexts are in
:mod:`agentbay_async.models.contexts`, those of what runs inside a session in
:mod:`agentbay_async.models.tools`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import attrs

from agentbay_async.models.sessions import Reaping, SessionPage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agentbay_async.errors import AgentBayError

T = TypeVar("T")
S = TypeVar("S")
U = TypeVar("U")
R = TypeVar("R", bound="Result[Any]")


@attrs.frozen(repr=False)
class Result(Generic[T]):
    """A value or an error.

    Attributes:
        error: What went wrong, or ``None``.
        request_id: The id under which the service logged the request, or ``""``.

    Example:
        >>> result = OperationResult.ok({"project": "demo"}, request_id="5C0E")
        >>> result.success, result.data["project"]
        (True, 'demo')
    """

    _value: T | None = attrs.field(default=None, alias="value")
    error: AgentBayError | None = None
    request_id: str = ""

    def __repr__(self) -> str:
        shown = repr(self._value) if self.error is None else f"error={self.error!r}"
        return f"{type(self).__name__}({shown}, request_id={self.request_id!r})"

    @classmethod
    def ok(cls: type[R], value: object = None, request_id: str = "") -> R:
        """Make a result that carries `value`."""
        return cls(value, None, request_id)

    @classmethod
    def failed(cls: type[R], error: AgentBayError) -> R:
        """Make a result that carries `error`."""
        return cls(None, error, error.request_id)

    @property
    def success(self) -> bool:
        """Whether the call did what was asked."""
        return self.error is None

    @property
    def error_message(self) -> str:
        """What went wrong, in words; ``""`` after a success."""
        return "" if self.error is None else str(self.error)

    @property
    def code(self) -> str:
        """The service's error code; ``""`` after a success."""
        return "" if self.error is None else self.error.code

    @property
    def http_status_code(self) -> int | None:
        """The HTTP status of a failed answer; ``None`` when there was no answer, or no failure."""
        return None if self.error is None else self.error.http_status

    def get_request_id(self) -> str:
        """Return :attr:`request_id`, as the official client spells it."""
        return self.request_id

    def unwrap(self) -> T:
        """Return the value.

        Raises:
            AgentBayError: The error that the result carries, if any.
        """
        if self.error is not None:
            raise self.error
        return cast("T", self._value)


class SessionResult(Result[S], Generic[S]):
    """What ``create`` and ``get`` answer."""

    __slots__ = ()

    @property
    def session(self) -> S:
        """The session; raises the error of a failed result."""
        return self.unwrap()

    @property
    def session_id(self) -> str:
        """The id of the session; also of one that a failed result is about, or ``""``."""
        return cast("Any", self._value).session_id if self.error is None else self.error.session_id

    def map(self, change: Callable[[S], U]) -> SessionResult[U]:
        """Return a result whose session is `change` of this one's; errors stay."""
        value = None if self._value is None else change(self._value)
        return SessionResult(value, self.error, self.request_id)


class SessionListResult(Result[SessionPage[S]], Generic[S]):
    """One page of sessions. Iterating goes over this page alone."""

    __slots__ = ()

    @property
    def sessions(self) -> list[S]:
        """The sessions on this page; raises the error of a failed result."""
        return self.unwrap().sessions

    @property
    def session_ids(self) -> list[str]:
        """Their ids."""
        return [cast("Any", session).session_id for session in self.sessions]

    @property
    def next_token(self) -> str:
        """Where the next page begins; ``""`` on the last."""
        return self.unwrap().next_token

    @property
    def max_results(self) -> int | None:
        """How many sessions fit on a page."""
        return self.unwrap().max_results

    @property
    def total_count(self) -> int | None:
        """How many sessions match in all."""
        return self.unwrap().total_count

    def __iter__(self) -> Iterator[S]:
        return iter(self.sessions)

    def __len__(self) -> int:
        return len(self.sessions)

    def map(self, change: Callable[[S], U]) -> SessionListResult[U]:
        """Return a result whose sessions are `change` of this one's; errors stay."""
        page = self._value
        value: SessionPage[U] | None = None
        if page is not None:
            changed = [change(session) for session in page.sessions]
            value = SessionPage(changed, page.next_token, page.max_results, page.total_count)
        return SessionListResult(value, self.error, self.request_id)


class OperationResult(Result[T], Generic[T]):
    """What a call answers whose value needs no name of its own."""

    __slots__ = ()

    @property
    def data(self) -> T:
        """The value; raises the error of a failed result."""
        return self.unwrap()


class DeleteResult(Result[None]):
    """What ``delete`` answers. Deleting what is already gone is a success."""

    __slots__ = ()


class ReapResult(Result[Reaping]):
    """What ``reap`` answers. It is a success if the sessions could be looked through."""

    __slots__ = ()

    @property
    def deleted(self) -> tuple[str, ...]:
        """Ids of the sessions that were deleted."""
        return self.unwrap().deleted

    @property
    def kept(self) -> tuple[str, ...]:
        """Ids of those whose process lives, or is not known to be dead."""
        return self.unwrap().kept

    @property
    def failed_to_delete(self) -> dict[str, str]:
        """Why others could not be deleted, by their ids."""
        return self.unwrap().failed


class SessionStatusResult(Result[str]):
    """What ``get_status``, ``pause`` and ``resume`` answer."""

    __slots__ = ()

    @property
    def status(self) -> str:
        """The state, as in :class:`~agentbay_async.models.sessions.SessionStatus`."""
        return self.unwrap()
