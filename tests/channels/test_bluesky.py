"""Bluesky: one record a message, links and hashtags marked by their bytes, one session for all, renewed when it ends."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from channels.bluesky import Bluesky, BlueskySettings
from channels.bluesky.posts import graphemes, post, record_key
from engine.provider import Accepted, Ambiguous, Engagement, Http, NotFound, NotSent, Rejected, TextContent
from engine.testing.vendors.bluesky import DID, HANDLE, BlueskyVendor
from engine.testing.vendors.images import ImageHost, png
from engine.testing.vendors.server import Fault, Reply, Silence
from tests.channels.messages import NOW, POST, shows, soon


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T_PASSWORD", "token-for-tests")


@pytest.fixture
def vendor() -> Iterator[BlueskyVendor]:
    with BlueskyVendor() as vendor:
        vendor.clock = lambda: NOW
        yield vendor


@pytest.fixture
def bluesky(vendor: BlueskyVendor) -> Iterator[Bluesky]:
    opened = provider(vendor)
    yield opened
    opened.close()


@pytest.fixture
def host() -> Iterator[ImageHost]:
    with ImageHost() as host:
        yield host


def provider(vendor: BlueskyVendor, **changes: Any) -> Bluesky:
    given = {"handle": HANDLE, "app_password": "${env:T_PASSWORD}", "server": vendor.url, **changes}
    return Bluesky(BlueskySettings.model_validate(given), http=Http(inside=["127.0.0.1"]))


def test_an_image_is_embedded_with_its_shape(vendor: BlueskyVendor, bluesky: Bluesky, host: ImageHost) -> None:
    """The blob as the server names it, what it shows, how wide and high it is; without words they are empty, not missing."""
    for alt in ("A record", ""):
        post = replace(shows(f"{host.url}/new.png", alt), key=f"0a1b2c3d-{len(alt)}")
        assert isinstance(bluesky.send(post, deadline=soon()), Accepted)
        request = vendor.accepted[-1].request
        assert request is not None
        (blob, _) = vendor.blobs.popitem()[1]
        image = {"alt": alt, "image": blob, "aspectRatio": {"width": 3, "height": 2}}
        assert request.json()["record"]["embed"] == {"$type": "app.bsky.embed.images", "images": [image]}
    assert (blob["mimeType"], blob["size"]) == ("image/png", len(png()))


@pytest.mark.parametrize("changed", [False, True])
def test_a_post_with_an_image_stands_there_once(
    vendor: BlueskyVendor, bluesky: Bluesky, host: ImageHost, changed: bool
) -> None:
    """After a lost answer the same image is the same record, and nothing changes; with another image at its address the
    server refuses, and the record that stands there is found to be ours.
    """
    post = shows(f"{host.url}/new.png")
    vendor.fail_next(Silence(taken=True))
    assert isinstance(bluesky.send(post, deadline=soon(0.5)), Ambiguous)
    if changed:
        host.images["/new.png"] = png(9, 9)
    again = bluesky.send(post, deadline=soon())
    (taken,) = vendor.accepted
    assert again == Accepted(provider_message_id=taken.provider_message_id)
    assert taken.image_data == png() and len(vendor.blobs) == 1 + changed


def test_another_record_under_the_key_is_not_ours(vendor: BlueskyVendor, bluesky: Bluesky) -> None:
    """Other words under this message's key: not sent, and nothing is overwritten."""
    assert isinstance(bluesky.send(POST, deadline=soon()), Accepted)
    other = bluesky.send(replace(POST, content=TextContent(text="Other words")), deadline=soon())
    assert isinstance(other, NotSent) and other.code == "InvalidSwap"


@pytest.mark.parametrize("fault", [Reply(status=503), Silence(), Reply(status=401, body={"error": "AccountTakedown"})])
def test_whose_record_stands_there_is_in_doubt_until_it_is_told(
    vendor: BlueskyVendor, bluesky: Bluesky, host: ImageHost, fault: Fault
) -> None:
    """Taken, without an answer; then another image lies at the address, and the look-up after the refusal fails: it may be ours."""
    post, refused = shows(f"{host.url}/new.png"), Reply(status=400, body={"error": "InvalidSwap"})
    vendor.fail_next(Silence(taken=True))
    assert isinstance(bluesky.send(post, deadline=soon(0.5)), Ambiguous)
    vendor.fail_next(refused, fault)
    again = bluesky.send(post, deadline=soon(1))
    assert isinstance(again, Ambiguous) and again.code == "InvalidSwap"
    assert isinstance(bluesky.look_up(post, deadline=soon()), Accepted)


