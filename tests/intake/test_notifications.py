"""What people answer and how they react, fetched from Mastodon's and Bluesky's own lists: each once, whoever asks how often."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from channels.bluesky import Bluesky, BlueskySettings
from channels.mastodon import Mastodon, MastodonSettings
from engine.clock import SteppedClock
from engine.errors import NoPlainAnswer, ProviderError
from engine.intake.inboxes import collect
from engine.ledger.inboxes import Look
from engine.ledger.record import Asked, Recorded, record_events
from engine.measure.report import Deed, report
from engine.model import Channel, EventName
from engine.provider import Accepted, Http, Polled, Provider, ProviderEvent
from engine.store import Database
from engine.store.tables import contact_points, events, messages, runs, suppressions
from engine.testing.vendors.bluesky import DID, HANDLE, BlueskyVendor
from engine.testing.vendors.mastodon import MastodonVendor
from engine.testing.vendors.server import Cut, Fault, Reply, Request, Reset
from tests.ledger.books import add_customers, begin, end, owe_all, take

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Network:
    """One of the two: its server, our post there, and who answers it."""

    vendor: MastodonVendor | BlueskyVendor
    post: str
    who: str

    @property
    def handle(self) -> str:
        return f"@{self.who}"

    def opened(self) -> Provider:
        if isinstance(self.vendor, MastodonVendor):
            masto = {"server": self.vendor.url, "access_token": "${env:T_TOKEN}"}
            return Mastodon(MastodonSettings.model_validate(masto), http=Http())
        sky = {"server": self.vendor.url, "handle": HANDLE, "app_password": "${env:T_TOKEN}"}
        return Bluesky(BlueskySettings.model_validate(sky), http=Http())

    def answers(self, text: str, at: datetime) -> None:
        if isinstance(self.vendor, MastodonVendor):
            to_whom = '<span class="h-card"><a href="https://s.example/@records" class="u-url mention">@<span>records</span></a></span>'
            self.vendor.notify("mention", self.who, at, about=self.post, content=f"<p>{to_whom} {text}</p>")
        else:
            self.vendor.notify("reply", self.who, at, about=self.post, text=text)

    def likes(self, at: datetime) -> None:
        kind = "favourite" if isinstance(self.vendor, MastodonVendor) else "like"
        self.vendor.notify(kind, self.who, at, about=self.post)


@pytest.fixture(params=["mastodon", "bluesky"])
def network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Network]:
    monkeypatch.setenv("T_TOKEN", "token-for-tests")
    if request.param == "mastodon":
        with MastodonVendor() as vendor:
            yield Network(vendor=vendor, post="110000000000000007", who="ana@social.example")
    else:
        with BlueskyVendor() as vendor:
            yield Network(vendor=vendor, post=f"at://{DID}/app.bsky.feed.post/3abcdefghijkl", who="ana.bsky.example")


@pytest.fixture
def posted(database: Database, now: datetime, network: Network) -> int:
    """Our post, on record as the network has it, and a customer of that handle."""
    add_customers(database, 1, now)
    owe_all(database, now)
    sent = begin(database, take(database, now)[0], now)
    assert sent is not None
    end(database, sent, Accepted(provider_message_id=network.post), now)
    hashed = {"channel": "social", "address": network.handle, "address_hash": database.address_hash(network.handle)}
    with database.writing() as connection:
        connection.execute(update(contact_points).values(hashed))
        connection.execute(update(messages).values(channel="social", provider="net", sent_to=None, customer_id=None))
        connection.execute(update(runs).values(channel="social"))
    return sent.id


def told(database: Database) -> list[tuple[str, int | None]]:
    with database.reading() as connection:
        return [
            tuple(row) for row in connection.execute(select(events.c.name, events.c.message_id).order_by(events.c.at))
        ]


def test_who_shares_is_told_from_who_likes(database: Database, now: datetime, network: Network, posted: int) -> None:
    """A boost, a repost, a quote: `shared`."""
    for second, kind in enumerate(
        ["reblog", "quote"] if isinstance(network.vendor, MastodonVendor) else ["repost", "quote"]
    ):
        network.vendor.notify(kind, network.who, now + timedelta(seconds=second), about=network.post)
    look(database, network.opened(), now + MINUTE)
    assert told(database) == [("shared", posted)] * 2


def look(database: Database, provider: Provider, at: datetime) -> Look:
    (one,) = collect(database, {"net": provider}, SteppedClock(at))
    return one


def test_a_reply_and_a_reaction_are_events_once(
    database: Database, now: datetime, network: Network, posted: int
) -> None:
    """However often the list is looked at, and by whom: after a restart what is told again is known."""
    opened = network.opened()
    network.likes(now + MINUTE)
    assert look(database, opened, now + MINUTE).problem == ""
    network.answers("When?", now + 2 * MINUTE)
    for provider in (opened, opened, network.opened()):
        assert look(database, provider, now + 3 * MINUTE).problem == ""
    assert told(database) == [("reacted", posted), ("replied", posted)]
    with database.reading() as connection:
        assert connection.execute(select(messages.c.replied_at)).scalar_one() == now + 2 * MINUTE
        said = connection.execute(select(events.c.properties).where(events.c.name == "replied")).scalar_one()
    assert said["text"] == "When?"


def test_what_a_known_customer_does_with_a_post_is_the_customers(
    database: Database, now: datetime, network: Network, posted: int
) -> None:
    """By the handle; with the post's campaign beside it. What strangers do is the post's alone."""
    network.likes(now)
    network.answers("When?", now + MINUTE)
    network.vendor.notify(
        "reblog" if isinstance(network.vendor, MastodonVendor) else "repost", "eve.example", now, about=network.post
    )
    look(database, network.opened(), now + 2 * MINUTE)
    e = events.c
    with database.reading() as connection:
        found = {row.name: row for row in connection.execute(select(e.name, e.customer_id, e.message_id, e.properties))}
    assert {name: row.customer_id for name, row in found.items()} == {"reacted": 1, "replied": 1, "shared": None}
    assert {(row.message_id, row.properties["campaign"]) for row in found.values()} == {(posted, "news")}
    (line,) = report(database, now=now + 3 * MINUTE).lines
    assert line.did == {name: Deed(events=1, customers=1) for name in ("replied", "reacted")}


def test_a_stop_under_a_post_is_obeyed(database: Database, now: datetime, network: Network, posted: int) -> None:
    """It suppresses the handle that wrote it; the handles before the word only say to whom."""
    network.answers("STOP", now + MINUTE)
    asked = list[Asked]()

    def record(database: Database, reported: Sequence[ProviderEvent], /, **given: Any) -> Recorded:
        return record_events(database, reported, answer=lambda _, wish: asked.append(wish), **given)

    collect(database, {"net": network.opened()}, SteppedClock(now + MINUTE), record=record)
    with database.reading() as connection:
        found = connection.execute(select(suppressions.c.channel, suppressions.c.address_hash)).all()
    assert not asked  # it was said under a post, before everybody: nobody is written to for that
    assert [tuple(row) for row in found] == [(Channel.SOCIAL, database.address_hash(network.handle))]


def test_only_what_is_new_is_read(database: Database, now: datetime, network: Network, posted: int) -> None:
    """The first look goes back two days, page by page; the next ones stop at what is known."""
    network.likes(now - timedelta(days=3))
    for second in range(250):
        network.likes(now - timedelta(seconds=2500 - 10 * second))
    opened = network.opened()
    look(database, opened, now)
    assert len(told(database)) == 250
    network.likes(now + MINUTE)
    before = network.vendor.requests
    look(database, opened, now + MINUTE)
    assert (len(told(database)), network.vendor.requests - before) == (251, 1)
    (inbox,) = opened.inboxes
    assert not list(inbox.fetch(database.key_of, now=now + 2 * MINUTE))  # what is known is not even stored again


def test_however_much_came_in_none_of_it_is_passed_over(
    database: Database, now: datetime, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A post that everybody likes, and beneath it all a STOP; where time is too short, it waits for the next look."""
    network.answers("STOP", now)
    for second in range(2500):
        network.likes(now + timedelta(seconds=second))
    (inbox,) = network.opened().inboxes
    with monkeypatch.context() as hurried:
        hurried.setattr("engine.provider.reports.PATIENCE_SECONDS", 0.01)
        with pytest.raises(ProviderError):
            list(inbox.fetch(database.key_of, now=now + HOUR))
    found = [event for one in inbox.fetch(database.key_of, now=now + HOUR) for event in one.events]
    assert len(found) == 2501 and found[0].text == "STOP"


