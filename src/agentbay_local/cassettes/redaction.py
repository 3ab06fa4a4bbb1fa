"""Removal of secrets from recorded traffic.

Secrets are found in two ways. By name: the value of each header, field or JSON member whose name
says so. And by value: a `Redactor` learns every secret that has passed, so that it is found in
other places too, such as the output of a command, also percent-encoded, escaped or in base64. A
secret that is split over several messages is not found.

Each secret is replaced by a placeholder, the same one everywhere: ``<api-key>``, ``<secret:1>``,
and ``https://<url-1>`` for a URL that grants access by itself.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

import attrs

from agentbay_async._protocol.codec import compact_json
from agentbay_local.cassettes.cassette import parse_container
from agentbay_local.secret_names import is_secret_name

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["API_KEY", "PLACEHOLDER_URL", "Redactor", "find_signed_urls", "is_url"]

API_KEY = "<api-key>"

PLACEHOLDER_URL = re.compile(r"(https?|wss?)://<url-(\d+)>")
"""What replaces the beginning of a URL; its scheme and its number."""

_URLSAFE = str.maketrans("+/", "-_")

# Shorter values are replaced in their own place only: elsewhere they may be ordinary words.
_LEARNED = 6
# Base64 of shorter values occurs by chance.
_IN_BASE64 = 12
# Parts of URLs that long are credentials, not names or ids.
_LONG_SEGMENT, _LONG_LABEL, _LONG_VALUE = 40, 32, 32

_URL = re.compile(r"(?:https?|wss?)://[^\s\"'<>\\^`{|}]+")
# Names of parameters that sign a URL, beside those of `is_secret_name`.
_SIGNATURES = frozenset({"auth_key", "sig"})


def is_url(text: str) -> bool:
    """Return whether a text is one URL of HTTP or a WebSocket."""
    return _URL.fullmatch(text) is not None


def find_signed_urls(text: str) -> Iterator[str]:
    """Return the URLs in a text that grant access by a parameter of their query.

    Example:
        >>> list(find_signed_urls("see https://a.example/b?Signature=c, or https://d.example"))
        ['https://a.example/b?Signature=c']
    """
    if "://" in text:
        for found in _URL.findall(text):
            url = found.rstrip(".,;:!?)")
            if any(map(_signs, (name for name, _ in parse_qsl(_query_of(url))))):
                yield url


def _signs(name: str) -> bool:
    return is_secret_name(name) or name.lower() in _SIGNATURES


def _query_of(url: str) -> str:
    return url.partition("?")[2].partition("#")[0]


@attrs.define(eq=False)
class Redactor:
    """Learns the secrets of a recording, and replaces them.

    Example:
        >>> redactor = Redactor()
        >>> redactor.learn({"Token": "abc-123-def", "Name": "x"})
        >>> redactor.redact({"Token": "abc-123-def", "Args": '{"command": "echo abc-123-def"}'})
        {'Token': '<secret:1>', 'Args': '{"command":"echo <secret:1>"}'}
    """

    _placeholders: dict[str, str] = attrs.field(factory=dict)
    _secrets: int = 0
    _urls: int = 0
    _pattern: re.Pattern[str] | None = None
    _variants: dict[str, str] = attrs.field(factory=dict)

    def learn_key(self, key: str) -> None:
        """Learn an API key."""
        self._add(key, API_KEY)

    def learn(self, value: Any, name: str = "", *, is_answer: bool = True) -> None:
        """Learn all secrets in a JSON value: those with telling names, and URLs that grant access.

        Args:
            value: Plain JSON values; texts that hold JSON are searched too.
            name: The name of the value.
            is_answer: The service has sent it. A URL with the name of one grants access then; in a
                request it is the user's, and does so only if it is signed.
        """
        if isinstance(value, dict):
            for key, member in value.items():
                self.learn(member, str(key), is_answer=is_answer)
        elif isinstance(value, list):
            for item in value:
                self.learn(item, name, is_answer=is_answer)
        elif isinstance(value, str):
            self._learn_text(value, name, is_answer=is_answer)

    def _learn_text(self, text: str, name: str, *, is_answer: bool) -> None:
        if (inner := parse_container(text)) is not None:
            self.learn(inner, name, is_answer=is_answer)
            return
        if is_secret_name(name):
            self._learn_secret(text)
        elif is_answer and is_url(text) and name.lower().endswith("url"):
            self.learn_url(text)
        for url in find_signed_urls(text):
            self.learn_url(url)

    def _learn_secret(self, text: str) -> None:
        scheme, _, credential = text.partition(" ")
        secret = credential.strip() if scheme.lower() in ("bearer", "basic") else text
        is_known = secret in self._placeholders or self._is_placeholder(secret)
        if len(secret) >= _LEARNED and not is_known:
            self._secrets += 1
            self._add(secret, f"<secret:{self._secrets}>")

    @staticmethod
    def _is_placeholder(text: str) -> bool:
        return text.startswith("<") and text.endswith(">")

    def learn_url(self, url: str) -> None:
        """Learn a URL that grants access: all of it, and each part that looks like a credential."""
        parts = urlsplit(url)
        fields = parse_qsl(parts.query)
        credentials = [text for name, text in fields if _signs(name) or len(text) >= _LONG_VALUE]
        plain = url.partition("?")[0].rstrip("/")
        # A query that grants nothing tells what is asked for, so it stays.
        granting = url if credentials else plain
        if granting in self._placeholders:
            return
        self._urls += 1
        placeholder = f"{parts.scheme}://<url-{self._urls}>"
        self._add(granting, placeholder)
        if parts.path.strip("/"):
            self._placeholders.setdefault(plain, placeholder)
        for credential in credentials:
            self._learn_secret(credential)
        labels = [label for label in (parts.hostname or "").split(".") if len(label) >= _LONG_LABEL]
        segments = [part for part in parts.path.split("/") if len(part) >= _LONG_SEGMENT]
        for credential in (*labels, *segments):
            self._learn_secret(credential)

    def _add(self, secret: str, placeholder: str) -> None:
        if secret:
            self._placeholders[secret] = placeholder
            self._pattern = None

    def redact(self, value: Any, name: str = "") -> Any:
        """Return a JSON value with placeholders instead of the secrets learned so far."""
        if isinstance(value, dict):
            return {
                self._redact_text(str(key)): self.redact(member, str(key))
                for key, member in value.items()
            }
        if isinstance(value, list):
            return [self.redact(item, name) for item in value]
        if isinstance(value, str):
            return self._redact_member(value, name)
        return 0 if _is_secret_number(value, name) else value

    def _redact_member(self, text: str, name: str) -> str:
        inner = parse_container(text)
        if inner is not None:
            redacted = self.redact(inner, name)
            return text if redacted == inner else compact_json(redacted)
        redacted = self._redact_text(text)
        if is_secret_name(name) and redacted == text and text and not self._is_placeholder(text):
            return "<secret>"
        return redacted

    def _redact_text(self, text: str) -> str:
        pattern = self._compiled()
        if pattern is None:
            return text
        return pattern.sub(lambda found: self._variants[found[0]], text)

    def redact_content(self, content: bytes) -> bytes:
        """Return the content of a file with placeholders instead of secrets."""
        # Every byte is one character of latin-1, and secrets are ASCII.
        return self._redact_text(content.decode("latin-1")).encode("latin-1")

    def _compiled(self) -> re.Pattern[str] | None:
        if self._pattern is None and self._placeholders:
            self._variants = {}
            for secret, placeholder in self._placeholders.items():
                for variant, shown in _variants_of(secret, placeholder):
                    self._variants.setdefault(variant, shown)
            longest = sorted(self._variants, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest)))
        return self._pattern


def _variants_of(secret: str, placeholder: str) -> Iterator[tuple[str, str]]:
    """Return the forms in which a secret may stand in a text, each with its replacement."""
    yield secret, placeholder
    yield quote(secret, safe=""), placeholder
    yield quote_plus(secret), placeholder
    yield compact_json(secret)[1:-1], placeholder
    yield secret.replace("&", "\\u0026"), placeholder
    yield secret.replace("&", "&amp;"), placeholder
    if len(secret) >= _IN_BASE64:
        # The letters that do not depend on what stands before and after it. The replacement is as
        # long, so that the rest can still be decoded.
        content = secret.encode("utf-8", "replace")
        for before in range(3):
            packed = base64.b64encode(b"\0" * before + content).decode("ascii")
            inner = packed[-(-before * 8 // 6) : (before + len(content)) * 8 // 6]
            yield inner, "A" * len(inner)
            yield inner.translate(_URLSAFE), "A" * len(inner)


def _is_secret_number(value: Any, name: str) -> bool:
    """Return whether a number is a secret, such as a PIN; a number of tokens is none."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and is_secret_name(name) and not name.lower().endswith("tokens")
