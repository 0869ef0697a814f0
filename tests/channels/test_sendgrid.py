"""SendGrid: the request it gets, the meaning of its answers, and what its event webhook is believed."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
import responses
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from channels.sendgrid import SendGrid, SendGridSettings
from channels.sendgrid.events import WORDS
from engine.errors import ForgedWebhook, IntakeError, ProviderError
from engine.model import EventName, SuppressionReason
from engine.provider import (
    Accepted,
    Ambiguous,
    EmailContent,
    Http,
    NotSent,
    Outcome,
    Outgoing,
    ProviderEvent,
    Rejected,
    Webhook,
)
from engine.testing.vendors.sendgrid import SendGridVendor
from engine.testing.vendors.server import Reply, Silence
from tests.channels.messages import EMAIL, NOW, letter, soon

URL = "https://shop.example/v1/webhooks/sendgrid"
SEND = "https://api.sendgrid.com/v3/mail/send"
SIGNATURE, TIMESTAMP = "x-twilio-email-event-webhook-signature", "x-twilio-email-event-webhook-timestamp"

# The vector of SendGrid's own client: sendgrid-python, test/unit/test_eventwebhook.py
KEY = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g=="
STAMP = "1600112502"
SIGNED = "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM="
BODY = (
    b'[{"email":"hello@world.com","event":"dropped","reason":"Bounced Address",'
    b'"sg_event_id":"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",'
    b'"sg_message_id":"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",'
    b'"smtp-id":"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>","timestamp":1600112492}]\r\n'
)
THEN = datetime.fromtimestamp(1600112502, UTC)


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T_KEY", "SG.for-tests")


@pytest.fixture(scope="module")
def vendor() -> Iterator[SendGridVendor]:
    with SendGridVendor() as vendor:
        yield vendor


def provider(**changes: Any) -> SendGrid:
    return SendGrid(SendGridSettings.model_validate({"api_key": "${env:T_KEY}", **changes}), http=Http())


def events(vendor: SendGridVendor, *items: dict[str, Any], now: datetime = NOW) -> list[ProviderEvent]:
    webhook = vendor.webhook(URL, items, now=now)
    return list(provider(webhook_key=vendor.public_key).parse_events(webhook, now=now))


def event(vendor: SendGridVendor, word: str, **more: Any) -> ProviderEvent:
    plain = {"email": "ana@customer.example", "event": word, "timestamp": 1772452800, "sg_message_id": "m1.filter-0"}
    (found,) = events(vendor, {**plain, **more})
    return found


# ---------------------------------------------------------------- out


@responses.activate
def test_the_request_is_sendgrids() -> None:
    """One person, both parts, our headers, our key and the campaign; SendGrid's own tracking and unsubscribe link are off."""
    responses.post(SEND, status=202, headers={"X-Message-Id": "LRzXl_NHStOGhQ4kofSm_A"})
    outgoing = letter(subject="Grüße", headers={"List-Unsubscribe": "<https://shop.example/u/x>"})
    assert provider().send(outgoing, deadline=soon()) == Accepted(provider_message_id="LRzXl_NHStOGhQ4kofSm_A")
    (call,) = responses.calls
    assert call.request.headers["Authorization"] == "Bearer SG.for-tests"
    assert json.loads(call.request.body or b"") == {
        "from": {"email": "hello@shop.example", "name": "Example Records"},
        "personalizations": [
            {
                "to": [{"email": "ana@customer.example"}],
                "subject": "Grüße",
                "headers": {"List-Unsubscribe": "<https://shop.example/u/x>", "X-Regulars-Message": EMAIL.key},
                "custom_args": {"regulars_message": EMAIL.key},
            }
        ],
        "content": [
            {"type": "text/plain", "value": "Hello Ana\n"},
            {"type": "text/html", "value": "<p>Hello Ana</p>\n"},
        ],
        "categories": ["win-back"],
        "tracking_settings": {
            "click_tracking": {"enable": False, "enable_text": False},
            "open_tracking": {"enable": False},
            "subscription_tracking": {"enable": False},
        },
    }


