"""DKIM: what is signed here verifies by somebody else's verifier (dkimpy), and nothing that matters can be changed."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from channels import mime
from channels.smtp import SmtpSettings
from channels.smtp.dkim import Signer
from channels.smtp.settings import DkimSettings
from engine.errors import ProviderError
from engine.provider import Accepted, NotSent, Outgoing, Secret
from engine.testing.vendors.smtp import SmtpVendor
from tests.channels.messages import EMAIL, NOW, letter, soon
from tests.channels.test_smtp import opened, sent

HEADERS = {
    "List-Unsubscribe": "<https://shop.example/u/abc>, <mailto:unsub@shop.example>",
    "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
}
OFFER = letter(subject="Grüße: 5 % off", text="Grüße. Hello Ana\n", headers=HEADERS)


def pem(key: Any) -> str:
    form = serialization.PrivateFormat.PKCS8
    text: bytes = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return text.decode()


def record(key: Any) -> bytes:
    """The text in DNS that belongs to a key."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return b"v=DKIM1; k=ed25519; p=" + base64.b64encode(raw)
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return b"v=DKIM1; k=rsa; p=" + base64.b64encode(key.public_key().public_bytes(serialization.Encoding.DER, form))


KEYS: Mapping[str, Any] = {
    "rsa": rsa.generate_private_key(65537, 2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
}


@pytest.fixture(params=sorted(KEYS))
def key(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    key = KEYS[request.param]
    monkeypatch.setenv("T_DKIM_KEY", pem(key))
    return key


def asked(**changes: Any) -> dict[str, Any]:
    return {"domain": "shop.example", "selector": "s1", "private_key": "${env:T_DKIM_KEY}", **changes}


def verifies(message: bytes, key: Any) -> bool:
    def dns(name: bytes, timeout: int = 5) -> bytes | None:
        return record(key) if name == b"s1._domainkey.shop.example." else None

    try:
        return bool(dkim.DKIM(message).verify(dnsfunc=dns))
    except dkim.ValidationError:
        return False


def signed(outgoing: Outgoing) -> bytes:
    message = mime.build(outgoing)
    return Signer(DkimSettings.model_validate(asked()))(message, outgoing.at) + message


def test_what_arrives_verifies(key: Any) -> None:
    """Through a real server: the signature verifies, text beyond ASCII goes in seven bits, a re-send is the same message."""
    with SmtpVendor() as vendor, opened(vendor.port, dkim=asked()) as provider:
        for _ in range(2):
            assert isinstance(provider.send(OFFER, deadline=soon()), Accepted)
        first, second = (taken.raw for taken in vendor.accepted)
        assert first is not None and verifies(first, key) and first.isascii()
        assert first == second


def test_both_headers_of_one_click_are_covered(key: Any) -> None:
    """RFC 8058 §4: List-Unsubscribe and List-Unsubscribe-Post stand in h=, and From once more than it occurs."""
    message = signed(OFFER)
    found = re.search(rb"h=([^;]*);", message)
    assert found is not None
    names = re.sub(rb"\s", b"", found[1]).split(b":")
    assert {b"list-unsubscribe", b"list-unsubscribe-post", b"date", b"message-id", b"content-type"} <= set(names)
    assert names.count(b"from") == names.count(b"subject") == names.count(b"to") == 2
    assert b"t=%d;" % NOW.timestamp() in message and b"l=" not in message.split(b"h=")[0]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"abc>", b"abd>"),
        (b"=One-Click", b"=Two-Click"),
        (b"From: Example", b"From: Exemple"),
        (b"MIME-Version", b"From: evil@evil.example\r\nMIME-Version"),
        (b"MIME-Version", b"Reply-To: evil@evil.example\r\nMIME-Version"),
        (b"MIME-Version", b"Subject: Another\r\nMIME-Version"),
        (b"Date: Mon", b"Date: Tue"),
        (b"Hello Ana", b"Hello Eve"),
    ],
)
def test_what_is_changed_no_longer_verifies(key: Any, before: bytes, after: bytes) -> None:
    """A changed or added header, or a changed text, breaks the signature."""
    message = signed(OFFER)
    assert verifies(message, key) and before in message
    assert not verifies(message.replace(before, after, 1), key)


