"""What became of a message whose answer was lost: how each vendor is asked, and what its answers prove."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import responses

from channels.mastodon import Mastodon, MastodonSettings
from channels.sendgrid import SendGrid, SendGridSettings
from channels.twilio import Twilio, TwilioSettings
from engine.model import SuppressionReason
from engine.provider import Accepted, Ambiguous, Http, NotFound, Provider, Rejected, TextContent, taken_then
from engine.testing.vendors.mastodon import MastodonVendor
from engine.testing.vendors.sendgrid import SendGridVendor
from engine.testing.vendors.server import HttpVendor, Reply
from engine.testing.vendors.twilio import ACCOUNT, TwilioVendor
from tests.channels.messages import EMAIL, NOW, POST, SMS, letter, soon


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T_KEY", "SG.for-tests")
    monkeypatch.setenv("T_TOKEN", "token-for-tests")


def at_noon(vendor: HttpVendor) -> Any:
    vendor.clock = lambda: NOW + timedelta(seconds=2)
    return vendor


def send(provider: Provider, outgoing: Any) -> str:
    outcome = provider.send(outgoing, deadline=soon())
    assert isinstance(outcome, Accepted) and outcome.provider_message_id
    return outcome.provider_message_id


@pytest.mark.parametrize(
    ("seconds", "meant"),
    [(0, True), (-0.9, True), (599, True), (601, None), (-2, None), (-299, None), (-301, False), (1e6, None)],
)
def test_when_it_was_taken(seconds: float, meant: bool | None) -> None:
    """Ten minutes after the hand-over it is this message; long before it is not; else clocks and repeats leave it open."""
    assert taken_then(NOW + timedelta(seconds=seconds), NOW) is meant


# ---------------------------------------------------------------- SendGrid


@pytest.fixture
def log() -> Iterator[SendGridVendor]:
    with SendGridVendor() as vendor:
        yield at_noon(vendor)


def sendgrid(vendor: SendGridVendor | None = None) -> SendGrid:
    url = {"base_url": vendor.url} if vendor else {}
    return SendGrid(SendGridSettings.model_validate({"api_key": "${env:T_KEY}", **url}), http=Http())


def test_the_key_tells_equal_letters_apart(log: SendGridVendor) -> None:
    """Two letters alike in all but our key, in one request: each is found as itself, a third is not."""
    twins = [replace(EMAIL, key=f"0a1b2c3d-{number}") for number in range(3)]
    ended = list(sendgrid(log).send_many(twins[:2], deadline=soon()))
    assert len(ended) == 2
    found = [sendgrid(log).look_up(twin, deadline=soon()) for twin in twins]
    assert [type(one) for one in found] == [Accepted, Accepted, NotFound]


def test_sendgrids_own_refusal_is_found(log: SendGridVendor) -> None:
    """What SendGrid took and dropped is rejected, with the suppression that it tells; what bounced it had."""
    send(sendgrid(log), EMAIL)
    log.statuses[EMAIL.key] = ("dropped", "Bounced Address")
    finding = sendgrid(log).look_up(EMAIL, deadline=soon())
    assert finding == Rejected(code="dropped", detail="Bounced Address", suppress=SuppressionReason.BOUNCED)
    for status in ("processed", "delivered", "deferred", "bounced", "blocked"):
        log.statuses[EMAIL.key] = (status, "550 no")
        assert isinstance(sendgrid(log).look_up(EMAIL, deadline=soon()), Accepted)


def test_a_log_without_keys_leaves_doubt(log: SendGridVendor) -> None:
    """Where the log tells no custom arguments, a letter of the same subject may be ours: neither found nor missing."""
    send(sendgrid(log), EMAIL)
    log.hides_keys = True
    assert isinstance(sendgrid(log).look_up(EMAIL, deadline=soon()), Ambiguous)
    assert isinstance(sendgrid(log).look_up(letter(subject="Another"), deadline=soon()), NotFound)


def test_an_address_is_asked_for_in_both_spellings(log: SendGridVendor) -> None:
    """SendGrid compares letter by letter; it may have written the address in small letters."""
    mixed = replace(EMAIL, to="Ana.O'Brien@customer.example")
    send(sendgrid(log), mixed)
    assert isinstance(sendgrid(log).look_up(mixed, deadline=soon()), Accepted)
    log.accepted[0] = replace(log.accepted[0], to="ana.o'brien@customer.example")
    assert isinstance(sendgrid(log).look_up(mixed, deadline=soon()), Accepted)


@responses.activate
def test_a_full_answer_is_incomplete() -> None:
    """Email Logs tells at most 1,000 messages and no next page: with so many, what is missing may be behind them."""
    entry = {"sg_message_id": "a.b.0", "subject": "x", "to_email": EMAIL.to, "status": "processed"}
    responses.post("https://api.sendgrid.com/v3/logs", json={"messages": [entry] * 1000})
    assert isinstance(sendgrid().look_up(EMAIL, deadline=soon()), Ambiguous)
    asked = json.loads(responses.calls[0].request.body or b"")
    assert asked == {
        "query": 'to_email = "ana@customer.example" AND sg_message_id_created_at >= TIMESTAMP "2026-03-02T11:55:00Z"',
        "limit": 1000,
    }


# ---------------------------------------------------------------- Twilio


@pytest.fixture
def texts() -> Iterator[TwilioVendor]:
    with TwilioVendor() as vendor:
        yield at_noon(vendor)


def twilio(vendor: TwilioVendor | None = None, **changes: Any) -> Twilio:
    url = {"base_url": vendor.url} if vendor else {}
    given = {"account_sid": ACCOUNT, "auth_token": "${env:T_TOKEN}", **url, **changes}
    return Twilio(TwilioSettings.model_validate(given), http=Http())


def test_every_page_is_read(texts: TwilioVendor) -> None:
    """The message is found on whatever page it stands; a list without end is no answer."""
    name = send(twilio(texts), SMS)
    for number in range(6):
        send(twilio(texts), replace(SMS, content=TextContent(text=f"Another {number}")))
    texts.page_size = 2
    assert twilio(texts).look_up(SMS, deadline=soon()) == Accepted(provider_message_id=name)
    for number in range(20):
        send(twilio(texts), replace(SMS, content=TextContent(text=f"One more {number}")))
    assert isinstance(twilio(texts).look_up(SMS, deadline=soon()), Ambiguous)


@pytest.mark.parametrize(
    ("status", "code", "finding"),
    [
        ("queued", None, Accepted),
        ("delivered", None, Accepted),
        ("undelivered", 30006, Accepted),
        ("failed", 21610, Rejected),
        ("canceled", None, Rejected),
        ("a_word_of_tomorrow", None, Accepted),
    ],
)
def test_what_twilio_says_became_of_it(texts: TwilioVendor, status: str, code: int | None, finding: type) -> None:
    """A message that failed before it was sent is rejected, with its code; any other that is there was taken."""
    texts.statuses[send(twilio(texts), SMS)] = (status, code)
    found = twilio(texts).look_up(SMS, deadline=soon())
    assert isinstance(found, finding)
    if isinstance(found, Rejected):
        suppress = SuppressionReason.OPTED_OUT if code else None
        assert found == Rejected(code=str(code or "failed"), suppress=suppress)


def test_another_sender_is_another_message(texts: TwilioVendor) -> None:
    """The same words from another number of ours, or through a messaging service, are not this message."""
    send(twilio(texts), replace(SMS, sender="+15005550001"))
    assert isinstance(twilio(texts).look_up(SMS, deadline=soon()), NotFound)
    served = twilio(texts, messaging_service_sid="MG1")
    assert isinstance(served.look_up(SMS, deadline=soon()), NotFound)
    send(served, SMS)
    assert isinstance(served.look_up(SMS, deadline=soon()), Accepted)
    assert isinstance(twilio(texts).look_up(SMS, deadline=soon()), NotFound)


@pytest.mark.parametrize(
    ("wanted", "listed", "finding"),
    [
        ("Hello Ana", "", Ambiguous),  # redacted
        ("Hello Ana", "Hello 'Ana'", Ambiguous),
        ("Hello Ana", "Sent from another trial - Hello Ana", Ambiguous),
        ("Hello Ana", "Hello Ana\nSTOP ends these texts", Ambiguous),
        ("It’s here – look, it’s ½ off…", "It's here - look, it's 1/2 off...", Ambiguous),
        ("你好", "??", Ambiguous),
        ("Hello Ana", "Hello Anna", NotFound),
        ("Hello Ana", "Ana, hello", NotFound),
        ("Hello Ana", "Ana Hello", NotFound),
        ("Your code is 1234", "Your code is 1243", NotFound),
    ],
)
def test_words_that_twilio_may_have_changed_leave_doubt(
    texts: TwilioVendor, wanted: str, listed: str, finding: type
) -> None:
    """What was redacted, has more around it or differs in look-alikes is neither ours nor another's; other letters are another's."""
    send(twilio(texts), SMS)
    texts.accepted[0] = replace(texts.accepted[0], text=listed)
    asked = replace(SMS, content=TextContent(text=wanted))
    assert isinstance(twilio(texts).look_up(asked, deadline=soon()), finding)


def test_a_trial_accounts_text_is_found(texts: TwilioVendor) -> None:
    """Twilio writes before it that it is one's; what stands after that is ours."""
    texts.trial = True
    name = send(twilio(texts), SMS)
    assert twilio(texts).look_up(SMS, deadline=soon()) == Accepted(provider_message_id=name)
    another = replace(SMS, content=TextContent(text="Another"))
    assert isinstance(twilio(texts).look_up(another, deadline=soon()), NotFound)


