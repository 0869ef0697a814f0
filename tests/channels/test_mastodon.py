"""Mastodon: public posts, direct messages that only their reader is named in, and the idempotency key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
import requests
import responses
from pydantic import ValidationError

from channels.mastodon import TIME_TO_PUBLISH, Mastodon, MastodonSettings
from engine.provider import Accepted, Ambiguous, Engagement, Http, NotSent, Rejected, TextContent
from engine.testing.vendors.images import ImageHost, png
from engine.testing.vendors.mastodon import MastodonVendor
from engine.testing.vendors.server import Reply, Silence
from tests.channels.messages import POST, shows, soon

STATUSES = "https://social.example/api/v1/statuses"


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T_TOKEN", "token-for-tests")


@pytest.fixture
def vendor() -> Iterator[MastodonVendor]:
    with MastodonVendor() as vendor:
        yield vendor


@pytest.fixture
def host() -> Iterator[ImageHost]:
    with ImageHost() as host:
        yield host


def provider(server: str = "https://social.example", **changes: Any) -> Mastodon:
    given = {"server": server, "access_token": "${env:T_TOKEN}", **changes}
    return Mastodon(MastodonSettings.model_validate(given), http=Http(inside=["127.0.0.1"]))


@responses.activate
def test_a_post_is_public_and_carries_its_key() -> None:
    """The status, its visibility, the token and the message's key as Idempotency-Key."""
    responses.post(STATUSES, json={"id": "110"})
    assert provider().send(POST, deadline=soon()) == Accepted(provider_message_id="110")
    request = responses.calls[0].request
    assert parse_qs(str(request.body)) == {"status": ["New records!"], "visibility": ["public"]}
    assert (request.headers["Idempotency-Key"], request.headers["Authorization"]) == (
        POST.key,
        "Bearer token-for-tests",
    )


@responses.activate
@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("Hello Ana", "@ana@social.example Hello Ana"),
        ("@ana@social.example hello", "@ana@social.example hello"),
        ("@Ana@Social.example hello", "@ana@social.example hello"),
        ("Hello @bob@evil.example and @carl", "@ana@social.example Hello @\u200bbob@evil.example and @\u200bcarl"),
        ("write to help@shop.example", "@ana@social.example write to help@shop.example"),
        ("see https://social.example/@records", "@ana@social.example see https://social.example/@records"),
    ],
)
def test_a_direct_message_names_one_reader(text: str, status: str) -> None:
    """Everybody whom a direct post names can read it: the recipient is named, every other handle is made harmless."""
    responses.post(STATUSES, json={"id": "110"})
    outgoing = replace(POST, to="@ana@social.example", content=TextContent(text=text))
    provider().send(outgoing, deadline=soon())
    assert parse_qs(str(responses.calls[0].request.body)) == {"status": [status], "visibility": ["direct"]}


@pytest.mark.parametrize("handle", ["ana", "@", "@a b", "@ana @bob", "@ana@social.example\n@bob", "", "@@"])
def test_what_is_no_handle_is_rejected(handle: str, vendor: MastodonVendor) -> None:
    """A recipient that is not one handle never becomes a post."""
    assert isinstance(provider(vendor.url).send(replace(POST, to=handle), deadline=soon()), Rejected)
    assert not vendor.requests


def test_a_lost_answer_is_settled_by_the_key(vendor: MastodonVendor) -> None:
    """After a silence in which the post was taken, the same key brings the same post back: one post, not two."""
    opened = provider(vendor.url)
    vendor.fail_next(Silence(taken=True))
    assert isinstance(opened.send(POST, deadline=soon(0.2)), Ambiguous)
    again = opened.send(POST, deadline=soon())
    assert again == Accepted(provider_message_id=vendor.accepted[0].provider_message_id)
    assert len(vendor.accepted) == 1
    vendor.forget()
    opened.send(POST, deadline=soon())
    assert len(vendor.accepted) == 2  # the window is over: why the promise has one


def test_the_vendor_refuses_as_mastodon_does(vendor: MastodonVendor) -> None:
    """Too long a text is rejected with Mastodon's words; a wrong token is our set-up."""
    outcome = provider(vendor.url).send(replace(POST, content=TextContent(text="x" * 501)), deadline=soon())
    assert outcome == Rejected(code="http_422", detail="Validation failed: Text character limit of 500 exceeded")
    with MastodonVendor(access_token="another") as other:
        assert isinstance(provider(other.url).send(POST, deadline=soon()), NotSent)


@responses.activate
def test_broken_calls_have_their_meaning() -> None:
    """A connection that timed out before it stood is not sent; any other break is doubt."""
    responses.post(STATUSES, body=requests.ConnectTimeout())
    assert isinstance(provider().send(POST, deadline=soon()), NotSent)
    responses.replace(responses.POST, STATUSES, body=requests.ReadTimeout())
    assert isinstance(provider().send(POST, deadline=soon()), Ambiguous)


def test_a_limit_tells_its_end(vendor: MastodonVendor) -> None:
    """Mastodon sends no Retry-After, and the end of its limit in ISO 8601."""
    reset = (datetime.now(UTC) + timedelta(minutes=4)).isoformat().replace("+00:00", "Z")
    vendor.fail_next(Reply(status=429, headers={"X-RateLimit-Reset": reset}))
    outcome = provider(vendor.url).send(POST, deadline=soon())
    assert isinstance(outcome, NotSent) and outcome.retry_after is not None
    assert timedelta(minutes=3) < outcome.retry_after <= timedelta(minutes=4)


