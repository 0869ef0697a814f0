"""Twilio: the request it gets, the meaning of its codes, and which webhooks are its own."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest
import requests
import responses
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.twilio import Twilio, TwilioSettings
from engine.errors import ForgedWebhook
from engine.model import Channel, EventName, SuppressionReason
from engine.provider import (
    A_MOMENT,
    USUAL_WAIT,
    Accepted,
    Ambiguous,
    ApprovedTemplate,
    Http,
    NotFound,
    NotSent,
    ProviderEvent,
    Rejected,
    TextContent,
    Webhook,
)
from engine.testing.vendors.server import Received
from engine.testing.vendors.twilio import ACCOUNT, TwilioVendor
from tests.channels.messages import NOW, SMS, soon

CREATE = f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Messages.json"


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T_TOKEN", "token-for-tests")


@pytest.fixture(scope="module")
def vendor() -> Iterator[TwilioVendor]:
    with TwilioVendor() as vendor:
        yield vendor


def provider(**changes: Any) -> Twilio:
    given = {"account_sid": ACCOUNT, "auth_token": "${env:T_TOKEN}", **changes}
    return Twilio(TwilioSettings.model_validate(given), http=Http())


def form(call: Any) -> dict[str, str]:
    body = call.request.body
    return {name: values[0] for name, values in parse_qs(body if isinstance(body, str) else body.decode()).items()}


# ---------------------------------------------------------------- out


@responses.activate
def test_the_request_is_twilios() -> None:
    """To, From, Body, how long it may wait, and a callback URL that carries our key; the account's credentials."""
    responses.post(CREATE, status=201, json={"sid": "SM123", "status": "queued"})
    outgoing = replace(SMS, valid_for=timedelta(minutes=90))
    assert provider().send(outgoing, deadline=soon()) == Accepted(provider_message_id="SM123")
    (call,) = responses.calls
    assert form(call) == {
        "To": "+358401234567",
        "From": "+15005550006",
        "Body": "Hello Ana",
        "ValidityPeriod": "5400",
        "StatusCallback": f"https://shop.example/v1/webhooks/texts?message={SMS.key}",
    }
    assert call.request.headers["Authorization"].startswith("Basic ")


@responses.activate
@pytest.mark.parametrize(
    ("valid_for", "seconds"),
    [
        (timedelta(days=3), "36000"),
        (timedelta(hours=10), "36000"),
        (timedelta(seconds=90.7), "90"),
        (timedelta(0), "1"),
        (timedelta(seconds=-5), "1"),
        (None, None),
    ],
)
def test_the_validity_period_is_in_twilios_range(valid_for: timedelta | None, seconds: str | None) -> None:
    """Twilio takes 1 to 36,000 seconds; without a limit of ours it is left out."""
    responses.post(CREATE, status=201, json={"sid": "SM123"})
    provider().send(replace(SMS, valid_for=valid_for), deadline=soon())
    assert form(responses.calls[0]).get("ValidityPeriod") == seconds


@responses.activate
def test_a_messaging_service_chooses_the_number() -> None:
    """With one, its id is sent instead of From; a callback URL with a query keeps it; smart encoding is a switch."""
    responses.post(CREATE, status=201, json={"sid": "SM123"})
    outgoing = replace(SMS, callback_url="https://shop.example/w?a=1")
    provider(messaging_service_sid="MG1", smart_encoded="true").send(outgoing, deadline=soon())
    sent = form(responses.calls[0])
    assert sent["MessagingServiceSid"] == "MG1" and "From" not in sent and sent["SmartEncoded"].lower() == "true"
    assert sent["StatusCallback"] == f"https://shop.example/w?a=1&message={SMS.key}"


@responses.activate
def test_without_a_callback_none_is_asked_for() -> None:
    """No callback URL: none is sent, and the sender's ID is one safe line."""
    responses.post(CREATE, status=201, json={"sid": "SM123"})
    provider().send(replace(SMS, callback_url=None, sender="SHOP\r\nX"), deadline=soon())
    assert form(responses.calls[0]) == {"To": SMS.to, "From": "SHOP X", "Body": "Hello Ana"}


