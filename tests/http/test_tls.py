"""TLS certificates are always verified."""

from __future__ import annotations

import ssl
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer

from agentbay_async import Config, ConnectionFailedError, RetryPolicy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.http.conftest import Bays

# Python 3.10 warns of each TLS connection whose end it did not see acknowledged.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed transport <asyncio.sslproto"),
    pytest.mark.usefixtures("over_http"),
]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Give a certificate authority that clients do not trust by default."""
    return trustme.CA()


async def _answer(_request: web.Request) -> web.Response:
    return web.json_response({"Success": True, "Data": []})


@pytest.fixture
async def endpoint(authority: trustme.CA) -> AsyncIterator[str]:
    """Give the URL of a service whose certificate is of that authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    app = web.Application()
    app.router.add_post("/", _answer)
    server = TestServer(app, scheme="https")
    await server.start_server(ssl=context)
    yield str(server.make_url("")).rstrip("/")
    await server.close()


async def test_an_untrusted_certificate_is_rejected(bays: Bays, endpoint: str) -> None:
    """No connection is made, so the key is not sent."""
    result = await bays(endpoint=endpoint, retry=RetryPolicy(attempts=1)).context.list()
    assert isinstance(result.error, ConnectionFailedError)


async def test_a_custom_ssl_context_is_used(
    bays: Bays, endpoint: str, authority: trustme.CA
) -> None:
    """A client that trusts the authority connects."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    result = await bays(endpoint=endpoint, cfg=Config(ssl_context=context)).context.list()
    assert result.success


async def test_a_certificate_for_another_host_is_rejected(
    bays: Bays, endpoint: str, authority: trustme.CA
) -> None:
    """Even from a trusted authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    other = endpoint.replace("127.0.0.1", "localhost")
    bay = bays(endpoint=other, cfg=Config(ssl_context=context), retry=RetryPolicy(attempts=1))
    assert isinstance((await bay.context.list()).error, ConnectionFailedError)


_CHILD = """
import asyncio, ssl
from aiohttp import web
from aiohttp.test_utils import TestServer
from agentbay_async import AsyncAgentBay, RetryPolicy

async def answer(request):
    return web.json_response({"Success": True, "Data": []})

async def main():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain("server.pem")
    app = web.Application()
    app.router.add_post("/", answer)
    server = TestServer(app, scheme="https")
    await server.start_server(ssl=context)
    once = RetryPolicy(attempts=1)
    async with AsyncAgentBay("akm-x", endpoint=str(server.make_url("")), retry=once) as bay:
        print(type((await bay.context.list()).error).__name__)
    await server.close()

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("variables", "expected"),
    [({"SSL_CERT_FILE": "ca.pem"}, "NoneType"), ({}, "ConnectionFailedError")],
)
def test_the_certificates_of_the_environment_are_trusted(
    tmp_path: Path,
    authority: trustme.CA,
    run_child: Callable[..., str],
    variables: dict[str, str],
    expected: str,
) -> None:
    """SSL_CERT_FILE adds an authority, as for other programs."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        tmp_path / "server.pem"
    )
    assert run_child(_CHILD, **variables) == expected


@pytest.fixture
def certifi(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a certifi that has the authority."""
    path = tmp_path / "certifi.pem"
    authority.cert_pem.write_to_path(path)
    monkeypatch.setitem(sys.modules, "certifi", SimpleNamespace(where=lambda: str(path)))


def _let_system_have(monkeypatch: pytest.MonkeyPatch, **paths: str | None) -> None:
    found = SimpleNamespace(**{"cafile": None, "capath": None, **paths})
    monkeypatch.setattr("ssl.get_default_verify_paths", lambda: found)


@pytest.mark.parametrize("directory", [False, True])
@pytest.mark.usefixtures("certifi")
async def test_certifi_is_trusted_where_the_system_has_no_certificates(
    bays: Bays, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, directory: bool
) -> None:
    """As with Python from python.org on macOS; an empty directory is none."""
    (tmp_path / "empty").mkdir()
    _let_system_have(monkeypatch, capath=str(tmp_path / "empty") if directory else None)
    assert (await bays(endpoint=endpoint).context.list()).success


@pytest.mark.usefixtures("certifi")
async def test_certifi_is_not_trusted_beside_the_certificates_of_the_system(
    bays: Bays, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The administrator of the machine decides."""
    _let_system_have(monkeypatch, cafile=str(tmp_path / "certifi.pem"))
    result = await bays(endpoint=endpoint, retry=RetryPolicy(attempts=1)).context.list()
    assert isinstance(result.error, ConnectionFailedError)


async def test_without_certifi_the_context_of_aiohttp_is_used(
    bays: Bays, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no dependency."""
    monkeypatch.setitem(sys.modules, "certifi", None)
    _let_system_have(monkeypatch)
    result = await bays(endpoint=endpoint, retry=RetryPolicy(attempts=1)).context.list()
    assert isinstance(result.error, ConnectionFailedError)
