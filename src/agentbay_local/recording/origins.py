"""URLs in answers, made to lead through the recording proxy, and back."""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import urlsplit

from agentbay_async._protocol.codec import compact_json
from agentbay_local.cassettes.cassette import parse_container
from agentbay_local.cassettes.redaction import find_signed_urls, is_url

__all__ = ["PREFIX", "ProxiedOrigins"]

PREFIX = "/via/"
_LOCAL_SCHEMES = {"http": "http", "https": "http", "ws": "ws", "wss": "ws"}


class ProxiedOrigins:
    """The origins whose URLs a proxy has given out: ``PROXY/via/<number>-<random>/path?query``.

    The number is followed by a random text, so that no other user of the machine can send requests
    through the proxy.

    Attributes:
        proxy: ``http://HOST:PORT`` of the proxy.
    """

    def __init__(self) -> None:
        self.proxy = ""
        self._labels: dict[str, str] = {}
        self._origins: dict[str, str] = {}

    def proxied(self, url: str) -> str:
        """Return the URL that leads to `url` through the proxy; path and query stay the same."""
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        if origin not in self._labels:
            label = f"{len(self._labels) + 1}-{secrets.token_hex(16)}"
            self._labels[origin], self._origins[label] = label, origin
        scheme = _LOCAL_SCHEMES[parts.scheme]
        own = f"{scheme}{self.proxy.removeprefix('http')}"
        return f"{own}{PREFIX}{self._labels[origin]}{url[len(origin) :]}"

    def origin_of(self, label: str) -> str | None:
        """Return the origin of a label, or None."""
        return self._origins.get(label)

    def rewrite(self, value: Any, name: str = "") -> Any:
        """Return a JSON value in which URLs that grant access lead through the proxy.

        These are the values of members whose names end in "url", and whole texts that are signed
        URLs. A URL in the middle of a text belongs to the user: the output of a command stays as
        it is.
        """
        if isinstance(value, dict):
            return {key: self.rewrite(member, str(key)) for key, member in value.items()}
        if isinstance(value, list):
            return [self.rewrite(item, name) for item in value]
        return self._rewrite_text(value, name) if isinstance(value, str) else value

    def _rewrite_text(self, text: str, name: str) -> str:
        if "://" not in text:
            return text
        if (inner := parse_container(text)) is not None:
            rewritten = self.rewrite(inner, name)
            return text if rewritten == inner else compact_json(rewritten)
        granting = name.lower().endswith("url") or text in find_signed_urls(text)
        return self.proxied(text) if granting and is_url(text) else text

    def rewrite_location(self, location: str, origin: str) -> str:
        """Return the target of a redirect of an origin: below the proxy if it stays there."""
        if location.startswith("/") and not location.startswith("//"):
            location = f"{origin}{location}"
        stays = location == origin or location.startswith((f"{origin}/", f"{origin}?"))
        return self.proxied(location) if stays else location
