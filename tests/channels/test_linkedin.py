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
from engine.testing.vendors.linkedin import ORGANISATION, PERSON, LinkedInVendor
from engine.testing.vendors.server import Reply, Silence
from tests.channels.messages import NOW, POST, soon


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T_TOKEN", "token-for-tests")


@pytest.fixture
def vendor() -> Iterator[LinkedInVendor]:
    with LinkedInVendor() as vendor:
        vendor.clock = lambda: NOW
        yield vendor


def linkedin(vendor: LinkedInVendor, **changes: Any) -> LinkedIn:
    given = {"author": ORGANISATION, "access_token": "${env:T_TOKEN}", "base_url": vendor.url, **changes}
    return LinkedIn(LinkedInSettings.model_validate(given), http=Http())


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