@responses.activate
def test_settings_reach_the_request() -> None:
    """base_url is another region's host; tracking and sandbox are SendGrid's own switches."""
    responses.post("https://api.eu.sendgrid.com/v3/mail/send", status=200)
    changed = provider(base_url="https://api.eu.sendgrid.com/", tracking=True, sandbox=True)
    assert isinstance(changed.send(EMAIL, deadline=soon()), Accepted)
    sent = json.loads(responses.calls[0].request.body or b"")
    assert sent["mail_settings"] == {"sandbox_mode": {"enable": True}}
    assert sent["tracking_settings"]["open_tracking"] == {"enable": True}


@responses.activate
def test_headers_and_names_are_made_safe() -> None:
    """Subject and sender's name are one line without encoded words; a reserved header stops the message."""
    responses.post(SEND, status=202)
    trick = "a\r\nBcc: x@evil.example =?utf-8?q?=0D=0ABcc:?="
    outgoing = replace(letter(subject=trick), sender=f"{trick} <hello@shop.example>")
    assert isinstance(provider().send(outgoing, deadline=soon()), Accepted)
    sent = json.loads(responses.calls[0].request.body or b"")
    for shown in (sent["personalizations"][0]["subject"], sent["from"]["name"]):
        assert "\r" not in shown and "\n" not in shown and "=?" not in shown
    for name in ("Bcc", "x-sg-id", "Reply-To", "Content-Type"):
        outcome = provider().send(letter(headers={name: "x"}), deadline=soon())
        assert isinstance(outcome, Rejected) and outcome.code == "unsendable"
    assert len(responses.calls) == 1


@responses.activate
def test_an_api_key_in_the_content_does_not_leave() -> None:
    """SendGrid's package refuses a text that begins with an API key; the message is rejected, nothing is sent or told."""
    outcome = provider().send(letter(text="SG.aaaa.bbbb"), deadline=soon())
    assert isinstance(outcome, Rejected) and "SG." not in repr(outcome)
    assert not responses.calls


@responses.activate
def test_answers_have_their_meaning() -> None:
    """SendGrid's own words are kept, without the address; 429 says in X-RateLimit-Reset when to come back."""
    told = {
        "errors": [{"message": "ana@customer.example does not contain a valid address.", "field": "x", "help": None}]
    }
    responses.post(SEND, status=400, json=told)
    assert provider().send(EMAIL, deadline=soon()) == Rejected(
        code="http_400", detail="… does not contain a valid address."
    )
    reset = str(int((datetime.now(UTC) + timedelta(minutes=3)).timestamp()))
    responses.replace(responses.POST, SEND, status=429, headers={"X-RateLimit-Reset": reset})
    outcome = provider().send(EMAIL, deadline=soon())
    assert isinstance(outcome, NotSent) and outcome.retry_after is not None
    assert timedelta(minutes=2) < outcome.retry_after <= timedelta(minutes=3)
    for garbage in ("soon", "9" * 40, "-1"):
        responses.replace(responses.POST, SEND, status=429, headers={"X-RateLimit-Reset": garbage})
        outcome = provider().send(EMAIL, deadline=soon())
        assert isinstance(outcome, NotSent)


@responses.activate
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (requests.ConnectTimeout("ana@customer.example SG.for-tests"), NotSent),
        (requests.ReadTimeout("ana@customer.example SG.for-tests"), Ambiguous),
        (requests.ConnectionError("ana@customer.example SG.for-tests"), Ambiguous),
        (requests.exceptions.SSLError("x"), NotSent),
        (requests.exceptions.ChunkedEncodingError("x"), Ambiguous),
        (TimeoutError("x"), Ambiguous),
        (ConnectionResetError("x"), Ambiguous),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_broken_calls_have_their_meaning(error: Exception, kind: type) -> None:
    """An error that does not prove that nothing left is doubt; its text is not repeated."""
    responses.post(SEND, body=error)
    outcome = provider().send(EMAIL, deadline=soon())
    assert isinstance(outcome, kind)
    assert "ana@" not in repr(outcome) and "SG." not in repr(outcome)


