"""Telegram: what a refusal says about a person, how long to wait, posts in a channel, and what updates tell."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import requests
import responses

from channels.telegram import Telegram, TelegramSettings
from engine.errors import ForgedWebhook, IntakeError, ProviderError
from engine.model import Channel, EventName, SuppressionReason
from engine.provider import USUAL_WAIT, Accepted, Ambiguous, Http, NotSent, Rejected, TextContent, Verified
from engine.testing.vendors.server import Reply
from engine.testing.vendors.telegram import CHANNEL, TelegramVendor
from tests.channels.messages import NOW, SMS, soon

TOKEN, ANA, URL = "110201543:token-for-tests", 1234567890, "https://shop.example/v1/webhooks/bot"
SEND = f"https://api.telegram.org/bot{TOKEN}/sendMessage"
CHAT = replace(SMS, channel=Channel.TELEGRAM, to=str(ANA), sender=CHANNEL)


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T_BOT", TOKEN)
    monkeypatch.setenv("T_SECRET", "secret-for-tests")


@pytest.fixture
def vendor() -> Iterator[TelegramVendor]:
    with TelegramVendor() as vendor:
        yield vendor


def provider(vendor: TelegramVendor | None = None, **changes: Any) -> Telegram:
    given = {"bot_token": "${env:T_BOT}", "webhook_secret": "${env:T_SECRET}", **changes}
    return Telegram(
        TelegramSettings.model_validate({**given, **({"base_url": vendor.url} if vendor else {})}), http=Http()
    )


@responses.activate
def test_a_message_is_plain_text_to_one_chat() -> None:
    """The chat's number and the words, never markup; a post goes to the channel that the route names."""
    responses.post(SEND, json={"ok": True, "result": {"message_id": 7, "chat": {"id": ANA}}})
    outcome = provider().send(CHAT, deadline=soon())
    assert isinstance(outcome, Accepted) and outcome.provider_message_id
    assert outcome.provider_message_id.endswith(":7") and str(ANA) not in outcome.provider_message_id
    provider().send(replace(CHAT, to=None), deadline=soon())
    told = [json.loads(call.request.body or "") for call in responses.calls]
    assert told == [{"chat_id": ANA, "text": "Hello Ana"}, {"chat_id": CHANNEL, "text": "Hello Ana"}]


@responses.activate
def test_answers_have_their_meaning() -> None:
    """Telegram's own words about the person count; the same status about our rights does not reject the message."""
    told: tuple[tuple[int, str, Any], ...] = (
        (403, "Forbidden: bot was blocked by the user", Rejected(code="blocked", suppress=SuppressionReason.OPTED_OUT)),
        (403, "Forbidden: user is deactivated", Rejected(code="deactivated", suppress=SuppressionReason.BOUNCED)),
        (403, "Forbidden: bot can't initiate conversation with a user", Rejected(code="not_started")),
        (403, "Forbidden: bot is not a member of the channel chat", NotSent(code="http_403")),
        (400, "Bad Request: chat not found", Rejected(code="http_400")),
        (401, "Unauthorized", NotSent(code="http_401", no_access=True)),
    )
    for status, words, outcome in told:
        answer = {"ok": False, "error_code": status, "description": words}
        responses.upsert(responses.POST, SEND, status=status, json=answer)
        assert provider().send(CHAT, deadline=soon()) == replace(outcome, detail=words), words
    for wait, read in (
        (35, timedelta(seconds=35)),
        (99_999, timedelta(hours=1)),
        ("x", USUAL_WAIT),
        (-1, USUAL_WAIT),
        (0, timedelta()),
    ):
        answer = {"ok": False, "error_code": 429, "parameters": {"retry_after": wait}}
        responses.upsert(responses.POST, SEND, status=429, json=answer)
        assert provider().send(CHAT, deadline=soon()) == NotSent(code="http_429", retry_after=read)
    responses.upsert(responses.POST, SEND, json={"ok": False, "error_code": 500})
    assert provider().send(CHAT, deadline=soon()) == Ambiguous(code="500")
    responses.upsert(responses.POST, SEND, body=requests.ReadTimeout())
    assert isinstance(provider().send(CHAT, deadline=soon()), Ambiguous)


@responses.activate
@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "Bad Request: need administrator rights in the channel chat"),
        (400, "Bad Request: not enough rights to send text messages to the chat"),
        (400, "Bad Request: chat not found"),
        (403, "Forbidden: bot is not a member of the channel chat"),
        (403, "Forbidden: bot was kicked from the channel chat"),
    ],
)
def test_a_channel_that_the_bot_may_not_post_in_refuses_us(status: int, words: str) -> None:
    """It can be put right, and the post waits for that; of a person's chat the same words are about the person."""
    responses.post(SEND, status=status, json={"ok": False, "error_code": status, "description": words})
    refused = NotSent(code=f"http_{status}", detail=words, no_access=True)
    assert provider().send(replace(CHAT, to=None), deadline=soon()) == refused
    assert not getattr(provider().send(CHAT, deadline=soon()), "no_access", False)


