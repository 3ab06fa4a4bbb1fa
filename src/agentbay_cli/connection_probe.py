"""A look at a service below the API: TLS, certificate, and the clock of the service."""

from __future__ import annotations

import http.client
import ssl
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ConnectionFacts", "probe"]

_TIMEOUT = 15.0
_VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


@attrs.frozen
class ConnectionFacts:
    """What a connection without a key shows.

    Attributes:
        versions: The versions of TLS that the service speaks; empty without TLS.
        issuer: Who has issued its certificate.
        valid_until: Until when, as the certificate says.
        skew: Seconds by which the clock of the service is ahead of this one, or None if unknown.
            Its ``Date`` header has whole seconds.
        problem: Why there was no connection, or "".
    """

    versions: tuple[str, ...] = ()
    issuer: str = ""
    valid_until: str = ""
    skew: float | None = None
    problem: str = ""


def probe(url: str) -> ConnectionFacts:
    """Connect to a service, without a key and directly, and say what was seen."""
    parts = urlsplit(url)
    host, is_encrypted = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if is_encrypted else 80)
    try:
        if not is_encrypted:
            return ConnectionFacts(skew=_skew(http.client.HTTPConnection(host, port, _TIMEOUT)))
        connection = http.client.HTTPSConnection(host, port, timeout=_TIMEOUT)
        connection.connect()
        certificate = connection.sock.getpeercert() or {}
        skew = _skew(connection)
        return ConnectionFacts(
            tuple(_spoken_versions(host, port)),
            _name_of(certificate.get("issuer", ())),
            str(certificate.get("notAfter", "")),
            skew,
        )
    except (OSError, http.client.HTTPException) as error:
        return ConnectionFacts(problem=f"{type(error).__name__}: {error}")


def _spoken_versions(host: str, port: int) -> Iterator[str]:
    for version in _VERSIONS:
        context = ssl.create_default_context()
        context.minimum_version = context.maximum_version = version
        connection = http.client.HTTPSConnection(host, port, timeout=_TIMEOUT, context=context)
        try:
            connection.connect()
            yield str(connection.sock.version())
        except OSError:
            continue  # the service does not speak it
        finally:
            connection.close()


def _name_of(issuer: Any) -> str:
    """Return the organisation and the name in the issuer of a certificate."""
    names = dict(pair for part in issuer for pair in part)
    found = [names[key] for key in ("organizationName", "commonName") if key in names]
    return ", ".join(found)


def _skew(connection: http.client.HTTPConnection) -> float | None:
    """Ask for the health page, which any service answers somehow, and compare the clocks."""
    try:
        before = time.time()
        connection.request("GET", "/healthz")
        response = connection.getresponse()
        response.read()
        date = response.getheader("Date", "")
        middle = (before + time.time()) / 2
        return parsedate_to_datetime(date).timestamp() + 0.5 - middle
    except ValueError:
        return None
    finally:
        connection.close()
