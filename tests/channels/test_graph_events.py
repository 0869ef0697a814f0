"""Meta's webhooks: the question by which one is entered, who said what about which post, and what is not for us."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from channels.facebook import Facebook
from channels.instagram import Instagram
from engine.errors import ForgedWebhook, IntakeError
from engine.model import Channel, EventName
from engine.provider import Http, ProviderEvent, Webhook
from engine.testing.vendors.graph import ACCOUNT_ID, PAGE_ID
from engine.testing.vendors.graph_events import SOMEBODY, of_account, of_page, signed, written
from tests.channels.messages import NOW

URL, SECRET = "https://shop.example/v1/webhooks/page", "secret-for-tests"


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("T_TOKEN", "EAA"), ("T_SECRET", SECRET), ("T_VERIFY", "a-word-of-ours")):
        monkeypatch.setenv(name, value)


def page(**changes: Any) -> Facebook:
    given = {"page_id": PAGE_ID, "access_token": "${env:T_TOKEN}", "app_secret": "${env:T_SECRET}"}
    return Facebook(
        Facebook.Settings.model_validate({**given, "verify_token": "${env:T_VERIFY}", **changes}), http=Http()
    )


def heard(told: Any) -> list[ProviderEvent]:
    return list(page().parse_events(signed(URL, told, SECRET), now=NOW))


def test_the_question_of_a_new_webhook_is_answered_to_who_knows_the_word() -> None:
    """Meta asks by GET, with a word that we chose; anybody else gets nothing back, and a report is no question."""
    asked = f"{URL}?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token="
    question = Webhook(method="GET", url=f"{asked}a-word-of-ours", headers={}, body=b"")
    assert page().challenge(question) == "1158201444"
    for wrong in (replace(question, url=asked), replace(question, url=f"{asked}another")):
        with pytest.raises(ForgedWebhook, match="verify token"):
            page().challenge(wrong)
    with pytest.raises(ForgedWebhook):
        page(verify_token=None).challenge(question)
    assert page().challenge(replace(question, method="POST")) is None
    assert page().challenge(replace(question, url=URL)) is None


def test_comments_and_reactions_are_about_their_post() -> None:
    """With its words, its kind and its own time; what the page itself says, and what is taken back, is kept as `other`."""
    post = f"{PAGE_ID}_1007"
    (comment,) = heard(of_page({"item": "comment", "comment_id": "1007_5", "message": "When?"}, at=NOW, post=post))
    assert (comment.name, comment.at, comment.text) == (EventName.REPLIED, NOW, "When?")
    assert (comment.provider_message_id, comment.address) == (post, None)
    (reaction,) = heard(of_page({"item": "reaction", "reaction_type": "love"}, at=NOW, post=post))
    assert (reaction.name, reaction.provider_message_id, reaction.detail) == (
        EventName.REACTED,
        post,
        {"reaction": "love"},
    )
    ours = {"item": "comment", "comment_id": "1007_6", "from": {"id": PAGE_ID}}
    back = {"item": "reaction", "reaction_type": "love", "verb": "remove"}
    for told in (ours, back, {"item": "comment", "comment_id": "1007_5", "verb": "remove"}):
        assert [event.name for event in heard(of_page(told, at=NOW))] == [EventName.OTHER]


def test_a_message_to_the_page_is_messengers() -> None:
    """Its sender's number is an address there, so a STOP counts there; our own words, which Meta echoes, do not."""
    (said,) = heard(written("message", {"mid": "m_1", "text": "STOP"}, at=NOW))
    assert (said.name, said.address, said.channel, said.text) == (
        EventName.REPLIED,
        SOMEBODY,
        Channel.MESSENGER,
        "STOP",
    )
    told = {"mid": "m_1", "action": "react", "reaction": "love", "emoji": "❤"}
    (liked,) = heard(written("reaction", told, at=NOW))
    assert (liked.name, liked.detail) == (EventName.REACTED, {"reaction": "❤"})
    for kind, one in (
        ("message", {"mid": "m_2", "text": "Hello", "is_echo": True}),
        ("read", {"watermark": 1}),
        ("reaction", {**told, "action": "unreact"}),
    ):
        assert [event.name for event in heard(written(kind, one, at=NOW))] == [EventName.OTHER]


def test_instagrams_comments_come_from_a_handle() -> None:
    """In both forms in which Meta writes them; a direct message has no address that we could write to."""
    opened = Instagram(
        Instagram.Settings.model_validate(
            {"account_id": ACCOUNT_ID, "access_token": "${env:T_TOKEN}", "app_secret": "${env:T_SECRET}"}
        ),
        http=Http(),
    )
    told = json.loads(json.dumps(of_account("comments", {"text": "Nice"}, at=NOW)))
    (entry,) = told["entry"]
    flat = [{"object": "instagram", "entry": [{"id": entry["id"], "time": entry["time"], **entry["changes"][0]}]}]
    for form in (told, flat):
        (event,) = opened.parse_events(signed(URL, form, SECRET), now=NOW)
        assert (event.name, event.address, event.text) == (EventName.REPLIED, "@ana", "Nice")
        assert event.provider_message_id == "17900000000000001"
    direct = signed(URL, written("message", {"mid": "m_1", "text": "Hi"}, at=NOW, object="instagram"), SECRET)
    (event,) = opened.parse_events(direct, now=NOW)
    assert (event.name, event.address, event.channel) == (EventName.REPLIED, None, None)


def test_one_body_may_hold_many() -> None:
    """And an odd one loses none of the others."""
    good, odd = of_page({"item": "reaction"}, at=NOW), of_page({"item": "comment", "from": 7}, at=NOW)
    nameless = {"sender": {"id": SOMEBODY}, "timestamp": 1, "message": {"mid": None, "text": "Hi"}}
    last = {"id": PAGE_ID, "time": 1, "messaging": [nameless]}
    told = {"object": "page", "entry": [*odd["entry"], *good["entry"], last]}
    assert [event.name for event in heard(told)] == [EventName.OTHER, EventName.REACTED, EventName.OTHER]


def test_what_is_no_notification_is_told() -> None:
    """Signed rightly, and not to be read; without a secret nothing is believed."""
    for told in (
        5,
        {},
        {"object": "page"},
        {"object": "page", "entry": [7]},
        {"object": "page", "entry": [{"changes": 5}]},
    ):
        with pytest.raises(IntakeError):
            heard(told)
    with pytest.raises(ForgedWebhook, match="app_secret"):
        page(app_secret=None).parse_events(signed(URL, {}, SECRET), now=NOW)