def test_a_post_to_no_channel_waits(vendor: TelegramVendor) -> None:
    """A name in `from` that is no channel's is a fault of ours, another text of a post is not."""
    post = replace(CHAT, to=None, sender="@nobody")
    outcome = provider(vendor).send(post, deadline=soon())
    assert isinstance(outcome, NotSent) and outcome.no_access
    long = replace(CHAT, to=None, content=TextContent(text="x" * 4097))
    assert isinstance(provider(vendor).send(long, deadline=soon()), Rejected)


def test_the_vendor_refuses_as_telegram_does(vendor: TelegramVendor) -> None:
    """A blocked bot, a stranger, too long a text; and what is no chat's number or no token leaves nobody."""
    vendor.forbidden[ANA], vendor.strangers = "bot was blocked by the user", {5}
    outcome = provider(vendor).send(CHAT, deadline=soon())
    assert isinstance(outcome, Rejected) and outcome.suppress is SuppressionReason.OPTED_OUT
    assert isinstance(provider(vendor).send(replace(CHAT, to="5"), deadline=soon()), Rejected)
    long = replace(CHAT, to="6", content=TextContent(text="x" * 4097))
    assert isinstance(provider(vendor).send(long, deadline=soon()), Rejected)
    asked = vendor.requests
    for wrong in ("ana", "-100123", "0", "", "１２"):
        assert isinstance(provider(vendor).send(replace(CHAT, to=wrong), deadline=soon()), Rejected)
    assert vendor.requests == asked and not vendor.accepted


