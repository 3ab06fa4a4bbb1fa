"""Every error of AgentBay, in one tree.

::

    AgentBayError
    ├── UsageError                      the call itself is wrong; raised at once, nothing was sent
    │   ├── InvalidArgumentError        (ValueError)    a value that cannot be meant
    │   ├── ArgumentTypeError           (TypeError)     a value of the wrong type
    │   ├── ConfigurationError          (ValueError)    no key, a bad endpoint, a bad profile
    │   ├── ClosedError                 (RuntimeError)  the client was closed before this call
    │   └── BlockingCallError           (RuntimeError)  a blocking call that could never end
    ├── TransportError                  no answer that can be read
    │   ├── ConnectionFailedError       (ConnectionError)  nothing reached the service
    │   ├── ConnectionLostError         (ConnectionError)  the line broke after the request was sent
    │   ├── RequestTimeoutError         (TimeoutError)  no answer in time
    │   └── BadAnswerError              an answer that is not of the protocol
    ├── APIError                        an answer that says no
    │   ├── AuthenticationError         the key is missing, wrong, expired or of another region
    │   ├── SessionNotFoundError        never existed, released, or expired
    │   ├── ContextNotFoundError        no such context
    │   ├── ThrottledError              slow down; ``retry_after`` says for how long
    │   ├── QuotaExceededError          the account is full; waiting alone does not help
    │   └── ServiceError                the service failed (HTTP 5xx)
    ├── SessionError                    the session cannot do that now
    │   └── SessionStateError           it reached a state that was not asked for
    ├── OperationTimeoutError           (TimeoutError)  accepted, but not finished in time
    │   └── ClearanceTimeoutError       clearing a context did not finish in time
    ├── RolledBackError                 given up because others of a bulk run failed
    ├── FunctionError                   a function that was run over items raised something else
    ├── EngineError                     a cluster that a run is spread over does not do its part
    │   └── WorkerLostError             a worker of it died
    ├── BudgetExceededError             the caller's own budget is spent; nothing was sent
    ├── ContextSyncError                files of a context did not arrive; ``tasks`` says which
    │   ├── SyncFailedError             the service says that moving them failed
    │   ├── SyncTimeoutError            (TimeoutError)  they were still under way at the end
    │   ├── SyncMissingError            the service never listed that they move
    │   └── SyncUnknownError            the session is gone, perhaps with unsaved files
    ├── TransferError                   an upload or download of a file failed
    ├── ToolError                       a tool of the session answered with an error
    │   ├── CodeError                   code ended with an error; ``name``, ``value``, ``traceback``
    │   ├── CommandError                a command failed; ``exit_code``, ``stdout``, ``stderr``
    │   │   └── GitError                git said no
    │   │       ├── GitAuthError        the remote does not accept the credentials
    │   │       ├── GitConflictError    files have conflicts; ``files`` says which
    │   │       ├── GitNotARepoError    there is no repository in that directory
    │   │       └── GitNotFoundError    git is not installed in the session
    │   ├── FileError                   a file operation failed; ``path``
    │   └── PtyError                    a terminal is gone, or does not do what was asked
    │       └── PtyNotConnectedError    its handle was disconnected, or it has ended
    └── PageTokenError                  a listing cannot go on from this token

What the service or the network does comes back inside a result (see
:mod:`agentbay_async.models.results`); ``result.unwrap()`` raises it.
Invalid arguments raise at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentbay_async.models.context_status import ContextStatusData


class Attempt(NamedTuple):
    """One time that a request was sent, and failed.

    Attributes:
        number: The first is 1.
        started: When it was sent, in seconds since 1970.
        duration: Seconds until it had failed.
        failure: What failed, in words.
        waited: Seconds that were waited afterwards; 0 after the last.
    """

    number: int
    started: float
    duration: float
    failure: str
    waited: float = 0.0


class AgentBayError(Exception):
    """The root of all errors of this library.

    Attributes:
        code: The service's error code, or ``""`` when the service did not speak.
        request_id: The id under which the service logged the request, or ``""``.
        http_status: HTTP status of the answer, or ``None`` without one.
        retryable: Whether the same call may succeed later without any change.
        session_id: The session that was concerned, or ``""``.
        hint: What to do about it, or ``""``.
        attempts: Each time that the request was sent; empty where none was.

    Example:
        >>> error = AgentBayError("it broke", code="Broken", hint="Mend it.")
        >>> str(error)
        'it broke. Mend it.'
    """

    #: What :attr:`retryable` is unless an instance says otherwise.
    RETRYABLE: ClassVar[bool] = False

    def __init__(
        self,
        message: str = "",
        *,
        code: str = "",
        request_id: str = "",
        http_status: int | None = None,
        retryable: bool | None = None,
        session_id: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.request_id = request_id
        self.http_status = http_status
        self.retryable: bool = self.RETRYABLE if retryable is None else retryable
        self.session_id = session_id
        self.hint = hint
        self.attempts: tuple[Attempt, ...] = ()

    def explain(self) -> str:
        """Return what happened, in lines: the error, then each attempt with its times.

        Example:
            >>> print(AgentBayError("it broke", request_id="5C0E").explain())
            AgentBayError: it broke
              request 5C0E
        """
        lines = [f"{type(self).__name__}: {self}"]
        lines += [f"  request {self.request_id}"] if self.request_id else []
        for one in self.attempts:
            pause = f", then waited {one.waited:.2f} s" if one.waited else ""
            lines.append(f"  attempt {one.number}: {one.failure} after {one.duration:.2f} s{pause}")
        return "\n".join(lines)

    def __str__(self) -> str:
        return f"{self.message}. {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # The default protocol would call __init__ with the message alone and lose the rest.
        return _restore, (type(self), self.args, self.__dict__)


def _restore(
    kind: type[AgentBayError], args: tuple[object, ...], state: dict[str, object]
) -> AgentBayError:
    error = kind.__new__(kind)
    # OSError, which some of them are too, takes its arguments apart when it is made.
    error.args = args
    error.__dict__.update(state)
    return error


class UsageError(AgentBayError):
    """The call itself is wrong. Raised before anything is sent."""


class InvalidArgumentError(UsageError, ValueError):
    """An argument has a value that cannot be meant; the message names it and the remedy."""


class ArgumentTypeError(UsageError, TypeError):
    """An argument has the wrong type; the message names it and the type wanted."""


class ConfigurationError(UsageError, ValueError):
    """Key, endpoint, region or profile are missing or cannot be used."""


class ClosedError(UsageError, RuntimeError):
    """The client, or the loop that served it, was closed before this call."""


class BlockingCallError(UsageError, RuntimeError):
    """A blocking call was made on the thread that would have to serve it."""


class BlockingCallInAsyncContext(RuntimeWarning):
    """A blocking call was made inside a running event loop, which stands still meanwhile."""


class TransportError(AgentBayError):
    """No answer arrived that could be read."""

    RETRYABLE: ClassVar[bool] = True


class ConnectionFailedError(TransportError, ConnectionError):
    """No connection could be made: nothing reached the service."""


class ConnectionLostError(TransportError, ConnectionError):
    """The connection broke after the request was sent: the service may have acted on it."""


class RequestTimeoutError(TransportError, TimeoutError):
    """No answer came in time: the service may have acted on the request."""


class BadAnswerError(TransportError):
    """The answer is not of the protocol: not JSON, cut short, or of the wrong shape."""


class APIError(AgentBayError):
    """The service answered, and the answer is no.

    Attributes:
        retry_after: Seconds the service asks to wait, or ``None`` when it did not say.
    """

    retry_after: float | None = None

    @property
    def status_code(self) -> int | None:
        """The HTTP status, under the name the official client gives it."""
        return self.http_status


class AuthenticationError(APIError):
    """The service does not accept the API key."""


class SessionNotFoundError(APIError):
    """The session never existed, was released, or expired.

    Attributes:
        reason: ``"released"`` or ``"expired"`` where the service says so; ``""`` of a session that
            it does not know, because it never existed or ended long ago.
        end_reason: Why it ended, in the words of the service, or ``""``.
    """

    reason: str = ""
    end_reason: str = ""

    def ended(self, end_reason: str) -> None:
        """Note that the session existed, and ended for this reason, in the service's words."""
        words = end_reason.lower()
        over = any(word in words for word in ("expire", "idle", "time", "runtime"))
        self.reason = "expired" if over else "released"
        self.end_reason = end_reason
        because = f" ({end_reason})" if end_reason else ""
        self.hint = self.hint or f"It {'expired' if over else 'was released'}{because}"