@responses.activate
@pytest.mark.parametrize(
    ("status", "code", "kind", "suppress"),
    [
        (400, 21610, Rejected, SuppressionReason.OPTED_OUT),
        (400, 21211, Rejected, SuppressionReason.BOUNCED),
        (400, 21614, Rejected, SuppressionReason.BOUNCED),
        (400, 21617, Rejected, None),
        (400, 21408, NotSent, None),
        (400, 21606, NotSent, None),
        (400, 21609, NotSent, None),
        (401, 20003, NotSent, None),
        (403, 99999, NotSent, None),
        (404, 20404, NotSent, None),
        (429, 20429, NotSent, None),
        (429, 21611, NotSent, None),
        (400, 99999, Rejected, None),
        (500, 20500, Ambiguous, None),
        (503, 21610, Ambiguous, None),
        (408, 99999, Ambiguous, None),
        (400, "x", Rejected, None),
        (400, None, Rejected, None),
        (400, {"deep": 1}, Rejected, None),
    ],
)
def test_codes_have_their_meaning(status: int, code: Any, kind: type, suppress: SuppressionReason | None) -> None:
    """Twilio's own codes decide about 4xx; only those about the number suppress; a 5xx proves nothing, whatever it says."""
    told = {"code": code, "message": f"The number {SMS.to} with token-for-tests failed", "status": status}
    responses.post(CREATE, status=status, json=told, headers={"Retry-After": "7"})
    outcome = provider().send(SMS, deadline=soon())
    assert isinstance(outcome, kind), outcome
    assert getattr(outcome, "suppress", None) is suppress
    assert "40123" not in repr(outcome) and "token-for" not in repr(outcome)
    if status == 429:
        assert isinstance(outcome, NotSent) and outcome.retry_after == timedelta(seconds=7)


@responses.activate
@pytest.mark.parametrize(
    ("code", "kind"),
    [(21210, NotSent), (21212, NotSent), (21267, NotSent), (21701, NotSent), (21704, NotSent), (21211, Rejected)],
)
def test_a_wrong_sender_refuses_us(code: int, kind: type) -> None:
    """It can be put right, and the texts wait for that; a wrong recipient is the message's own matter."""
    responses.post(CREATE, status=400, json={"code": code, "message": "no"})
    outcome = provider().send(SMS, deadline=soon())
    assert isinstance(outcome, kind) and getattr(outcome, "no_access", False) is (kind is NotSent)


@responses.activate
@pytest.mark.parametrize(
    ("code", "wait"),
    [(20429, A_MOMENT), (14107, A_MOMENT), (21611, USUAL_WAIT), (99999, USUAL_WAIT), (21606, None)],
)
def test_how_long_to_wait_where_twilio_does_not_say(code: int, wait: timedelta | None) -> None:
    """A full queue takes longer than too many a second."""
    responses.post(CREATE, status=400 if code == 21606 else 429, json={"code": code, "message": "no"})
    outcome = provider().send(SMS, deadline=soon())
    assert isinstance(outcome, NotSent) and outcome.retry_after == wait


@responses.activate
def test_whatsapp_and_messenger_stand_before_the_address() -> None:
    """Twilio knows the medium by what stands before both addresses; an approved template goes by its id and its blanks."""
    responses.post(CREATE, status=201, json={"sid": "SM123"})
    whatsapp = replace(SMS, channel=Channel.WHATSAPP, callback_url=None)
    provider(medium="whatsapp").send(whatsapp, deadline=soon())
    approved = ApprovedTemplate(name="HX12", variables={"1": "Ana", "2": "ü"})
    templated = replace(
        whatsapp, content=TextContent(text="Hello Ana", template=approved), sender="whatsapp:+15005550006"
    )
    provider(medium="whatsapp").send(templated, deadline=soon())
    messenger = replace(whatsapp, channel=Channel.MESSENGER, to="1234567890123456", sender="105551234567890")
    provider(medium="messenger").send(messenger, deadline=soon())
    ends = {"To": "whatsapp:+358401234567", "From": "whatsapp:+15005550006"}
    assert [form(call) for call in responses.calls] == [
        {**ends, "Body": "Hello Ana"},
        {**ends, "ContentSid": "HX12", "ContentVariables": '{"1": "Ana", "2": "\\u00fc"}'},
        {"To": "messenger:1234567890123456", "From": "messenger:105551234567890", "Body": "Hello Ana"},
    ]


