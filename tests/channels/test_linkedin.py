"""LinkedIn: text that arrives whole, the post's own id, whose the words are that stand there already, how posts fare."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.linkedin import LinkedIn, LinkedInSettings, little, plain
from engine.provider import Accepted, Ambiguous, Engagement, Http, NotFound, NotSent, Rejected, TextContent, Verified
from engine.testing.vendors.images import ImageHost, png
from engine.testing.vendors.linkedin import ORGANISATION, PERSON, LinkedInVendor
from engine.testing.vendors.server import Reply, Silence
from tests.channels.messages import NOW, POST, shows, soon


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T_TOKEN", "token-for-tests")


@pytest.fixture
def vendor() -> Iterator[LinkedInVendor]:
    with LinkedInVendor() as vendor:
        vendor.clock = lambda: NOW
        yield vendor


@pytest.fixture
def host() -> Iterator[ImageHost]:
    with ImageHost() as host:
        yield host


def linkedin(vendor: LinkedInVendor, **changes: Any) -> LinkedIn:
    given = {"author": ORGANISATION, "access_token": "${env:T_TOKEN}", "base_url": vendor.url, **changes}
    return LinkedIn(LinkedInSettings.model_validate(given), http=Http(inside=["127.0.0.1"]))


@pytest.mark.parametrize("author", [ORGANISATION, PERSON])
def test_an_image_belongs_to_who_posts(vendor: LinkedInVendor, host: ImageHost, author: str) -> None:
    """An organisation or a person; without words it has none. After a lost answer its words find the post."""
    opened = linkedin(vendor, author=author)
    for alt, media in (
        ("A record", {"id": "urn:li:image:C4E10AQ0", "altText": "A record"}),
        ("", {"id": "urn:li:image:C4E10AQ1"}),
    ):
        assert isinstance(opened.send(shows(f"{host.url}/new.png", alt, f"New {alt}"), deadline=soon()), Accepted)
        taken = vendor.accepted[-1]
        assert taken.request is not None and taken.request.json()["content"] == {"media": media}
        assert (taken.image_data, taken.image_alt) == (png(), alt)
    lost = shows(f"{host.url}/new.png", text="Lost")
    vendor.fail_next(Silence(taken=True))
    assert isinstance(opened.send(lost, deadline=soon(0.5)), Ambiguous)
    found = opened.look_up(lost, deadline=soon())
    assert isinstance(found, Accepted if author == ORGANISATION else Ambiguous)


def test_the_token_goes_to_linkedin_alone(vendor: LinkedInVendor, host: ImageHost) -> None:
    """Wherever an answer says that the image is to be uploaded to: to nobody else, and not without TLS."""
    opened = linkedin(vendor)
    for url in (
        host.url,
        "http://www.linkedin.com/x",
        "https://linkedin.com.evil.example/x",
        "https://evil.example/x",
        "",
        "https://[/",
    ):
        told = {"value": {"uploadUrl": url, "image": "urn:li:image:C4E10AQ0"}}
        vendor.fail_preparing(Reply(status=200, body=told))
        before = host.requests
        outcome = opened.send(shows(f"{host.url}/new.png"), deadline=soon())
        assert isinstance(outcome, NotSent) and outcome.code == "unreadable"
        assert host.requests == before + 1  # the image was fetched, and nothing else was asked there
    assert not vendor.accepted


def test_an_image_that_linkedin_would_not_show_is_not_uploaded(vendor: LinkedInVendor, host: ImageHost) -> None:
    """It takes whatever is uploaded and reads it later: too many pixels, or WebP, are refused here."""
    host.images["/large.png"] = png(36_152_320, 1)
    host.images["/new.webp"] = b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f\0\0\0\0"
    for name, code in (("large.png", "image_too_large"), ("new.webp", "image_type")):
        outcome = linkedin(vendor).send(shows(f"{host.url}/{name}"), deadline=soon())
        assert isinstance(outcome, Rejected) and outcome.code == code
    assert not vendor.images


def test_the_vendor_refuses_images_as_linkedin_does(vendor: LinkedInVendor, host: ImageHost) -> None:
    """One that it does not know, or of which nothing was uploaded, and one of somebody else: nothing was published."""
    opened, post = linkedin(vendor), shows(f"{host.url}/new.png")
    told = {"value": {"uploadUrl": f"{vendor.url}/dms-uploads/C4E10AQ0/0", "image": "urn:li:image:another"}}
    vendor.fail_preparing(None, Reply(status=201))
    for code in ("http_400", "http_400"):
        outcome = opened.send(post, deadline=soon())
        assert isinstance(outcome, Rejected) and outcome.code == code
        vendor.fail_preparing(Reply(status=200, body=told))
    stranger = linkedin(vendor, author="urn:li:organization:1")
    assert isinstance(stranger.send(post, deadline=soon()), NotSent)
    assert not vendor.accepted


def says(text: str) -> Any:
    return replace(POST, content=TextContent(text=text))


def test_a_post_arrives_whole(vendor: LinkedInVendor) -> None:
    """Brackets and underscores, which LinkedIn would cut the text off at, are escaped; a hashtag stays one."""
    text = "Open 9-5 (Mo_Fr) <ask @Ana> {50%} *now* ~ #Vinyl # \\ | [x]"
    outcome = linkedin(vendor).send(says(text), deadline=soon())
    (taken,) = vendor.accepted
    assert taken.text == text and outcome == Accepted(provider_message_id=taken.provider_message_id)
    assert taken.request is not None and " #Vinyl \\# " in taken.request.json()["commentary"]
    assert linkedin(vendor).look_up(says(text), deadline=soon()) == outcome
    assert plain(r"New \(yes\) {hashtag|\#|Vinyl}") == "New (yes) #Vinyl"


@given(st.text(alphabet=r"ab#\|{}@[]()<>*_~ é", max_size=12))
def test_what_is_escaped_reads_the_same(text: str) -> None:
    """Whatever is written: taken apart again it is the same text."""
    assert plain(little(text)) == text


@pytest.mark.parametrize(
    ("status", "code", "outcome"),
    [
        (401, "EXPIRED_ACCESS_TOKEN", NotSent),
        (403, "ACCESS_DENIED", NotSent),
        (426, "NONEXISTENT_VERSION", NotSent),
        (429, "TOO_MANY_REQUESTS", NotSent),
        (422, "FIELD_LENGTH_TOO_LONG", Rejected),
        (500, "INTERNAL_SERVER_ERROR", Ambiguous),
    ],
)
def test_what_each_code_proves(vendor: LinkedInVendor, status: int, code: str, outcome: type) -> None:
    """Our token or version, too much, this post, LinkedIn itself."""
    vendor.fail_next(Reply(status=status, body={"status": status, "code": code, "message": "no"}))
    found = linkedin(vendor).send(POST, deadline=soon())
    assert isinstance(found, outcome) and getattr(found, "no_access", False) is (status in (401, 403, 426))
    if status == 429:
        vendor.fail_next(Reply(status=429))
        assert linkedin(vendor).send(POST, deadline=soon()) == NotSent(code="http_429", retry_after=timedelta(hours=1))
    assert isinstance(linkedin(vendor, version="202401").send(POST, deadline=soon()), NotSent)


def test_whose_words_stand_there_already(vendor: LinkedInVendor) -> None:
    """A yes where the post is ours, a no where it is another's; of a person nobody tells, and that is doubt."""
    vendor.remembers = timedelta(days=30)
    vendor.fail_next(Silence(taken=True))
    assert isinstance(linkedin(vendor).send(POST, deadline=soon(0.3)), Ambiguous)
    ours = Accepted(provider_message_id=vendor.accepted[0].provider_message_id)
    assert linkedin(vendor).send(POST, deadline=soon()) == ours
    week = replace(POST, at=NOW + timedelta(days=7))
    vendor.clock = lambda: NOW + timedelta(days=7)
    refused = linkedin(vendor).send(week, deadline=soon())
    assert refused == Rejected(code="DUPLICATE_POST", detail="the same words stand there already")
    person = linkedin(vendor, author=PERSON)
    assert isinstance(person.send(week, deadline=soon()), Ambiguous) and len(vendor.accepted) == 1