def test_an_image_that_is_still_read_is_waited_for(vendor: MastodonVendor, host: ImageHost) -> None:
    """It is looked at until it is ready. Where time runs out nothing was sent, and the next hand-over looks at the same one."""
    vendor.looks, opened, post = 3, provider(vendor.url), shows(f"{host.url}/new.png")
    assert isinstance(opened.send(post, deadline=soon(10)), Accepted)
    assert (vendor.accepted[0].image_data, vendor.accepted[0].image_alt) == (png(), "A record")
    vendor.looks, later = 1000, replace(post, key="0a1b2c3d-8")
    for uploads in (1, 1):
        outcome = opened.send(later, deadline=soon(TIME_TO_PUBLISH + 0.5))
        assert isinstance(outcome, NotSent) and outcome.alone
        assert (outcome.code, outcome.retry_after) == ("not_ready", timedelta(minutes=1))
        assert len(vendor.media) == uploads and host.requests == 2
    (waiting,) = vendor.media.values()
    waiting["looks"] = 1
    assert isinstance(opened.send(later, deadline=soon()), Accepted)
    assert (len(vendor.accepted), host.requests, vendor.media) == (2, 2, {})


def test_of_many_images_that_are_still_read_the_newest_are_remembered(
    vendor: MastodonVendor, host: ImageHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With room for two, of three images the first alone is uploaded again."""
    monkeypatch.setattr("channels.mastodon.REMEMBERED", 2)
    vendor.looks, opened = 1000, provider(vendor.url)
    posts = [replace(shows(f"{host.url}/new.png"), key=f"0a1b2c3d-{number}") for number in range(3)]
    for post in posts:
        opened.send(post, deadline=soon(TIME_TO_PUBLISH + 0.3))
    for post, fetched in [(posts[2], 3), (posts[1], 3), (posts[0], 4)]:
        opened.send(post, deadline=soon(TIME_TO_PUBLISH + 0.3))
        assert host.requests == fetched


def test_an_image_that_could_not_be_read_is_uploaded_again(vendor: MastodonVendor, host: ImageHost) -> None:
    """What the server could make nothing of is refused; what it has lost since is not asked about for ever."""
    vendor.looks, opened, post = 1000, provider(vendor.url), shows(f"{host.url}/new.png")
    vendor.fail_preparing(None, Reply(status=422, body={"error": "Error processing thumbnail for uploaded media"}))
    failed = opened.send(post, deadline=soon())
    assert failed == Rejected(code="http_422", detail="Error processing thumbnail for uploaded media")
    for lost in (False, True):
        outcome = opened.send(post, deadline=soon(TIME_TO_PUBLISH + 0.5))
        assert isinstance(outcome, NotSent) and outcome.code == ("http_404" if lost else "not_ready")
        vendor.media.clear()
    vendor.looks = 1
    assert isinstance(opened.send(post, deadline=soon()), Accepted)


def test_a_lost_answer_of_a_post_with_an_image_is_settled_by_the_key(vendor: MastodonVendor, host: ImageHost) -> None:
    """Though the second hand-over uploads another image: the post that stands is the first."""
    opened, post = provider(vendor.url), shows(f"{host.url}/new.png")
    vendor.fail_next(Silence(taken=True))
    assert isinstance(opened.send(post, deadline=soon(0.5)), Ambiguous)
    host.images["/new.png"] = png(9, 9)
    assert opened.send(post, deadline=soon()) == Accepted(provider_message_id=vendor.accepted[0].provider_message_id)
    (taken,) = vendor.accepted
    assert taken.image_data == png()


def test_the_server_refuses_images_as_mastodon_does(vendor: MastodonVendor, host: ImageHost) -> None:
    """Whose words are too long is refused before anything is published; a direct message may show an image, too."""
    opened, where = provider(vendor.url), f"{host.url}/new.png"
    long = opened.send(shows(where, alt="x" * 1501), deadline=soon())
    assert long == Rejected(
        code="http_422", detail="Validation failed: Description is too long (maximum is 1500 characters)"
    )
    assert isinstance(opened.send(replace(shows(where), to="@ana@social.example"), deadline=soon()), Accepted)
    (taken,) = vendor.accepted
    assert (taken.to, taken.image_data) == ("@ana@social.example", png())


def test_visibility_is_a_setting() -> None:
    """Public, unlisted or private; direct is for messages to one person and cannot be set."""
    for visibility in ("public", "unlisted", "private"):
        assert provider(visibility=visibility).settings.visibility == visibility
    with pytest.raises(ValidationError):
        provider(visibility="direct")


def test_how_posts_fare(vendor: MastodonVendor) -> None:
    """Favourites, boosts, replies; a status that is not there any more is left out."""
    sent = provider(vendor.url).send(POST, deadline=soon())
    assert isinstance(sent, Accepted)
    name = str(sent.provider_message_id)
    vendor.fared[name] = {"favourites_count": 5, "reblogs_count": 2, "replies_count": 1}
    fared = provider(vendor.url).engagement([name, "1"], deadline=soon())
    assert fared == {name: Engagement(likes=5, shares=2, replies=1)}