# ---------------------------------------------------------------- many at once


def many(count: int, **changes: Any) -> list[Outgoing]:
    """Letters of one campaign to that many people, each with its own words and way out."""
    return [
        replace(
            letter(
                to=f"customer{n}@customer.example",
                subject=f"Hello {n}",
                text=f"Hello {n}\nThe same for all.\n",
                html=f"<p>Hello <b>{n}</b></p>\n<p>The same for all.</p>\n",
                headers={"List-Unsubscribe": f"<https://shop.example/u/{n}>"},
            ),
            key=f"0a1b2c3d-{n}",
            **changes,
        )
        for n in range(count)
    ]


def handed_over(opened: SendGrid, batch: Sequence[Outgoing], seconds: float = 10) -> dict[str, Outcome]:
    """How each message of a batch ended, by its key; each ended once."""
    ended = [each for each in opened.send_many(batch, deadline=soon(seconds)) if each is not None]
    assert sorted(outgoing.key for outgoing, _ in ended) == sorted(outgoing.key for outgoing in batch)
    return {outgoing.key: outcome for outgoing, outcome in ended}


def test_a_campaign_shares_a_request(vendor: SendGridVendor) -> None:
    """Messages of one form leave in one request, what they share in it once; each person gets their own, to the byte."""
    batch, before = many(40), (vendor.requests, len(vendor.accepted))
    outcomes = handed_over(provider(base_url=vendor.url), batch)
    assert vendor.requests == before[0] + 1
    taken = {received.key: received for received in vendor.accepted[before[1] :]}
    for outgoing in batch:
        received, content = taken[outgoing.key], outgoing.content
        assert isinstance(content, EmailContent)
        assert (received.to, received.subject) == (outgoing.to, content.subject)
        assert (received.text, received.html) == (content.text, content.html)
        assert received.headers == {**content.headers, "X-Regulars-Message": outgoing.key}
        assert outcomes[outgoing.key] == Accepted(provider_message_id=received.provider_message_id)
    assert received.request is not None and received.request.body.count(b"The same for all.") == 2


def test_what_differs_in_form_goes_apart(vendor: SendGridVendor) -> None:
    """Another sender, campaign, number of lines or parts, or a second message to one address, is another request."""
    batch = many(8)
    changes: list[dict[str, Any]] = [
        {"sender": "Another <other@shop.example>"},
        {"campaign": "another"},
        {"content": replace(batch[4].content, text="one line")},
        {"content": replace(batch[5].content, html=None)},
        {"to": batch[0].to},
    ]
    batch[2:7] = [replace(one, **change) for one, change in zip(batch[2:7], changes, strict=True)]
    before = (vendor.requests, len(vendor.accepted))
    assert all(isinstance(outcome, Accepted) for outcome in handed_over(provider(base_url=vendor.url), batch).values())
    assert vendor.requests == before[0] + 6
    assert {received.key for received in vendor.accepted[before[1] :]} == {one.key for one in batch}


def test_a_bad_one_costs_only_itself() -> None:
    """SendGrid refuses a request whole: those that are good in it are sent all the same, and only the bad are rejected."""
    bad = {"customer3@customer.example", "customer17@customer.example"}
    with SendGridVendor(refuse=bad.__contains__) as vendor:
        batch = many(30)
        outcomes = handed_over(provider(base_url=vendor.url), batch)
        assert {one.to for one in batch if isinstance(outcomes[one.key], Rejected)} == bad
        assert sorted(received.key or "" for received in vendor.accepted) == sorted(
            key for key, outcome in outcomes.items() if isinstance(outcome, Accepted)
        )
        assert vendor.requests < 25


def test_what_cannot_be_sent_keeps_nobody_back(vendor: SendGridVendor) -> None:
    """No address, a reserved header, an API key in the text, no subject: rejected, each alone."""
    batch = many(6)
    batch[1] = replace(batch[1], to="nobody")
    batch[2] = replace(batch[2], content=replace(batch[2].content, headers={"Bcc": "x"}))
    batch[3] = replace(batch[3], content=replace(batch[3].content, text="SG.aaaa.bbbb\nThe same for all.\n"))
    batch[4] = replace(batch[4], content=replace(batch[4].content, subject=""))
    outcomes = handed_over(provider(base_url=vendor.url), batch)
    kinds = [type(outcomes[one.key]) for one in batch]
    assert kinds == [Accepted, Rejected, Rejected, Rejected, Rejected, Accepted]