def test_what_was_read_before_time_ran_out_is_taken(now: datetime) -> None:
    """The newest two, and the look says why it ended there; the next one goes as far back, and tells the third as well."""
    kept = [ProviderEvent(name=EventName.REPLIED, at=now - MINUTE * n, dedupe=f"{n}", text=f"{n}") for n in range(3)]
    breaks = [True, False]

    def ask(_since: datetime, _deadline: float) -> Iterator[ProviderEvent]:
        yield from kept[:2]
        if breaks.pop(0):
            raise NoPlainAnswer("no_answer")
        yield kept[2]

    inbox, heard = Polled("notifications", ask), list[str]()
    with pytest.raises(ProviderError, match="no_answer"):
        heard.extend(event.text for one in inbox.fetch(lambda key: None, now=now) for event in one.events)
    assert heard == ["1", "0"]
    assert [event.text for one in inbox.fetch(lambda key: None, now=now) for event in one.events] == ["2", "1", "0"]


def test_a_list_that_leads_back_to_itself_is_told(database: Database, now: datetime, network: Network) -> None:
    """Its second page is its first one again, which would never end."""
    opened = network.opened()
    assert look(database, opened, now).problem == ""
    network.likes(now)
    page = network.vendor._notifications
    body = page if isinstance(network.vendor, MastodonVendor) else {"notifications": page, "cursor": "1"}
    network.vendor.fail_next(*[Reply(status=200, body=json.dumps(body).encode())] * 3)
    before = network.vendor.requests
    assert "unreadable" in look(database, opened, now).problem
    assert network.vendor.requests - before == 2