class ContextNotFoundError(APIError):
    """There is no such context."""


class ThrottledError(APIError):
    """The service asks to slow down."""

    RETRYABLE: ClassVar[bool] = True


class QuotaExceededError(APIError):
    """The account has as much as it may have; something must go before more can come."""


class ServiceError(APIError):
    """The service itself failed (HTTP 5xx); it may have acted on the request."""

    RETRYABLE: ClassVar[bool] = True


class SessionError(AgentBayError):
    """The session cannot do what was asked of it now."""


class SessionStateError(SessionError):
    """The session reached a state that was not asked for.

    Attributes:
        status: The state it is in, such as ``"RUNNING"``.
    """

    status: str = ""


class OperationTimeoutError(AgentBayError, TimeoutError):
    """The service accepted the operation, but it was not finished within the time given."""

    RETRYABLE: ClassVar[bool] = True


class ClearanceTimeoutError(OperationTimeoutError):
    """Clearing a context was not finished within the time given."""


class RolledBackError(AgentBayError):
    """A session of a bulk run was given up, because too many others could not be had.

    It was deleted again, or never asked for.
    """


class FunctionError(AgentBayError):
    """A function given to ``map_sessions`` raised an error of its own; it is the ``__cause__``."""


class EngineError(AgentBayError):
    """A cluster that a run is spread over has no workers, or cannot run what it is given."""