def test_what_is_too_long_for_substitutions_goes_alone(vendor: SendGridVendor) -> None:
    """10,000 bytes of a person's own text are SendGrid's limit, tags included; whoever has more gets a request of their own."""
    batch, before = many(5), (vendor.requests, len(vendor.accepted))
    own = {one.key: "".join(random.Random(one.key).choices("äbc", k=9000)) for one in batch[:2]}
    batch[:2] = [replace(one, content=replace(one.content, text=f"{own[one.key]}\nSame\n")) for one in batch[:2]]
    outcomes = handed_over(provider(base_url=vendor.url), batch)
    assert all(isinstance(outcome, Accepted) for outcome in outcomes.values())
    assert vendor.requests == before[0] + 3
    texts = {received.key: received.text for received in vendor.accepted[before[1] :]}
    assert all(texts[key] == f"{text}\nSame\n" for key, text in own.items())


@pytest.mark.parametrize("taken", [False, True])
def test_one_lost_answer_is_doubt_for_all_of_it(taken: bool) -> None:
    """Silence after a request leaves each of its messages in doubt, and no other; refusals to serve are not sent."""
    with SendGridVendor() as vendor:
        opened = provider(base_url=vendor.url)
        vendor.fail_next(Silence(taken=taken))
        outcomes = handed_over(opened, many(12), seconds=0.4)
        assert {type(outcome) for outcome in outcomes.values()} == {Ambiguous}
        assert len(vendor.accepted) == 12 * taken
        for status, kind in ((401, NotSent), (429, NotSent), (500, Ambiguous), (503, Ambiguous)):
            vendor.fail_next(Reply(status=status))
            assert {type(outcome) for outcome in handed_over(opened, many(5)).values()} == {kind}


def test_nothing_leaves_after_the_deadline() -> None:
    """With no time left none of a batch is sent."""
    with SendGridVendor() as vendor:
        outcomes = handed_over(provider(base_url=vendor.url), many(5), seconds=-1)
        assert {type(outcome) for outcome in outcomes.values()} == {NotSent}
        assert not vendor.requests


def test_the_batch_is_a_setting() -> None:
    """messages_per_request is how many one lost answer can leave in doubt; SendGrid's own limit is 1,000."""
    opened = provider(messages_per_request="250", connections="3")
    assert (opened.batch_limit, opened.in_flight_limit) == (250, 750)
    for wrong in ("0", "1001"):
        with pytest.raises(ValidationError):
            provider(messages_per_request=wrong)


def test_a_shared_id_names_nobody(vendor: SendGridVendor) -> None:
    """The messages of a request share its id: events tell them apart by our key. Without it, it is another program's message."""
    batch = many(3)
    opened, before = provider(base_url=vendor.url, webhook_key=vendor.public_key), len(vendor.accepted)
    handed_over(opened, batch)
    taken = vendor.accepted[before:]
    reported = [vendor.event(received, "delivered", at=NOW) for received in taken]
    foreign = {name: value for name, value in reported[0].items() if name != "regulars_message"}
    found = opened.parse_events(vendor.webhook(URL, [*reported, foreign], now=NOW), now=NOW)
    assert [event.message_key for event in found] == [*(received.key for received in taken), None]
    assert len({event.dedupe for event in found[:3]}) == 3
    assert found[-1].provider_message_id not in (None, found[0].provider_message_id)
    assert found[-1].address == taken[0].to


# ---------------------------------------------------------------- the signature


def webhook(*, stamp: str = STAMP, signature: str = SIGNED, body: bytes = BODY) -> Webhook:
    return Webhook(method="POST", url=URL, headers={SIGNATURE: signature, TIMESTAMP: stamp}, body=body)


