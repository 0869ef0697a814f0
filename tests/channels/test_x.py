"""X: signed calls, its own way of counting, its limits, whose the words are that stand there already, how posts fare."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import oauthlib.oauth1
import pytest
from pydantic import ValidationError

from channels.oauth1 import Keys, authorization
from channels.x import X, XSettings, weight
from engine.provider import Accepted, Ambiguous, Engagement, Http, NotFound, NotSent, Rejected, TextContent
from engine.testing.vendors.images import ImageHost, png
from engine.testing.vendors.server import Reply, Silence
from engine.testing.vendors.x import XVendor
from tests.channels.messages import NOW, POST, shows, soon

KEYS = dict.fromkeys(("api_key", "api_key_secret", "access_token", "access_token_secret"), "${env:T_TOKEN}")


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T_TOKEN", "token-for-tests")


@pytest.fixture
def vendor() -> Iterator[XVendor]:
    with XVendor() as vendor:
        vendor.clock = lambda: NOW
        yield vendor


@pytest.fixture
def account(vendor: XVendor) -> Iterator[X]:
    opened = x(vendor)
    yield opened
    opened.close()


@pytest.fixture
def host() -> Iterator[ImageHost]:
    with ImageHost() as host:
        yield host


def x(vendor: XVendor, **changes: Any) -> X:
    given = {**KEYS, "base_url": vendor.url, **changes}
    http = Http(inside=["127.0.0.1"])
    return X(XSettings.model_validate({name: value for name, value in given.items() if value}), http=http)


@pytest.mark.parametrize("text", ["New records!", "Rock & roll: https://shop.example/new?a=1&b=2"])
def test_a_post_with_an_image_is_found_by_its_words(vendor: XVendor, account: X, host: ImageHost, text: str) -> None:
    """X shows the image as one more web address after them, which is none of ours."""
    post = shows(f"{host.url}/new.png", text=text)
    vendor.fail_next(Silence(taken=True))
    assert isinstance(account.send(post, deadline=soon(2)), Ambiguous)
    (taken,) = vendor.accepted
    assert (taken.image_data, taken.image_alt) == (png(), "A record")
    assert account.look_up(post, deadline=soon()) == Accepted(provider_message_id=taken.provider_message_id)


def test_a_silent_image_leaves_time(vendor: XVendor, account: X, host: ImageHost) -> None:
    """Half of a call's time is for fetching the image: a host that does not answer ends there, and X is not asked."""
    host.fail_next(Silence())
    began = time.monotonic()
    outcome = account.send(shows(f"{host.url}/new.png"), deadline=soon(6))
    assert isinstance(outcome, NotSent) and outcome.code == "image_no_answer"
    assert 2.5 < time.monotonic() - began < 5.5
    assert (vendor.preparations, vendor.requests) == (0, 0)


def test_an_image_without_words_is_shown_without(vendor: XVendor, account: X, host: ImageHost) -> None:
    """Then X is told nothing about it: one call less."""
    assert isinstance(account.send(shows(f"{host.url}/new.png", alt=""), deadline=soon()), Accepted)
    assert (vendor.preparations, vendor.accepted[0].image_data) == (1, png())


def test_the_vendor_refuses_images_as_x_does(vendor: XVendor, account: X, host: ImageHost) -> None:
    """Too long a description, an image it does not know; a GIF is refused before it leaves. A full limit is waited for."""
    post = shows(f"{host.url}/new.png")
    long = account.send(shows(f"{host.url}/new.png", alt="x" * 1001), deadline=soon())
    assert isinstance(long, Rejected) and long.code == "http_400"
    vendor.fail_preparing(Reply(status=200, body={"data": {"id": "7"}}), Reply(status=200))
    unknown = account.send(post, deadline=soon())
    assert unknown == Rejected(code="http_400", detail="Your media IDs are invalid.")
    host.images["/new.gif"] = b"GIF89a\3\0\2\0"
    asked = vendor.preparations
    moving = account.send(shows(f"{host.url}/new.gif"), deadline=soon())
    assert isinstance(moving, Rejected) and moving.code == "image_type" and vendor.preparations == asked
    full = {
        "x-user-limit-24hour-remaining": "0",
        "x-user-limit-24hour-reset": str(int(datetime.now(UTC).timestamp()) + 600),
    }
    vendor.fail_preparing(Reply(status=429, headers=full))
    waits = account.send(post, deadline=soon())
    assert isinstance(waits, NotSent) and waits.retry_after is not None
    assert timedelta(minutes=9) < waits.retry_after <= timedelta(minutes=10)
    assert not vendor.accepted


