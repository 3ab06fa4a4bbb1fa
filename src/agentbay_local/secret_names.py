"""Names of fields, headers and JSON members whose values are secrets."""

from __future__ import annotations

from functools import lru_cache

__all__ = ["is_secret_name"]

_SECRET = (
    "accesskey",
    "apikey",
    "authcode",
    "authorization",
    "cookie",
    "credential",
    "passwd",
    "password",
    "secret",
    "signature",
    "ticket",
    "token",
)
_NOT_SECRET = frozenset({"nexttoken", "signaturenonce"})


# The same few names come with every request.
@lru_cache(maxsize=256)
def is_secret_name(name: str) -> bool:
    """Return whether the value of a field, a header or a member of this name is a secret.

    Example:
        >>> is_secret_name("X-Access-Token"), is_secret_name("NextToken"), is_secret_name("api_key")
        (True, False, True)
    """
    lower = name.lower().replace("_", "").replace("-", "")
    return lower not in _NOT_SECRET and any(word in lower for word in _SECRET)
