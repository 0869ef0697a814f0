"""Apprise: the contract, as far as a library can keep it that says yes or no and never why; and what its URLs may not do."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest
import responses
from pydantic import ValidationError

from channels.apprise import Apprise, AppriseSettings
from engine.model import Channel
from engine.provider import Accepted, Ambiguous, Http, NotSent, Provider, Rejected, TextContent, Verified
from engine.testing.contract import ProviderContract
from engine.testing.http_contract import HttpContract
from engine.testing.vendors.apprise import AppriseVendor
from engine.testing.vendors.server import Cut, Drip, Received, Reply, closed_port, full_port
from tests.channels.messages import POST, SMS, soon


class ByApprise:
    vendor: AppriseVendor
    environment: ClassVar[Mapping[str, str]] = {"T_APPRISE_URL": "canary-token-0123456789abcdef"}
    channel = Channel.SOCIAL

    @pytest.fixture(autouse=True)
    def _vendor(self) -> Iterator[None]:
        with AppriseVendor() as self.vendor:
            yield

    def make_at(self, url: str, http: Http) -> Provider:
        if "T_APPRISE_URL" in os.environ:
            place = url.replace("https:", "jsons:").replace("http:", "json:")
            to = "" if self.channel is Channel.SOCIAL else "/to/{to}"
            os.environ["T_APPRISE_URL"] = f"{place}/{self.environment['T_APPRISE_URL']}{to}"
        settings = {"url": "${env:T_APPRISE_URL}", "channel": self.channel}
        return Apprise(AppriseSettings.model_validate(settings), http=http)


class TestApprise(ByApprise, HttpContract):
    """What is a refusal elsewhere, or surely not sent, is doubt here."""

    def test_the_vendors_id_is_kept(self) -> None:
        """There is none."""
        assert self.send(self.outgoing()) == Accepted()

    def test_each_status_has_one_meaning(self) -> None:
        """Whatever is no yes is doubt, a plain refusal, too."""
        for status in (400, 401, 403, 404, 408, 409, 410, 413, 422, 425, 429, 431, 451, 499, 500, 502, 503, 504, 599):
            self.vendor.fail_next(Reply(status=status, body=b"no"))
            assert isinstance(self.send(self.outgoing()), Ambiguous), status
        assert not self.vendor.accepted

    def test_retry_after_in_both_forms(self) -> None:
        """It is not heard."""
        self.vendor.fail_next(Reply(status=429, headers={"Retry-After": "17"}))
        assert isinstance(self.send(self.outgoing()), Ambiguous)

    def test_what_never_left_is_not_sent(self) -> None:
        """Nobody tells that it never left."""
        for url in (f"http://127.0.0.1:{closed_port()}", "http://vendor.invalid"):
            assert isinstance(self.send_to(url), Ambiguous), url

    def test_a_connection_that_never_stands_is_not_sent(self) -> None:
        """As above."""
        with full_port() as port:
            assert isinstance(self.send_to(f"http://127.0.0.1:{port}", within=self.deadline), Ambiguous)

    def test_a_failed_tls_handshake_is_not_sent(self) -> None:
        """As above."""
        url = self.vendor.url.replace("http://", "https://")
        assert isinstance(self.send_to(url, within=self.deadline), Ambiguous)
        assert not self.vendor.accepted

    def test_a_yes_cut_short_is_a_yes(self) -> None:
        """The library sees no yes where the rest of an answer is lost."""
        answer = Reply(status=200, body=b" " * 500)
        for fault in (Cut(after=100, answer=answer), Drip(at_once=100, seconds=self.deadline / 6, answer=answer)):
            self.vendor.fail_next(fault)
            assert isinstance(self.send(self.outgoing(), within=self.deadline), Ambiguous), fault


class TestAppriseToOne(ByApprise, ProviderContract):
    """One of the gateways for texts: `{to}` in the URL is the recipient."""

    channel = Channel.SMS

    def make(self, http: Http) -> Provider:
        return self.make_at(self.vendor.url, http)

    def received(self) -> Sequence[Received]:
        return self.vendor.accepted


def provider(monkeypatch: pytest.MonkeyPatch, url: str, **changes: Any) -> Apprise:
    monkeypatch.setenv("T_URL", url)
    return Apprise(AppriseSettings.model_validate({"url": "${env:T_URL}", **changes}), http=Http())


@responses.activate
def test_a_post_goes_to_the_place_that_the_url_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text as it is, without a title."""
    hook = "https://discord.com/api/webhooks/4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js"
    responses.post(hook, status=204)
    opened = provider(monkeypatch, "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js")
    assert opened.send(POST, deadline=soon()) == Accepted()
    assert json.loads(responses.calls[0].request.body or "")["content"] == "New records!"


@responses.activate
def test_a_recipient_is_one_and_no_part_of_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands in an address can lead nowhere else."""
    responses.post(re.compile(".*"), status=200)
    opened = provider(monkeypatch, "json://gate.example/to/{to}", channel="webhook")
    nasty = replace(SMS, channel=Channel.WEBHOOK, to="../../other?x=1")
    assert opened.send(nasty, deadline=soon()) == Accepted()
    assert urlsplit(str(responses.calls[0].request.url)).path == "/to/..%2F..%2Fother%3Fx=1"


@responses.activate
def test_a_url_cannot_make_a_no_a_yes_nor_send_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Apprise's own retries, redirects and `optional` (a failure that counts as success) are off, whatever the URL says."""
    responses.post("http://gate.example/in", status=503)
    opened = provider(monkeypatch, "json://gate.example/in?retry=3&wait=0.1&optional=yes&redirect=yes")
    assert opened.send(POST, deadline=soon()) == Ambiguous(code="no", detail="JSON did not say yes")
    assert len(responses.calls) == 1


@pytest.mark.parametrize("url", ["nonsense://x", "x", "discord://", "json://gate.example/in"])
def test_what_is_no_url_sends_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that Apprise does not know, or a place without a recipient in it, is told by the variable's name."""
    opened = provider(monkeypatch, url, channel="sms")
    told = "T_URL is no URL of Apprise's for this channel"
    assert opened.send(SMS, deadline=soon()) == NotSent(code="set_up", detail=told)
    assert opened.verify(deadline=soon()) == Verified(good=False, detail=told)


def test_what_it_is_not_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Email has better ways; an empty text is refused before anybody is asked."""
    with pytest.raises(ValidationError, match="too little for email"):
        provider(monkeypatch, "json://gate.example", channel="email")
    opened = provider(monkeypatch, "json://gate.example/in")
    assert isinstance(opened.send(replace(POST, content=TextContent(text=" ")), deadline=soon()), Rejected)
    assert opened.verify(deadline=soon()).good
