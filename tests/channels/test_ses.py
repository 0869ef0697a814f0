"""Amazon SES: the request it gets, the meaning of its errors, and which notifications of SNS are believed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import responses
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from channels.ses import Ses, SesSettings, events
from engine.errors import ForgedWebhook, IntakeError, NoPlainAnswer
from engine.model import EventName, SuppressionReason
from engine.provider import (
    A_MOMENT,
    USUAL_WAIT,
    Accepted,
    Ambiguous,
    Http,
    MailRecords,
    NotSent,
    ProviderEvent,
    Rejected,
)
from engine.testing.vendors.server import Received, Reply
from engine.testing.vendors.ses import REGION, SNS, TOPIC, SesVendor, SnsHttp
from tests.channels.messages import EMAIL, NOW, letter, soon

URL = "https://shop.example/v1/webhooks/ses"
SEND = "https://email.eu-west-1.amazonaws.com/v2/email/outbound-emails"
ABOUT = Received(key=EMAIL.key, to=EMAIL.to, provider_message_id="0102-m1")


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T_ID", "AKIAFORTESTS")
    monkeypatch.setenv("T_SECRET", "secret-for-tests")


@pytest.fixture
def vendor() -> Iterator[SesVendor]:
    with SesVendor() as vendor:
        yield vendor


def provider(vendor: SesVendor, **changes: Any) -> Ses:
    given = {
        "region": REGION,
        "access_key_id": "${env:T_ID}",
        "secret_access_key": "${env:T_SECRET}",
        "topic_arn": TOPIC,
        "base_url": vendor.url,
        **changes,
    }
    return Ses(SesSettings.model_validate(given), http=SnsHttp(vendor))


def event(vendor: SesVendor, word: str, **own: Any) -> ProviderEvent:
    told = vendor.event(ABOUT, word, at=NOW, **own)
    (found,) = provider(vendor).parse_events(vendor.notification(URL, told, now=NOW), now=NOW)
    return found


def test_where_dns_vouches_is_what_ses_set_up(vendor: SesVendor) -> None:
    """The keys' names of the domain, or of the one above it that SES knows, and where bounces go; with a fault of SES's no guess."""
    tokens = ["aaa", "bbb", "ccc"]
    vendor.identities["shop.fi"] = {
        "DkimAttributes": {"Status": "SUCCESS", "Tokens": tokens},
        "MailFromAttributes": {"MailFromDomain": "b.shop.fi", "BehaviorOnMxFailure": "USE_DEFAULT_VALUE"},
    }
    found = provider(vendor).mail_records("Shop <hello@news.shop.fi>")
    assert (found.domain, found.envelope) == ("news.shop.fi", "b.shop.fi")
    assert dict(found.dkim) == dict.fromkeys(f"{token}._domainkey.shop.fi" for token in tokens)
    vendor.identities["news.shop.fi"] = {"DkimAttributes": {"Tokens": ["ddd"]}, "MailFromAttributes": {}}
    found = provider(vendor).mail_records("hello@news.shop.fi")
    assert (found.envelope, list(found.dkim)) == (None, ["ddd._domainkey.news.shop.fi"])
    for odd in ({}, {"DkimAttributes": None}, {"DkimAttributes": {"Tokens": "x"}}):
        vendor.identities["news.shop.fi"] = odd
        assert provider(vendor).mail_records("hello@news.shop.fi").domain == "news.shop.fi"
    vendor.identities.clear()
    assert provider(vendor).mail_records("hello@news.shop.fi") == MailRecords(domain="news.shop.fi")
    assert provider(vendor, secret_access_key="${env:NOBODY}").mail_records("a@shop.fi") == MailRecords(
        domain="shop.fi"
    )


# ---------------------------------------------------------------- out


@responses.activate
def test_the_request_is_ses() -> None:
    """Both parts, our headers, our key and the campaign as tags, the configuration set; signed by SigV4 for the region."""
    responses.post(SEND, json={"MessageId": "0102-x"})
    outgoing = replace(
        letter(subject="Grüße", headers={"List-Unsubscribe": "<https://shop.example/u/x>"}),
        sender="Plattenladen Grün <hello@shop.example>",
    )
    given = {"region": REGION, "access_key_id": "${env:T_ID}", "secret_access_key": "${env:T_SECRET}"}
    opened = Ses(SesSettings.model_validate({**given, "configuration_set": "main"}), http=Http())
    assert opened.send(outgoing, deadline=soon()) == Accepted(provider_message_id="0102-x")
    (call,) = responses.calls
    assert call.request.headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIAFORTESTS/")
    assert "/eu-west-1/ses/aws4_request" in call.request.headers["Authorization"]
    assert json.loads(call.request.body or b"") == {
        "FromEmailAddress": "=?utf-8?q?Plattenladen_Gr=C3=BCn?= <hello@shop.example>",
        "Destination": {"ToAddresses": ["ana@customer.example"]},
        "Content": {
            "Simple": {
                "Subject": {"Data": "Grüße", "Charset": "UTF-8"},
                "Body": {
                    "Text": {"Data": "Hello Ana\n", "Charset": "UTF-8"},
                    "Html": {"Data": "<p>Hello Ana</p>\n", "Charset": "UTF-8"},
                },
                "Headers": [
                    {"Name": "List-Unsubscribe", "Value": "<https://shop.example/u/x>"},
                    {"Name": "X-Regulars-Message", "Value": EMAIL.key},
                ],
            }
        },
        "EmailTags": [
            {"Name": "regulars_message", "Value": EMAIL.key},
            {"Name": "campaign", "Value": "win-back"},
        ],
        "ConfigurationSetName": "main",
    }


@pytest.mark.parametrize(
    ("status", "kind", "message", "outcome"),
    [
        (400, "MessageRejected", "Email content is bad", Rejected),
        (400, "MessageRejected", "Email address is not verified. ana@customer.example failed the check", NotSent),
        (400, "BadRequestException", "Missing final '@domain'", Rejected),
        (400, "AccountSuspendedException", "suspended", NotSent),
        (400, "SendingPausedException", "paused", NotSent),
        (400, "MailFromDomainNotVerifiedException", "no", NotSent),
        (404, "NotFoundException", "Configuration set <x> does not exist.", NotSent),
        (403, "AccessDeniedException", "not authorized", NotSent),
        (400, "LimitExceededException", "too many", NotSent),
        (429, "TooManyRequestsException", "Maximum sending rate exceeded.", NotSent),
        (400, "ThrottlingException", "Rate exceeded", NotSent),
        (500, "InternalFailure", "?", Ambiguous),
        (503, "MessageRejected", "?", Ambiguous),
        (400, "", "?", Rejected),
    ],
)
def test_errors_have_their_meaning(vendor: SesVendor, status: int, kind: str, message: str, outcome: type) -> None:
    """SES's own error type decides about a 4xx, in the header or in the body; a 5xx proves nothing, whatever it says."""
    named = {"x-amzn-ErrorType": f"{kind}:http://internal.amazon.com/"} if kind else {}
    vendor.fail_next(
        Reply(status=status, body={"message": message}, headers=named),
        Reply(status=status, body={"__type": f"com.amazonaws.ses#{kind}", "Message": message}),
    )
    for _ in range(2):
        found = provider(vendor).send(EMAIL, deadline=soon())
        assert isinstance(found, outcome), found
        assert getattr(found, "no_access", False) is (kind in ("AccountSuspendedException", "SendingPausedException"))
        assert "ana@" not in repr(found)