class WorkerLostError(EngineError):
    """The process that worked on an item died; what the item's function did is not known."""

    RETRYABLE: ClassVar[bool] = True


class BudgetExceededError(AgentBayError):
    """The caller's own budget is spent: the session was not asked for."""


class ContextSyncError(AgentBayError):
    """Files of a context did not get to where they belong.

    Attributes:
        tasks: The tasks that failed or did not finish.
    """

    tasks: Sequence[ContextStatusData] = ()


class SyncFailedError(ContextSyncError):
    """The service says that files could not be moved; the message has its reasons."""


class SyncTimeoutError(ContextSyncError, TimeoutError):
    """Files were still under way when the time given was over."""

    RETRYABLE = True


class SyncMissingError(ContextSyncError):
    """The service accepted the request, and never listed a movement of files for it."""

    RETRYABLE = True


class SyncUnknownError(ContextSyncError):
    """A session is gone, and whether its files were saved cannot be known."""


class TransferError(AgentBayError):
    """A file could not be uploaded or downloaded whole.

    Attributes:
        path: The path of the file in the context.
    """

    path: str = ""


class ToolError(AgentBayError):
    """A tool of the session answered with an error.

    Attributes:
        detail: The text of the tool or program, if the message says it in other words.
    """

    detail: str = ""

    def explain(self) -> str:
        """Return what happened, in lines; the second has the text of the tool, if it differs."""
        first, *rest = super().explain().split("\n")
        return "\n".join([first, *([f"  ({self.detail})"] if self.detail else []), *rest])


class CommandError(ToolError):
    """A command ended with an exit code other than 0, or ran out of time.

    Attributes:
        exit_code: What the command returned.
        stdout: What it wrote to its standard output.
        stderr: What it wrote to its standard error.
        timed_out: Whether it was killed because its time was over; the streams then hold what it
            wrote until then.
        ran: Whether the command ran; if not, the message says why, and the streams are empty.
        trace_id: The id under which the session logged the command, or ``""``.
    """

    exit_code: int = 1
    stdout: str = ""
    stderr: str = ""
    timed_out: bool = False
    ran: bool = False
    trace_id: str = ""


class GitError(CommandError):
    """A git command failed. Credentials in URLs are masked in its message and streams."""


class GitAuthError(GitError):
    """The remote does not accept the credentials, or wants some and got none."""


class GitConflictError(GitError):
    """Files have conflicts that somebody must resolve.

    Attributes:
        files: Their paths, relative to the root of the repository.
    """

    files: Sequence[str] = ()


class GitNotARepoError(GitError):
    """The directory is not in a repository, or does not exist."""


class GitNotFoundError(GitError):
    """There is no git in the session."""


class FileError(ToolError):
    """A file operation in the session failed.

    Attributes:
        path: The path that was asked for.
    """

    path: str = ""


class CodeError(ToolError):
    """Code that was run ended with an error, or could not be run.

    Attributes:
        name: The name of the error, such as ``"ValueError"``.
        value: What it says.
        traceback: Where it came from, as the interpreter writes it, or ``""``.
    """

    name: str = ""
    value: str = ""
    traceback: str = ""


class PtyError(ToolError):
    """A terminal of the session is gone, or does not do what was asked."""


class PtyNotConnectedError(PtyError):
    """The handle of a terminal was disconnected, or its process has ended."""


class PageTokenError(AgentBayError):
    """A listing cannot go on: its token is of another listing, or came a second time."""
