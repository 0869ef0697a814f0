"""Asking a vendor whether it knows us: a plain answer either way, nothing sent, no secret told, never an exception."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from channels.bluesky import Bluesky
from channels.console import Console
from channels.facebook import Facebook
from channels.file import File
from channels.instagram import Instagram
from channels.linkedin import LinkedIn
from channels.mastodon import Mastodon
from channels.sendgrid import SendGrid
from channels.ses import Ses
from channels.smtp import Smtp
from channels.smtp.dkim import public_key
from channels.smtp.settings import DkimSettings
from channels.twilio import Twilio
from channels.vonage import Vonage
from channels.x import X
from engine.provider import Http, Provider, Verified
from engine.testing.vendors.bluesky import HANDLE, BlueskyVendor
from engine.testing.vendors.graph import ACCOUNT_ID, PAGE_ID, GraphVendor, InstagramVendor
from engine.testing.vendors.linkedin import ORGANISATION, LinkedInVendor
from engine.testing.vendors.mastodon import MastodonVendor
from engine.testing.vendors.sendgrid import SendGridVendor
from engine.testing.vendors.server import HttpVendor, Request, Silence, closed_port
from engine.testing.vendors.ses import REGION, SesVendor
from engine.testing.vendors.smtp import SmtpVendor
from engine.testing.vendors.twilio import ACCOUNT, TwilioVendor
from engine.testing.vendors.vonage import VonageVendor
from engine.testing.vendors.x import XVendor
from tests.channels.messages import soon
from tests.channels.test_smtp_dkim import KEYS, pem, record

Make = Callable[[str], Provider]
SECRET = "token-for-tests"


def sendgrid(url: str) -> Provider:
    return opened(SendGrid, {"api_key": "${env:V_KEY}", "base_url": url})


def twilio(url: str) -> Provider:
    return opened(Twilio, {"account_sid": ACCOUNT, "auth_token": "${env:V_KEY}", "base_url": url})


def mastodon(url: str) -> Provider:
    return opened(Mastodon, {"access_token": "${env:V_KEY}", "server": url})


def bluesky(url: str) -> Provider:
    return opened(Bluesky, {"handle": HANDLE, "app_password": "${env:V_KEY}", "server": url})


def facebook(url: str) -> Provider:
    return opened(Facebook, {"page_id": PAGE_ID, "access_token": "${env:V_KEY}", "base_url": url})


def instagram(url: str) -> Provider:
    return opened(Instagram, {"account_id": ACCOUNT_ID, "access_token": "${env:V_KEY}", "base_url": url})


def linkedin(url: str) -> Provider:
    return opened(LinkedIn, {"author": ORGANISATION, "access_token": "${env:V_KEY}", "base_url": url})


def x(url: str) -> Provider:
    names = ("api_key", "api_key_secret", "access_token", "access_token_secret")
    return opened(X, {**dict.fromkeys(names, "${env:V_KEY}"), "base_url": url})


def ses(url: str) -> Provider:
    keys = {"access_key_id": "AKIAFORTESTS", "secret_access_key": "${env:V_KEY}"}
    return opened(Ses, {"region": REGION, **keys, "base_url": url})


def vonage(url: str) -> Provider:
    return opened(Vonage, {"api_key": "key-for-tests", "api_secret": "${env:V_KEY}", "base_url": url})


def smtp(**given: Any) -> Provider:
    return opened(Smtp, {"host": "127.0.0.1", "security": "none", **given})


def opened(kind: type[Provider], given: dict[str, Any]) -> Provider:
    return kind(kind.Settings.model_validate(given), http=Http())


VENDORS: dict[str, tuple[type[Any], Make]] = {
    "sendgrid": (SendGridVendor, sendgrid),
    "twilio": (TwilioVendor, twilio),
    "mastodon": (MastodonVendor, mastodon),
    "facebook": (GraphVendor, facebook),
    "instagram": (InstagramVendor, instagram),
    "linkedin": (LinkedInVendor, linkedin),
    "x": (XVendor, x),
    "bluesky": (BlueskyVendor, bluesky),
    "ses": (SesVendor, ses),
    "vonage": (VonageVendor, vonage),
}


SECRETS = {SendGridVendor: "api_key", SesVendor: "secret_access_key", VonageVendor: "api_secret"}


@pytest.fixture(params=sorted(VENDORS))
def vendor(request: pytest.FixtureRequest) -> tuple[type[Any], Make]:
    return VENDORS[request.param]


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("V_KEY", SECRET)


def server(kind: type[Any], **more: Any) -> HttpVendor:
    made: HttpVendor = kind(**({SECRETS[kind]: SECRET} if kind in SECRETS else {}), **more)
    return made


def verdict(provider: Provider, seconds: float = 5) -> Verified:
    try:
        found = provider.verify(deadline=soon(seconds))
    finally:
        provider.close()
    assert found is not None and SECRET not in found.detail
    return found


def test_a_vendor_that_knows_us_says_so(vendor: tuple[type[Any], Make]) -> None:
    """With the right credentials: good, and nothing was sent."""
    with server(vendor[0]) as there:
        assert verdict(vendor[1](there.url)).good
        assert there.accepted == []


def test_wrong_credentials_are_told(vendor: tuple[type[Any], Make], monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused, and not set at all: both say what is wrong."""
    with server(vendor[0]) as there:
        monkeypatch.setenv("V_KEY", "wrong")
        found = verdict(vendor[1](there.url))
        assert not found.good and found.detail.startswith("the credentials ")
        monkeypatch.delenv("V_KEY")
        assert "V_KEY" in verdict(vendor[1](there.url)).detail