def test_a_post_is_found_among_many(vendor: LinkedInVendor) -> None:
    """On the second page of a hundred; the same words of another day are not it."""
    sent = linkedin(vendor).send(POST, deadline=soon())
    for number in range(101):
        linkedin(vendor).send(says(f"Another {number}"), deadline=soon())
    assert linkedin(vendor).look_up(POST, deadline=soon()) == sent
    tomorrow = replace(POST, at=NOW + timedelta(days=1))
    assert isinstance(linkedin(vendor).look_up(tomorrow, deadline=soon()), NotFound)


def test_how_posts_fare(vendor: LinkedInVendor) -> None:
    """Of an organisation: likes, shares, comments, clicks, impressions."""
    sent = linkedin(vendor).send(POST, deadline=soon())
    assert isinstance(sent, Accepted)
    name = str(sent.provider_message_id)
    counts = {"likeCount": 4, "shareCount": 1, "commentCount": 2, "clickCount": 6, "impressionCount": 240}
    vendor.fared[name] = {**counts, "uniqueImpressionsCount": 150}
    fared = linkedin(vendor).engagement([name, "urn:li:share:1"], deadline=soon())
    assert fared == {name: Engagement(likes=4, shares=1, replies=2, clicks=6, views=240)}
    assert not linkedin(vendor, author=PERSON).capabilities.engagement


def test_whom_linkedin_knows(vendor: LinkedInVendor) -> None:
    """A person's token is that person's."""
    assert linkedin(vendor, author=PERSON).verify(deadline=soon()) == Verified(good=True, detail="the account is known")
    other = linkedin(vendor, author="urn:li:person:other").verify(deadline=soon())
    assert other == Verified(good=False, detail="the credentials are another person's")