def says(text: str) -> Any:
    return replace(POST, content=TextContent(text=text))


def test_one_way_in() -> None:
    """Four keys, or one token: neither some of them, nor both, nor nothing."""
    for given in ({}, {"api_key": "${env:K}"}, {**KEYS, "oauth2_token": "${env:T}"}):
        with pytest.raises(ValidationError, match="or oauth2_token alone"):
            XSettings.model_validate(given)
    with XVendor(oauth2_token="token-for-tests") as vendor:
        bearer = x(vendor, **dict.fromkeys(KEYS), oauth2_token="${env:T_TOKEN}")
        assert isinstance(bearer.send(POST, deadline=soon()), Accepted)
        assert isinstance(x(vendor).send(POST, deadline=soon()), NotSent)


@pytest.mark.parametrize("query", ["", "?ids=1,2&tweet.fields=public_metrics", "?a=%2B+b&c=&a=1&z=%C3%A9~*"])
def test_signatures_are_those_of_oauthlib(query: str) -> None:
    """Another's implementation of RFC 5849 makes the same header of the same request."""
    url = f"https://api.x.com/2/tweets{query}"
    told = {"nonce": "0a1b2c", "timestamp": "1795671790"}
    _, headers, _ = oauthlib.oauth1.Client("k", "k+s/ =", "t", "t&s", **told).sign(url, "POST")
    keys = Keys(key="k", key_secret="k+s/ =", token="t", token_secret="t&s")
    assert parted(authorization(keys, "POST", url, nonce="0a1b2c", at=1795671790)) == parted(headers["Authorization"])


def parted(header: str) -> list[str]:
    return sorted(header.removeprefix("OAuth ").split(", "))


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("", 0),
        ("hello", 5),
        ("Grüße – “new”", 13),
        ("日本語", 6),
        ("see https://shop.example/a-long-address-that-goes-on?and=on now", 31),
        ("https://x.example https://y.example/z", 47),
        ("👨‍👩‍👧‍👦🇫🇮1️⃣❤️", 8),
        ("e\u0301", 1),
        ("☃ ©", 4),
    ],
)
def test_letters_are_counted_as_x_does(text: str, length: int) -> None:
    """By twitter-text's third configuration."""
    assert weight(text) == length


@pytest.mark.parametrize(
    ("headers", "minutes"),
    [
        ({"x-rate-limit-reset": "{15}"}, 15),
        ({"x-rate-limit-reset": "{15}", "x-user-limit-24hour-remaining": "0", "x-user-limit-24hour-reset": "{50}"}, 50),
        ({"x-rate-limit-reset": "{15}", "x-user-limit-24hour-remaining": "7", "x-user-limit-24hour-reset": "{50}"}, 15),
        ({"x-app-limit-24hour-remaining": "0", "x-app-limit-24hour-reset": "{600}"}, 60),
        ({"x-rate-limit-reset": "soon", "Retry-After": "120"}, 2),
        ({"Retry-After": "0"}, 0),
        ({}, 1),
    ],
)
def test_limits_tell_their_end(vendor: XVendor, account: X, headers: dict[str, str], minutes: int) -> None:
    """The day's where that is used up, else the quarter of an hour's; at most an hour at once."""
    now = datetime.now(UTC).timestamp()
    told = {
        name: str(int(now + 60 * int(value[1:-1]))) if value.startswith("{") else value
        for name, value in headers.items()
    }
    vendor.fail_next(Reply(status=429, headers=told, body={"title": "Too Many Requests"}))
    outcome = account.send(POST, deadline=soon())
    assert isinstance(outcome, NotSent) and outcome.code == "http_429"
    assert outcome.retry_after is not None
    assert abs(outcome.retry_after - timedelta(minutes=minutes)) < timedelta(seconds=30)


def test_what_a_403_is_about(vendor: XVendor, account: X) -> None:
    """A text that is too long is refused; an application that may only read can be put right; errors in a yes are doubt."""
    assert account.send(says("x" * 281), deadline=soon()) == Rejected(
        code="too_long", detail="Your Tweet text is too long."
    )
    said = "Your client app is not configured with the appropriate oauth1 app permissions for this endpoint."
    vendor.fail_next(Reply(status=403, body={"title": "Forbidden", "detail": said}))
    assert account.send(POST, deadline=soon()) == NotSent(code="http_403", detail=said)
    vendor.fail_next(Reply(status=200, body={"errors": [{"title": "Forbidden"}]}))
    assert isinstance(account.send(POST, deadline=soon()), Ambiguous)


