"""TLS of the local service: certificates, and both protocols on one port."""

from __future__ import annotations

import asyncio
import json
import ssl
import stat
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import aiohttp
import pytest
from cryptography import x509
from tests.local.conftest import DEADLINE, Api
from yarl import URL

from agentbay_async import AsyncAgentBay, Config
from agentbay_local import LocalService
from agentbay_local.http import connections
from agentbay_local.tls import authority as authority_module
from agentbay_local.tls.authority import CertificateAuthority, ServerCertificates
from agentbay_local.tls.trust import TRUST_VARIABLES, with_system_certificates

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

# Python 3.10 warns of each TLS connection whose end it did not see acknowledged.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed transport <asyncio.sslproto")


@pytest.fixture(scope="module")
def service() -> Iterator[LocalService]:
    """Run a service with TLS for the tests of this module."""
    with LocalService(tls=True) as running:
        yield running


@pytest.fixture
def trusting(service: LocalService) -> ssl.SSLContext:
    """Return TLS settings that trust the service, and nobody else."""
    return ssl.create_default_context(cafile=service.ca_file)


@pytest.fixture
async def api(service: LocalService, trusting: ssl.SSLContext) -> AsyncIterator[Api]:
    """Speak to the service over TLS."""
    connector = aiohttp.TCPConnector(ssl=trusting)
    async with aiohttp.ClientSession(connector=connector) as http:
        yield Api(http, service)


async def close(writer: asyncio.StreamWriter) -> None:
    """Close a connection at once, and wait until it is closed."""
    writer.transport.abort()
    with suppress(OSError):
        await asyncio.wait_for(writer.wait_closed(), DEADLINE)


async def certificate_for(
    service: LocalService, trusting: ssl.SSLContext, name: str
) -> x509.Certificate:
    """Shake hands for a host name, and return the certificate that came with it."""
    port = URL(service.endpoint).port
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting, server_hostname=name)
    try:
        raw = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return x509.load_der_x509_certificate(raw)
    finally:
        await close(writer)


async def test_our_client_works_over_tls(service: LocalService, trusting: ssl.SSLContext) -> None:
    """With an endpoint without a scheme, as other clients have it."""
    endpoint = service.endpoint.removeprefix("https://")
    config = Config(ssl_context=trusting)
    async with (
        AsyncAgentBay(service.api_key, cfg=config, endpoint=endpoint) as bay,
        bay.session() as session,
    ):
        result = await session.command.run("echo over TLS")
        assert result.stdout == "over TLS\n"
        events = [event async for event in session.code.stream("print('by WebSocket')")]
        assert any("by WebSocket" in str(event) for event in events)


async def test_urls_begin_with_https_and_wss(api: Api) -> None:
    """Tools, WebSocket, page, ports and files."""
    data = (await api.ok("CreateMcpSession"))["Data"]
    link = await api.ok("GetLink", SessionId=data["SessionId"], Port=30100, ProtocolType="https")
    context = await api.context()
    upload = await api.ok("GetContextFileUploadUrl", ContextId=context, FilePath="/a.txt")
    for url in (data["LinkUrl"], link["Data"]["Url"], upload["Data"]["Url"], data["ResourceUrl"]):
        assert url.startswith("https://"), url
    assert data["WsUrl"].startswith("wss://")
    await api.put(context, "/a.txt", b"content")
    assert await api.fetch(context, "/a.txt") == b"content"


async def test_plain_http_has_the_same_port(service: LocalService, api: Api) -> None:
    """A client that cannot be told of the certificate still gets an answer."""
    plain = str(URL(service.endpoint).with_scheme("http"))
    async with aiohttp.ClientSession() as http, http.get(f"{plain}/healthz") as answer:
        assert (await answer.json())["status"] == "ok"
    assert (await api.ok("ListSession"))["Success"]


async def test_an_untrusted_certificate_is_refused_by_the_client(service: LocalService) -> None:
    """The authority is private: nobody trusts it unasked."""
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await http.get(f"{service.endpoint}/healthz")


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
async def test_the_certificate_is_valid_for_the_names_of_the_loopback(
    service: LocalService, trusting: ssl.SSLContext, name: str
) -> None:
    """Python verifies the name."""
    await certificate_for(service, trusting, name)


