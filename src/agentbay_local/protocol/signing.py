"""Sign tokens that clients hand back: pages, files, ports and sessions.

Each purpose has its own key, derived from one secret, so that a token of one purpose is not
valid for another.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Signer"]

# A session's token comes with each call to it. A client cannot send tokens of more than 8 KiB.
_REMEMBERED = 256


class Signer:
    """Seals values into tokens, and opens them again.

    Args:
        secret: At least 32 random bytes, known to the service only.

    Example:
        >>> signer = Signer(b"0" * 32)
        >>> signer.open("page", signer.seal("page", {"last": 7}))
        {'last': 7}
        >>> signer.open("page", "garbage") is None
        True
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.open = lru_cache(maxsize=_REMEMBERED)(self._open)

    def _signature(self, purpose: str, text: str) -> bytes:
        key = hmac.digest(self._secret, purpose.encode(), "sha256")
        code = hmac.new(key, text.encode("utf-8", "replace"), hashlib.sha256)
        return code.hexdigest()[:32].encode()

    def seal(self, purpose: str, value: dict[str, Any]) -> str:
        """Return a token that holds `value`. It is signed, not encrypted."""
        body = base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode())
        text = body.decode().rstrip("=")
        return f"{text}.{self._signature(purpose, text).decode()}"

    def _open(self, purpose: str, token: str) -> Mapping[str, Any] | None:
        """Return the value that `seal` put in; None if the signature is wrong."""
        text, _, signature = token.partition(".")
        expected = self._signature(purpose, text)
        if not hmac.compare_digest(expected, signature.encode("utf-8", "replace")):
            return None
        value: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        return value

    def seal_label(self, purpose: str, text: str) -> str:
        """Return `text` with its signature, as one label of a host name.

        Args:
            purpose: As in `seal`.
            text: At most 30 lower-case letters, digits and hyphens.

        Example:
            >>> Signer(b"0" * 32).seal_label("page", "30100-s-1")
            '30100-s-1-17775daaa7f86aa56ecc2283bf340109'
        """
        return f"{text}-{self._signature(purpose, text).decode()}"

    def open_label(self, purpose: str, label: str) -> str | None:
        """Return the text that `seal_label` signed; None if the signature is wrong."""
        text, _, signature = label.rpartition("-")
        expected = self._signature(purpose, text)
        is_right = hmac.compare_digest(expected, signature.encode("utf-8", "replace"))
        return text if is_right else None
