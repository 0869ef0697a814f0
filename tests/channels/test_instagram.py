"""Instagram: a container first, published once; what became of it is told by the container, or by the caption."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from channels.instagram import Instagram, InstagramSettings
from engine.errors import ProviderError
from engine.provider import (
    Accepted,
    Ambiguous,
    Engagement,
    Http,
    NotFound,
    NotSent,
    Rejected,
    TextContent,
    refuse_what_is_not_promised,
)
from engine.testing.vendors.graph import ACCOUNT_ID, InstagramVendor, no
from engine.testing.vendors.server import Reply, Silence
from tests.channels.messages import NOW, POST, soon

IMAGE = "https://shop.example/new.jpg"
PHOTO = replace(POST, content=TextContent(text="New records!", image=IMAGE))


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T_TOKEN", "token-for-tests")


@pytest.fixture
def vendor() -> Iterator[InstagramVendor]:
    with InstagramVendor() as vendor:
        vendor.clock = lambda: NOW
        yield vendor


@pytest.fixture
def account(vendor: InstagramVendor) -> Iterator[Instagram]:
    opened = instagram(vendor)
    yield opened
    opened.close()


def instagram(vendor: InstagramVendor, **changes: Any) -> Instagram:
    given = {"account_id": ACCOUNT_ID, "access_token": "${env:T_TOKEN}", "base_url": vendor.url, **changes}
    return Instagram(InstagramSettings.model_validate(given), http=Http())


def test_a_container_is_waited_for_then_published(vendor: InstagramVendor, account: Instagram) -> None:
    """It is looked at until it is ready; its image and caption are what is published."""
    vendor.looks = 1
    outcome = account.send(PHOTO, deadline=soon(10))
    (taken,) = vendor.accepted
    assert outcome == Accepted(provider_message_id=taken.provider_message_id)
    assert (taken.text, taken.image) == ("New records!", IMAGE)


def test_a_slow_image_is_not_sent_and_its_container_is_kept(vendor: InstagramVendor, account: Instagram) -> None:
    """Where the time is over first, nothing was published; the next hand-over goes on with the same container."""
    vendor.looks = 10**6
    outcome = account.send(PHOTO, deadline=soon(0.3))
    assert isinstance(outcome, NotSent) and outcome.retry_after == timedelta(minutes=1)
    (one,) = vendor.containers.values()
    one["looks"] = 0
    assert isinstance(account.send(PHOTO, deadline=soon()), Accepted)
    assert len(vendor.containers) == len(vendor.accepted) == 1


@pytest.mark.parametrize(("subcode", "outcome"), [("2207009", Rejected), ("2207003", NotSent)])
def test_a_container_that_failed(
    vendor: InstagramVendor, account: Instagram, subcode: str, outcome: type[Rejected] | type[NotSent]
) -> None:
    """An image that is not right is refused; one that could not be fetched in time gets another container later."""
    vendor.broken[IMAGE] = subcode
    ended = account.send(PHOTO, deadline=soon())
    assert isinstance(ended, outcome) and (ended.code, ended.detail) == (subcode, "the image's container failed")
    assert isinstance(ended, Rejected) or ended.alone
    vendor.broken.clear()
    assert isinstance(account.send(PHOTO, deadline=soon()), Accepted)
    assert len(vendor.containers) == 2


def test_whatever_happens_to_the_container_is_no_doubt() -> None:
    """It is seen by nobody: silence, a fault and an unreadable answer while it is made are surely not sent."""
    for fault in (Silence(taken=True), Reply(status=500), Reply(status=200), no(1, "An unknown error", status=500)):
        with InstagramVendor(misbehave=lambda _, fault=fault: fault) as vendor:  # type: ignore[misc]
            assert isinstance(instagram(vendor).send(PHOTO, deadline=soon(0.3)), NotSent)
    with InstagramVendor() as vendor:
        long = replace(PHOTO, content=TextContent(text="x" * 2201, image=IMAGE))
        assert instagram(vendor).send(long, deadline=soon()) == Rejected(
            code="36004.2207010", detail="The caption is too long"
        )
        with pytest.raises(ProviderError, match="at most 2,200 letters"):
            refuse_what_is_not_promised(instagram(vendor), long)
        with pytest.raises(ProviderError, match="no text without an image"):
            refuse_what_is_not_promised(instagram(vendor), POST)


@pytest.mark.parametrize("taken", [True, False])
def test_the_container_tells_what_became_of_it(vendor: InstagramVendor, account: Instagram, taken: bool) -> None:
    """After silence it is published, or not; and it is never published a second time."""
    vendor.fail_next(Silence(taken=taken))
    assert isinstance(account.send(PHOTO, deadline=soon(0.5)), Ambiguous)
    vendor.lag = timedelta(hours=1)  # the list of media knows nothing yet
    assert isinstance(account.look_up(PHOTO, deadline=soon()), Accepted if taken else NotFound)
    assert isinstance(account.send(PHOTO, deadline=soon()), Accepted)
    assert len(vendor.accepted) == 1 == len(vendor.containers)
    vendor.lag = timedelta()
    found = Accepted(provider_message_id=vendor.accepted[0].provider_message_id)
    assert account.look_up(PHOTO, deadline=soon()) == found


def test_another_process_asks_by_the_caption(vendor: InstagramVendor, account: Instagram) -> None:
    """It knows no container: the caption and the time tell."""
    vendor.fail_next(Silence(taken=True))
    account.send(PHOTO, deadline=soon(0.5))
    other = instagram(vendor)
    found = Accepted(provider_message_id=vendor.accepted[0].provider_message_id)
    assert other.look_up(PHOTO, deadline=soon()) == found
    assert isinstance(other.look_up(replace(PHOTO, at=NOW + timedelta(minutes=4)), deadline=soon()), Ambiguous)
    assert isinstance(other.look_up(replace(PHOTO, at=NOW + timedelta(days=1)), deadline=soon()), NotFound)


@pytest.mark.parametrize(
    ("code", "subcode", "outcome"),
    [
        (9, 2207042, NotSent),
        (9007, 2207027, NotSent),
        (4, 2207051, Rejected),
        (25, 2207050, NotSent),
        (-1, 2207001, Ambiguous),
    ],
)
def test_what_publishing_may_say(
    vendor: InstagramVendor, account: Instagram, code: int, subcode: int, outcome: type
) -> None:
    """The day's fifty are over, too soon, spam, the account is restricted, Instagram's own fault."""
    vendor.fail_next(no(code, "no", subcode=subcode))
    found = account.send(PHOTO, deadline=soon())
    assert isinstance(found, outcome) and not isinstance(found, Accepted) and found.code == f"{code}.{subcode}"


def test_how_posts_fare(vendor: InstagramVendor, account: Instagram) -> None:
    """Likes, where they are not hidden, and comments."""
    sent = account.send(PHOTO, deadline=soon())
    assert isinstance(sent, Accepted)
    name = str(sent.provider_message_id)
    vendor.fared[name] = {"like_count": 12, "comments_count": 2}
    assert account.engagement([name, "1"], deadline=soon()) == {name: Engagement(likes=12, replies=2)}
