"""The errors of sandboxes, as one small tree.

    SandboxError
    |-- InvalidRequest        an invalid argument; nothing was sent; a ValueError too
    |-- SandboxOSError        the session's system refused: has errno and the path
    |-- SandboxGone           the sandbox has ended or was closed
    |-- SandboxTimeout        an answer did not come before its deadline
    |-- MalformedReply        the session's agent broke the protocol
    |-- SandboxPaused         the session is paused and cannot work
    `-- IsolationUnavailable  this machine cannot provide the level: reason and remedy

The callers translate them into errors of the protocol, so every error has its facts as attributes
and not only in its text.
"""

# ruff: noqa: N818 - these are named for what happened; the docstring above draws the tree
from __future__ import annotations

import os

__all__ = [
    "InvalidRequest",
    "IsolationUnavailable",
    "MalformedReply",
    "SandboxError",
    "SandboxGone",
    "SandboxOSError",
    "SandboxPaused",
    "SandboxTimeout",
]


class SandboxError(Exception):
    """The base of all errors of this package."""


class InvalidRequest(SandboxError, ValueError):
    """An argument is invalid; nothing was sent to the session.

    Attributes:
        argument: The name of the argument.
    """

    def __init__(self, argument: str, message: str) -> None:
        super().__init__(argument, message)
        self.argument = argument
        self.message = message

    def __str__(self) -> str:
        return f"{self.argument}: {self.message}"


class SandboxOSError(SandboxError):
    """The session's operating system refused an operation.

    Attributes:
        errno: The error number, as in the module `errno`.
        path: The path, command or stream concerned, as the caller wrote it.
        strerror: The reason; the system's text for `errno`, unless the service knows better.

    Example:
        >>> import errno
        >>> str(SandboxOSError(errno.ENOENT, "/tmp/x"))
        'No such file or directory: /tmp/x'
    """

    def __init__(self, errno: int, path: str, strerror: str = "") -> None:
        super().__init__(errno, path, strerror)
        self.errno = errno
        self.path = path
        self.strerror = strerror or os.strerror(errno)

    def __str__(self) -> str:
        return f"{self.strerror}: {self.path}"


class SandboxGone(SandboxError):
    """The sandbox has ended or was closed; start another one for the same root."""


class SandboxTimeout(SandboxError):
    """The session did not answer in time; it may still run."""


class MalformedReply(SandboxError):
    """The session's agent broke the protocol, so it may have been taken over."""


class SandboxPaused(SandboxError):
    """The session is paused; resume it first."""


class IsolationUnavailable(SandboxError):
    """This machine cannot start a sandbox at this level.

    Attributes:
        reason: The reason, as one sentence.
        remedy: The cure: a command or a setting.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason, remedy)
        self.reason = reason
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.reason} Remedy: {self.remedy}"