def test_a_vendor_that_does_not_answer_is_no_vendor_that_knows_us(vendor: tuple[type[Any], Make]) -> None:
    """Nobody there, and somebody silent: told within the deadline."""
    assert not verdict(vendor[1](f"http://127.0.0.1:{closed_port()}")).good

    def silent(_: Request) -> Silence:
        return Silence()

    with server(vendor[0], misbehave=silent) as there:
        assert "no answer" in verdict(vendor[1](there.url), seconds=0.5).detail


def test_a_key_that_may_not_send_and_a_suspended_account_are_no_good() -> None:
    """The vendor knows us, and would refuse every message all the same."""
    with server(SendGridVendor) as there:
        there.scopes = ["stats.read"]  # type: ignore[attr-defined]
        assert "mail.send" in verdict(sendgrid(there.url)).detail
    with server(TwilioVendor) as there:
        there.standing = "suspended"  # type: ignore[attr-defined]
        assert verdict(twilio(there.url)) == Verified(good=False, detail="the account is suspended")
    with server(SesVendor) as there:
        there.may_send = False  # type: ignore[attr-defined]
        assert verdict(ses(there.url)) == Verified(good=False, detail="the account may not send")


@pytest.fixture
def relay() -> Iterator[SmtpVendor]:
    with SmtpVendor(users={"shop": SECRET}) as relay:
        yield relay


def test_a_mail_server_is_logged_in_to(relay: SmtpVendor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The right password, a wrong one, none there, and a port where nobody is."""
    login = {"port": relay.port, "username": "shop", "password": "${env:V_KEY}"}
    assert verdict(smtp(**login)) == Verified(good=True, detail="logged in")
    monkeypatch.setenv("V_KEY", "wrong")
    assert "refuses connect" in verdict(smtp(**login)).detail
    assert "no connection" in verdict(smtp(port=closed_port())).detail
    unprotected = verdict(smtp(port=relay.port, security="starttls"))
    assert "STARTTLS" in unprotected.detail
    assert "`security: tls`" in unprotected.remedy and "`security: none`" in unprotected.remedy
    assert relay.accepted == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_no_good(tmp_path: Path) -> None:
    """On the first day the outbox is the provider."""
    (tmp_path / "locked").mkdir(mode=0o500)
    assert not verdict(opened(File, {"folder": str(tmp_path / "locked" / "outbox")})).good


def test_a_folder_is_written_and_a_screen_is_not_asked(tmp_path: Path) -> None:
    """The folder need not be there yet; a file in its place is no folder."""
    assert verdict(opened(File, {"folder": str(tmp_path / "outbox")})).good
    (tmp_path / "file").touch()
    assert not verdict(opened(File, {"folder": str(tmp_path / "file")})).good
    assert opened(Console, {"channel": "sms"}).verify(deadline=soon()) is None


@pytest.mark.parametrize("kind", sorted(KEYS))
def test_the_key_in_dns_is_told_from_the_key_that_signs(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the record must hold is what a verifier needs, for both kinds of key; without the key, only where it stands."""
    monkeypatch.setenv("V_DKIM", pem(KEYS[kind]))
    given = {"domain": "news.shop.fi", "selector": "s2026", "private_key": "${env:V_DKIM}"}
    assert record(KEYS[kind]).decode().endswith(f"p={public_key(DkimSettings.model_validate(given))}")
    provider = smtp(dkim=given, return_path="bounce+{key}@b.shop.fi")
    records = provider.mail_records("Shop <hello@news.shop.fi>")
    assert records is not None
    assert (records.domain, records.envelope, list(records.dkim)) == (
        "news.shop.fi",
        "b.shop.fi",
        ["s2026._domainkey.news.shop.fi"],
    )
    assert record(KEYS[kind]).decode().endswith(f"p={next(iter(records.dkim.values()))}")
    monkeypatch.delenv("V_DKIM")
    without = provider.mail_records("hello@news.shop.fi")
    assert without is not None and list(without.dkim.values()) == [None]


def test_when_a_token_of_metas_ends_is_told() -> None:
    """A page's token that does not end, one that does, and an account of Instagram Login, of whose token nobody tells."""
    at = datetime(2026, 12, 1, tzinfo=UTC)
    for kind, make in ((GraphVendor, facebook), (InstagramVendor, instagram)):
        with server(kind) as there:
            assert verdict(make(there.url)).ends is None
            there.ends = int(at.timestamp())  # type: ignore[attr-defined]
            assert verdict(make(there.url)).ends == at
            there.ends = "soon"  # type: ignore[attr-defined]
            assert verdict(make(there.url)).ends is None


def test_an_oauth_2_token_of_xs_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends two hours after it was made, and what renews it changes each time, so that no environment can hold it."""
    with XVendor(oauth2_token=SECRET) as there:
        found = verdict(opened(X, {"oauth2_token": "${env:V_KEY}", "base_url": there.url}))
    assert found.good and "two hours" in found.detail and "OAuth 1.0a" in found.remedy