def test_a_list_that_cannot_be_read_is_told(database: Database, now: datetime, network: Network, posted: int) -> None:
    """Nothing is taken from half an answer, the look says why, and the next one takes it; a missing token is named."""
    network.likes(now)
    opened = network.opened()
    broken: list[Fault] = [Reply(status=status) for status in (401, 403, 429, 500)]
    broken += [Reply(status=200, body=body) for body in (b"", b"{}", b"[1]", b'{"notifications": 5}')]
    for fault in (*broken, Reset(), Cut(after=60)):
        network.vendor.fail_next(fault)
        assert look(database, opened, now).problem, fault
        assert not told(database)
    assert look(database, opened, now).problem == "" and len(told(database)) == 1


def test_what_is_odd_is_passed_over(database: Database, now: datetime, network: Network, posted: int) -> None:
    """A notification without its time, or about nothing, keeps no other from being read."""
    network.likes(now)
    odd = network.vendor._notifications
    odd += [
        {**odd[0], "created_at": "soon", "indexedAt": "soon", "id": "5"},
        {**odd[0], "account": None, "author": 1, "id": "6"},
    ]
    network.likes(now)
    assert look(database, network.opened(), now).problem == ""
    assert len(told(database)) == 2


@pytest.mark.parametrize(("domain", "handle"), [("shop.example", "@eve@shop.example"), ("", "@eve@127.0.0.1")])
def test_a_mastodon_servers_own_people_have_its_domain(
    now: datetime, monkeypatch: pytest.MonkeyPatch, domain: str, handle: str
) -> None:
    """Handles may be of another domain than the server is called at; it is asked once, and an older one cannot tell."""
    monkeypatch.setenv("T_TOKEN", "token-for-tests")
    asked, faults = list[str](), [Reply(status=500)]

    def misbehave(request: Request) -> Fault | None:
        asked.append(request.path)
        return faults.pop() if request.path.endswith("/instance") and faults else None

    with MastodonVendor(misbehave=misbehave) as vendor:
        vendor.domain = domain
        (inbox,) = Network(vendor=vendor, post="110000000000000007", who="").opened().inboxes

        def fetched(at: datetime) -> list[str | None]:
            return [event.address for one in inbox.fetch(lambda _: None, now=at) for event in one.events]

        for who in ("ana@social.example", "eve"):
            vendor.notify("favourite", who, now, about="110000000000000007")
        with pytest.raises(ProviderError):  # nobody is taken for somebody else meanwhile
            fetched(now)
        assert fetched(now) == ["@ana@social.example", handle]
        vendor.notify("favourite", "eve", now + MINUTE, about="110000000000000007")
        assert fetched(now + MINUTE) == [handle]
    assert asked.count("/api/v2/instance") == 2


def test_who_does_not_want_them_is_not_asked(network: Network) -> None:
    """`notifications: false`, for a token without that right."""
    opened = network.opened()
    changed = type(opened)(opened.settings.model_copy(update={"notifications": False}), http=Http())
    assert len(opened.inboxes) == 1 and not changed.inboxes
