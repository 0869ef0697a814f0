"""Vonage: the request it gets, the meaning of the statuses inside its 200, and which webhooks are its own."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
import requests
import responses
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.vonage import Vonage, VonageSettings, signature
from engine.errors import ForgedWebhook
from engine.model import EventName, SuppressionReason
from engine.provider import A_MOMENT, Accepted, Ambiguous, Http, NotSent, ProviderEvent, Rejected, TextContent, Webhook
from engine.testing.vendors.server import Received
from engine.testing.vendors.vonage import VonageVendor
from tests.channels.messages import NOW, SMS, soon

SEND = "https://rest.nexmo.com/sms/json"
URL = "https://shop.example/v1/webhooks/texts"
ABOUT = Received(key=SMS.key, to=SMS.to, sender=SMS.sender, provider_message_id="0A1", callback_url=URL)


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T_SECRET", "secret-for-tests")
    monkeypatch.setenv("T_SIGNATURE", "signature-for-tests")


@pytest.fixture(scope="module")
def vendor() -> Iterator[VonageVendor]:
    with VonageVendor() as vendor:
        yield vendor


def provider(**changes: Any) -> Vonage:
    given = {
        "api_key": "key-for-tests",
        "api_secret": "${env:T_SECRET}",
        "signature_secret": "${env:T_SIGNATURE}",
        **changes,
    }
    return Vonage(VonageSettings.model_validate(given), http=Http())


def form(call: Any) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(call.request.body).items()}


def told(*statuses: str, **more: str) -> dict[str, Any]:
    return {"messages": [{"status": status, "message-id": f"0A{n}", **more} for n, status in enumerate(statuses)]}


# ---------------------------------------------------------------- out


@responses.activate
def test_the_request_is_vonages() -> None:
    """Numbers without their plus, our key as client-ref, the callback, how long it may wait; credentials in the form alone."""
    responses.post(SEND, json=told("0"))
    outgoing = replace(SMS, valid_for=timedelta(minutes=90))
    assert provider().send(outgoing, deadline=soon()) == Accepted(provider_message_id="0A0")
    (call,) = responses.calls
    assert form(call) == {
        "api_key": "key-for-tests",
        "api_secret": "secret-for-tests",
        "to": "358401234567",
        "from": "15005550006",
        "text": "Hello Ana",
        "type": "text",
        "client-ref": SMS.key,
        "callback": SMS.callback_url,
        "ttl": "5400000",
    }
    assert "?" not in str(call.request.url)


@responses.activate
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Grüße für 5 €", "text"),
        ("[a] {b} ^~|\\", "text"),
        ("Žiga", "unicode"),
        ("🎉", "unicode"),
        ("don’t", "unicode"),
    ],
)
def test_letters_are_not_replaced(text: str, kind: str) -> None:
    """What GSM-7 can say is sent as text, anything else as Unicode: Vonage would make question marks of it."""
    responses.post(SEND, json=told("0"))
    provider().send(replace(SMS, content=TextContent(text=text), sender="SHOP"), deadline=soon())
    sent = form(responses.calls[0])
    assert (sent["text"], sent["type"], sent["from"]) == (text, kind, "SHOP")


@responses.activate
@pytest.mark.parametrize(
    ("valid_for", "ttl"),
    [
        (timedelta(days=30), "604800000"),
        (timedelta(seconds=-5), "20000"),
        (timedelta(seconds=30.5), "30500"),
        (None, None),
    ],
)
def test_the_waiting_time_is_in_vonages_range(valid_for: timedelta | None, ttl: str | None) -> None:
    """Vonage takes 20 seconds to 7 days; without a limit of ours it is left out."""
    responses.post(SEND, json=told("0"))
    provider().send(replace(SMS, valid_for=valid_for, callback_url=None), deadline=soon())
    assert form(responses.calls[0]).get("ttl") == ttl and "callback" not in form(responses.calls[0])


@responses.activate
@pytest.mark.parametrize(
    ("statuses", "kind", "suppress"),
    [
        (("0", "0"), Accepted, None),
        (("0", "5"), Accepted, None),
        (("1", "0"), Accepted, None),
        (("1",), NotSent, None),
        (("2",), Rejected, None),
        (("3",), Rejected, None),
        (("4",), NotSent, None),
        (("5",), Ambiguous, None),
        (("6",), Rejected, None),
        (("7",), Rejected, SuppressionReason.PROVIDER),
        (("9",), NotSent, None),
        (("12",), Rejected, None),
        (("15",), NotSent, None),
        (("29",), NotSent, None),
        (("33",), Rejected, SuppressionReason.BOUNCED),
        (("99",), Ambiguous, None),
        ((), Ambiguous, None),
    ],
)
def test_statuses_have_their_meaning(statuses: tuple[str, ...], kind: type, suppress: SuppressionReason | None) -> None:
    """One part that was taken makes it accepted; an internal or unknown error is doubt; the rest as Vonage documents it."""
    responses.post(SEND, json=told(*statuses, **{"error-text": f"{SMS.to} and secret-for-tests"}))
    outcome = provider().send(SMS, deadline=soon())
    assert isinstance(outcome, kind), outcome
    assert getattr(outcome, "suppress", None) is suppress
    assert getattr(outcome, "no_access", False) is (statuses in (("4",), ("9",)))
    assert "40123" not in repr(outcome) and "secret-for" not in repr(outcome)


@responses.activate
def test_too_many_a_second_are_told_to_wait() -> None:
    """Not for long, and without using up an attempt; other faults say nothing about time."""
    for status, wait in (("1", A_MOMENT), ("15", None)):
        responses.upsert(responses.POST, SEND, json=told(status))
        outcome = provider().send(SMS, deadline=soon())
        assert isinstance(outcome, NotSent) and outcome.retry_after == wait


@responses.activate
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (requests.ConnectTimeout("x"), NotSent),
        (requests.ReadTimeout("x"), Ambiguous),
        (requests.ConnectionError(), Ambiguous),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_broken_calls_have_their_meaning(error: Exception, kind: type) -> None:
    """How far the request got decides."""
    responses.post(SEND, body=error)
    assert isinstance(provider().send(SMS, deadline=soon()), kind)


def test_the_vendor_refuses_as_vonage_does() -> None:
    """Against the local Vonage: wrong secret, no text, a barred number."""
    with VonageVendor(refuse=lambda number: "7" if number.endswith("9") else None) as vendor:
        opened = provider(base_url=vendor.url)
        barred = opened.send(replace(SMS, to="+358401234569"), deadline=soon())
        assert isinstance(barred, Rejected) and barred.suppress is SuppressionReason.PROVIDER
        assert isinstance(opened.send(replace(SMS, content=TextContent(text="")), deadline=soon()), Rejected)
        assert isinstance(provider(base_url=vendor.url, api_key="other").send(SMS, deadline=soon()), NotSent)
        assert not vendor.accepted
        assert isinstance(opened.send(SMS, deadline=soon()), Accepted)


# ---------------------------------------------------------------- signatures


def test_the_signature_is_vonages() -> None:
    """Over all fields by name, & and = in values made harmless, as HMAC: computed here by hand."""
    fields = {"b": "2&3=4", "a": "1", "timestamp": "1461605396"}
    said = b"&a=1&b=2_3_4&timestamp=1461605396"
    for method in ("md5", "sha1", "sha256", "sha512"):
        assert signature(fields, "secret", method) == hmac.new(b"secret", said, method).hexdigest()


@pytest.mark.parametrize("kind", ["json", "form", "query"])
def test_each_way_of_posting_is_read(vendor: VonageVendor, kind: str) -> None:
    """JSON, a form or the query of a GET, as the account is set: the same fields under the same signature."""
    fields = {
        "msisdn": "358401234567",
        "messageId": "0A1",
        "status": "delivered",
        "client-ref": SMS.key,
        "x": "a&b=c ü",
    }
    webhook = vendor.signed(URL, fields, now=NOW, kind=kind)
    (found,) = provider().parse_events(webhook, now=NOW)
    assert (found.name, found.message_key, found.address) == (EventName.DELIVERED, SMS.key, SMS.to)


def test_forgeries_are_refused(vendor: VonageVendor) -> None:
    """A field changed, added, left out or run together, a signature cut, missing or of another secret: refused."""
    webhook = vendor.receipt(ABOUT, "delivered", at=NOW)
    fields = json.loads(webhook.body)
    forged = [
        {**fields, "status": "rejected"},
        {**fields, "added": "1"},
        {name: fields[name] for name in fields if name != "price"},
        {name: fields[name] for name in fields if name != "sig"},
        {name: fields[name] for name in fields if name != "timestamp"},
        {**fields, "sig": ""},
        {**fields, "sig": fields["sig"][:-1]},
        {**fields, "sig": "é" + fields["sig"]},
        {**fields, "sig": "\ud800"},
        {**fields, "timestamp": "soon"},
        {**fields, "timestamp": "9" * 30},
    ]
    together = {name: fields[name] for name in fields if name not in ("price", "scts")}
    forged.append({**together, f"price={fields['price']}&scts": fields["scts"]})
    bodies = [json.dumps(each).encode() for each in forged] + [b"", b"[]", b"null", b"\xff", b"[" * 100_000]
    for body in bodies:
        with pytest.raises(ForgedWebhook):
            provider().parse_events(replace(webhook, body=body), now=NOW)
    with pytest.raises(ForgedWebhook):
        provider().parse_events(VonageVendor(signature_secret="x").receipt(ABOUT, "delivered", at=NOW), now=NOW)
    assert provider().parse_events(webhook, now=NOW)


def test_without_a_secret_nothing_is_believed(vendor: VonageVendor) -> None:
    """No signature_secret: no webhook. The age that is borne is a setting, an hour by default."""
    webhook = vendor.receipt(ABOUT, "delivered", at=NOW)
    with pytest.raises(ForgedWebhook):
        provider(signature_secret=None).parse_events(webhook, now=NOW)
    assert provider().parse_events(webhook, now=NOW + timedelta(minutes=59))
    assert provider(webhook_tolerance_seconds="0").parse_events(webhook, now=NOW + timedelta(days=3))


# ---------------------------------------------------------------- events


def receipt(vendor: VonageVendor, status: str, code: str = "0") -> ProviderEvent:
    (found,) = provider().parse_events(vendor.receipt(ABOUT, status, at=NOW, error_code=code), now=NOW)
    return found


def test_our_key_goes_out_and_comes_back() -> None:
    """The receipt goes to the URL that we gave, with our key in it: a lost answer is settled by it."""
    with VonageVendor() as vendor:
        opened = provider(base_url=vendor.url)
        outcome = opened.send(SMS, deadline=soon())
        (found,) = opened.parse_events(vendor.receipt(vendor.accepted[0], "delivered", at=NOW), now=NOW)
    assert (found.name, found.message_key, found.at) == (EventName.DELIVERED, SMS.key, NOW)
    assert isinstance(outcome, Accepted) and found.provider_message_id == outcome.provider_message_id


@pytest.mark.parametrize(
    ("status", "code", "name", "suppress"),
    [
        ("failed", "1", EventName.BOUNCED_SOFT, None),
        ("failed", "3", EventName.BOUNCED, SuppressionReason.BOUNCED),
        ("failed", "9", EventName.BOUNCED, SuppressionReason.BOUNCED),
        ("rejected", "6", EventName.REJECTED, None),
        ("delivered", "3", EventName.DELIVERED, None),
        ("a_word_of_tomorrow", "3", EventName.OTHER, None),
    ],
)
def test_error_codes_of_receipts(
    vendor: VonageVendor, status: str, code: str, name: EventName, suppress: SuppressionReason | None
) -> None:
    """A code makes a failure hard and suppresses only where it is known to blame the number."""
    found = receipt(vendor, status, code)
    assert (found.name, found.suppress) == (name, suppress)
    assert found.detail == {"status": status, "error_code": code}


def test_repeats_and_orders(vendor: VonageVendor) -> None:
    """(messageId, status, code) names a report: repeated and shuffled, the same set of them comes in."""
    words = ["delivered", "accepted", "buffered", "accepted", "delivered"]
    assert {receipt(vendor, word).dedupe for word in words} == {f"0A1:{word}:0" for word in set(words)}


def test_an_inbound_text_is_a_reply(vendor: VonageVendor) -> None:
    """A customer's text comes with its number, words and time; the same text again is the same report."""
    webhook = vendor.inbound(URL, sender="+358401234567", text="Stop & go = ü 🎉", at=NOW)
    (found,) = provider().parse_events(webhook, now=NOW + timedelta(seconds=5))
    assert (found.name, found.address, found.text, found.at) == (
        EventName.REPLIED,
        "+358401234567",
        "Stop & go = ü 🎉",
        NOW,
    )
    assert found.message_key is None and found.provider_message_id is None
    assert provider().parse_events(webhook, now=NOW)[0].dedupe == found.dedupe


