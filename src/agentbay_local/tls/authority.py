"""The private certificate authority of a home, and the certificates of its service.

The authority is made once, so that who trusts it goes on to do so. It is limited to names and
addresses of the loopback: somebody who gets hold of its key cannot pass for another host.
Certificates of the service live in memory for a few weeks, and are replaced before they expire.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
import tempfile
from collections import OrderedDict
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agentbay_local.tls.trust import with_system_certificates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from typing_extensions import Self

__all__ = ["CertificateAuthority", "ServerCertificates"]

_AUTHORITY_LIFE = timedelta(days=3650)
_AUTHORITY_MARGIN = timedelta(days=60)
_LIFE = timedelta(days=30)
_MARGIN = timedelta(days=10)
# A clock that is a little late must accept a certificate that has just been made.
_SKEW = timedelta(hours=1)
# Certificates of hosts of links that are kept; each is used for as long as somebody looks at it.
_REMEMBERED = 64
_LOCALHOST = "localhost"
_NETWORKS = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


@attrs.frozen
class CertificateAuthority:
    """A certificate authority, and the files that make clients trust it.

    Attributes:
        ca_file: Its certificate, in PEM.
        bundle: Its certificate together with those that this machine trusts anyway.
    """

    ca_file: Path
    bundle: Path
    _key: ec.EllipticCurvePrivateKey = attrs.field(repr=False)
    _certificate: x509.Certificate

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Read the authority of a directory; make one if there is none, or if it expires soon.

        Raises:
            ValueError: Its file is damaged.
            OSError: The directory cannot be written.
        """
        directory.mkdir(mode=0o700, exist_ok=True)
        key, certificate = _load_or_make(directory / "ca.key")
        text = _pem(certificate)
        ca_file, bundle = directory / "ca.pem", directory / "bundle.pem"
        _write(ca_file, text)
        _write(bundle, with_system_certificates(text))
        return cls(ca_file, bundle, key, certificate)

    def issue(self, names: Iterable[x509.GeneralName]) -> str:
        """Return a new certificate with its private key, in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder(key.public_key(), _subject("local service"), _LIFE)
            .issuer_name(self._certificate.subject)
            .add_extension(x509.SubjectAlternativeName(names), critical=True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(_authority_id(self._key), critical=False)
        )
        return _pem(builder.sign(self._key, hashes.SHA256())) + _pem_of_key(key)


class ServerCertificates:
    """The TLS settings of a service, whose certificates are renewed while it runs.

    OpenSSL and browsers do not accept ``*.localhost``, because nothing above it is a domain. So
    each host of a link gets a certificate of its own, when a client asks for that host.

    Args:
        authority: Issues the certificates.
        is_link: Whether a name is the host of a link. Strangers must not cause work with others.
        now: The time. Clients compare certificates with that of the machine.
    """

    def __init__(
        self,
        authority: CertificateAuthority,
        is_link: Callable[[str], bool],
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    ) -> None:
        self._authority = authority
        self._is_link = is_link
        self._now = now
        self._made: OrderedDict[str, tuple[datetime, ssl.SSLContext]] = OrderedDict()
        self.context = self._make(_LOCALHOST)
        self.context.sni_callback = self._choose

    def _choose(
        self, connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext
    ) -> None:
        """Take the certificate for a name, at the beginning of each handshake."""
        host = (name or "").lower()
        connection.context = self._get(host if self._is_link(host) else _LOCALHOST)

    def _get(self, host: str) -> ssl.SSLContext:
        made, context = self._made.get(host, (None, None))
        if made is None or context is None or self._now() > made + _LIFE - _MARGIN:
            return self._make(host)
        self._made.move_to_end(host)
        return context

    def _make(self, host: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        text = self._authority.issue(_own_names() if host == _LOCALHOST else [x509.DNSName(host)])
        # ssl reads certificates from files only; this one is for the owner, and gone at once.
        with tempfile.NamedTemporaryFile("w", dir=self._authority.ca_file.parent) as file:
            file.write(text)
            file.flush()
            context.load_cert_chain(file.name)
        self._made[host] = self._now(), context
        self._made.move_to_end(host)
        while len(self._made) > _REMEMBERED:
            self._made.popitem(last=False)
        return context


def _own_names() -> list[x509.GeneralName]:
    addresses = [ipaddress.ip_address(text) for text in ("127.0.0.1", "::1")]
    return [
        x509.DNSName(_LOCALHOST),
        x509.DNSName(f"*.{_LOCALHOST}"),
        *(x509.IPAddress(address) for address in addresses),
    ]


def _load_or_make(path: Path) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    if path.exists():
        text = path.read_bytes()
        try:
            key = serialization.load_pem_private_key(text, password=None)
            certificate = x509.load_pem_x509_certificate(text)
        except ValueError as error:
            raise ValueError(f"{path} is damaged; delete it, and a new one is made") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError(f"{path} is not of this service; delete it, and a new one is made")
        if certificate.not_valid_after_utc > datetime.now(timezone.utc) + _AUTHORITY_MARGIN:
            return key, certificate
    key, certificate = _make_authority()
    _write(path, _pem_of_key(key) + _pem(certificate))
    return key, certificate


def _make_authority() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject("private authority")
    allowed = [x509.DNSName(_LOCALHOST), *(x509.IPAddress(network) for network in _NETWORKS)]
    builder = (
        _builder(key.public_key(), subject, _AUTHORITY_LIFE)
        .issuer_name(subject)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True), critical=True)
        .add_extension(x509.NameConstraints(allowed, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return key, builder.sign(key, hashes.SHA256())


def _builder(
    key: ec.EllipticCurvePublicKey, subject: x509.Name, life: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + life)
    )


def _subject(role: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, f"AgentBay {role}")])


def _authority_id(key: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def _pem_of_key(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode("ascii")


def _write(path: Path, text: str) -> None:
    """Write a private file, which appears whole or not at all."""
    handle, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text)
    os.replace(name, path)
