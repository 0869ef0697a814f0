"""A Facebook Page: what is posted, what each of Meta's codes proves, and whose the words are that stand there already."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from channels.facebook import Facebook, FacebookSettings
from engine.provider import Accepted, Ambiguous, Engagement, Http, NotFound, NotSent, Rejected, TextContent
from engine.testing.vendors.graph import PAGE_ID, GraphVendor, no
from engine.testing.vendors.server import Reply, Silence
from tests.channels.messages import NOW, POST, soon


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T_TOKEN", "token-for-tests")
    monkeypatch.setenv("T_SECRET", "secret-for-tests")


@pytest.fixture
def vendor() -> Iterator[GraphVendor]:
    with GraphVendor() as vendor:
        vendor.clock = lambda: NOW
        yield vendor


@pytest.fixture
def page(vendor: GraphVendor) -> Iterator[Facebook]:
    opened = facebook(vendor)
    yield opened
    opened.close()


def facebook(vendor: GraphVendor, **changes: Any) -> Facebook:
    given = {"page_id": PAGE_ID, "access_token": "${env:T_TOKEN}", "base_url": vendor.url, **changes}
    return Facebook(FacebookSettings.model_validate(given), http=Http())


def test_a_link_is_shown_and_an_image_too(vendor: GraphVendor, page: Facebook) -> None:
    """The first web address gets its preview, without the full stop after it; an image makes it a photo with a caption."""
    page.send(replace(POST, content=TextContent(text="New (see https://shop.example/a?b=c).")), deadline=soon())
    photo = TextContent(text="Look", image="https://shop.example/new.jpg")
    outcome = page.send(replace(POST, content=photo), deadline=soon())
    first, second = vendor.accepted
    assert first.headers == {"link": "https://shop.example/a?b=c"}
    assert (second.text, second.image) == ("Look", "https://shop.example/new.jpg")
    assert outcome == Accepted(provider_message_id=second.provider_message_id)  # the post's, not the photo's


def test_calls_are_signed_where_there_is_a_secret() -> None:
    """The proof is checked by Meta: without it nothing is taken, and no post is held to be bad for that."""
    with GraphVendor(app_secret="secret-for-tests") as vendor:
        assert isinstance(facebook(vendor, app_secret="${env:T_SECRET}").send(POST, deadline=soon()), Accepted)
        assert isinstance(facebook(vendor).send(POST, deadline=soon()), NotSent)
        request = vendor.accepted[0].request
        assert request is not None and request.headers["authorization"] == "Bearer token-for-tests"
        assert "token" not in request.path and "access_token" not in request.form()


@pytest.mark.parametrize(
    ("code", "subcode", "status", "outcome"),
    [
        (190, 463, 400, NotSent),
        (10, None, 403, NotSent),
        (200, None, 403, NotSent),
        (4, None, 403, NotSent),
        (4, 2207051, 400, Rejected),
        (32, None, 400, NotSent),
        (80001, 2494055, 400, NotSent),
        (100, None, 400, Rejected),
        (100, 33, 400, NotSent),
        (368, None, 400, Rejected),
        (1609005, None, 400, Rejected),
        (1, None, 500, Ambiguous),
        (1, 99, 400, Ambiguous),
        (2, None, 503, Ambiguous),
        (4711, None, 400, Rejected),
        (4711, None, 200, Ambiguous),
    ],
)
def test_what_each_code_proves(
    vendor: GraphVendor, page: Facebook, code: int, subcode: int | None, status: int, outcome: type
) -> None:
    """The code tells, whatever the status: our set-up, too much, this post, or Meta itself."""
    vendor.fail_next(no(code, "no", subcode=subcode, status=status))
    found = page.send(POST, deadline=soon())
    assert isinstance(found, outcome), found
    assert getattr(found, "no_access", False) is (code in (190, 10, 200) or subcode == 33)
    assert not isinstance(found, Accepted) and found.code == (f"{code}.{subcode}" if subcode else str(code))


def test_how_long_to_wait(vendor: GraphVendor, page: Facebook) -> None:
    """Meta tells the minutes in a header of its own; where it does not, ten are a guess, and an hour where the day is full."""
    use = {PAGE_ID: [{"type": "pages", "call_count": 100, "estimated_time_to_regain_access": 19}]}
    for told, wait in ((json.dumps(use), 19), ("{", 10), ("[1]", 10), ('{"a": [{}]}', 10)):
        busy = no(32, "Page request limit reached")
        vendor.fail_next(replace(busy, headers={"X-Business-Use-Case-Usage": told}))
        outcome = page.send(POST, deadline=soon())
        assert isinstance(outcome, NotSent) and outcome.retry_after == timedelta(minutes=wait)
    vendor.fail_next(replace(no(32, "Page request limit reached"), headers={"Retry-After": "0"}))
    outcome = page.send(POST, deadline=soon())
    assert isinstance(outcome, NotSent) and outcome.retry_after == timedelta()
    vendor.fail_next(no(9, "Maximum number of posts", subcode=2207042))
    outcome = page.send(POST, deadline=soon())
    assert isinstance(outcome, NotSent) and outcome.retry_after == timedelta(hours=1)
    vendor.fail_next(replace(no(1, "transient"), body={"error": {"code": 77, "is_transient": True}}))
    assert isinstance(page.send(POST, deadline=soon()), Ambiguous)


def test_whose_words_stand_there_already(vendor: GraphVendor, page: Facebook) -> None:
    """A refusal of the same words is a yes where the post is ours, a no where it is another's, and doubt where nobody tells."""
    vendor.remembers = timedelta(days=1)
    vendor.fail_next(Silence(taken=True))
    assert isinstance(page.send(POST, deadline=soon(0.3)), Ambiguous)
    ours = Accepted(provider_message_id=vendor.accepted[0].provider_message_id)
    assert page.send(POST, deadline=soon()) == ours
    week = replace(POST, key="another", at=NOW + timedelta(hours=20))
    vendor.clock = lambda: NOW + timedelta(hours=20)
    refused = page.send(week, deadline=soon())
    assert refused == Rejected(code="506", detail="the same words stand there already")
    vendor.fail_next(no(506, "Duplicate status message"), Reply(status=503))
    assert page.send(week, deadline=soon()) == Ambiguous(code="506", detail="http_503")
    assert len(vendor.accepted) == 1