def test_what_each_medium_can_is_said() -> None:
    """WhatsApp and Messenger let us write freely for a day after somebody wrote; only WhatsApp has approved templates."""
    can = {medium: provider(medium=medium).capabilities for medium in ("sms", "whatsapp", "messenger")}
    assert [one.channel for one in can.values()] == [Channel.SMS, Channel.WHATSAPP, Channel.MESSENGER]
    assert [one.templates for one in can.values()] == [False, True, False]
    assert [one.reply_window for one in can.values()] == [None, timedelta(hours=24), timedelta(hours=24)]


@pytest.mark.parametrize(
    ("code", "kind"),
    [(63016, Rejected), (63003, Rejected), (63007, NotSent), (63018, NotSent)],
)
def test_the_mediums_own_codes(code: int, kind: type) -> None:
    """Outside of the window a free text is rejected; an unknown person is too; a wrong sender or a limit is not sent."""
    with TwilioVendor(refuse=lambda _: code) as vendor:
        opened = provider(base_url=vendor.url, medium="whatsapp")
        outcome = opened.send(replace(SMS, channel=Channel.WHATSAPP), deadline=soon())
    assert isinstance(outcome, kind)
    assert getattr(outcome, "suppress", None) == (SuppressionReason.BOUNCED if code == 63003 else None)


def test_addresses_come_back_plain(vendor: TwilioVendor) -> None:
    """What Twilio writes before an address stays with Twilio: here it is the number again."""
    opened = provider(medium="whatsapp")
    webhook = vendor.inbound("https://shop.example/w", sender="whatsapp:+358401234567", text="Stop")
    (found,) = opened.parse_events(webhook, now=NOW)
    assert (found.name, found.address, found.text) == (EventName.REPLIED, "+358401234567", "Stop")
    about = Received(
        key=SMS.key, to="whatsapp:+358401234567", provider_message_id="SM1", callback_url="https://s.example/w"
    )
    (found,) = opened.parse_events(vendor.callback(about, "read"), now=NOW)
    assert (found.name, found.address) == (EventName.OPENED, "+358401234567")


@pytest.mark.parametrize(
    ("before", "channel"),
    [("whatsapp:", Channel.WHATSAPP), ("messenger:", Channel.MESSENGER), ("", None), ("rcs:", None)],
)
def test_a_messaging_service_has_one_url_for_all_its_media(
    vendor: TwilioVendor, before: str, channel: Channel | None
) -> None:
    """What comes in at the texts' own URL from WhatsApp or Messenger is theirs: a no there is no no to texts."""
    customer = f"{before}+358401234567"
    webhook = vendor.inbound("https://shop.example/w", sender=customer, text="STOP", opt_out_type="STOP")
    found = list(provider().parse_events(webhook, now=NOW))
    about = Received(key=SMS.key, to=customer, provider_message_id="SM1", callback_url="https://s.example/w")
    found += provider().parse_events(vendor.callback(about, "undelivered", error_code=63024), now=NOW)
    assert [event.name for event in found] == [EventName.REPLIED, EventName.OPTED_OUT, EventName.BOUNCED]
    assert [(event.channel, event.address) for event in found] == [(channel, "+358401234567")] * 3


def test_what_an_approved_template_says_is_not_compared() -> None:
    """Its words are Twilio's: a message at that time may be ours, and nobody can tell; without one it never arrived."""
    approved = TextContent(text="Hello Ana", template=ApprovedTemplate(name="HX12"))
    outgoing = replace(SMS, channel=Channel.WHATSAPP, content=approved)
    with TwilioVendor() as vendor:
        vendor.clock = lambda: NOW
        opened = provider(base_url=vendor.url, medium="whatsapp")
        assert isinstance(opened.look_up(outgoing, deadline=soon()), NotFound)
        assert isinstance(opened.send(outgoing, deadline=soon()), Accepted)
        assert isinstance(opened.look_up(outgoing, deadline=soon()), Ambiguous)


@responses.activate
def test_a_message_that_failed_at_once_is_rejected() -> None:
    """Twilio may make a message that it has already given up: its 201 says so inside."""
    told = {"sid": "SM1", "status": "failed", "error_code": 21610, "to": SMS.to}
    responses.post(CREATE, status=201, json=told)
    assert provider().send(SMS, deadline=soon()) == Rejected(code="21610", suppress=SuppressionReason.OPTED_OUT)
    responses.replace(responses.POST, CREATE, status=201, json={**told, "status": "queued", "error_code": None})
    assert provider().send(SMS, deadline=soon()) == Accepted(provider_message_id="SM1")