def test_whose_words_stand_there_already(vendor: XVendor, account: X) -> None:
    """A yes where the post is ours, a no where it is another's, doubt where X does not tell; the text is never altered."""
    vendor.remembers = timedelta(days=1)
    vendor.fail_next(Silence(taken=True))
    assert isinstance(account.send(POST, deadline=soon(0.3)), Ambiguous)
    ours = Accepted(provider_message_id=vendor.accepted[0].provider_message_id)
    assert account.send(POST, deadline=soon()) == ours
    later = replace(POST, at=NOW + timedelta(hours=12))
    vendor.clock = lambda: NOW + timedelta(hours=12)
    refused = account.send(later, deadline=soon())
    assert refused == Rejected(code="duplicate", detail="the same words stand there already")
    body = {"title": "Forbidden", "detail": "You are not allowed to create a Tweet with duplicate content."}
    vendor.fail_next(Reply(status=403, body=body), Reply(status=403))
    assert account.send(later, deadline=soon()) == Ambiguous(code="duplicate", detail="http_403")
    assert len(vendor.accepted) == 1


def test_a_post_is_found_as_x_tells_it(vendor: XVendor, account: X) -> None:
    """Its web addresses are X's own there, & is an entity, lists have pages; reading ends where there is no end."""
    text = "Rock & roll <now> at https://shop.example/?a=b&c=d and https://x.example/"
    sent = account.send(says(text), deadline=soon())
    for number in range(6):
        account.send(says(f"Another {number} https://shop.example"), deadline=soon())
    vendor.page_size = 2
    assert account.look_up(says(text), deadline=soon()) == sent
    assert isinstance(account.look_up(says(text + "!"), deadline=soon()), NotFound)
    assert isinstance(account.look_up(replace(says(text), at=NOW + timedelta(days=1)), deadline=soon()), NotFound)
    for number in range(10):
        account.send(says(f"One more {number}"), deadline=soon())
    assert account.look_up(says(text + "!"), deadline=soon()) == Ambiguous(code="incomplete")


@pytest.mark.parametrize(
    "text",
    [
        "Sale: shop.com/sale today",
        "Shop.com, or SHOP.EXAMPLE/ and shop.example/a-rather-long/way/to/the/records.",
        "https://shop.example, http://shop.example/?a=1 and HTTPS://shop.example/b/",
        "shop.example",
    ],
)
def test_an_address_is_found_however_it_begins(vendor: XVendor, account: X, text: str) -> None:
    """X takes a host without https:// for an address, and tells it with http:// before it."""
    sent = account.send(says(text), deadline=soon())
    assert account.look_up(says(text), deadline=soon()) == sent
    assert isinstance(account.look_up(says(text.replace("shop", "ship")), deadline=soon()), NotFound)
    vendor.remembers = timedelta(days=1)
    assert account.send(says(text), deadline=soon()) == sent


def test_an_address_is_found_as_people_see_it(vendor: XVendor, account: X) -> None:
    """X tells a host beyond ASCII whole in ASCII, and as it was written beside that."""
    asked = says("Neu: bücher.example/neu")
    told = {
        "url": "https://t.co/a",
        "expanded_url": "http://xn--bcher-kva.example/neu",
        "display_url": "bücher.example/neu",
    }
    post = {"id": "7", "text": "Neu: https://t.co/a", "created_at": NOW.isoformat(), "entities": {"urls": [told]}}
    account.look_up(asked, deadline=soon())
    vendor.fail_next(Reply(status=200, body={"data": [post], "meta": {"result_count": 1}}))
    assert account.look_up(asked, deadline=soon()) == Accepted(provider_message_id="7")


def test_how_posts_fare(vendor: XVendor, account: X) -> None:
    """Likes, reposts with quotes, replies, impressions; what is not there any more is left out."""
    sent = account.send(POST, deadline=soon())
    assert isinstance(sent, Accepted)
    name = str(sent.provider_message_id)
    vendor.fared[name] = {
        "retweet_count": 2, "quote_count": 1, "reply_count": 4, "like_count": 9, "impression_count": 900
    }  # fmt: skip
    assert account.engagement([name, "1"], deadline=soon()) == {
        name: Engagement(likes=9, shares=3, replies=4, views=900)
    }
    assert account.engagement(["1"], deadline=soon()) == {}