def test_a_post_is_found_on_whatever_page(vendor: GraphVendor, page: Facebook) -> None:
    """Pages are followed by their cursors; reading ends where the past begins; a list without end is no answer."""
    name = page.send(POST, deadline=soon())
    for number in range(6):
        page.send(replace(POST, content=TextContent(text=f"Another {number}")), deadline=soon())
    vendor.page_size = 2
    assert page.look_up(POST, deadline=soon()) == name
    assert isinstance(page.look_up(replace(POST, at=NOW + timedelta(days=1)), deadline=soon()), NotFound)
    for number in range(20):
        page.send(replace(POST, content=TextContent(text=f"One more {number}")), deadline=soon())
    assert page.look_up(POST, deadline=soon()) == Ambiguous(code="incomplete")


def test_how_posts_fare(vendor: GraphVendor, page: Facebook) -> None:
    """Reactions, shares and comments of those asked about; shares that are not told are none yet."""
    first, second = (
        page.send(replace(POST, content=TextContent(text=text)), deadline=soon()) for text in ("one", "two")
    )
    assert isinstance(first, Accepted) and isinstance(second, Accepted)
    ids = [str(first.provider_message_id), str(second.provider_message_id)]
    vendor.fared[ids[0]] = {
        "shares": {"count": 2},
        "reactions": {"data": [], "summary": {"total_count": 7}},
        "comments": {"data": [], "summary": {"total_count": 3}},
    }
    fared = page.engagement([*ids, "gone"], deadline=soon())
    assert fared == {ids[0]: Engagement(likes=7, shares=2, replies=3), ids[1]: Engagement(shares=0)}
