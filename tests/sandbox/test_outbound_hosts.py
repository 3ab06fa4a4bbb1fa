"""The list of hosts that sessions may reach: its entries and what they match."""

from __future__ import annotations

import pytest

from agentbay_local.sandbox.errors import InvalidRequest
from agentbay_local.sandbox.outbound.allow_list import AllowedHosts, normalize_host, split_port


@pytest.mark.parametrize(
    ("entry", "host", "port"),
    [
        ("pypi.org", "pypi.org", 443),
        ("pypi.org", "pypi.org", 80),
        ("PyPI.org.", "pypi.org", 443),
        ("pypi.org:8443", "pypi.org", 8443),
        ("*.example.com", "a.example.com", 443),
        ("*.example.com:22", "a.b.example.com", 22),
        ("*", "anything.test", 80),
        ("192.0.2.7:5432", "192.0.2.7", 5432),
        ("2001:DB8::1", "2001:db8::1", 443),
        ("[2001:db8::1]:9000", "2001:db8::1", 9000),
        ("under_score.test", "under_score.test", 80),
    ],
)
def test_entry_allows_its_host_and_port(entry: str, host: str, port: int) -> None:
    """Without a port, those of HTTP and HTTPS."""
    assert AllowedHosts.parse([entry]).names(host, port)


@pytest.mark.parametrize(
    ("entry", "host", "port"),
    [
        ("pypi.org", "pypi.org", 22),
        ("pypi.org:8443", "pypi.org", 443),
        ("pypi.org", "evil-pypi.org", 443),
        ("pypi.org", "sub.pypi.org", 443),
        ("pypi.org", "pypi.org.evil.test", 443),
        ("*.example.com", "example.com", 443),
        ("*.example.com", "badexample.com", 443),
        ("*", "anything.test", 22),
        ("*", "192.0.2.7", 443),
        ("*.2.7", "192.0.2.7", 443),
        ("192.0.2.7", "192.0.2.8", 443),
    ],
)
def test_entry_allows_nothing_else(entry: str, host: str, port: int) -> None:
    """No other port or name, and no address for a pattern of names."""
    assert not AllowedHosts.parse([entry]).names(host, port)


def test_empty_list_allows_nothing() -> None:
    """It is the default of a service."""
    assert not AllowedHosts.parse([])
    assert not AllowedHosts().names("pypi.org", 443)
    assert AllowedHosts.parse(["pypi.org"])


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "https://pypi.org",
        "pypi.org/simple",
        "pypi.org:0",
        "pypi.org:65536",
        "pypi.org:http",
        "pypi.org:",
        "user@pypi.org",
        "a..b",
        "-a.test",
        "a b",
        "a." + "b" * 64,
        "a." * 127 + "toolong",
        "bücher.example",
        "*.192.0.2.7",
        "*pypi.org",
        "[::1",
        "10.0.0.0/8",
        "pypi.org:\u0661",
        None,
        7,
    ],
)
def test_invalid_entry_is_rejected(entry: object) -> None:
    """The error shows the entry and a valid form."""
    with pytest.raises(InvalidRequest, match="HOST:PORT") as caught:
        AllowedHosts.parse([entry])  # type: ignore[list-item]  # on purpose

    assert repr(entry) in str(caught.value)
    assert caught.value.argument == "allow_hosts"


def test_string_instead_of_a_list_is_rejected() -> None:
    """It would be read letter by letter."""
    with pytest.raises(InvalidRequest, match=r"\['pypi.org'\]"):
        AllowedHosts.parse("pypi.org")


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.0.9",
        "169.254.169.254",
        "172.16.0.1",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::7f00:1",
        "2001:0:7f00:1::",
        "2001:db8::1",
        "2002:7f00:1::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "ff02::1",
    ],
)
def test_name_cannot_resolve_to_a_private_address(address: str) -> None:
    """Neither to the machine, its neighbours or its cloud's, in any notation."""
    allowed = AllowedHosts.parse(["*", "rebound.test"])

    assert not allowed.reaches(address, 443)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "2a00:1450::1"])
def test_name_may_resolve_to_any_public_address(address: str) -> None:
    """DNS of an allowed name decides."""
    assert AllowedHosts.parse(["pypi.org"]).reaches(address, 443)


def test_listed_private_address_is_allowed_at_its_port_only() -> None:
    """Listing it is a deliberate choice."""
    allowed = AllowedHosts.parse(["127.0.0.1:8000", "[::1]:8000"])

    assert allowed.reaches("127.0.0.1", 8000)
    assert allowed.reaches("::1", 8000)
    assert not allowed.reaches("127.0.0.1", 8001)
    assert not allowed.reaches("127.0.0.2", 8000)
    assert not allowed.reaches("::ffff:127.0.0.1", 8000)


@pytest.mark.parametrize("host", ["", ".", "a/b", "a\r\nb", "a\0", "a@b", "[::1]", "x" * 64, "é"])
def test_invalid_host_is_not_normalized(host: str) -> None:
    """It cannot get into a request line or the log."""
    assert normalize_host(host) is None


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a.test", ("a.test", None)),
        ("a.test:1", ("a.test", 1)),
        ("::1", ("::1", None)),
        ("[::1]", ("::1", None)),
        ("[::1]:65535", ("::1", 65535)),
        ("a:99999999999999999999", None),
        ("a:-1", None),
        ("a:+1", None),
        ("a: 1", None),
    ],
)
def test_port_is_split_from_its_host(text: str, parts: tuple[str, int | None] | None) -> None:
    """The colons of an IPv6 address are no port."""
    assert split_port(text) == parts