def test_a_messaging_service_replaces_letters(texts: TwilioVendor) -> None:
    """So its text is never called missing while one stands there that may be it; words that it leaves alone are found."""
    served, curly = (
        twilio(texts, messaging_service_sid="MG1"),
        replace(SMS, content=TextContent(text="It’s here – look")),
    )
    send(served, curly)
    assert isinstance(served.look_up(curly, deadline=soon()), Ambiguous)
    assert isinstance(served.look_up(SMS, deadline=soon()), NotFound)
    send(served, SMS)
    assert isinstance(served.look_up(SMS, deadline=soon()), Accepted)


@pytest.mark.parametrize("following", ["https://evil.example/x", "@evil.example", 7, {"a": 1}])
def test_the_next_page_is_at_twilio(texts: TwilioVendor, following: Any) -> None:
    """Our credentials are shown to no other host, whatever the list says about its next page."""
    texts.fail_next(Reply(status=200, body={"messages": [], "next_page_uri": following}))
    assert isinstance(twilio(texts).look_up(SMS, deadline=soon()), Ambiguous)
    assert texts.requests == 1


# ---------------------------------------------------------------- Mastodon


@pytest.fixture
def server() -> Iterator[MastodonVendor]:
    with MastodonVendor() as vendor:
        yield at_noon(vendor)