def test_the_official_vector() -> None:
    """SendGrid's own example verifies, and says that it dropped the message because the address bounced before."""
    (found,) = provider(webhook_key=KEY).parse_events(webhook(), now=THEN)
    assert (found.name, found.suppress) == (EventName.REJECTED, SuppressionReason.BOUNCED)
    assert found.address == "hello@world.com" and str(found.provider_message_id).startswith("LRzXl_NHStOGhQ4kofSm_A.")
    assert found.at == datetime.fromtimestamp(1600112492, UTC)


@pytest.mark.parametrize(
    "forged",
    [
        webhook(body=BODY.rstrip(b"\r\n")),
        webhook(body=BODY.rstrip(b"\r\n") + b"\n"),
        webhook(stamp="1600112503"),
        webhook(stamp=""),
        webhook(stamp="soon"),
        webhook(signature=""),
        webhook(signature="AAAA"),
        webhook(signature=base64.b64encode(b"0" * 70).decode()),
    ],
    ids=["no CR LF", "LF only", "other time", "no time", "no number", "no signature", "short", "no DER"],
)
def test_what_the_vector_does_not_prove(forged: Webhook) -> None:
    """A changed byte, time or line end is not what SendGrid signed."""
    with pytest.raises(ForgedWebhook):
        provider(webhook_key=KEY).parse_events(forged, now=THEN)


def test_every_byte_counts(vendor: SendGridVendor) -> None:
    """Changing any one byte of the body is noticed."""
    mine, opened = vendor.webhook(URL, [{"event": "open"}], now=NOW), provider(webhook_key=vendor.public_key)
    for place in range(len(mine.body)):
        body = mine.body[:place] + bytes([mine.body[place] ^ 0x20]) + mine.body[place + 1 :]
        with pytest.raises(ForgedWebhook):
            opened.parse_events(replace(mine, body=body), now=NOW)


def test_the_tolerance_is_a_setting() -> None:
    """Five minutes by default, either way; 0 accepts any age."""
    for age, good in ((299, True), (301, False), (-299, True), (-301, False)):
        now = THEN + timedelta(seconds=age)
        if good:
            assert provider(webhook_key=KEY).parse_events(webhook(), now=now)
        else:
            with pytest.raises(ForgedWebhook):
                provider(webhook_key=KEY).parse_events(webhook(), now=now)
    lenient = provider(webhook_key=KEY, webhook_tolerance_seconds="0")
    assert lenient.parse_events(webhook(), now=THEN + timedelta(days=3))


