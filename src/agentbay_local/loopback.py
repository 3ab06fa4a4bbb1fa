"""Addresses and names that lead to this machine alone.

The names of links are below ``localhost``. Browsers find them always. The C library asks what is in
``/etc/nsswitch.conf``: systemd has two sources that know such names. Without one, the question goes
to a name server on the network, which must not see a name that is a secret.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from functools import lru_cache
from pathlib import Path

__all__ = ["as_seen_here", "is_loopback", "names_are_found", "names_stay_here"]

_WITHIN = 2.0
_PROBE = "agentbay.localhost"
# The stub resolvers of systemd.
_STUBS = frozenset({"127.0.0.53", "127.0.0.54"})


def is_loopback(host: str) -> bool:
    """Return whether a service that listens on `host` can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def names_are_found() -> bool:
    """Return whether programs find names below ``localhost``, without asking the network."""
    if not names_stay_here(_read("/etc/nsswitch.conf"), _read("/etc/resolv.conf")):
        return False
    loop = asyncio.get_running_loop()
    try:
        found = await asyncio.wait_for(
            loop.getaddrinfo(_PROBE, None, type=socket.SOCK_STREAM), _WITHIN
        )
    except (OSError, asyncio.TimeoutError):
        return False
    return all(ipaddress.ip_address(address[0]).is_loopback for *_, address in found)


def names_stay_here(nsswitch: str, resolv: str) -> bool:
    """Return whether questions for names below ``localhost`` are answered by this machine.

    Args:
        nsswitch: The text of ``/etc/nsswitch.conf``.
        resolv: The text of ``/etc/resolv.conf``.

    Example:
        >>> names_stay_here("hosts: files myhostname dns", "nameserver 192.0.2.1")
        True
        >>> names_stay_here("hosts: files dns", "nameserver 192.0.2.1")
        False
        >>> names_stay_here("hosts: files dns", "nameserver 127.0.0.53")
        True
    """
    servers = {
        words[1] for line in resolv.splitlines() if (words := line.split())[:1] == ["nameserver"]
    }
    for line in nsswitch.splitlines():
        database, _, sources = line.partition("#")[0].partition(":")
        if database.strip() == "hosts":
            before_dns = sources.partition(" dns")[0].split()
            return bool({"myhostname", "resolve"} & set(before_dns)) or (
                bool(servers) and servers <= _STUBS
            )
    return False


def _read(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", "replace")
    except OSError:
        return ""


# Each session that is created has such a URL, of the same few endpoints.
@lru_cache(maxsize=16)
def as_seen_here(endpoint: str) -> str:
    """Return a URL with the address of the loopback, if its server listens on all addresses.

    Not every system connects to "all addresses".

    Example:
        >>> as_seen_here("http://0.0.0.0:80"), as_seen_here("http://[::]:80")
        ('http://127.0.0.1:80', 'http://[::1]:80')
    """
    return endpoint.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