async def test_the_host_of_a_link_has_a_certificate_of_its_own(
    service: LocalService, trusting: ssl.SSLContext, api: Api
) -> None:
    """OpenSSL takes no ``*.localhost``; other names of that kind get nothing."""
    data = (await api.ok("CreateMcpSession"))["Data"]
    host = URL(data["ResourceUrl"]).host
    assert host is not None
    found = await certificate_for(service, trusting, host)
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [host]
    assert found == await certificate_for(service, trusting, host)
    with pytest.raises(ssl.SSLCertVerificationError):
        await certificate_for(service, trusting, "other.localhost")


async def test_many_connections_begin_at_the_same_time(
    service: LocalService, trusting: ssl.SSLContext
) -> None:
    """Both protocols, whose first requests come right behind their handshakes."""
    port = URL(service.endpoint).port

    async def ask(tls: ssl.SSLContext | None) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), DEADLINE)
        await close(writer)
        return answer

    answers = await asyncio.gather(*(ask(tls) for tls in (trusting, None) * 50))
    assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in answers)


async def test_clients_that_say_nothing_of_use_are_forgotten(service: LocalService) -> None:
    """A broken handshake, and one that is broken off, leave no connection behind."""
    port = URL(service.endpoint).port
    for data in (b"\x16garbage" * 10, b"\x16", b""):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(data)
        writer.write_eof()
        with suppress(ConnectionError):
            await asyncio.wait_for(reader.read(), DEADLINE)
        await close(writer)