def test_a_session_that_ends_before_the_upload_is_renewed(
    vendor: BlueskyVendor, bluesky: Bluesky, host: ImageHost
) -> None:
    """Once, for the upload and for the post."""
    assert isinstance(bluesky.send(POST, deadline=soon()), Accepted)
    vendor.expire()
    assert isinstance(bluesky.send(replace(shows(f"{host.url}/new.png"), key="0a1b2c3d-8"), deadline=soon()), Accepted)
    assert (vendor.log_ins, vendor.renewals) == (1, 1)


def test_an_image_that_bluesky_would_not_take_is_not_uploaded(
    vendor: BlueskyVendor, bluesky: Bluesky, host: ImageHost
) -> None:
    """A million bytes and no more: the server itself would say so only at the post."""
    rest = 1_000_000 - len(png(weight=1))
    for weight, kind in ((rest + 1, Accepted), (rest + 2, Rejected)):
        host.images["/new.png"] = png(weight=weight)
        outcome = bluesky.send(replace(shows(f"{host.url}/new.png"), key=f"0a1b2c3d-{weight}"), deadline=soon())
        assert isinstance(outcome, kind), outcome
    assert len(vendor.blobs) == 1


def test_a_key_is_a_tid_of_the_message_alone() -> None:
    """Thirteen letters that sort by time, and that no other message of this millisecond is likely to have."""
    keys = {record_key(f"0a1b2c3d-{number}", NOW) for number in range(500)}
    assert len(keys) > 495 and all(re.fullmatch("[234567a-j][234567a-z]{12}", key) for key in keys)
    assert record_key("x", NOW) == record_key("x", NOW)
    later = [record_key("x", NOW + timedelta(milliseconds=number)) for number in range(50)]
    assert later == sorted(later)


def test_links_and_hashtags_are_marked_by_bytes(vendor: BlueskyVendor, bluesky: Bluesky) -> None:
    """What precedes them may be of any size in UTF-8; a full stop after a link, or a bracket around it, is not of it."""
    text = "Über 🎉 https://shop.example/ä?b=1. (see https://x.example/y) #Vinyl! #1 a#b http://"
    bluesky.send(replace(POST, content=TextContent(text=text)), deadline=soon())
    request = vendor.accepted[0].request
    assert request is not None
    record, raw = request.json()["record"], text.encode()
    said = [
        (raw[facet["index"]["byteStart"] : facet["index"]["byteEnd"]].decode(), facet["features"][0])
        for facet in record["facets"]
    ]
    link, tag = "app.bsky.richtext.facet#link", "app.bsky.richtext.facet#tag"
    assert said == [
        ("https://shop.example/ä?b=1", {"$type": link, "uri": "https://shop.example/ä?b=1"}),
        ("https://x.example/y", {"$type": link, "uri": "https://x.example/y"}),
        ("#Vinyl", {"$type": tag, "tag": "Vinyl"}),
    ]
    assert (record["createdAt"], record["text"]) == ("2026-03-02T12:00:00.000Z", text)
    assert "langs" not in record and post("t", NOW, ["fi"])["langs"] == ["fi"]


def test_letters_are_counted_as_readers_do() -> None:
    """A family, a flag and an accent that stands apart are one letter each."""
    assert graphemes("👨‍👩‍👧‍👦🇫🇮e\u0301") == 3


def test_a_lost_answer_is_settled_by_the_key(vendor: BlueskyVendor, bluesky: Bluesky) -> None:
    """After a silence in which it was taken the post is found under its key, and the same post again changes nothing."""
    vendor.fail_next(Silence(taken=True))
    assert isinstance(bluesky.send(POST, deadline=soon(0.3)), Ambiguous)
    found = bluesky.look_up(POST, deadline=soon())
    assert found == Accepted(provider_message_id=vendor.accepted[0].provider_message_id)
    assert bluesky.send(POST, deadline=soon()) == found
    assert isinstance(bluesky.look_up(replace(POST, key="another"), deadline=soon()), NotFound)
    assert len(vendor.accepted) == 1


def test_another_post_is_never_overwritten(vendor: BlueskyVendor, bluesky: Bluesky) -> None:
    """Other words under the same key are surely not taken, and a look-up does not mistake them."""
    bluesky.send(POST, deadline=soon())
    other = replace(POST, content=TextContent(text="Old records!"))
    assert bluesky.send(other, deadline=soon()) == NotSent(code="InvalidSwap", detail="Record was at bafy")
    assert isinstance(bluesky.look_up(other, deadline=soon()), Ambiguous)
    assert [one.text for one in vendor.accepted] == ["New records!"]


