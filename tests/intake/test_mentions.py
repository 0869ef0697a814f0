"""What people answer on X, and what they do with a page's posts on LinkedIn: fetched seldom, each once, and become events."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from channels.linkedin import LinkedIn, LinkedInSettings
from channels.x import X, XSettings
from engine.clock import SteppedClock
from engine.intake.inboxes import collect
from engine.ledger.inboxes import Look
from engine.provider import Accepted, Http, Provider
from engine.store import Database
from engine.store.tables import contact_points, events, messages, suppressions
from engine.testing.vendors.linkedin import ORGANISATION, PERSON, LinkedInVendor
from engine.testing.vendors.server import Cut, Fault, Reply, Request, Reset
from engine.testing.vendors.x import ACCOUNT, XVendor
from tests.ledger.books import add_customers, begin, end, owe_all, take

MINUTE = timedelta(minutes=1)
TWEET, SHARE = "1445880548472328192", "urn:li:share:7295588489876647936"


@pytest.fixture
def now() -> datetime:
    """The vendors' own clocks are the machine's: they are asked for the last days."""
    return datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T_TOKEN", "token-for-tests")


@pytest.fixture
def at_x() -> Iterator[XVendor]:
    with XVendor(oauth2_token="token-for-tests") as vendor:
        yield vendor


@pytest.fixture
def at_linkedin() -> Iterator[LinkedInVendor]:
    with LinkedInVendor() as vendor:
        yield vendor


def x(vendor: XVendor, **changes: Any) -> Provider:
    given = {"oauth2_token": "${env:T_TOKEN}", "base_url": vendor.url, "notifications": True, **changes}
    return X(XSettings.model_validate(given), http=Http())


def linkedin(vendor: LinkedInVendor, **changes: Any) -> Provider:
    given = {"author": ORGANISATION, "access_token": "${env:T_TOKEN}", "base_url": vendor.url, "notifications": True}
    return LinkedIn(LinkedInSettings.model_validate({**given, **changes}), http=Http())


def post(database: Database, now: datetime, name: str, handle: str = "@user17") -> int:
    """Our post under the vendor's name for it, and a customer of this handle."""
    add_customers(database, 1, now)
    owe_all(database, now)
    sent = begin(database, take(database, now)[0], now)
    assert sent is not None
    end(database, sent, Accepted(provider_message_id=name), now)
    hashed = {"channel": "social", "address": handle, "address_hash": database.address_hash(handle)}
    with database.writing() as connection:
        connection.execute(update(contact_points).values(hashed))
        connection.execute(update(messages).values(channel="social", provider="net", sent_to=None, customer_id=None))
    return sent.id


def look(database: Database, provider: Provider, at: datetime) -> Look:
    (one,) = collect(database, {"net": provider}, SteppedClock(at))
    return one


def told(database: Database) -> list[tuple[str, int | None, str | None]]:
    e = events.c
    with database.reading() as connection:
        rows = connection.execute(select(e.name, e.message_id, e.properties).order_by(e.at, e.id)).all()
    return [(row.name, row.message_id, row.properties.get("text")) for row in rows]


def test_an_answer_on_x_is_a_reply_to_the_post(database: Database, now: datetime, at_x: XVendor) -> None:
    """Without the names that only say to whom; a quote shares it; a mention is about no post; our own words are none."""
    posted = post(database, now, TWEET)
    at_x.mention("17", now, "@records @other When & where?", about=TWEET)
    at_x.mention("18", now + MINUTE, "Look at @records", about=TWEET, kind="quoted")
    at_x.mention("19", now + 2 * MINUTE, "hello @records")
    at_x.mention(ACCOUNT, now + 3 * MINUTE, "@user17 @records at noon", about=TWEET)
    assert look(database, x(at_x), now + 5 * MINUTE).problem == ""
    assert told(database) == [
        ("replied", posted, "When & where?"),
        ("shared", posted, "Look at @records"),
        ("replied", None, "hello @records"),
    ]


