"""What the service signs with its own secret: page tokens and file URLs.

Both are handed to clients and come back; the signature is what makes them ours. They are signed
with different keys drawn from one secret, so that one can never be passed off as the other.
"""

from __future__ import annotations

import base64
import binascii
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

    def signature(self, purpose: str, text: str) -> str:
        """Return the hexadecimal signature of `text` for one purpose."""
        key = hmac.digest(self.secret, purpose.encode(), "sha256")
        return hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()

    def verified(self, purpose: str, text: str, signature: str) -> bool:
        """Tell whether `signature` is ours."""
        mine = self.signature(purpose, text).encode()
        return hmac.compare_digest(mine, signature.encode("utf-8", "replace"))

    def seal(self, purpose: str, value: dict[str, Any]) -> str:
        """Return an opaque token that carries `value`."""
        body = base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode())
        text = body.decode().rstrip("=")
        return f"{text}.{self.signature(purpose, text)[:32]}"

    def open(self, purpose: str, token: str) -> dict[str, Any] | None:
        """Return what `seal` put in, or ``None`` when the token is not ours."""
        text, _, signature = token.partition(".")
        mine = self.signature(purpose, text)[:32].encode()
        if not hmac.compare_digest(mine, signature.encode("utf-8", "replace")):
            return None
        try:
            value = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        except (binascii.Error, ValueError):
            return None
        return value if isinstance(value, dict) else None