def test_one_session_for_all_and_renewed(vendor: BlueskyVendor, bluesky: Bluesky) -> None:
    """Twelve posts at once log in once. An access that ended is renewed, and where that is over, too, there is a new log-in."""
    batch = [replace(POST, key=f"0a1b2c3d-{number}") for number in range(12)]
    ended = [each for each in bluesky.send_many(batch, deadline=soon()) if each]
    assert all(isinstance(outcome, Accepted) for _, outcome in ended)
    assert (vendor.log_ins, vendor.renewals) == (1, 0)
    vendor.expire()
    assert isinstance(bluesky.send(replace(POST, key="after"), deadline=soon()), Accepted)
    assert (vendor.log_ins, vendor.renewals) == (1, 1)
    vendor.revoke()
    assert isinstance(bluesky.send(replace(POST, key="later"), deadline=soon()), Accepted)
    assert (vendor.log_ins, vendor.renewals) == (2, 2)
    assert len(vendor.accepted) == 14


def test_without_a_session_nothing_is_sent(monkeypatch: pytest.MonkeyPatch, vendor: BlueskyVendor) -> None:
    """A wrong password, a server that is busy, one that falls silent at the door: not sent, and nobody asks twice."""
    monkeypatch.setenv("T_PASSWORD", "wrong")
    outcome = provider(vendor).send(POST, deadline=soon())
    assert outcome == NotSent(code="not_logged_in", detail="AuthenticationRequired", no_access=True)
    busy = Reply(status=429, headers={"RateLimit-Reset": "9999999999"})
    for fault, wait in ((busy, timedelta(hours=1)), (Silence(), None), (Reply(status=200), None)):
        with BlueskyVendor(misbehave=lambda _, fault=fault: fault) as there:  # type: ignore[misc]
            outcome = provider(there).send(POST, deadline=soon(0.3))
            assert isinstance(outcome, NotSent) and (outcome.code, outcome.retry_after) == ("not_logged_in", wait)


def test_what_bluesky_says_no_to(vendor: BlueskyVendor, bluesky: Bluesky) -> None:
    """A record that its lexicon refuses is rejected; an account that was taken down can be put right; a limit tells its end."""
    assert isinstance(bluesky.send(replace(POST, content=TextContent(text="x" * 3001)), deadline=soon()), Rejected)
    vendor.fail_next(Reply(status=401, body={"error": "AccountTakedown", "message": "Account has been taken down"}))
    assert bluesky.send(POST, deadline=soon()) == NotSent(code="AccountTakedown", detail="Account has been taken down")
    vendor.fail_next(Reply(status=429, body={"error": "RateLimitExceeded"}, headers={"RateLimit-Reset": "9999999999"}))
    outcome = bluesky.send(POST, deadline=soon())
    assert isinstance(outcome, NotSent) and outcome.retry_after == timedelta(hours=1)
    assert isinstance(bluesky.send(replace(POST, to="@ana@social.example"), deadline=soon()), Rejected)
    assert not vendor.accepted


def test_how_posts_fare(vendor: BlueskyVendor, bluesky: Bluesky) -> None:
    """Likes, reposts with quotes, replies; a post that is not there any more is left out; thirty are asked about in two calls."""
    ids = []
    for number in range(30):
        outcome = bluesky.send(replace(POST, key=f"0a1b2c3d-{number}"), deadline=soon())
        assert isinstance(outcome, Accepted) and outcome.provider_message_id
        ids.append(outcome.provider_message_id)
    vendor.fared[ids[0]] = {"likeCount": 7, "repostCount": 2, "quoteCount": 1, "replyCount": 3}
    asked = vendor.requests
    fared = bluesky.engagement([*ids, f"at://{DID}/app.bsky.feed.post/gone"], deadline=soon())
    assert vendor.requests == asked + 2 and set(fared) == set(ids)
    assert fared[ids[0]] == Engagement(likes=7, shares=3, replies=3)
    assert fared[ids[1]] == Engagement()


@pytest.mark.parametrize("handle", ["", "ana@shop.example", "records", "@records.bsky.social", "a b.c"])
def test_what_is_no_handle(handle: str) -> None:
    """An email address is refused, too: it would stand in a file."""
    with pytest.raises(ValueError, match="handle"):
        BlueskySettings.model_validate({"handle": handle, "app_password": "${env:T_PASSWORD}"})
