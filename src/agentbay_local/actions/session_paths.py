"""Checks of paths in a session."""

from __future__ import annotations

import posixpath

from agentbay_local.protocol.errors import invalid, missing

__all__ = ["check_session_path"]

# Directories of the host, read-only in every session.
_SYSTEM = frozenset(
    {"bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "proc", "sbin", "sys", "usr"}
)


def check_session_path(text: str | None, name: str) -> str:
    """Return a normal absolute path of a session, which may have its files there.

    Raises:
        ApiError: It is missing, not absolute, leaves the session, or belongs to the system; the
            message calls the parameter `name`.
    """
    if not text:
        raise missing(name)
    parts = text.split("/")
    if not text.startswith("/") or ".." in parts or not text.isprintable() or len(text) > 1024:
        raise invalid(name, f"must be an absolute path without '..', not {text!r:.100}.")
    path = posixpath.normpath(text).replace("//", "/")
    if path == "/" or path.split("/")[1] in _SYSTEM:
        raise invalid(name, f"must not be {path!r}, which belongs to the system.")
    return path
