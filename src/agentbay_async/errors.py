"""The errors of AgentBay: one tree.

::

    AgentBayError
    ├── UsageError                      a wrong call; raised at once, before anything is sent
    │   ├── InvalidArgumentError        (ValueError)    an argument has an invalid value
    │   ├── ArgumentTypeError           (TypeError)     an argument has the wrong type
    │   ├── ConfigurationError          (ValueError)    no key, a bad endpoint, a bad profile
    │   ├── ClosedError                 (RuntimeError)  the client is closed
    │   └── BlockingCallError           (RuntimeError)  a blocking call that would deadlock
    ├── TransportError                  no answer that can be read
    │   ├── ConnectionFailedError       (ConnectionError)  nothing reached the service
    │   ├── ConnectionLostError         (ConnectionError)  the connection broke after the request
    │   ├── RequestTimeoutError         (TimeoutError)  no answer in time
    │   └── BadAnswerError              an answer that is not of the protocol
    │       ├── AnswerTooLargeError     an answer that is larger than the client reads
    │       └── OtherServerError        the endpoint is a server of something else
    ├── APIError                        the service answered with an error
    │   ├── AuthenticationError         the key is missing, wrong, expired or of another region
    │   ├── SessionNotFoundError        the session never existed, was released, or expired
    │   ├── ContextNotFoundError        there is no such context
    │   ├── ThrottledError              too many requests; see ``retry_after``
    │   ├── QuotaExceededError          the account is full; waiting alone does not help
    │   ├── NotRecordedError            a replay has no recorded answer to this request
    │   └── ServiceError                the service failed (HTTP 5xx)
    ├── SessionError                    the session does not support the call
    │   └── SessionStateError           the session reached another state than requested
    ├── OperationTimeoutError           (TimeoutError)  accepted, but not finished in time
    │   └── ClearanceTimeoutError       clearing a context did not finish in time
    ├── RolledBackError                 deleted because others of a bulk run failed
    ├── FunctionError                   a function given to ``map_sessions`` raised
    ├── EngineError                     a cluster cannot run its part of a distributed run
    │   └── WorkerLostError             a worker of the cluster died
    ├── BudgetExceededError             the caller's own budget is spent; nothing was sent
    ├── ContextSyncError                files of a context were not synchronised; see ``tasks``
    │   ├── SyncFailedError             the service reports that the transfer failed
    │   ├── SyncTimeoutError            (TimeoutError)  the transfer did not finish in time
    │   ├── SyncMissingError            the service never listed the transfer
    │   └── SyncUnknownError            the session is gone, perhaps with unsaved files
    ├── TransferError                   an upload or download of a file failed
    ├── ToolError                       a tool of the session failed; see ``detail``
    │   ├── CodeError                   code ended with an error; ``name``, ``value``, ``traceback``
    │   ├── CommandError                a command failed; ``exit_code``, ``stdout``, ``stderr``
    │   │   └── GitError                a git command failed
    │   │       ├── GitAuthError        the remote rejected the credentials
    │   │       ├── GitConflictError    files have conflicts; see ``files``
    │   │       ├── GitNotARepoError    the directory is not in a repository
    │   │       └── GitNotFoundError    git is not installed in the session
    │   ├── FileError                   a file operation failed; see ``path``
    │   │   ├── RemoteFileNotFoundError      (FileNotFoundError)  there is no such file
    │   │   ├── RemotePermissionError        (PermissionError)    the session's user may not
    │   │   ├── RemoteFileExistsError        (FileExistsError)    there is such a file
    │   │   ├── RemoteIsADirectoryError      (IsADirectoryError)  a file is needed
    │   │   └── RemoteNotADirectoryError     (NotADirectoryError) a directory is needed
    │   ├── OssError                    object storage could not be used
    │   └── PtyError                    a terminal is gone, or a request to it failed
    │       ├── PtySessionNotFoundError there is no such terminal, or it has ended
    │       └── PtyNotConnectedError    its handle was disconnected, or its process ended
    ├── BrowserError                    the browser of a session, or its operator, failed
    ├── AgentError                      an agent of the service failed
    └── PageTokenError                  a listing cannot continue from this token

Failures of the service and of the network are carried by results (see
:mod:`agentbay_async.models.results`); ``result.unwrap()`` raises them. Wrong calls raise at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentbay_async.models.context_status import ContextStatusData


class Attempt(NamedTuple):
    """A failed attempt to send a request.

    Attributes:
        number: 1 for the first attempt.
        started: The time when it was sent, in seconds since 1970.
        duration: Seconds until it failed.
        failure: The error, as text.
        waited: Seconds of the pause after it; 0 after the last attempt.
    """

    number: int
    started: float
    duration: float
    failure: str
    waited: float = 0.0


class AgentBayError(Exception):
    """The base class of all errors of this library.

    Attributes:
        message: The error text, without the hint; by default the name of the class.
        code: The error code of the service, or ``""`` if the service did not answer.
        request_id: The id of the request in the logs of the service, or ``""``.
        http_status: The HTTP status of the answer, or ``None`` without an answer.
        retryable: Whether the same call may succeed later without any change.
        session_id: The id of the session concerned, or ``""``.
        hint: How to fix the problem, or ``""``.
        attempts: The failed attempts to send the request, in order.

    Example:
        >>> error = AgentBayError("it broke", code="Broken", hint="Mend it.")
        >>> str(error)
        'it broke. Mend it.'
    """

    #: The default of :attr:`retryable` for instances of this class.
    RETRYABLE: ClassVar[bool] = False

    def __init__(
        self,
        message: str | None = None,
        *,
        code: str = "",
        request_id: str = "",
        http_status: int | None = None,
        retryable: bool | None = None,
        session_id: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(type(self).__name__ if message is None else message)
        self.message: str = self.args[0]
        self.code = code
        self.request_id = request_id
        self.http_status = http_status
        self.retryable: bool = self.RETRYABLE if retryable is None else retryable
        self.session_id = session_id
        self.hint = hint
        self.attempts: tuple[Attempt, ...] = ()

    @property
    def extra(self) -> dict[str, object]:
        """What is known of the error besides its text, by attribute."""
        return {name: value for name, value in vars(self).items() if value and name != "message"}

    def explain(self) -> str:
        """Return a report of several lines: the error, then each attempt with its times.

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
        # The default would call __init__ with the message alone, and lose the other attributes.
        return _restore, (type(self), self.args, self.__dict__)