async def test_a_connection_that_does_not_shake_hands_is_closed(
    trusting: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the time that every client without a key has."""
    monkeypatch.setattr(connections, "AUTHENTICATE_WITHIN", 0.2)
    async with LocalService(tls=True) as service:
        port = URL(service.endpoint).port
        for data in (b"", b"\x16\x03\x01\x02\x00\x01"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(data)
            with suppress(ConnectionError):
                await asyncio.wait_for(reader.read(), DEADLINE)
            await close(writer)


async def test_the_authority_of_a_home_is_made_once(tmp_path: Path) -> None:
    """Who trusts it does so after a restart, too; its files are private."""
    contents = []
    for _ in range(2):
        async with LocalService(home=tmp_path, tls=True) as service:
            assert service.ca_file is not None
            contents.append(service.ca_file.read_text())
    assert contents[0] == contents[1]
    for path in (tmp_path / "tls").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert {path.name for path in (tmp_path / "tls").iterdir()} == {
        "bundle.pem", "ca.key", "ca.pem",
    }  # fmt: skip


async def test_an_authority_that_expires_soon_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the start of the service."""
    monkeypatch.setattr(authority_module, "_AUTHORITY_LIFE", timedelta(days=59))
    first = CertificateAuthority.open(tmp_path / "tls").ca_file.read_text()
    monkeypatch.undo()
    assert CertificateAuthority.open(tmp_path / "tls").ca_file.read_text() != first


def test_a_damaged_authority_is_named(tmp_path: Path) -> None:
    """With the cure."""
    CertificateAuthority.open(tmp_path)
    (tmp_path / "ca.key").write_text("nonsense")
    with pytest.raises(ValueError, match=r"ca\.key is damaged; delete it"):
        CertificateAuthority.open(tmp_path)


def test_the_authority_can_vouch_for_the_loopback_only(tmp_path: Path) -> None:
    """Its key would be worth nothing to a thief."""
    authority = CertificateAuthority.open(tmp_path)
    certificate = x509.load_pem_x509_certificate(authority.ca_file.read_bytes())
    allowed = certificate.extensions.get_extension_for_class(x509.NameConstraints)
    assert allowed.critical
    assert [str(one.value) for one in allowed.value.permitted_subtrees or ()] == [
        "localhost", "127.0.0.0/8", "::1/128",
    ]  # fmt: skip
    text = authority.issue([x509.DNSName("example.com")])
    (tmp_path / "server.pem").write_text(text)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "server.pem")
    client = ssl.create_default_context(cafile=authority.ca_file)
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree"):
        shake_hands(client, server, "example.com")


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> bytes:
    """Let two ends shake hands in memory, and return the certificate that the client gets."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        server.wrap_bio(to_server, to_client, server_side=True),
        client.wrap_bio(to_client, to_server, server_hostname=name),
    )
    for _ in range(4):
        for end in ends:
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
    certificate = ends[1].getpeercert(binary_form=True)
    assert certificate
    return certificate


def test_certificates_are_renewed_while_the_service_runs(tmp_path: Path) -> None:
    """Ten days before they expire; until then each client gets the same one."""
    authority = CertificateAuthority.open(tmp_path)
    times = [datetime.now(timezone.utc)]
    certificates = ServerCertificates(authority, lambda _: False, lambda: times[-1])
    client = ssl.create_default_context(cafile=authority.ca_file)
    first = shake_hands(client, certificates.context, "localhost")
    times.append(times[0] + timedelta(days=19))
    assert shake_hands(client, certificates.context, "localhost") == first
    times.append(times[0] + timedelta(days=21))
    assert shake_hands(client, certificates.context, "localhost") != first


def test_only_so_many_certificates_of_links_are_kept(tmp_path: Path) -> None:
    """The rest can be made again."""
    authority = CertificateAuthority.open(tmp_path)
    certificates = ServerCertificates(authority, lambda name: name.startswith("link"))
    client = ssl.create_default_context(cafile=authority.ca_file)
    first = shake_hands(client, certificates.context, "link0.localhost")
    for number in range(1, 65):
        shake_hands(client, certificates.context, f"link{number}.localhost")
    assert shake_hands(client, certificates.context, "link0.localhost") != first
    assert len(certificates._made) == 64


def test_the_bundle_has_what_the_machine_trusts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variables replace what a program trusts; a missing file adds nothing."""
    for name in TRUST_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    system, extra = (_certificate(tmp_path / name) for name in ("system", "extra"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system" / "ca.pem"))
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", str(tmp_path / "extra" / "ca.pem"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing.pem"))
    own = _certificate(tmp_path / "own")
    bundle = with_system_certificates(own)
    assert bundle == own + system + extra
    assert with_system_certificates(bundle) == bundle
    assert (tmp_path / "own" / "bundle.pem").read_text() == bundle


def _certificate(directory: Path) -> str:
    return CertificateAuthority.open(directory).ca_file.read_text()


def test_the_certificates_of_a_directory_are_in_the_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some systems have a directory only."""
    for name in TRUST_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    system = _certificate(tmp_path / "system")
    paths = ssl.get_default_verify_paths()
    changed = paths._replace(cafile=None, capath=str(tmp_path / "system"))
    monkeypatch.setattr("ssl.get_default_verify_paths", lambda: changed)
    assert system in with_system_certificates("")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.com"])
def test_tls_is_for_the_loopback(host: str) -> None:
    """The certificates hold for this machine."""
    with pytest.raises(ValueError, match="tls needs a loopback host"):
        LocalService(host=host, tls=True)


def test_tls_without_the_extra_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything starts."""
    monkeypatch.setattr("agentbay_local.service.find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"agentbay-async\[local\]"):
        LocalService(tls=True)


def test_a_service_without_tls_has_no_certificates() -> None:
    """And makes none."""
    with LocalService() as service:
        assert service.ca_file is None
        assert service.ca_bundle is None
        assert not (service.home / "tls").exists()


async def test_limits_of_clients_without_a_key_hold_over_tls(
    service: LocalService, trusting: ssl.SSLContext
) -> None:
    """The headers of a first request have a limit."""
    port = URL(service.endpoint).port
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting)
    writer.write(b"GET / HTTP/1.1\r\n" + b"X: " + b"x" * 40_000)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE)
    assert b" 431 " in head
    body = json.loads(await asyncio.wait_for(reader.read(), DEADLINE))
    assert not body["Success"]
    await close(writer)