def test_a_stop_on_x_is_obeyed(database: Database, now: datetime, at_x: XVendor) -> None:
    post(database, now, TWEET)
    at_x.mention("17", now, "@records STOP", about=TWEET)
    look(database, x(at_x), now + MINUTE)
    with database.reading() as connection:
        found = connection.execute(select(suppressions.c.address_hash)).scalars().all()
    assert found == [database.address_hash("@user17")]


def test_what_people_do_with_a_pages_posts_on_linkedin(
    database: Database, now: datetime, at_linkedin: LinkedInVendor
) -> None:
    """Comments, likes and shares; not the page's own comments; in whatever order LinkedIn tells them."""
    posted = post(database, now, SHARE)
    at_linkedin.notify("SHARE", now + 2 * MINUTE, about=SHARE, text="Worth it")
    at_linkedin.notify("COMMENT", now, about=SHARE, text="When?")
    at_linkedin.notify("LIKE", now + MINUTE, about=SHARE)
    at_linkedin.notify("COMMENT", now + 3 * MINUTE, about=SHARE, text="At noon", owner=ORGANISATION)
    at_linkedin.notify("COMMENT_EDIT", now + 3 * MINUTE, about=SHARE, text="When, then?")
    assert look(database, linkedin(at_linkedin), now + 5 * MINUTE).problem == ""
    assert told(database) == [("replied", posted, "When?"), ("reacted", posted, None), ("shared", posted, "Worth it")]
    with database.reading() as connection:
        assert connection.execute(select(messages.c.replied_at)).scalar_one() == now


@pytest.mark.parametrize("network", ["x", "linkedin"])
def test_they_are_asked_seldom_and_page_by_page(
    database: Database, now: datetime, at_x: XVendor, at_linkedin: LinkedInVendor, network: str
) -> None:
    """A vendor that counts or charges for questions is left in peace; what is known is not stored again."""
    post(database, now, TWEET)
    for number in range(250):
        at = now - timedelta(minutes=number)
        at_x.mention("17", at, f"@records {number}", about=TWEET)
        at_linkedin.notify("LIKE", at, about=SHARE)
    at_x.mentions.reverse()  # the newest last, as they come
    vendor: XVendor | LinkedInVendor = at_x if network == "x" else at_linkedin
    opened = x(at_x) if network == "x" else linkedin(at_linkedin)
    look(database, opened, now + MINUTE)
    before = vendor.requests
    assert len(told(database)) == 250
    at_x.mention("17", now + 2 * MINUTE, "@records new", about=TWEET)
    at_linkedin.notify("LIKE", now + 2 * MINUTE, about=SHARE)
    assert look(database, opened, now + 3 * MINUTE).problem == "" and vendor.requests == before
    look(database, opened, now + 20 * MINUTE)
    assert len(told(database)) == 251


@pytest.mark.parametrize("network", ["x", "linkedin"])
def test_a_list_that_cannot_be_read_is_told_until_it_can(
    database: Database, now: datetime, at_x: XVendor, at_linkedin: LinkedInVendor, network: str
) -> None:
    """Nothing is taken from half an answer; the looks in between, which ask nobody, still say what is wrong."""
    post(database, now, TWEET)
    at_x.mention("17", now, "@records When?", about=TWEET)
    at_linkedin.notify("LIKE", now, about=SHARE)
    vendor: XVendor | LinkedInVendor = at_x if network == "x" else at_linkedin
    opened, at = (x(at_x) if network == "x" else linkedin(at_linkedin)), now + MINUTE
    broken: list[Fault] = [Reply(status=status) for status in (401, 403, 429, 500)]
    broken += [Reply(status=200, body=body) for body in (b"", b"{}", b"[1]", b'{"elements": 5, "data": 5}')]
    for fault in (*broken, Reset(), Cut(after=60)):
        vendor.fail_next(fault)
        assert look(database, opened, at).problem, fault
        assert look(database, opened, at + MINUTE).problem, fault
        at += 16 * MINUTE
    assert told(database) == []
    assert look(database, opened, at).problem == "" and len(told(database)) == 1