def _restore(
    kind: type[AgentBayError], args: tuple[object, ...], state: dict[str, object]
) -> AgentBayError:
    error = kind.__new__(kind)
    # Set here, because OSError, a base of some errors, interprets the arguments of __new__.
    error.args = args
    error.__dict__.update(state)
    return error


class UsageError(AgentBayError):
    """The call is wrong. Raised before anything is sent."""


class InvalidArgumentError(UsageError, ValueError):
    """An argument has an invalid value; the message names the argument and the remedy."""


class ArgumentTypeError(UsageError, TypeError):
    """An argument has the wrong type; the message names the argument and the expected type."""


class ConfigurationError(UsageError, ValueError):
    """The key, the endpoint, the region or the profile is missing or invalid."""


class ClosedError(UsageError, RuntimeError):
    """The client, or its event loop, was closed before this call."""


class BlockingCallError(UsageError, RuntimeError):
    """A blocking call on the thread that runs the event loop of the client: it would deadlock."""


class BlockingCallInAsyncContext(RuntimeWarning):
    """A blocking call inside a running event loop, which it blocks."""


class TransportError(AgentBayError):
    """No readable answer arrived."""

    RETRYABLE: ClassVar[bool] = True


class ConnectionFailedError(TransportError, ConnectionError):
    """No connection could be made. Nothing reached the service."""


class ConnectionLostError(TransportError, ConnectionError):
    """The connection broke after the request was sent. The service may have acted on it."""


class RequestTimeoutError(TransportError, TimeoutError):
    """No answer came in time. The service may have acted on the request."""


class BadAnswerError(TransportError):
    """The answer is not of the protocol: not JSON, truncated, or of the wrong shape."""


class AnswerTooLargeError(BadAnswerError):
    """An answer is larger than the client reads, after decompression too.

    Attributes:
        limit: The limit in bytes.
    """

    RETRYABLE: ClassVar[bool] = False
    limit: int = 0


class OtherServerError(BadAnswerError):
    """The server at the endpoint is not AgentBay's. The request is not sent again.

    It is raised only until the endpoint has answered in the protocol for the first time. Later, a
    foreign page is a :class:`BadAnswerError`: something on the way has replaced the answer.
    """

    RETRYABLE: ClassVar[bool] = False


class APIError(AgentBayError):
    """The service answered with an error.

    Attributes:
        retry_after: Seconds that the service asks to wait, or ``None`` if it did not say.

    Args:
        message: The error text.
        status_code: The HTTP status, as `http_status`.
        fields: The arguments of :class:`AgentBayError`.
    """

    retry_after: float | None = None

    def __init__(
        self, message: str = "API error", status_code: int | None = None, **fields: Any
    ) -> None:
        super().__init__(message, **fields)
        if status_code is not None:
            self.http_status = status_code

    # Names of the official client, from scripts/official_names.toml.

    @property
    def status_code(self) -> int | None:
        """Return :attr:`http_status`, under the name of the official client."""
        return self.http_status


