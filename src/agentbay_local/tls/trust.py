"""Make programs trust the local service: one file with its certificates and those of the system.

``SSL_CERT_FILE`` and ``REQUESTS_CA_BUNDLE`` replace what a program trusts. With the certificate of
the local service alone, it could not reach the internet any more.
"""

from __future__ import annotations

import contextlib
import os
import re
import ssl
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["TRUST_VARIABLES", "with_system_certificates"]

TRUST_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
"""Variables in which programs look for a file of certificates: OpenSSL and Go, requests, Node."""

_CERTIFICATE = re.compile(
    "-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.ASCII | re.DOTALL
)


def with_system_certificates(own: str) -> str:
    """Return certificates in PEM: `own`, those of the system, and those the environment names.

    Example:
        >>> "-----BEGIN CERTIFICATE-----" in with_system_certificates("")
        True
    """
    found = {certificate: None for text in (own, *_texts()) for certificate in _split(text)}
    return "".join(f"{certificate}\n" for certificate in found)


def _split(text: str) -> list[str]:
    return _CERTIFICATE.findall(text)


def _texts() -> Iterator[str]:
    named = [Path(os.environ[name]) for name in TRUST_VARIABLES if os.environ.get(name)]
    for path in (*_system_files(), *named):
        # A variable, or a link of the system, may name a file that is gone: it adds nothing.
        with contextlib.suppress(OSError):
            yield path.read_text("ascii", errors="replace")


def _system_files() -> list[Path]:
    """Return the files of the system; those of certifi where the system has none."""
    paths = ssl.get_default_verify_paths()
    if paths.cafile:
        return [Path(paths.cafile)]
    found = sorted(Path(paths.capath).iterdir()) if paths.capath else []
    if found:
        return found
    try:
        return [Path(import_module("certifi").where())]
    except ImportError:
        return []