@pytest.mark.parametrize(
    ("status", "kind", "message", "wait"),
    [
        (429, "TooManyRequestsException", "Daily message quota exceeded.", timedelta(hours=1)),
        (429, "TooManyRequestsException", "Maximum sending rate exceeded.", A_MOMENT),
        (400, "ThrottlingException", "Rate exceeded", A_MOMENT),
        (400, "LimitExceededException", "too many", USUAL_WAIT),
        (429, "", "?", USUAL_WAIT),
    ],
)
def test_how_long_to_wait(vendor: SesVendor, status: int, kind: str, message: str, wait: timedelta) -> None:
    """SES sends no Retry-After: a second's rate is free again at once, a day's quota bit by bit. What it sends is heard."""
    named = {"x-amzn-ErrorType": kind} if kind else {}
    for headers, expected in (({}, wait), ({"Retry-After": "0"}, timedelta())):
        vendor.fail_next(Reply(status=status, body={"message": message}, headers={**named, **headers}))
        found = provider(vendor).send(EMAIL, deadline=soon())
        assert isinstance(found, NotSent) and found.retry_after == expected


def test_the_vendor_checks_what_was_signed(vendor: SesVendor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another secret is a set-up error; letters beyond ASCII before the @ cannot be sent by SES at all."""
    monkeypatch.setenv("T_SECRET", "another")
    found = provider(vendor).send(EMAIL, deadline=soon())
    assert isinstance(found, NotSent) and found.code == "InvalidSignatureException" and found.no_access
    for to in ("änä@customer.example", "nobody"):
        assert isinstance(provider(vendor).send(letter(to=to), deadline=soon()), Rejected)
    assert not vendor.accepted


def test_the_machines_own_role_is_used_where_no_keys_are_set(
    vendor: SesVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without keys in config.yaml, AWS's own chain gives them; where it has none, that is said before anything leaves."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAFORTESTS")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-for-tests")
    opened = provider(vendor, access_key_id=None, secret_access_key=None)
    assert isinstance(opened.send(EMAIL, deadline=soon()), Accepted)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    found = provider(vendor, access_key_id=None, secret_access_key=None).send(EMAIL, deadline=soon())
    assert isinstance(found, NotSent) and found.code == "set_up"
    for half in ({"secret_access_key": None}, {"access_key_id": None}):
        with pytest.raises(ValidationError, match="go together"):
            provider(vendor, **half)


# ---------------------------------------------------------------- who read it


@pytest.mark.parametrize("word", ["Open", "Click", "Delivery", "Complaint"])
def test_the_readers_address_and_program_are_told_of_opens_and_clicks_alone(vendor: SesVendor, word: str) -> None:
    """The address beside the detail, which is always kept; the program in it, by which robots are told."""
    told = event(vendor, word, ipAddress="192.0.2.77", userAgent="Mozilla/5.0 (compatible; examplebot/1.0)")
    reads = word in ("Open", "Click")
    assert told.origin == ("192.0.2.77" if reads else "") and "192.0.2.77" not in str(told.detail)
    assert told.detail.get("useragent", "") == ("Mozilla/5.0 (compatible; examplebot/1.0)" if reads else "")
    assert "useragent" not in event(vendor, word).detail


# ---------------------------------------------------------------- which notifications are believed


def test_both_versions_of_the_signature_are_believed(vendor: SesVendor) -> None:
    """SNS signs with SHA-1 (version 1) or SHA-256 (version 2), as the topic is set; the certificate is fetched once."""
    opened, told = provider(vendor), vendor.event(ABOUT, "Delivery", at=NOW)
    for version in ("1", "2", "2"):
        webhook = vendor.notification(URL, told, now=NOW, version=version)
        assert [one.name for one in opened.parse_events(webhook, now=NOW)] == [EventName.DELIVERED]
    assert vendor.requests == 1


EVIL = "https://evil.example/SimpleNotificationService-0.pem"


@pytest.mark.parametrize(
    "changes",
    [
        {"TopicArn": TOPIC + "x"},
        {"SigningCertURL": EVIL},
        {"SigningCertURL": EVIL.replace("evil.example", "sns.evil.example")},
        {"SigningCertURL": EVIL.replace("evil.example", "sns.eu-west-1.amazonaws.com.evil.example")},
        {"SigningCertURL": EVIL.replace("evil.example", "sns.eu-west-1.amazonaws.com@evil.example")},
        {"SigningCertURL": EVIL.replace("evil.example", "s3.amazonaws.com")},
        {"SigningCertURL": EVIL.replace("evil.example", "sns.eu-west-1.amazonaws.com:8443")},
        {"SigningCertURL": f"{SNS}/another.pem"},
        {"SigningCertURL": f"{SNS}/?Action=Publish#/SimpleNotificationService-0.pem"},
        {"SigningCertURL": f"http://sns.{REGION}.amazonaws.com/SimpleNotificationService-0.pem"},
        {"SigningCertURL": "https://[/SimpleNotificationService-0.pem"},
        {"SigningCertURL": ""},
        {"SignatureVersion": "3"},
        {"Type": "Another"},
        {"Timestamp": "yesterday"},
        {"Timestamp": "2026-03-02T12:00:00"},
    ],
    ids=lambda changes: "-".join(changes.values())[:60] or "none",
)
def test_nothing_but_our_topic_signed_by_sns_is_believed(vendor: SesVendor, changes: dict[str, str]) -> None:
    """Another topic (anybody can have one that SNS signs for), another host for the certificate, another kind: refused, and
    nothing is fetched from anywhere.
    """
    webhook = vendor.notification(URL, vendor.event(ABOUT, "Delivery", at=NOW), now=NOW, **changes)
    with pytest.raises(ForgedWebhook):
        provider(vendor).parse_events(webhook, now=NOW)
    assert vendor.requests == ("Timestamp" in changes and changes["Timestamp"] != "yesterday")


def test_what_is_signed_is_signed_whole(vendor: SesVendor) -> None:
    """Each field under the signature, and the signature itself, cut, changed or missing: refused."""
    webhook = vendor.notification(URL, vendor.event(ABOUT, "Delivery", at=NOW), now=NOW)
    note, opened = json.loads(webhook.body), provider(vendor)
    forged = [{**note, name: note[name] + "0"} for name in ("Message", "MessageId", "Timestamp", "TopicArn", "Type")]
    signature = note["Signature"]
    changed_first = ("B" if signature[0] == "A" else "A") + signature[1:]
    forged += [{**note, "Signature": other} for other in ("", signature[:-8], changed_first, signature + "=", "é")]
    forged += [{**note, "Subject": "added"}, {name: note[name] for name in note if name != "Signature"}]
    for changed in forged:
        with pytest.raises(ForgedWebhook):
            opened.parse_events(replace(webhook, body=json.dumps(changed).encode()), now=NOW)
    for body in (b"", b"[]", b"null", b"{", b"[" * 100_000):
        with pytest.raises(ForgedWebhook):
            opened.parse_events(replace(webhook, body=body), now=NOW)
    assert opened.parse_events(webhook, now=NOW)


def test_another_key_does_not_sign_for_sns(vendor: SesVendor) -> None:
    """A notification that is right in all but the key that signed it is refused."""
    forger = SesVendor()
    webhook = forger.notification(URL, vendor.event(ABOUT, "Delivery", at=NOW), now=NOW)
    with pytest.raises(ForgedWebhook):
        provider(vendor).parse_events(webhook, now=NOW)


def test_without_a_topic_nothing_is_believed(vendor: SesVendor) -> None:
    """No topic_arn: no webhook."""
    webhook = vendor.notification(URL, vendor.event(ABOUT, "Delivery", at=NOW), now=NOW)
    with pytest.raises(ForgedWebhook):
        provider(vendor, topic_arn=None).parse_events(webhook, now=NOW)


def test_a_certificate_that_does_not_come_is_no_forgery(vendor: SesVendor) -> None:
    """While SNS does not answer nothing is judged: the notification is asked for again."""
    webhook = vendor.notification(URL, vendor.event(ABOUT, "Delivery", at=NOW), now=NOW)
    vendor.fail_next(Reply(status=503))
    opened = provider(vendor)
    with pytest.raises(NoPlainAnswer):
        opened.parse_events(webhook, now=NOW)
    assert opened.parse_events(webhook, now=NOW)


def test_the_tolerance_is_a_setting(vendor: SesVendor) -> None:
    """An hour by default, in which SNS may repeat itself; 0 accepts any age."""
    webhook = vendor.notification(URL, vendor.event(ABOUT, "Delivery", at=NOW), now=NOW)
    assert provider(vendor).parse_events(webhook, now=NOW + timedelta(minutes=59))
    with pytest.raises(ForgedWebhook):
        provider(vendor).parse_events(webhook, now=NOW + timedelta(minutes=60))
    lenient = provider(vendor, webhook_tolerance_seconds="0")
    assert lenient.parse_events(webhook, now=NOW + timedelta(days=3))


# ---------------------------------------------------------------- the topic's question


def test_our_topics_question_is_answered(vendor: SesVendor) -> None:
    """A signed question of our topic is confirmed at SNS, and brings no event."""
    assert list(provider(vendor).parse_events(vendor.question(URL, now=NOW), now=NOW)) == []
    assert vendor.confirmed == [TOPIC]


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/?Action=ConfirmSubscription&TopicArn=" + TOPIC,
        f"{SNS}/?Action=ConfirmSubscription&TopicArn={TOPIC}x",
        f"{SNS}/?Action=DeleteTopic&TopicArn={TOPIC}",
        f"{SNS}/?Action=ConfirmSubscription",
        "http://169.254.169.254/latest/meta-data/",
        "",
    ],
)
def test_no_other_address_is_called(vendor: SesVendor, url: str) -> None:
    """Even rightly signed, a question leads nowhere but to SNS's confirmation of this topic."""
    webhook = vendor.question(URL, now=NOW, SubscribeURL=url)
    with pytest.raises(ForgedWebhook):
        provider(vendor).parse_events(webhook, now=NOW)
    assert not vendor.confirmed


def test_a_topic_that_says_goodbye_brings_nothing(vendor: SesVendor) -> None:
    """An UnsubscribeConfirmation is believed and not acted on: its URL would subscribe us again."""
    webhook = vendor.question(URL, now=NOW, Type="UnsubscribeConfirmation")
    assert list(provider(vendor).parse_events(webhook, now=NOW)) == []
    assert not vendor.confirmed


# ---------------------------------------------------------------- the events


@pytest.mark.parametrize(
    ("kind", "sub_kind", "name", "suppress"),
    [
        ("Permanent", "General", EventName.BOUNCED, SuppressionReason.BOUNCED),
        ("Permanent", "NoEmail", EventName.BOUNCED, SuppressionReason.BOUNCED),
        ("Permanent", "Suppressed", EventName.BOUNCED, SuppressionReason.BOUNCED),
        ("Permanent", "OnAccountSuppressionList", EventName.BOUNCED, SuppressionReason.BOUNCED),
        ("Permanent", "UnsubscribedRecipient", EventName.BOUNCED, None),
        ("Transient", "MailboxFull", EventName.BOUNCED_SOFT, None),
        ("Transient", "General", EventName.BOUNCED_SOFT, None),
        ("Undetermined", "Undetermined", EventName.BOUNCED_SOFT, None),
        ("", "", EventName.BOUNCED_SOFT, None),
    ],
)
def test_only_a_bad_address_is_suppressed(
    vendor: SesVendor, kind: str, sub_kind: str, name: EventName, suppress: SuppressionReason | None
) -> None:
    """A permanent bounce that blames the address suppresses it; a full mailbox does not. The reason is kept, the address not."""
    recipient = {"emailAddress": EMAIL.to, "status": "5.1.1", "diagnosticCode": f"smtp; 550 5.1.1 <{EMAIL.to}> unknown"}
    found = event(vendor, "Bounce", bounceType=kind, bounceSubType=sub_kind, bouncedRecipients=[recipient])
    assert (found.name, found.suppress, found.address) == (name, suppress, EMAIL.to)
    assert found.detail["diagnosticCode"] == "smtp; 550 5.1.1 <…> unknown"


@pytest.mark.parametrize("kind", ["abuse", "fraud", "other", "", None, "not-spam", "Not-Spam", "auth-failure", "virus"])
def test_what_is_no_complaint_suppresses_nobody(vendor: SesVendor, kind: str | None) -> None:
    """Who takes a letter out of the spam folder likes it. Without a kind, as most mailbox providers tell it, it is a complaint."""
    own = {} if kind is None else {"complaintFeedbackType": kind}
    found = event(vendor, "Complaint", complainedRecipients=[{"emailAddress": EMAIL.to}], **own)
    complained = (kind or "").lower() not in ("not-spam", "auth-failure", "virus")
    assert found.suppress is (SuppressionReason.COMPLAINED if complained else None)
    assert found.name is (EventName.COMPLAINED if complained else EventName.OTHER)
    assert found.detail.get("complaintFeedbackType") == (kind or None)


def test_one_notification_may_be_about_several(vendor: SesVendor) -> None:
    """Each recipient that complained is an event of its own, with a dedupe of its own, and is suppressed."""
    people = [{"emailAddress": f"c{number}@customer.example"} for number in range(3)]
    told = vendor.event(ABOUT, "Complaint", at=NOW, complainedRecipients=people)
    found = provider(vendor).parse_events(vendor.notification(URL, told, now=NOW), now=NOW)
    assert {one.suppress for one in found} == {SuppressionReason.COMPLAINED}
    assert [one.address for one in found] == [person["emailAddress"] for person in people]
    assert len({one.dedupe for one in found}) == 3


def test_without_a_configuration_set_the_older_words_come(vendor: SesVendor) -> None:
    """An identity's own feedback says notificationType, and carries no tags: the id and the address find the message."""
    told = vendor.event(ABOUT, "Delivery", at=NOW)
    told["notificationType"] = told.pop("eventType")
    del told["mail"]["tags"]
    (found,) = provider(vendor).parse_events(vendor.notification(URL, told, now=NOW), now=NOW)
    assert (found.name, found.message_key) == (EventName.DELIVERED, None)
    assert (found.provider_message_id, found.address) == ("0102-m1", EMAIL.to)


def test_a_repeat_is_recognised(vendor: SesVendor) -> None:
    """The same click has the same dedupe in another notification; another link or time has another. A link is kept whole."""
    first = event(vendor, "Click", link="https://shop.example/records/12345678")
    assert event(vendor, "Click", link="https://shop.example/records/12345678").dedupe == first.dedupe
    assert event(vendor, "Click", link="https://shop.example/x").dedupe != first.dedupe
    later = event(vendor, "Click", link="https://shop.example/records/12345678", timestamp="2026-03-02T12:00:01.000Z")
    assert later.dedupe != first.dedupe and later.at == NOW + timedelta(seconds=1)
    assert first.detail["url"] == "https://shop.example/records/12345678"
    assert "url" not in event(vendor, "Click", link="https://x.example/?e=ana%40customer.example").detail


def test_only_leaving_everything_is_an_opt_out(vendor: SesVendor) -> None:
    """A changed choice of topics is kept; that somebody wants nothing more is obeyed."""
    assert event(vendor, "Subscription", newTopicPreferences={"unsubscribeAll": True}).name is EventName.OPTED_OUT
    for other in ({"unsubscribeAll": False}, {}, None):
        assert event(vendor, "Subscription", newTopicPreferences=other).name is EventName.OTHER


def test_what_is_no_event_is_no_forgery(vendor: SesVendor) -> None:
    """The topic's own greeting is nothing; signed text that is no JSON cannot be taken in; strange JSON is kept as `other`."""
    greeting = "Successfully validated SNS topic for Amazon SES event publishing."
    opened = provider(vendor)
    assert list(opened.parse_events(vendor.notification(URL, greeting, now=NOW), now=NOW)) == []
    with pytest.raises(IntakeError):
        opened.parse_events(vendor.notification(URL, "no JSON", now=NOW), now=NOW)
    for strange in (None, 7, [], {}, {"eventType": {}}, {"eventType": "Tomorrow", "mail": 1}):
        (found,) = opened.parse_events(vendor.notification(URL, strange, now=NOW), now=NOW)
        assert found.name is EventName.OTHER


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([*events.WORDS, "x"]), JSON, JSON, st.lists(JSON, max_size=3))
def test_no_json_breaks_it(word: str, mail: Any, own: Any, people: list[Any]) -> None:
    """Whatever SES tells, it becomes events whose texts every database can hold."""
    own = {**own, "bouncedRecipients": people} if isinstance(own, dict) else own
    told = {"eventType": word, "mail": mail, events.PLACES.get(word, word): own}
    for found in events.read(told, NOW):
        for text in (
            found.dedupe,
            found.address or "",
            found.provider_message_id or "",
            *map(str, found.detail.values()),
        ):
            assert "\x00" not in text and text.encode() is not None
