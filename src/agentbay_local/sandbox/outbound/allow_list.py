"""The allow list of hosts that sessions may reach.

A listed name is allowed to resolve to public addresses only. Otherwise the owner of the name could
send a session to the machine of the service or its neighbours. An address that is not public can be
reached if it is listed itself.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

import attrs

from agentbay_local.sandbox.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["NO_HOSTS", "AllowedHosts", "normalize_host", "split_port"]

WEB_PORTS = (80, 443)
"""The ports of an entry without a port."""

_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_LONGEST_NAME = 253

_UNICAST = ipaddress.IPv6Network("2000::/3")
_EMBEDDED = tuple(map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16")))
"""Addresses among them that wrap an IPv4 address or lead nowhere."""


@attrs.frozen
class AllowedHosts:
    """The hosts that sessions may reach; none if it is empty.

    Attributes:
        rules: Pairs of a host and a port. A host is a name or an address, `*.NAME` for every name
            below one, or `*` for every name.
        require_sni: A tunnel must begin with a TLS handshake that names its host, in clear text.

    Example:
        >>> allowed = AllowedHosts.parse(["pypi.org", "*.example.com:8443", "10.0.0.5:5432"])
        >>> allowed.names("pypi.org", 443), allowed.names("pypi.org", 22)
        (True, False)
        >>> allowed.reaches("10.0.0.5", 5432), allowed.reaches("10.0.0.6", 5432)
        (True, False)
    """

    rules: frozenset[tuple[str, int]] = frozenset()
    require_sni: bool = False

    @classmethod
    def parse(cls, entries: Iterable[str], *, require_sni: bool = False) -> AllowedHosts:
        """Read entries of the form `HOST` or `HOST:PORT`.

        Args:
            entries: The hosts. Without a port, an entry means 80 and 443. An IPv6 address with a
                port
                is written in brackets.
            require_sni: As the attribute.

        Raises:
            InvalidRequest: An entry is invalid.
        """
        if isinstance(entries, str):
            raise InvalidRequest("allow_hosts", f"must be a list of hosts; write [{entries!r}]")
        rules = frozenset(rule for entry in entries for rule in _parse_entry(entry))
        return cls(rules, require_sni)

    def __bool__(self) -> bool:
        return bool(self.rules)

    def names(self, host: str, port: int) -> bool:
        """Return whether a session may ask for a host, as `normalize_host` writes it."""
        wanted = [host, *(() if _parse_address(host) else _patterns(host))]
        return any((one, port) in self.rules for one in wanted)

    def reaches(self, address: str, port: int) -> bool:
        """Return whether a session may connect to an address to which a name has resolved."""
        found = ipaddress.ip_address(address.partition("%")[0])
        return _is_public(found) or (str(found), port) in self.rules


NO_HOSTS = AllowedHosts()


def normalize_host(host: str) -> str | None:
    """Return a host in its canonical form; None if it is not a valid name or address."""
    address = _parse_address(host)
    if address is not None:
        return str(address)
    name = host.lower().removesuffix(".")
    return name if len(name) <= _LONGEST_NAME and _NAME.fullmatch(name) else None


def split_port(text: str) -> tuple[str, int | None] | None:
    """Split `HOST:PORT`, `[ADDRESS]:PORT` or a host alone; return None if the port is invalid."""
    if _parse_address(text):
        return text, None
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, ""
    elif not (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= 65535):
        return None
    bracketed = host.startswith("[") and host.endswith("]")
    return host[1:-1] if bracketed else host, int(port) if port else None


def _parse_entry(entry: object) -> Iterable[tuple[str, int]]:
    parts = split_port(entry) if isinstance(entry, str) else None
    if parts is not None:
        host, port = parts
        below = "*." if host.startswith("*.") else ""
        name = "*" if host == "*" else normalize_host(host[len(below) :])
        if name is not None and not (below and _parse_address(name)):
            return [(below + name, one) for one in ((port,) if port else WEB_PORTS)]
    raise InvalidRequest(
        "allow_hosts",
        f"{entry!r} is not HOST or HOST:PORT; write a name or an address, without 'https://' or a "
        "path, such as 'pypi.org' or '192.0.2.7:5432'",
    )


def _parse_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _patterns(name: str) -> Iterable[str]:
    """Yield the wildcard entries that match a name."""
    yield "*"
    labels = name.split(".")
    for start in range(1, len(labels)):
        yield "*." + ".".join(labels[start:])


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Return whether an address is public; IPv6 addresses that wrap others are not."""
    if isinstance(address, ipaddress.IPv6Address):
        return address in _UNICAST and not any(address in network for network in _EMBEDDED)
    return address.is_global and not address.is_multicast and not address.is_reserved
