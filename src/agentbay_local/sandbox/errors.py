"""What can go wrong with a sandbox, as one small tree of errors.

    SandboxError
    |-- InvalidRequest        an argument refused before anything is sent; a ValueError too
    |-- SandboxOSError        the session's system said no: carries errno and the path
    |-- SandboxGone           the sandbox died or was closed while it was asked for something
    |-- SandboxTimeout        an answer did not come before its deadline
    |-- MalformedReply        the session's agent said what no honest agent says
    |-- SandboxPaused         the session is paused and cannot work
    `-- IsolationUnavailable  this machine cannot isolate at the wanted level: reason and remedy

The callers turn these into the service's own error dialect, so every error carries its facts as
attributes and not only as a sentence.
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
    """Root of everything the sandbox package raises on purpose."""


class InvalidRequest(SandboxError, ValueError):
    """An argument was wrong; nothing was sent to the session.

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
        path: The path, command or directory it was about, as the caller wrote it.

    Example:
        >>> import errno
        >>> str(SandboxOSError(errno.ENOENT, "/tmp/x"))
        'No such file or directory: /tmp/x'
    """

    def __init__(self, errno: int, path: str) -> None:
        super().__init__(errno, path)
        self.errno = errno
        self.path = path

    @property
    def strerror(self) -> str:
        """The system's sentence for `errno`."""
        return os.strerror(self.errno)

    def __str__(self) -> str:
        return f"{self.strerror}: {self.path}"


class SandboxGone(SandboxError):
    """The sandbox is dead or closed; start another one for the same root."""


class SandboxTimeout(SandboxError):
    """The session did not answer in time; it may still be alive."""


class MalformedReply(SandboxError):
    """The session's agent said something that no honest agent says."""


class SandboxPaused(SandboxError):
    """The session is paused; resume it first."""


class IsolationUnavailable(SandboxError):
    """This machine cannot start a sandbox at the wanted level.

    Attributes:
        reason: Why not, in one sentence.
        remedy: What would cure it: a command or a setting.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason, remedy)
        self.reason = reason
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.reason} Remedy: {self.remedy}"
