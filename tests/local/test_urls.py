"""The addresses that links of the service have."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from agentbay_local import urls
from agentbay_local.protocol.signing import Signer

if TYPE_CHECKING:
    from agentbay_local.state import ServiceState


@pytest.mark.parametrize(
    ("listening", "linked"),
    [
        ("http://0.0.0.0:80", "http://127.0.0.1:80"),
        ("https://[::]:80", "https://[::1]:80"),
        ("http://192.0.2.1:80", "http://192.0.2.1:80"),
    ],
)
def test_links_lead_to_an_address_to_which_every_system_connects(
    listening: str, linked: str
) -> None:
    """Windows does not connect to "all addresses"; a service in a container listens on these."""
    state = cast("ServiceState", SimpleNamespace(endpoint=listening, signer=Signer(b"0" * 32)))
    access = urls.session_access(state, "s-1")
    assert access.link_url == f"{linked}/link/s-1"
    assert access.ws_url == f"ws{linked.removeprefix('http')}/ws/s-1"
    assert urls.port_url(state, "s-1", 30100).startswith(f"{linked}/port/")
    assert urls.devtools_url(state, "s-1").startswith(f"{linked}/port/")
