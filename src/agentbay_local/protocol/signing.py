"""What the service signs with its own secret: page tokens and file URLs.

Both are handed to clients and come back; the signature is what makes them ours. They are signed
with different keys drawn from one secret, so that one can never be passed off as the other.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import attrs

__all__ = ["Signer"]


@attrs.frozen
class Signer:
    """Signs and checks with one secret.

    Attributes:
        secret: At least 32 random bytes; never leaves the service.

    Example:
        >>> signer = Signer(b"0" * 32)
        >>> signer.open("page", signer.seal("page", {"last": 7}))
        {'last': 7}
        >>> signer.open("page", "garbage") is None
        True
    """

    secret: bytes = attrs.field(repr=False)

    def _signature(self, purpose: str, text: str) -> bytes:
        key = hmac.digest(self.secret, purpose.encode(), "sha256")
        code = hmac.new(key, text.encode("utf-8", "replace"), hashlib.sha256)
        return code.hexdigest()[:32].encode()

    def seal(self, purpose: str, value: dict[str, Any]) -> str:
        """Return an opaque token that carries `value`."""
        body = base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode())
        text = body.decode().rstrip("=")
        return f"{text}.{self._signature(purpose, text).decode()}"

    def open(self, purpose: str, token: str) -> dict[str, Any] | None:
        """Return what `seal` put in, or ``None`` when the token is not ours."""
        text, _, signature = token.partition(".")
        mine = self._signature(purpose, text)
        if not hmac.compare_digest(mine, signature.encode("utf-8", "replace")):
            return None
        value: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        return value