def test_what_is_odd_is_passed_over(
    database: Database, now: datetime, at_x: XVendor, at_linkedin: LinkedInVendor
) -> None:
    """One that cannot be read keeps no other from being read."""
    post(database, now, TWEET)
    at_x.mention("17", now, "@records When?", about=TWEET)
    at_x.mentions.append({**at_x.mentions[0], "id": "x"})
    at_x.mentions.append({**at_x.mentions[0], "id": "5", "referenced_tweets": 5})
    look(database, x(at_x), now + MINUTE)
    at_linkedin.notify("LIKE", now, about=SHARE)
    at_linkedin.notified.append({**at_linkedin.notified[0], "notificationId": None})
    at_linkedin.notified.append({**at_linkedin.notified[0], "notificationId": 5, "decoratedGeneratedActivity": 5})
    look(database, linkedin(at_linkedin), now + MINUTE)
    assert [name for name, _, _ in told(database)] == ["replied", "reacted", "reacted"]


def test_who_did_not_ask_for_them_is_left_alone(at_x: XVendor, at_linkedin: LinkedInVendor) -> None:
    """X charges, and LinkedIn wants a right more: they are asked where `notifications: true` says so; a person never."""
    assert not x(at_x, notifications=False).inboxes and not linkedin(at_linkedin, notifications=False).inboxes
    with pytest.raises(ValueError, match="not a person's"):
        linkedin(at_linkedin, author=PERSON)


@pytest.mark.parametrize("network", ["x", "linkedin"])
def test_a_later_look_asks_only_for_what_is_new(database: Database, now: datetime, network: str) -> None:
    """First for two days; then since ten minutes before the newest that is known, in the question itself."""
    asked = list[datetime]()

    def note(request: Request) -> None:
        if start := request.query.get("start_time"):
            asked.append(datetime.fromisoformat(start))
        if span := request.query.get("timeRange"):
            asked.append(datetime.fromtimestamp(int(span.strip("()").split(",")[0].partition(":")[2]) / 1000, UTC))

    post(database, now, TWEET)
    with XVendor(oauth2_token="token-for-tests", misbehave=note) as at_x, LinkedInVendor(misbehave=note) as at_linkedin:
        at_x.mention("17", now, "@records When?", about=TWEET)
        at_linkedin.notify("LIKE", now, about=SHARE)
        opened = x(at_x) if network == "x" else linkedin(at_linkedin)
        for minutes in (1, 20, 40):
            look(database, opened, now + minutes * MINUTE)
    assert asked == [now + MINUTE - timedelta(days=2), now - 10 * MINUTE, now - 10 * MINUTE]
    assert len(told(database)) == 1


def test_a_missing_secret_is_told_at_each_look_and_costs_no_peace(
    database: Database, now: datetime, at_x: XVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody was asked: so the next look says it again, and the first one with the secret asks at once."""
    provider = x(at_x)
    monkeypatch.delenv("T_TOKEN")
    assert all("T_TOKEN" in look(database, provider, now + number * MINUTE).problem for number in range(3))
    assert not at_x.requests
    monkeypatch.setenv("T_TOKEN", "token-for-tests")
    assert not look(database, provider, now + 3 * MINUTE).problem and at_x.requests


def test_much_on_linkedin_is_read_to_its_end(database: Database, now: datetime, at_linkedin: LinkedInVendor) -> None:
    """In no order, the newest may stand last: a page that six hundred people like loses none of them."""
    for number in range(610):
        at_linkedin.notify("LIKE", now - timedelta(minutes=610 - number), about=SHARE)
    look(database, linkedin(at_linkedin), now + MINUTE)
    assert len(told(database)) == 610