def test_a_long_text_comes_in_parts(vendor: VonageVendor) -> None:
    """Each is a reply, kept with its place and as it was cut, and marked: no part is a word of command."""
    found = []
    for number, text in enumerate(["please do not text me any more, I want to unsub", "scribe ", "STOP"], 1):
        webhook = vendor.inbound(URL, sender="+358401234567", text=text, at=NOW, part=(number, 3))
        found += provider().parse_events(webhook, now=NOW)
    assert [event.text for event in found] == ["please do not text me any more, I want to unsub", "scribe ", "STOP"]
    assert [event.detail for event in found] == [{"part": f"{number}/3", "ref": "108"} for number in (1, 2, 3)]
    assert {(event.name, event.part) for event in found} == {(EventName.REPLIED, True)}
    whole = vendor.inbound(URL, sender="+358401234567", text="STOP", at=NOW, part=(1, 1))
    assert not provider().parse_events(whole, now=NOW)[0].part


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["messageId", "status", "msisdn", "text", "err-code", "message-timestamp", "client-ref", "x"]),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    ),
    st.sampled_from(["json", "form", "query"]),
)
def test_no_signed_fields_break_it(fields: dict[str, str], kind: str) -> None:
    """Whatever Vonage signs becomes one event whose texts every database can hold."""
    webhook: Webhook = VonageVendor().signed(URL, fields, now=NOW, kind=kind)
    (found,) = provider().parse_events(webhook, now=NOW)
    for text in (
        found.dedupe,
        found.address or "",
        found.text,
        found.message_key or "",
        *map(str, found.detail.values()),
    ):
        assert "\x00" not in text and text.encode() is not None