@responses.activate
def test_a_problem_document_is_read_too() -> None:
    """Twilio's newer error format (RFC 9457) means the same."""
    told = {"type": "https://x", "title": "Unsubscribed", "status": 400, "code": 21610, "detail": "no"}
    responses.post(CREATE, status=400, json=told)
    outcome = provider().send(SMS, deadline=soon())
    assert isinstance(outcome, Rejected) and outcome.suppress is SuppressionReason.OPTED_OUT


@responses.activate
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (requests.ConnectTimeout("+358401234567"), NotSent),
        (requests.ReadTimeout("+358401234567"), Ambiguous),
        (requests.ConnectionError("+358401234567"), Ambiguous),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_broken_calls_have_their_meaning(error: Exception, kind: type) -> None:
    """The package's own errors never decide: how far the request got does."""
    responses.post(CREATE, body=error)
    outcome = provider().send(SMS, deadline=soon())
    assert isinstance(outcome, kind) and "4012" not in repr(outcome)


def test_the_vendor_refuses_as_twilio_does() -> None:
    """Against the local Twilio: wrong token, no text, too long a text, an opted-out number."""
    with TwilioVendor(refuse=lambda number: 21610 if number.endswith("9") else None) as vendor:
        opened = provider(base_url=vendor.url)
        stopped = opened.send(replace(SMS, to="+358401234569"), deadline=soon())
        assert isinstance(stopped, Rejected) and stopped.suppress is SuppressionReason.OPTED_OUT
        for text in ("", "x" * 1601):
            assert isinstance(opened.send(replace(SMS, content=TextContent(text=text)), deadline=soon()), Rejected)
        assert isinstance(provider(base_url=vendor.url, account_sid="AC1").send(SMS, deadline=soon()), NotSent)
        assert not vendor.accepted
        assert isinstance(opened.send(SMS, deadline=soon()), Accepted)


# ---------------------------------------------------------------- signatures: the vectors of twilio-python's own tests

U = "https://mycompany.com/myapp.php?foo=1&bar=2"
P = (
    ("CallSid", "CA1234567890ABCDE"),
    ("Digits", "1234"),
    ("From", "+14158675309"),
    ("To", "+18005551212"),
    ("Caller", "+14158675309"),
)
MANY = (("Sid", "CA123"), ("SidAccount", "AC123"), ("Digits", "5678"), ("Digits", "1234"), ("Digits", "1234"))
JSON = b'{"property": "value", "boolean": true}'
HASHED = U + "&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"
SHARED = "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"


def signed(
    url: str, fields: Any, signature: str, *, settings: str = "", kind: str = "x-www-form-urlencoded"
) -> Webhook:
    body = fields if isinstance(fields, bytes) else urlencode(fields).encode()
    headers = {"content-type": f"application/{kind}", "x-twilio-signature": signature}
    if settings:
        headers["x-twilio-webhooks-signature-settings"] = settings
    return Webhook(method="POST", url=url, headers=headers, body=body)


