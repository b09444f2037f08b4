"""Certificates for tests of TLS: an authority, a server and a sender of it, and a stranger. Made once a run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from tempfile import mkdtemp

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True)
class TlsFiles:
    """Paths of PEM files. `sender` and `stranger` hold certificate and key; a stranger's is of another authority."""

    ca: str
    cert: str
    key: str
    sender: str
    stranger: str


@cache
def tls_files() -> TlsFiles:
    folder = Path(mkdtemp(prefix="fhirpay-tls-"))
    authority, other = _authority(), _authority()
    server = _signed("server", authority)
    sender, stranger = _signed("sender", authority), _signed("stranger", other)

    def put(name: str, *parts: bytes) -> str:
        (folder / name).write_bytes(b"".join(parts))
        return str(folder / name)

    return TlsFiles(
        ca=put("ca.pem", _pem(authority[0])),
        cert=put("server.pem", _pem(server[0])),
        key=put("server.key", _key(server[1])),
        sender=put("sender.pem", _pem(sender[0]), _key(sender[1])),
        stranger=put("stranger.pem", _pem(stranger[0]), _key(stranger[1])),
    )


_Pair = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def _authority() -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    return _certificate("authority", key, "authority", key, ca=True), key


def _signed(name: str, authority: _Pair) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    return _certificate(name, key, "authority", authority[1], ca=False), key


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, signer: ec.EllipticCurvePrivateKey, *, ca: bool
) -> x509.Certificate:
    def called(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    now = datetime.now(UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    made = x509.CertificateBuilder(
        issuer_name=called(issuer),
        subject_name=called(name),
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - timedelta(days=1),
        not_valid_after=now + timedelta(days=2),
    )
    made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    return made.sign(signer, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key(key: ec.EllipticCurvePrivateKey) -> bytes:
    pkcs8 = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, pkcs8, serialization.NoEncryption())