# ---------------------------------------------------------------- tokens


RENEWED = {
    "access_token": None, "refresh_token": "${env:T_REFRESH}", "client_id": "client-for-tests", "client_secret": "${env:T_CLIENT}",
}  # fmt: skip


@pytest.fixture
def renewed(monkeypatch: pytest.MonkeyPatch, vendor: LinkedInVendor) -> LinkedIn:
    """With a refresh token in place of a token."""
    monkeypatch.setenv("T_REFRESH", "refresh-for-tests")
    monkeypatch.setenv("T_CLIENT", "secret-for-tests")
    vendor.refresh_token, vendor.tokens = "refresh-for-tests", set()
    return linkedin(vendor, token_url=vendor.url, **RENEWED)


def test_tokens_are_made_of_the_refresh_token(vendor: LinkedInVendor, renewed: LinkedIn) -> None:
    """One for all threads, and another when LinkedIn refuses it: the post goes out once; what asks is renewed alike."""
    batch = [replace(says(f"Post {number}"), key=f"k{number}") for number in range(8)]
    ended = [each for each in renewed.send_many(batch, deadline=soon()) if each]
    assert all(isinstance(outcome, Accepted) for _, outcome in ended) and vendor.renewals == 1
    vendor.tokens = set()
    assert isinstance(renewed.send(POST, deadline=soon()), Accepted)
    vendor.tokens = set()
    assert isinstance(renewed.look_up(POST, deadline=soon()), Accepted)
    assert (len(vendor.accepted), vendor.renewals) == (9, 3)


def test_a_refresh_token_that_ended_holds_everything(
    vendor: LinkedInVendor, renewed: LinkedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not sent, with the reason; nobody asks twice; a silent or busy LinkedIn is no refusal."""
    vendor.refresh_token = "another"
    refused = NotSent(code="not_logged_in", detail="invalid_grant", no_access=True)
    assert renewed.send(POST, deadline=soon()) == refused
    assert renewed.verify(deadline=soon()) == Verified(good=False, detail="the credentials are refused (invalid_grant)")
    monkeypatch.setenv("T_CLIENT", "wrong")
    assert renewed.send(POST, deadline=soon()) == replace(refused, detail="invalid_client")
    for fault in (Silence(), Reply(status=500), Reply(status=200, body={"access_token": "a b\n"}), Reply(status=429)):
        with LinkedInVendor(misbehave=lambda _, fault=fault: fault) as there:  # type: ignore[misc]
            held = linkedin(there, token_url=there.url, **RENEWED).send(POST, deadline=soon(0.3))
            assert isinstance(held, NotSent) and held.code == "not_logged_in" and not held.no_access, fault
    monkeypatch.delenv("T_REFRESH")
    assert renewed.send(POST, deadline=soon()) == NotSent(
        code="set_up", detail="the environment variable T_REFRESH is not set"
    )


def test_a_new_token_that_is_refused_too_is_not_made_again(vendor: LinkedInVendor, renewed: LinkedIn) -> None:
    """Two calls, then it waits for a person."""
    vendor.tokens = set()
    ended = Reply(status=401, body={"status": 401, "code": "EXPIRED_ACCESS_TOKEN", "message": "no"})
    vendor.fail_next(ended, ended)
    assert renewed.send(POST, deadline=soon()) == NotSent(code="EXPIRED_ACCESS_TOKEN", detail="no", no_access=True)
    assert vendor.renewals == 2


def test_when_access_ends_is_told(vendor: LinkedInVendor, renewed: LinkedIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token's end by the application's keys, a refresh token's with each token made of it; without the keys nobody tells."""
    client = {"client_id": "client-for-tests", "client_secret": "${env:T_CLIENT}", "token_url": vendor.url}
    made = renewed.verify(deadline=soon())
    assert made.good and made.ends is not None and abs(made.ends - vendor.ends) < timedelta(minutes=1)
    vendor.tokens = {"token-for-tests"}
    assert linkedin(vendor, **client).verify(deadline=soon()) == Verified(
        good=True, detail="the account is known", ends=vendor.ends
    )
    assert linkedin(vendor).verify(deadline=soon()).ends is None
    monkeypatch.setenv("T_CLIENT", "wrong")
    assert linkedin(vendor, **client).verify(deadline=soon()) == Verified(good=True, detail="the account is known")


@pytest.mark.parametrize(
    "given",
    [
        {"access_token": None},
        {"refresh_token": "${env:T_REFRESH}", "client_id": "1", "client_secret": "${env:T_CLIENT}"},
        {"access_token": None, "refresh_token": "${env:T_REFRESH}"},
        {"client_id": "1"},
    ],
)
def test_there_is_one_way_in(vendor: LinkedInVendor, given: dict[str, Any]) -> None:
    """A token, or a refresh token with the application's keys."""
    with pytest.raises(ValueError, match=r"access_token|go together"):
        linkedin(vendor, **given)