VECTORS = {
    "plain": signed(U, P, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
    "several values": signed(U, MANY, "IK+Dwps556ElfBT0I3Rgjkr1wJU="),
    "with port": signed(U.replace(".com/", ".com:443/"), P, "kvajT1Ptam85bY51eRf/AJRuM3w="),
    "signed with port": signed(U, P, "kvajT1Ptam85bY51eRf/AJRuM3w="),
    "signed without port": signed(U.replace(".com/", ".com:443/"), P, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
    "http with port": signed(U.replace("https:", "http:"), P, "0ZXoZLH/DfblKGATFgpif+LLRf4="),
    "json": signed(HASHED, JSON, "a9nBmqA0ju/hNViExpshrM61xv4=", kind="json"),
    "sha-256": signed(U, P, "033hgUJA9M/hXIZsYjwkerEP/DBm35nEri5FhCYjA5s=", settings=SHARED),
}


@pytest.mark.parametrize("webhook", VECTORS.values(), ids=VECTORS)
def test_the_official_vectors(webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every signature of Twilio's own tests is believed: with and without port, repeated fields, JSON, SHA-256."""
    monkeypatch.setenv("T_TOKEN", "12345")
    assert [event.name for event in provider().parse_events(webhook, now=NOW)] == [EventName.OTHER]


FORGED = {
    "another digit": signed(U, tuple({**dict(P), "Digits": "9"}.items()), "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
    "another url": replace(VECTORS["plain"], url=U + "3"),
    "another scheme": replace(VECTORS["plain"], url=U.replace("https", "http")),
    "a missing field": signed(U, P[:-1], "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
    "a field more": signed(U, (*P, ("X", "1")), "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
    "no signature": signed(U, P, ""),
    "unknown algorithm": signed(U, P, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", settings="key=1,algorithm=NONE"),
    "another json": replace(VECTORS["json"], body=JSON.replace(b"true", b"false")),
    "json without its hash": signed(U, JSON, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", kind="json"),
    "json with a hash elsewhere": signed(U + "#bodySHA256=1", JSON, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", kind="json"),
    "no text": signed(U, b"\xff\xfe", "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
    "no port": replace(VECTORS["plain"], url="https://mycompany.com:port/"),
    "too many fields": signed(U, [("a", "1")] * 2000, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
}


@pytest.mark.parametrize("webhook", FORGED.values(), ids=FORGED)
def test_forgeries_of_the_vectors(webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed field, URL, scheme, body, algorithm, or no signature at all: refused."""
    monkeypatch.setenv("T_TOKEN", "12345")
    with pytest.raises(ForgedWebhook):
        provider().parse_events(webhook, now=NOW)


def test_a_shared_key_is_used_where_twilio_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the header that names a shared key, that key must have signed; without it, the token."""
    monkeypatch.setenv("T_TOKEN", "another")
    monkeypatch.setenv("T_SHARED", "12345")
    with_key = provider(shared_key="${env:T_SHARED}")
    assert with_key.parse_events(VECTORS["sha-256"], now=NOW)
    with pytest.raises(ForgedWebhook):
        with_key.parse_events(VECTORS["plain"], now=NOW)
    monkeypatch.setenv("T_TOKEN", "12345")
    monkeypatch.setenv("T_SHARED", "another")
    assert with_key.parse_events(VECTORS["plain"], now=NOW)
    with pytest.raises(ForgedWebhook):
        with_key.parse_events(VECTORS["sha-256"], now=NOW)


# ---------------------------------------------------------------- events


def callback(vendor: TwilioVendor, status: str, error_code: int | None = None) -> ProviderEvent:
    url = f"https://shop.example/v1/webhooks/texts?message={SMS.key}"
    about = Received(key=SMS.key, to=SMS.to, sender=SMS.sender, provider_message_id="SM1", callback_url=url)
    (found,) = provider().parse_events(vendor.callback(about, status, error_code=error_code), now=NOW)
    return found


def test_our_key_goes_out_and_comes_back() -> None:
    """The callback goes to the URL that we gave, with our key in it: a lost answer is settled by it."""
    with TwilioVendor() as vendor:
        opened = provider(base_url=vendor.url)
        outcome = opened.send(SMS, deadline=soon())
        (found,) = opened.parse_events(vendor.callback(vendor.accepted[0], "delivered"), now=NOW)
        assert (found.name, found.message_key, found.at) == (EventName.DELIVERED, SMS.key, NOW)
        assert isinstance(outcome, Accepted) and found.provider_message_id == outcome.provider_message_id


@pytest.mark.parametrize(
    ("status", "code", "name", "suppress"),
    [
        ("undelivered", None, EventName.BOUNCED_SOFT, None),
        ("undelivered", 30003, EventName.BOUNCED_SOFT, None),
        ("undelivered", 30005, EventName.BOUNCED, None),
        ("undelivered", 30006, EventName.BOUNCED, SuppressionReason.BOUNCED),
        ("undelivered", 30007, EventName.BOUNCED_SOFT, None),
        ("undelivered", 99999, EventName.BOUNCED_SOFT, None),
        ("failed", 21610, EventName.REJECTED, SuppressionReason.OPTED_OUT),
        ("failed", 30034, EventName.REJECTED, None),
        ("failed", None, EventName.REJECTED, None),
        ("delivered", 30006, EventName.DELIVERED, None),
    ],
)
def test_error_codes_of_callbacks(
    vendor: TwilioVendor, status: str, code: int | None, name: EventName, suppress: SuppressionReason | None
) -> None:
    """A code makes a failure hard or suppresses only where it is known to blame the number."""
    found = callback(vendor, status, code)
    assert (found.name, found.suppress) == (name, suppress)
    assert found.detail == {"status": status} | ({"error_code": str(code)} if code else {})


def test_repeats_and_orders(vendor: TwilioVendor) -> None:
    """(MessageSid, MessageStatus) names a report: repeated and shuffled, the same set of them comes in."""
    words = ["queued", "sent", "delivered", "sent", "queued", "delivered", "read"]
    random.Random(7).shuffle(words)
    assert {callback(vendor, word).dedupe for word in words} == {f"SM1:{word}" for word in set(words)}


def test_an_inbound_text_is_a_reply(vendor: TwilioVendor) -> None:
    """A customer's text comes with its number and words; the same text again is the same report."""
    webhook = vendor.inbound("https://shop.example/v1/webhooks/texts", sender="+358401234567", text="Kiitos! 🎉\nAna")
    (found,) = provider().parse_events(webhook, now=NOW)
    assert (found.name, found.address, found.text) == (EventName.REPLIED, "+358401234567", "Kiitos! 🎉\nAna")
    assert found.message_key is None and found.provider_message_id is None
    assert provider().parse_events(webhook, now=NOW)[0].dedupe == found.dedupe


TEXT = {"MessageSid": "SM1", "SmsStatus": "received", "From": "+358401234567", "To": "+15005550006", "Body": "STOP & ä"}


def test_a_number_may_be_set_to_get(vendor: TwilioVendor) -> None:
    """The fields are in the query then; the same text has the same events as one that is posted."""
    asked = vendor.asked("https://shop.example/w?message=k", TEXT)
    found = provider().parse_events(asked, now=NOW)
    assert found == provider().parse_events(vendor.signed("https://shop.example/w?message=k", TEXT), now=NOW)
    assert [(event.name, event.address, event.text) for event in found] == [
        (EventName.REPLIED, "+358401234567", "STOP & ä")
    ]
    for forged in (
        replace(asked, url=asked.url.replace("1234567", "1234568")),
        replace(asked, url="https://shop.example/w", body=asked.url.partition("?")[2].encode()),
        replace(asked, headers={}),
    ):
        with pytest.raises(ForgedWebhook):
            provider().parse_events(forged, now=NOW)
    assert provider().parse_events(replace(asked, body=b"From=%2B4670&Body=START"), now=NOW) == found


@pytest.mark.parametrize(
    ("wish", "name"), [("STOP", EventName.OPTED_OUT), ("START", EventName.OPTED_IN), ("HELP", None)]
)
def test_twilios_own_keyword_handling_counts(vendor: TwilioVendor, wish: str, name: EventName | None) -> None:
    """Where Twilio understood the wish, in whatever language, it is a wish; the reply itself is kept too."""
    webhook = vendor.inbound("https://shop.example/w", sender="+358401234567", text="ARRET", opt_out_type=wish)
    found = provider().parse_events(webhook, now=NOW)
    assert [event.name for event in found] == [EventName.REPLIED] + ([name] if name else [])
    assert len({event.dedupe for event in found}) == len(found)
    assert {event.address for event in found} == {"+358401234567"}


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            ["MessageSid", "MessageStatus", "SmsStatus", "To", "From", "Body", "ErrorCode", "OptOutType", "X"]
        ),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    )
)
def test_no_signed_form_breaks_it(fields: dict[str, str]) -> None:
    """Whatever form Twilio signs becomes at least one event whose texts every database can hold."""
    webhook = TwilioVendor().signed("https://shop.example/w?message=k", fields)
    found = Twilio(
        TwilioSettings.model_validate({"account_sid": ACCOUNT, "auth_token": "${env:T_TOKEN}"}), http=Http()
    ).parse_events(webhook, now=NOW)
    assert found
    for event in found:
        for text in (event.dedupe, event.address or "", event.text, *map(str, event.detail.values())):
            assert "\x00" not in text
