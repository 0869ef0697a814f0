"""The webhook: what is posted and how it is signed, keys that change, and reports that a receiver signs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import requests
import responses
from pydantic import ValidationError

from channels import standard_webhooks
from channels.webhook import Hook, WebhookSettings
from engine.errors import ForgedWebhook, IntakeError
from engine.model import Channel, EventName, SuppressionReason
from engine.provider import (
    Accepted,
    Ambiguous,
    ApprovedTemplate,
    Http,
    NotSent,
    Rejected,
    Secret,
    TextContent,
    Verified,
)
from engine.testing.vendors.server import Silence
from engine.testing.vendors.webhook import WebhookReceiver
from tests.channels.messages import EMAIL, NOW, SMS, soon

OLD, NEW, REPORTS = (f"whsec_{letters * 6}" for letters in ("b2xk", "bmV3", "cmVw"))
PUSH = replace(SMS, channel=Channel.WEBHOOK, to="device-17", sender="Records")
URL = "https://app.example/in"


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("T_OLD", OLD), ("T_NEW", NEW), ("T_REPORTS", REPORTS), ("T_WRONG", "whsec_short!")):
        monkeypatch.setenv(name, value)


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver(secrets=[OLD], report_secret=REPORTS, remembers=True) as receiver:
        yield receiver


def provider(url: str = URL, *keys: str, **changes: Any) -> Hook:
    signing = [f"${{env:{key}}}" for key in keys or ("T_OLD",)]
    given = {"url": url, "signing_secrets": signing, "report_secrets": ["${env:T_REPORTS}"], **changes}
    return Hook(WebhookSettings.model_validate(given), http=Http())


def test_the_signature_is_that_of_the_specification(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference libraries' own vector."""
    monkeypatch.setenv("T_VECTOR", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    key = standard_webhooks.key(Secret("T_VECTOR"))
    made = standard_webhooks.signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@responses.activate
def test_a_message_is_told_whole() -> None:
    """Its key is the id; the body has its channel, class, campaign, recipient and words, and what else there is of it."""
    responses.post(URL, json={"id": "r1"})
    assert provider().send(PUSH, deadline=soon()) == Accepted(provider_message_id="r1")
    request = responses.calls[0].request
    assert (request.headers["webhook-id"], request.headers["content-type"]) == (PUSH.key, "application/json")
    told = json.loads(request.body or "")
    data = {"key": PUSH.key, "channel": "webhook", "class": "commercial", "campaign": "win-back", "to": "device-17"}
    data |= {"from": "Records", "text": "Hello Ana"}
    assert told == {"type": "message.send", "timestamp": NOW.isoformat(), "data": data}
    approved = TextContent(text="Hello", template=ApprovedTemplate(name="T1", variables={"1": "Ana"}))
    more = replace(PUSH, to=None, valid_for=timedelta(hours=2), content=approved)
    provider().send(more, deadline=soon())
    told = json.loads(responses.calls[1].request.body or "")["data"]
    assert (told["to"], told["valid_seconds"]) == (None, 7200)
    assert told["template"] == {"name": "T1", "variables": {"1": "Ana"}}
    image = TextContent(text="New", image="https://s.example/n.jpg", image_alt="A record")
    shown = replace(PUSH, channel=Channel.SOCIAL, to=None, content=image)
    provider(channel="social").send(shown, deadline=soon())
    told = json.loads(responses.calls[2].request.body or "")["data"]
    assert (told["image"], told["image_alt"]) == ("https://s.example/n.jpg", "A record")
    provider(channel="email").send(EMAIL, deadline=soon())
    told = json.loads(responses.calls[3].request.body or "")["data"]
    assert (told["subject"], told["html"], told["headers"]) == ("Hello", "<p>Hello Ana</p>\n", {})


@responses.activate
def test_broken_calls_have_their_meaning() -> None:
    """A connection that timed out before it stood is not sent; any other break is doubt."""
    responses.post(URL, body=requests.ConnectTimeout())
    assert isinstance(provider().send(PUSH, deadline=soon()), NotSent)
    responses.replace(responses.POST, URL, body=requests.ReadTimeout())
    assert isinstance(provider().send(PUSH, deadline=soon()), Ambiguous)


def test_a_key_is_changed_without_a_gap(receiver: WebhookReceiver) -> None:
    """With the old key and the new one, a receiver that knows either takes the message; with the new one alone, the old one does not."""
    both, new = provider(receiver.url, "T_NEW", "T_OLD"), provider(receiver.url, "T_NEW")
    assert isinstance(both.send(PUSH, deadline=soon()), Accepted)
    assert new.send(PUSH, deadline=soon()) == NotSent(code="http_401", detail="no signature of yours", no_access=True)
    with WebhookReceiver(secrets=[NEW]) as moved:
        assert isinstance(provider(moved.url, "T_NEW", "T_OLD").send(PUSH, deadline=soon()), Accepted)


def test_a_receiver_that_remembers_settles_a_lost_answer(receiver: WebhookReceiver) -> None:
    """`idempotent: true` is a promise about the receiver: after silence the same id brings the same answer, and one message."""
    opened = provider(receiver.url, idempotent=True, remembers_hours=48)
    assert opened.capabilities.idempotency_window == timedelta(hours=48)
    assert provider().capabilities.idempotency_window is None
    receiver.fail_next(Silence(taken=True))
    assert isinstance(opened.send(PUSH, deadline=soon(0.2)), Ambiguous)
    assert opened.send(PUSH, deadline=soon()) == Accepted(provider_message_id="r0")
    assert len(receiver.accepted) == 1


@responses.activate
def test_a_refusal_may_name_the_address() -> None:
    """A receiver who refuses for good may say that the address is not to be written to any more; an unknown word is none."""
    for given, read in (("bounced", SuppressionReason.BOUNCED), ("nonsense", None), ([], None), (None, None)):
        responses.upsert(responses.POST, URL, status=422, json={"error": "gone", "suppress": given})
        assert provider().send(PUSH, deadline=soon()) == Rejected(code="http_422", detail="gone", suppress=read)
    responses.upsert(responses.POST, URL, status=503, json={"suppress": "bounced"})
    assert isinstance(provider().send(PUSH, deadline=soon()), Ambiguous)


def test_what_is_no_secret_signs_nothing(receiver: WebhookReceiver) -> None:
    """A key that was cut or mistyped is a set-up error that names its variable, not its value."""
    outcome = provider(receiver.url, "T_WRONG").send(PUSH, deadline=soon())
    assert outcome == NotSent(code="set_up", detail="T_WRONG is no secret of Standard Webhooks")
    assert not receiver.requests


def test_an_address_may_be_a_secret(receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever knows some addresses may post there: it can stand in the environment. What is no address is told."""
    monkeypatch.setenv("T_URL", f"{receiver.url}/in/9f8e7d6c")
    opened = provider("${env:T_URL}")
    assert isinstance(opened.send(PUSH, deadline=soon()), Accepted)
    assert Secret("T_URL") in opened.settings.secrets() and "9f8e7d6c" not in repr(opened.settings)
    monkeypatch.setenv("T_URL", "nowhere")
    assert opened.send(PUSH, deadline=soon()) == NotSent(code="set_up", detail="what url refers to is no address")
    with pytest.raises(ValidationError, match="begins with https"):
        provider("ftp://x")


def test_doctor_asks_by_a_ping(receiver: WebhookReceiver) -> None:
    """A signed ping, which is no message; a wrong key is told."""
    good = provider(receiver.url).verify(deadline=soon())
    assert good == Verified(good=True, detail="the receiver knows our signature")
    wrong = provider(receiver.url, "T_NEW").verify(deadline=soon())
    assert wrong == Verified(good=False, detail="the credentials are refused (401)")
    assert (receiver.pings, receiver.accepted) == (1, [])


def test_reports_are_read(receiver: WebhookReceiver) -> None:
    """Time, key, id, address, words, reason and suppression, as far as they are told; a reason without personal data."""
    told = {"key": PUSH.key, "id": "r1", "to": "device-17", "suppress": "bounced", "reason": "gone: ana@mail.example"}
    webhook = receiver.report(URL, "message.bounced", told, identity="rep-1", now=NOW)
    (event,) = provider().parse_events(webhook, now=NOW)
    assert (event.name, event.at, event.dedupe) == (EventName.BOUNCED, NOW, "rep-1")
    assert (event.message_key, event.provider_message_id, event.address) == (PUSH.key, "r1", "device-17")
    assert (event.suppress, event.detail) == (
        SuppressionReason.BOUNCED,
        {"type": "message.bounced", "reason": "gone: …"},
    )
    reply = receiver.report(URL, "message.replied", {"to": "device-17", "text": "STOP"}, identity="rep-2", now=NOW)
    (event,) = provider().parse_events(reply, now=NOW)
    assert (event.name, event.address, event.text) == (EventName.REPLIED, "device-17", "STOP")


def test_how_a_post_fared_is_counted(receiver: WebhookReceiver) -> None:
    """As far as it is told, and in whole numbers."""
    told = {"key": PUSH.key, "likes": 12, "views": 900, "shares": "many", "clicks": -1}
    (event,) = provider().parse_events(
        receiver.report(URL, "message.counted", told, identity="rep-3", now=NOW), now=NOW
    )
    assert (event.name, event.detail) == (
        EventName.COUNTED,
        {"type": "message.counted", "likes": 12, "views": 900},
    )


def test_a_report_that_cannot_be_read_is_told(receiver: WebhookReceiver) -> None:
    """Rightly signed, but no JSON object of ours: the receiver's author hears so."""
    for told in ({"key": 1}, {"key": None}, {"to": {"a": 1}}):
        webhook = receiver.report(URL, "message.delivered", told, identity="r", now=NOW)
        assert provider().parse_events(webhook, now=NOW)
    raw = standard_webhooks.key(Secret("T_REPORTS"))
    for body in (b"", b"[]", b'"x"', b"{", b'{"type": "message.delivered", "timestamp": "soon"}', b'{"data": {}}'):
        headers = standard_webhooks.headers([raw], "r", body, now=NOW)
        with pytest.raises(IntakeError, match="no JSON object with type"):
            provider().parse_events(replace(webhook, headers=headers, body=body), now=NOW)


def test_without_a_report_secret_nothing_is_believed(receiver: WebhookReceiver) -> None:
    """And nothing is promised; what we signed ourselves is no report."""
    silent = provider(report_secrets=[])
    webhook = receiver.report(URL, "message.delivered", {"key": PUSH.key}, identity="r", now=NOW)
    with pytest.raises(ForgedWebhook, match="report_secrets"):
        silent.parse_events(webhook, now=NOW)
    assert not silent.capabilities.webhooks and not silent.capabilities.echoes_key
    ours = standard_webhooks.headers([standard_webhooks.key(Secret("T_OLD"))], "r", webhook.body, now=NOW)
    with pytest.raises(ForgedWebhook):
        provider().parse_events(replace(webhook, headers=ours), now=NOW)
