"""Errors of file tools, in the wire form of the service."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from agentbay_local.protocol.arguments import ToolError
from agentbay_local.sandbox.errors import SandboxOSError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["format_file_error", "translate_file_errors"]


@contextmanager
def translate_file_errors(operation: str) -> Iterator[None]:
    """Turn an error of the session's file system into the service's text.

    Example:
        >>> with translate_file_errors("read file"):
        ...     pass
    """
    try:
        yield
    except SandboxOSError as error:
        raise ToolError(format_file_error(operation, error.path, error.strerror)) from error


def format_file_error(operation: str, path: str, reason: str | None) -> str:
    """Return the text of a file error, in the wire form of the service."""
    return (
        f"Execution failed. Error code:-32602 Error message: "
        f"Failed to {operation}: {path}, error: {reason}"
    )
