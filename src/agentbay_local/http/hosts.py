"""The ``Host`` header: which address of the service a client has used."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agentbay_local.urls import LINK_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["host_name", "is_own_name", "link_label"]


def host_name(headers: Mapping[str, str]) -> str:
    """Return the host of the ``Host`` header in lower case, without a port.

    The official client sends a whole URL there.

    Example:
        >>> host_name({"Host": "LOCALHOST:8080"}), host_name({"Host": "http://[::1]:80"})
        ('localhost', '::1')
    """
    text = headers.get("Host", "")
    try:
        return urlsplit(text if "://" in text else f"//{text}").hostname or ""
    except ValueError:
        return ""


def is_own_name(name: str, listening: str) -> bool:
    """Return whether a host is an address, or the name that the service listens on.

    A web page can make its own name lead to this machine (DNS rebinding), but cannot become an
    address.
    """
    if name in ("localhost", listening.lower()):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def link_label(headers: Mapping[str, str]) -> str | None:
    """Return the first label of a host that is for one link, ``LABEL.localhost``."""
    label, dot, rest = host_name(headers).partition(".")
    return label if f"{dot}{rest}" == LINK_SUFFIX else None