class AuthenticationError(APIError):
    """The service does not accept the API key."""

    def __init__(
        self, message: str = "Authentication failed", status_code: int | None = None, **fields: Any
    ) -> None:
        super().__init__(message, status_code, **fields)


class SessionNotFoundError(APIError):
    """The session never existed, was released, or expired.

    Attributes:
        reason: ``"released"`` or ``"expired"`` if the service knows; ``""`` for a session that
            never existed or ended long ago.
        end_reason: The service's text for why it ended, or ``""``.
    """

    reason: str = ""
    end_reason: str = ""

    def ended(self, end_reason: str) -> None:
        """Set :attr:`reason`, :attr:`end_reason` and the hint from the service's text."""
        words = end_reason.lower()
        over = any(word in words for word in ("expire", "idle", "time", "runtime"))
        self.reason = "expired" if over else "released"
        self.end_reason = end_reason
        because = f" ({end_reason})" if end_reason else ""
        name = f"Session {self.session_id}" if self.session_id else "It"
        self.hint = self.hint or f"{name} {'expired' if over else 'was released'}{because}"


class ContextNotFoundError(APIError):
    """There is no such context."""


class ThrottledError(APIError):
    """Too many requests: the service asks the caller to slow down."""

    RETRYABLE: ClassVar[bool] = True


class QuotaExceededError(APIError):
    """The account has reached its quota; delete something before creating more."""


class NotRecordedError(APIError):
    """The local service replays a cassette, and that has no answer to this request.

    The message names the request. Record the cassette again with ``agentbay record``.
    """


class ServiceError(APIError):
    """The service failed (HTTP 5xx). It may have acted on the request."""

    RETRYABLE: ClassVar[bool] = True


class SessionError(AgentBayError):
    """The session does not support the call, or not in its present state."""

    def __init__(self, message: str = "Session error", **fields: Any) -> None:
        super().__init__(message, **fields)


class SessionStateError(SessionError):
    """The session reached another state than the requested one.

    Attributes:
        status: The present state, such as ``"RUNNING"``.
    """

    status: str = ""


class OperationTimeoutError(AgentBayError, TimeoutError):
    """The service accepted the operation, but did not finish it in time."""

    RETRYABLE: ClassVar[bool] = True


class ClearanceTimeoutError(OperationTimeoutError):
    """Clearing a context did not finish in time."""

    def __init__(
        self, message: str = "Context clearing operation timed out", **fields: Any
    ) -> None:
        super().__init__(message, **fields)


class RolledBackError(AgentBayError):
    """A session of a bulk run was rolled back, because too many others failed.

    It was deleted again, or never requested.
    """


class FunctionError(AgentBayError):
    """A function given to ``map_sessions`` raised an exception, which is the ``__cause__``."""


class EngineError(AgentBayError):
    """A cluster has no workers, or cannot run its part of a distributed run."""


class WorkerLostError(EngineError):
    """The worker process of an item died. It is unknown what the item's function did."""

    RETRYABLE: ClassVar[bool] = True


class BudgetExceededError(AgentBayError):
    """The caller's own budget is spent. The session was not requested."""


class ContextSyncError(AgentBayError):
    """Files of a context were not synchronised.

    Attributes:
        tasks: The sync tasks that failed or did not finish.
    """

    tasks: Sequence[ContextStatusData] = ()


class SyncFailedError(ContextSyncError):
    """The service reports that a transfer failed; the message has its reasons."""


class SyncTimeoutError(ContextSyncError, TimeoutError):
    """A transfer did not finish in time."""

    RETRYABLE = True


class SyncMissingError(ContextSyncError):
    """The service accepted the request, but never listed a sync task for it."""

    RETRYABLE = True


class SyncUnknownError(ContextSyncError):
    """A session is gone, and whether its files were saved cannot be known."""


class TransferError(AgentBayError):
    """A file was not uploaded or downloaded completely.

    Attributes:
        path: The path of the file in the context.
    """

    path: str = ""


class ToolError(AgentBayError):
    """A tool of the session failed.

    Attributes:
        detail: The error text of the tool or program, as it was sent, if the message says it in
            other words; otherwise ``""``.
    """

    detail: str = ""

    def explain(self) -> str:
        """Return a report of several lines, like the base class, with :attr:`detail` as a line."""
        first, *rest = super().explain().split("\n")
        return "\n".join([first, *([f"  ({self.detail})"] if self.detail else []), *rest])


class CommandError(ToolError):
    """A command ended with an exit code other than 0, or ran into its timeout.

    Attributes:
        exit_code: The exit code; 124 if it was killed at its timeout.
        stdout: The standard output.
        stderr: The standard error.
        timed_out: Whether it was killed at its timeout; the streams then hold the output until
            then, and the last line of `stderr` says so.
        truncated: Whether a stream was longer than one answer can hold, and was cut.
        ran: Whether the command ran; if not, the message says why, and the streams are empty.
        trace_id: The id of the command in the session's logs, or ``""``.
    """

    exit_code: int = 1
    stdout: str = ""
    stderr: str = ""
    timed_out: bool = False
    truncated: bool = False
    ran: bool = False
    trace_id: str = ""

    def __init__(self, message: str = "Command execution error", **fields: Any) -> None:
        super().__init__(message, **fields)