def test_a_token_that_is_none_is_told_by_its_name(vendor: TelegramVendor, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would become part of a path."""
    monkeypatch.setenv("T_BOT", "../getMe?x=")
    assert provider(vendor).send(CHAT, deadline=soon()) == NotSent(code="set_up", detail="T_BOT is no bot's token")
    assert not vendor.requests


def test_doctor_looks_at_the_webhook_too(vendor: TelegramVendor) -> None:
    """A known bot whose webhook is not set, or does not bring what we read, is told as such."""
    assert provider(vendor, webhook_secret=None).verify(deadline=soon()) == Verified(
        good=True, detail="the bot is known"
    )
    assert "no webhook is set" in provider(vendor).verify(deadline=soon()).detail
    vendor.webhook = {"url": URL}
    assert "does not bring message_reaction" in provider(vendor).verify(deadline=soon()).detail
    vendor.webhook["allowed_updates"] = [
        "message",
        "message_reaction",
        "message_reaction_count",
        "my_chat_member",
        "poll",
    ]
    assert provider(vendor).verify(deadline=soon()).good


def test_what_people_do_is_read(vendor: TelegramVendor) -> None:
    """A reply names our message, a reaction its emoji; a start by a link brings the invitation; a block is a no."""
    sent = provider(vendor).send(CHAT, deadline=soon())
    assert isinstance(sent, Accepted)
    answered = {"reply_to_message": {"message_id": 1, "chat": {"id": ANA}}}
    told = [
        vendor.says(URL, ANA, "When?", at=NOW, **answered),
        vendor.says(URL, ANA, "/stop", at=NOW),
        vendor.says(URL, ANA, "/start abc-1_x", at=NOW),
        vendor.says(URL, ANA, "/start", at=NOW),
        vendor.reacts(URL, ANA, 1, "👍", at=NOW),
        vendor.reacts(URL, ANA, 1, at=NOW),
        vendor.blocks(URL, ANA, at=NOW),
        vendor.blocks(URL, ANA, at=NOW, status="member"),
    ]
    events = [event for webhook in told for event in provider().parse_events(webhook, now=NOW)]
    assert [(event.name, event.text) for event in events] == [
        (EventName.REPLIED, "When?"),
        (EventName.REPLIED, "/stop"),
        (EventName.OPTED_IN, "/start abc-1_x"),
        (EventName.REPLIED, "/start"),
        (EventName.REACTED, ""),
        (EventName.OTHER, ""),
        (EventName.OPTED_OUT, ""),
        (EventName.OTHER, ""),
    ]
    assert {event.provider_message_id for event in (events[0], events[4])} == {sent.provider_message_id}
    assert (events[2].invitation, events[4].detail) == ("abc-1_x", {"reaction": "👍"})
    assert (events[6].address, events[6].suppress) == (str(ANA), SuppressionReason.OPTED_OUT)
    assert len({event.dedupe for event in events}) == len(events)


def test_a_comment_under_a_post_is_a_reply_to_it(vendor: TelegramVendor) -> None:
    """In a channel's discussion group, comments answer the post's copy there, which tells where it is from; other talk is not ours."""
    sent = provider(vendor).send(replace(CHAT, to=None), deadline=soon())
    assert isinstance(sent, Accepted)
    post = {"type": "channel", "chat": {"id": -1001234567890}, "message_id": 1}
    group = {"message_id": 9, "chat": {"id": -1009, "type": "supergroup"}, "date": 1, "text": "Nice"}
    copy = {"message_id": 3, "is_automatic_forward": True, "forward_origin": post}
    (reply,) = provider().parse_events(vendor.update(URL, "message", {**group, "reply_to_message": copy}), now=NOW)
    assert (reply.name, reply.text, reply.address) == (EventName.REPLIED, "Nice", None)
    assert reply.provider_message_id == sent.provider_message_id
    (fared,) = provider().parse_events(vendor.counts(URL, 1, 3, 4, at=NOW), now=NOW)
    assert (fared.name, fared.provider_message_id) == (EventName.COUNTED, sent.provider_message_id)
    assert fared.detail == {"likes": 7}
    seen = {"chat": group["chat"], "message_id": 3, "date": 1, "new_reaction": [{"type": "emoji", "emoji": "👍"}]}
    for whose, address in (({"user": {"id": ANA}}, str(ANA)), ({"actor_chat": {"id": -1009}}, None)):
        (liked,) = provider().parse_events(vendor.update(URL, "message_reaction", {**seen, **whose}), now=NOW)
        assert (liked.name, liked.address) == (EventName.REACTED, address)
    (other,) = provider().parse_events(vendor.update(URL, "message", group), now=NOW)
    assert (other.name, other.address) == (EventName.OTHER, None)


def test_an_update_that_nobody_understands_is_kept(vendor: TelegramVendor) -> None:
    """Telegram brings what was not taken again and again: so an odd update is `other`. What is none at all is told."""
    (event,) = provider().parse_events(vendor.update(URL, "message", {"chat": 5}), now=NOW)
    assert (event.name, event.detail) == (EventName.OTHER, {"update": "message"})
    genuine = vendor.update(URL, "message", {})
    for body in (b"", b"[]", b"{}", b"{", b'"x"'):
        with pytest.raises(IntakeError):
            provider().parse_events(replace(genuine, body=body), now=NOW)
    with pytest.raises(ForgedWebhook, match="webhook_secret"):
        provider(webhook_secret=None).parse_events(genuine, now=NOW)


def test_updates_can_be_asked_for(vendor: TelegramVendor) -> None:
    """`poll: true`, for a shop that Telegram cannot call: each is there until the next look, which confirms it; a webhook that
    is set stands in the way, and is told; nothing is believed that is called in.
    """
    opened = provider(vendor, webhook_secret=None, poll=True)
    assert (opened.capabilities.webhooks, opened.capabilities.inboxes) == (False, True)
    (inbox,) = opened.inboxes
    for number in range(250):
        vendor.says(URL, ANA, f"Hello {number}", at=NOW)
    first = list(inbox.fetch(lambda sealed: None, now=NOW))
    assert [len(one.events) for one in first] == [100, 100, 50]
    assert not list(inbox.fetch(lambda sealed: None, now=NOW))
    stop = vendor.says(URL, ANA, "/stop", at=NOW)
    (again,) = provider(vendor, poll=True).inboxes  # after a restart
    half = again.fetch(lambda sealed: None, now=NOW)
    assert [event.text for event in next(half).events] == ["/stop"]
    half.close()  # stopped before it was confirmed: it comes again
    assert [event.text for one in inbox.fetch(lambda sealed: None, now=NOW) for event in one.events] == ["/stop"]
    with pytest.raises(ForgedWebhook):
        opened.parse_events(stop, now=NOW)
    assert opened.verify(deadline=soon()).good
    vendor.webhook = {"url": URL}
    assert "a webhook is set" in opened.verify(deadline=soon()).detail
    with pytest.raises(ProviderError, match="to a webhook"):
        next(iter(inbox.fetch(lambda sealed: None, now=NOW)))
    vendor.fail_next(
        Reply(status=401), Reply(status=200, body=b"{}"), Reply(status=200, body={"ok": True, "result": [5]})
    )
    for _ in range(3):
        with pytest.raises(ProviderError, match="cannot be asked"):
            next(iter(inbox.fetch(lambda sealed: None, now=NOW)))
