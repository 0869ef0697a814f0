"""A certificate authority for the tests, and a server certificate for 127.0.0.1 and localhost."""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def authority(folder: Path, *, name: str = "localhost", days: int = 1) -> tuple[Path, ssl.SSLContext]:
    """The authority's file, and a server context with a certificate that it signed for `name`; negative days: expired."""
    root_key, root = ec.generate_private_key(ec.SECP256R1()), _name("Test authority")
    now = datetime.now(UTC)
    first, last = now - timedelta(days=30), now + timedelta(days=days)
    builder = x509.CertificateBuilder().subject_name(root).issuer_name(root).public_key(root_key.public_key())
    builder = builder.serial_number(1).not_valid_before(first).not_valid_after(now + timedelta(days=1))
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    own = x509.SubjectKeyIdentifier.from_public_key(root_key.public_key())
    builder = builder.add_extension(own, critical=False).add_extension(usage, critical=True)
    ca = builder.sign(root_key, hashes.SHA256())
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.DNSName(name)] + ([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))] if name == "localhost" else [])
    leaf = x509.CertificateBuilder().subject_name(_name(name)).issuer_name(root).public_key(key.public_key())
    leaf = leaf.serial_number(2).not_valid_before(first).not_valid_after(last)
    leaf = leaf.add_extension(x509.SubjectAlternativeName(names), critical=False)
    leaf = leaf.add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own), critical=False)
    certificate = leaf.sign(root_key, hashes.SHA256())
    ca_file, chain = folder / "ca.pem", folder / "server.pem"
    pem = serialization.Encoding.PEM
    ca_file.write_bytes(ca.public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    chain.write_bytes(private + certificate.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return ca_file, context


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