def test_without_a_key_nothing_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key: no webhook. The key may stand in the environment; one that is no key is said to be none."""
    with pytest.raises(ForgedWebhook):
        provider().parse_events(webhook(), now=THEN)
    monkeypatch.setenv("T_WEBHOOK_KEY", KEY)
    assert provider(webhook_key="${env:T_WEBHOOK_KEY}").parse_events(webhook(), now=THEN)
    for wrong in ("AAAA", "no key at all", KEY[:-8]):
        with pytest.raises(ProviderError):
            provider(webhook_key=wrong).parse_events(webhook(), now=THEN)


# ---------------------------------------------------------------- the events


def test_our_key_goes_out_and_comes_back() -> None:
    """What SendGrid took carries our key, and so does every event about it: an event can settle a message in doubt."""
    with SendGridVendor() as vendor:
        opened = provider(base_url=vendor.url, webhook_key=vendor.public_key)
        outcome = opened.send(EMAIL, deadline=soon())
        (taken,) = vendor.accepted
        reported = vendor.webhook(
            URL, [vendor.event(taken, word, at=NOW) for word in ("processed", "delivered")], now=NOW
        )
        found = opened.parse_events(reported, now=NOW)
        assert [(e.name, e.message_key) for e in found] == [
            (EventName.ACCEPTED, EMAIL.key),
            (EventName.DELIVERED, EMAIL.key),
        ]
        assert isinstance(outcome, Accepted)
        assert {e.provider_message_id for e in found} == {outcome.provider_message_id}


@pytest.mark.parametrize(
    ("fields", "name", "suppress"),
    [
        ({"type": "bounce", "status": "5.1.1"}, EventName.BOUNCED, SuppressionReason.BOUNCED),
        ({"type": "bounce", "status": "5.2.1"}, EventName.BOUNCED, SuppressionReason.BOUNCED),
        ({"type": "bounce", "bounce_classification": "Invalid Address"}, EventName.BOUNCED, SuppressionReason.BOUNCED),
        ({"type": "bounce", "status": "5.7.1", "bounce_classification": "Invalid Address"}, EventName.BOUNCED, None),
        ({"type": "bounce", "status": "5.7.26", "bounce_classification": "Reputation"}, EventName.BOUNCED, None),
        ({"type": "bounce", "status": "5.0.0"}, EventName.BOUNCED, None),
        (
            {"type": "bounce", "status": "5.2.2", "bounce_classification": "Mailbox Unavailable"},
            EventName.BOUNCED,
            None,
        ),
        ({"type": "bounce", "status": "4.2.2"}, EventName.BOUNCED_SOFT, None),
        ({"type": "blocked", "status": "5.1.1"}, EventName.BOUNCED_SOFT, None),
        ({"type": "blocked", "bounce_classification": "Content"}, EventName.BOUNCED_SOFT, None),
        ({}, EventName.BOUNCED, None),
    ],
)
def test_only_a_bad_address_is_suppressed(
    vendor: SendGridVendor, fields: dict[str, Any], name: EventName, suppress: SuppressionReason | None
) -> None:
    """A bounce suppresses when it blames the address; blocks, full mailboxes and policy do not."""
    found = event(vendor, "bounce", **fields)
    assert (found.name, found.suppress) == (name, suppress)


@pytest.mark.parametrize(
    ("reason", "suppress"),
    [
        ("Bounced Address", SuppressionReason.BOUNCED),
        ("Invalid", SuppressionReason.BOUNCED),
        ("Spam Reporting Address", SuppressionReason.COMPLAINED),
        ("Unsubscribed Address", SuppressionReason.OPTED_OUT),
        ("Spam Content (if Spam Checker app is enabled)", None),
        ("Recipient List over Package Quota", None),
        ("", None),
    ],
)
def test_its_suppressions_become_ours(vendor: SendGridVendor, reason: str, suppress: SuppressionReason | None) -> None:
    """What SendGrid drops for the recipient's sake is suppressed here too; what it drops for ours is not."""
    found = event(vendor, "dropped", reason=reason)
    assert (found.name, found.suppress) == (EventName.REJECTED, suppress)


def test_a_complaint_is_for_ever(vendor: SendGridVendor) -> None:
    """A spam report suppresses, however SendGrid writes it."""
    for word in ("spamreport", "spam report", "SpamReport"):
        assert event(vendor, word).suppress is SuppressionReason.COMPLAINED


@pytest.mark.parametrize("word", sorted(WORDS))
def test_a_readers_address_is_told_of_opens_and_clicks_alone(vendor: SendGridVendor, word: str) -> None:
    """`ip` of other events is a server's; and in no event does the detail, which is always kept, have it."""
    told = event(vendor, word, ip="192.0.2.77")
    assert told.origin == ("192.0.2.77" if word in ("open", "click") else "")
    assert "192.0.2.77" not in str(told.detail)


def test_a_proxys_open_is_a_machines(vendor: SendGridVendor) -> None:
    """sg_machine_open marks what a privacy proxy opened; only the JSON true does."""
    assert event(vendor, "open", sg_machine_open=True).machine
    assert not event(vendor, "open", sg_machine_open=False).machine
    assert not event(vendor, "open").machine


def test_a_bad_element_loses_no_neighbour(vendor: SendGridVendor) -> None:
    """The array's elements are read one by one: what is no event is kept as `other`, the rest as what they are."""
    good: dict[str, Any] = {"event": "delivered", "email": "a@b.example", "timestamp": 1, "sg_message_id": "m"}
    strange: list[Any] = [
        None,
        7,
        "x",
        [],
        {},
        {"event": None},
        {"event": "delivered", "timestamp": "never"},
        {"event": {}},
    ]
    found = events(vendor, good, *strange, {**good, "email": "c@d.example"})
    assert len(found) == len(strange) + 2
    assert [found[0].name, found[-1].name] == [EventName.DELIVERED] * 2
    assert [e.name for e in found[1:7]] == [EventName.OTHER] * 6
    assert found[7].at == NOW


