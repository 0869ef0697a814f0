"""The DKIM signature of an email (RFC 6376): relaxed/relaxed, by an RSA or an Ed25519 key (RFC 8463).

Every header of the message is signed, so both headers of one-click unsubscribe are (RFC 8058 §4); `OVERSIGNED` ones once
more than they occur, so that nobody on the way adds another From or Reply-To. The signature's time is the message's own,
so a second hand-over has the same signature.
"""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import datetime

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from channels.smtp.settings import DkimSettings
from engine.errors import ProviderError

OVERSIGNED = (b"from", b"to", b"cc", b"reply-to", b"subject", b"date", b"content-type")
_BLANKS = re.compile(rb"[\t ]+")


class Signer:
    """Signs messages for one domain. Making one reads the key: raises SecretMissing, ProviderError."""

    def __init__(self, settings: DkimSettings) -> None:
        self._key = _key(settings.key())
        kind = "rsa" if isinstance(self._key, RSAPrivateKey) else "ed25519"
        self._opening = (
            f"DKIM-Signature: v=1; a={kind}-sha256; c=relaxed/relaxed;\r\n d={settings.domain}; s={settings.selector};"
        ).encode()

    def __call__(self, message: bytes, at: datetime) -> bytes:
        """The header to be put before the message, whose line ends are CRLF."""
        head, _, body = message.partition(b"\r\n\r\n")
        fields = [_relaxed_header(line) for line in head.replace(b"\r\n ", b" ").split(b"\r\n")]
        names = [name for name, _ in fields] + [*OVERSIGNED]
        listed = b":\r\n ".join([b":".join(names[start : start + 6]) for start in range(0, len(names), 6)])
        found = base64.b64encode(hashlib.sha256(relaxed_body(body)).digest())
        unsigned = b"%b t=%d;\r\n h=%b;\r\n bh=%b;\r\n b=" % (self._opening, at.timestamp(), listed, found)
        own, value = _relaxed_header(unsigned.replace(b"\r\n ", b" "))
        signed = b"".join([b"%b:%b\r\n" % field for field in fields]) + own + b":" + value
        return unsigned + _folded(base64.b64encode(self._signature(signed))) + b"\r\n"

    def _signature(self, signed: bytes) -> bytes:
        if isinstance(self._key, RSAPrivateKey):
            return self._key.sign(signed, PKCS1v15(), SHA256())
        return self._key.sign(hashlib.sha256(signed).digest())


def public_key(settings: DkimSettings) -> str:
    """The key as its DNS record must have it (RFC 6376 §3.6.1, RFC 8463 §4). Raises SecretMissing, ProviderError."""
    key = _key(settings.key())
    if isinstance(key, RSAPrivateKey):
        der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return base64.b64encode(der).decode()
    return base64.b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def relaxed_body(body: bytes) -> bytes:
    """RFC 6376 §3.4.4. Looking first is worth it: most bodies have nothing to be changed."""
    if b"  " in body or b"\t" in body or b" \r\n" in body:
        body = _BLANKS.sub(b" ", body).replace(b" \r\n", b"\r\n")
    body = body.rstrip(b"\r\n")
    return body + b"\r\n" if body else b""


def _relaxed_header(line: bytes) -> tuple[bytes, bytes]:
    """RFC 6376 §3.4.2, of a header that is unfolded already."""
    name, _, value = line.partition(b":")
    return name.lower(), _BLANKS.sub(b" ", value).strip()


def _folded(value: bytes) -> bytes:
    return b"\r\n ".join([value[start : start + 72] for start in range(0, len(value), 72)])


def _key(pem: bytes) -> RSAPrivateKey | Ed25519PrivateKey:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ProviderError(
            "the DKIM key cannot be read", remedy="Give a PEM private key without a password."
        ) from error
    if isinstance(key, RSAPrivateKey) and key.key_size >= 1024:  # RFC 8301 §3.2
        return key
    if isinstance(key, Ed25519PrivateKey):
        return key
    raise ProviderError(
        "the DKIM key is of a kind that nobody would verify", remedy="Make an RSA key of 2048 bits, or an Ed25519 one."
    )