def mastodon(vendor: MastodonVendor) -> Mastodon:
    given = {"server": vendor.url, "access_token": "${env:T_TOKEN}"}
    return Mastodon(MastodonSettings.model_validate(given), http=Http())


def test_a_post_is_found_among_many(server: MastodonVendor) -> None:
    """Statuses come in pages of forty, the newest first; the post is found on the third, and what was not posted is not."""
    name = send(mastodon(server), replace(POST, content=TextContent(text=" New <records> & more\n")))
    for number in range(90):
        one = replace(POST, key=f"0a1b2c3d-{number + 100}", content=TextContent(text=f"Post {number}"))
        send(mastodon(server), one)
    asked = replace(POST, content=TextContent(text="New <records> & more"))
    assert mastodon(server).look_up(asked, deadline=soon()) == Accepted(provider_message_id=name)
    assert isinstance(mastodon(server).look_up(POST, deadline=soon()), NotFound)


def test_reading_ends_where_the_past_begins(server: MastodonVendor) -> None:
    """What was published long before the hand-over is not read through."""
    server.clock = lambda: NOW - timedelta(days=1)
    for number in range(90):
        send(
            mastodon(server), replace(POST, key=f"0a1b2c3d-{number + 100}", content=TextContent(text=f"Post {number}"))
        )
    at_noon(server)
    before = server.requests
    assert isinstance(mastodon(server).look_up(POST, deadline=soon()), NotFound)
    assert server.requests == before + 2  # who we are, and one page


def test_a_direct_message_is_not_a_post_of_the_same_words(server: MastodonVendor) -> None:
    """Visibility and recipient are part of what is compared."""
    direct = replace(POST, to="@ana@social.example")
    send(mastodon(server), POST)
    assert isinstance(mastodon(server).look_up(direct, deadline=soon()), NotFound)
    send(mastodon(server), replace(direct, key="0a1b2c3d-8"))
    assert isinstance(mastodon(server).look_up(direct, deadline=soon()), Accepted)
    assert isinstance(mastodon(server).look_up(replace(direct, to="@bob@social.example"), deadline=soon()), NotFound)