def test_ids_are_cut_and_trimmed(vendor: SendGridVendor) -> None:
    """The id given at acceptance is the part before the first dot; a leading space is SendGrid's; some bounces have none."""
    ours = {"regulars_message": EMAIL.key}
    assert event(vendor, "deferred", sg_message_id=" LRzXl.filter-0", **ours).provider_message_id == "LRzXl"
    assert event(vendor, "bounce", sg_message_id=None, **ours).provider_message_id is None
    nul = event(vendor, "bounce", sg_message_id="a\x00b", email="\ud800a@b.example", **ours)
    assert nul.provider_message_id == "ab" and (nul.address or "").encode()


def test_a_repeat_is_recognised(vendor: SendGridVendor) -> None:
    """The same report has the same dedupe though its sg_event_id changed; another link, time or person has another."""
    first = event(vendor, "click", sg_event_id="one", url="https://a.example/")
    assert event(vendor, "click", sg_event_id="two", url="https://a.example/", attempt="2").dedupe == first.dedupe
    others = [
        event(vendor, "click", url="https://b.example/"),
        event(vendor, "open", url="https://a.example/"),
        event(vendor, "click", url="https://a.example/", timestamp=1772452801),
        event(vendor, "click", url="https://a.example/", email="c@d.example"),
        event(vendor, "click", url="https://a.example/", sg_message_id="m2.x"),
    ]
    assert len({first.dedupe, *(other.dedupe for other in others)}) == 6


def test_details_tell_why_and_not_who(vendor: SendGridVendor) -> None:
    """The reason is kept for the operator without the address; the clicked link is kept whole; the IP is not kept."""
    found = event(vendor, "bounce", reason="550 5.1.1 <ana@customer.example> unknown", ip="10.1.2.3", tls=1)
    assert found.detail == {"event": "bounce", "reason": "550 5.1.1 <…> unknown"}
    link = "https://shop.example/records/12345678?colour=blue"
    assert event(vendor, "click", url=link).detail["url"] == link
    assert "ana" not in str(event(vendor, "click", url="https://x.example/?e=ana%40customer.example").detail["url"])


def test_a_signed_body_that_is_no_json_is_no_forgery(vendor: SendGridVendor) -> None:
    """It came from SendGrid, and cannot be read: an intake error, so that the vendor sends it again."""
    for body in (b"", b"[", b"\xff\r\n", b"[" * 100_000):
        signed = vendor.webhook(URL, body, now=NOW)
        with pytest.raises(IntakeError):
            provider(webhook_key=vendor.public_key).parse_events(signed, now=NOW)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        ["event", "timestamp", "email", "sg_message_id", "reason", "type", "status", "url", "x"]
                    ),
                    inner,
                    max_size=5,
                )
            ),
            max_leaves=12,
        ),
        max_size=5,
    )
)
def test_no_signed_json_breaks_it(items: list[Any]) -> None:
    """Whatever JSON SendGrid signs, each element becomes one event whose texts every database can hold."""
    with_key = SendGridVendor()
    found = provider(webhook_key=with_key.public_key).parse_events(with_key.webhook(URL, items, now=NOW), now=NOW)
    assert len(found) == len(items)
    for one in found:
        for text in (one.dedupe, one.address or "", one.provider_message_id or "", *map(str, one.detail.values())):
            assert "\x00" not in text and text.encode() is not None  # encode raises for half a pair


def test_content_of_another_channel_is_refused() -> None:
    """What is no email cannot be sent as one."""
    assert isinstance(EMAIL.content, EmailContent)
    for to in ("ana", "ana@customer.example, bob@customer.example", "ana@customer.example\r\nx"):
        assert isinstance(provider().send(letter(to=to), deadline=soon()), Rejected)