class GitError(CommandError):
    """A git command failed. Credentials in URLs are masked in its message and streams.

    Args:
        message: The error text.
        exit_code: The exit code of git.
        stderr: The standard error of git.
        fields: The arguments of :class:`AgentBayError`.
    """

    def __init__(
        self,
        message: str = "Git operation error",
        exit_code: int = 1,
        stderr: str = "",
        **fields: Any,
    ) -> None:
        super().__init__(message, **fields)
        self.exit_code = exit_code
        self.stderr = stderr


class GitAuthError(GitError):
    """The remote rejected the credentials, or needs some and got none."""

    def __init__(
        self,
        message: str = "Git authentication error",
        exit_code: int = 1,
        stderr: str = "",
        **fields: Any,
    ) -> None:
        super().__init__(message, exit_code, stderr, **fields)


class GitConflictError(GitError):
    """Files have conflicts that must be resolved by hand.

    Attributes:
        files: The paths of the files, relative to the root of the repository.
    """

    files: Sequence[str] = ()

    def __init__(
        self,
        message: str = "Git merge conflict",
        exit_code: int = 1,
        stderr: str = "",
        **fields: Any,
    ) -> None:
        super().__init__(message, exit_code, stderr, **fields)


class GitNotARepoError(GitError):
    """The directory is not in a repository, or does not exist."""

    def __init__(
        self,
        message: str = "Not a git repository",
        exit_code: int = 128,
        stderr: str = "",
        **fields: Any,
    ) -> None:
        super().__init__(message, exit_code, stderr, **fields)


class GitNotFoundError(GitError):
    """Git is not installed in the session."""

    def __init__(
        self, message: str = "Git not found", exit_code: int = 127, stderr: str = "", **fields: Any
    ) -> None:
        super().__init__(message, exit_code, stderr, **fields)


class FileError(ToolError):
    """A file operation in the session failed.

    Attributes:
        path: The path of the file.
    """

    path: str = ""

    def __init__(self, message: str = "File operation error", **fields: Any) -> None:
        super().__init__(message, **fields)


class RemoteFileNotFoundError(FileError, FileNotFoundError):
    """The session has no such file or directory.

    Like the other ``Remote...`` errors it is also the built-in exception of that name, so code for
    local files works on those of a session.
    """


class RemotePermissionError(FileError, PermissionError):
    """The session's user may not do this with the file."""


class RemoteFileExistsError(FileError, FileExistsError):
    """The session has such a file already."""


class RemoteIsADirectoryError(FileError, IsADirectoryError):
    """The path is a directory of the session, and the call needs a file."""


class RemoteNotADirectoryError(FileError, NotADirectoryError):
    """The path, or a part of it, is a file of the session, and the call needs a directory."""


class BrowserError(AgentBayError):
    """The browser of a session, or its operator, failed."""

    def __init__(self, message: str = "Browser error", **fields: Any) -> None:
        super().__init__(message, **fields)


class AgentError(AgentBayError):
    """An agent of the service failed, or broke off its messages."""

    def __init__(self, message: str = "Agent action error", **fields: Any) -> None:
        super().__init__(message, **fields)


class OssError(ToolError):
    """A file could not be copied between a session and object storage."""

    def __init__(self, message: str = "OSS operation error", **fields: Any) -> None:
        super().__init__(message, **fields)


class CodeError(ToolError):
    """Code ended with an error, or could not be run.

    Attributes:
        name: The class of the error, such as ``"ValueError"``.
        value: The text of the error.
        traceback: The traceback of the interpreter, or ``""``.
    """

    name: str = ""
    value: str = ""
    traceback: str = ""


class PtyError(ToolError):
    """A terminal of the session is gone, or a request to it failed."""

    def __init__(self, message: str = "PTY operation error", **fields: Any) -> None:
        super().__init__(message, **fields)


class PtySessionNotFoundError(PtyError):
    """The session has no such terminal, or it has ended."""

    def __init__(self, message: str = "PTY session not found", **fields: Any) -> None:
        super().__init__(message, **fields)


class PtyNotConnectedError(PtyError):
    """The handle of the terminal was disconnected, or its process ended."""

    def __init__(self, message: str = "PTY handle is not connected", **fields: Any) -> None:
        super().__init__(message, **fields)


class PageTokenError(AgentBayError):
    """A listing cannot continue: its token is of another listing, expired, or was repeated."""