@pytest.mark.parametrize("key", ["ed25519"], indirect=True)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    subject=st.text(st.characters(), max_size=120),
    text=st.text(st.characters(), max_size=300),
    html=st.none() | st.text(st.characters(), max_size=300),
)
@example(subject="a  b\tc", text="\n\n", html=" \n\t\n  ")
@example(subject="", text="", html="")
@example(subject="word " * 60, text="two  spaces \t\n .\n..\n", html="x" * 3000)
def test_any_message_verifies(key: Any, subject: str, text: str, html: str | None) -> None:
    """Whatever stands in it, a signed message verifies; white space that servers on the way change does not matter."""
    message = signed(letter(subject=subject, text=text, html=html, headers=HEADERS))
    assert verifies(message, key)
    assert verifies(message + b"\r\n\r\n", key)
    assert max(map(len, message.split(b"\r\n"))) <= 998


def test_a_key_may_lie_in_a_file_or_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in the workspace, or an environment variable whose line breaks are written out."""
    key = KEYS["rsa"]
    (tmp_path / "dkim.pem").write_text(pem(key))
    in_a_file = {"host": "mail.shop.example", "dkim": asked(private_key=None, private_key_file="dkim.pem")}
    read = SmtpSettings.model_validate(in_a_file, context={"folder": tmp_path})
    assert read.dkim is not None
    message = mime.build(OFFER)
    assert verifies(Signer(read.dkim)(message, NOW) + message, key)
    monkeypatch.setenv("T_DKIM_KEY", pem(key).replace("\n", "\\n"))
    assert verifies(signed(OFFER), key)


def test_a_key_that_is_missing_or_wrong_sends_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key, no message: NotSent until the set-up is right, never an unsigned email, and the key is not shown."""
    monkeypatch.delenv("T_DKIM_KEY", raising=False)
    with SmtpVendor() as vendor:
        outcome = sent(vendor.port, OFFER, dkim=asked())
        assert outcome == NotSent(code="set_up", detail="the environment variable T_DKIM_KEY is not set")
        monkeypatch.setenv("T_DKIM_KEY", "hidden-key")
        assert sent(vendor.port, OFFER, dkim=asked()) == NotSent(code="set_up", detail="the DKIM key cannot be read")
        missing = asked(private_key=None, private_key_file=tmp_path / "none.pem")
        outcome = sent(vendor.port, OFFER, dkim=missing)
        assert isinstance(outcome, NotSent) and "No such file" in outcome.detail
        assert not vendor.accepted
    for poor in (rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP256R1())):
        monkeypatch.setenv("T_DKIM_KEY", pem(poor))
        if isinstance(poor, ec.EllipticCurvePrivateKey):
            with pytest.raises(ProviderError, match="nobody would verify"):
                signed(EMAIL)
        else:
            assert verifies(signed(EMAIL), poor)


def test_settings_of_a_signature() -> None:
    """One key, named by reference; it is among the secrets that are asked for by name."""
    settings = SmtpSettings.model_validate({"host": "mail.shop.example", "dkim": asked()})
    assert settings.secrets() == (Secret("T_DKIM_KEY"),)
    bad: list[dict[str, Any]] = [
        asked(private_key=None),
        asked(private_key_file="dkim.pem"),
        asked(private_key="-----BEGIN PRIVATE KEY-----"),
        asked(domain="shop.example; x=1"),
        asked(selector=""),
        asked(key="x"),
    ]
    for given_settings in bad:
        with pytest.raises(ValidationError):
            SmtpSettings.model_validate({"host": "mail.shop.example", "dkim": given_settings})
