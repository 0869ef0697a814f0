"""Limits at work: what leaves when, who waits, and who does not; over a clock that steps from moment to moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from engine.campaigns import launch as campaigns
from engine.campaigns.schedules import Occurrence
from engine.clock import SteppedClock
from engine.content.links import Links
from engine.ledger import rates
from engine.model import Reason, State
from engine.provider import Accepted, NotSent, Outcome, Outgoing, Provider, ProviderSettings
from engine.rate import rate
from engine.rules.workspace import load_workspace
from engine.sending.prepare import Setup
from engine.sending.sender import Sender
from engine.store import Database
from engine.store.tables import messages
from tests.ledger.test_rates import assert_no_window_has_more
from tests.sending.shop import CONFIG, NEWS, Scripted, Shop

SECOND = timedelta(seconds=1)
Sent = list[tuple[datetime, Outgoing]]


class Slow(Scripted):
    """Takes everything, and remembers when. `limit` as config.yaml would say it."""

    def __init__(self, clock: SteppedClock, limit: str | None = None, connections: int = 50) -> None:
        super().__init__(self._take, connections=connections)
        self.settings = ProviderSettings.model_validate({"connections": connections, "rate": limit})
        self.clock, self.sent = clock, Sent()

    def _take(self, outgoing: Outgoing) -> Outcome:
        self.sent.append((self.clock.now(), outgoing))
        return Accepted(provider_message_id=outgoing.key)

    def times(self, of: Callable[[Outgoing], bool] = lambda outgoing: True) -> list[datetime]:
        return sorted(at for at, outgoing in self.sent if of(outgoing))


class World:
    """A shop whose sender is stepped from one moment to the next at which something is due."""

    def __init__(
        self, folder: Path, database: Database, now: datetime, limit: str | None = None, *, customers: int = 300
    ) -> None:
        self.clock = SteppedClock(now)
        rows: Sequence[dict[str, Any]] = [
            {
                "id": f"c{n}",
                "email": f"c{n}@{'gmail.com' if n % 2 else 'customers.example'}",
                "first_name": "Ann",
                "consent.email.offers": "yes",
            }
            for n in range(1, customers + 1)
        ]
        self.shop = Shop(folder, database, self.clock, rows=[*rows])
        self.provider = Slow(self.clock, limit)
        self.providers: dict[str, Provider] = {"scripted": self.provider}
        self.configure()

    def configure(self, *changes: tuple[str, str], more: str = "", news: str = "", batch: int = 100) -> None:
        """config.yaml with other words in it, and more below; the campaign with more in it."""
        config = CONFIG.replace("batch: 4", f"batch: {batch}") + more
        for old, new in changes:
            assert old in config
            config = config.replace(old, new)
        folder = self.shop.folder
        (folder / "config.yaml").write_text(config, encoding="utf-8")
        (folder / "rules/news.yaml").write_text(NEWS + news, encoding="utf-8")
        self.shop.workspace = load_workspace(folder)

    def add_campaign(self, name: str, words: str) -> None:
        folder = self.shop.folder
        (folder / f"rules/{name}.yaml").write_text(
            NEWS.replace("campaign: news", f"campaign: {name}\ntemplate: news") + words
        )
        self.shop.workspace = load_workspace(folder)

    def launch(self, name: str) -> None:
        now, workspace = self.clock.now(), self.shop.workspace
        campaigns.launch(
            workspace, self.shop.database, workspace.campaigns[name], Occurrence(key="x", nominal_at=now), now=now
        )

    def trigger(self, key: str) -> None:
        with self.shop.database.writing() as connection:
            campaigns.trigger(
                self.shop.workspace, connection, self.shop.database, "receipt",
                customer="c1", data={"order": "1"}, occurrence=key, now=self.clock.now(),
            )  # fmt: skip

    def sender(self) -> Sender:
        setup = Setup(
            workspace=self.shop.workspace, providers=self.providers, links=Links("secret", "https://shop.example")
        )
        return Sender(setup=lambda: setup, database=self.shop.database, clock=self.clock)

    def run(
        self, sender: Sender, span: timedelta = timedelta(days=99), *, until: Callable[[], bool] = lambda: False
    ) -> None:
        """Step until nothing is due, the span is over, or `until` says so."""
        end = self.clock.now() + span
        while True:
            sender.drain()
            later = self.clock.now() + timedelta(microseconds=1)
            following = min((at for at in (sender.next_due(later), sender.next_decision(later)) if at), default=None)
            if until() or following is None or following > end:
                return
            self.clock.set(following)

    def touches(self) -> Mapping[int, int]:
        """How often each message was claimed."""
        with self.shop.database.reading() as connection:
            return {row.id: row.epoch for row in connection.execute(select(messages.c.id, messages.c.epoch))}


@pytest.fixture
def world(tmp_path: Path, database: Database, now: datetime) -> World:
    return World(tmp_path, database, now, "100/second, burst 20")


def to_gmail(outgoing: Outgoing) -> bool:
    return str(outgoing.to).endswith("@gmail.com")


def test_a_providers_rate_holds_and_is_used(world: World, now: datetime) -> None:
    """Three hundred at a hundred a second: never too many, no longer than it takes, and nobody is asked in vain."""
    world.launch("news")
    world.run(world.sender())
    times = world.provider.times()
    assert len(times) == 300 and set(world.shop.states()) == {State.ACCEPTED}
    assert_no_window_has_more(times, rate("100/second, burst 20"))
    assert timedelta(seconds=2.8) <= times[-1] - now <= timedelta(seconds=3)
    assert sum(world.touches().values()) <= 300 * 1.1


def test_places_taken_during_a_look_are_not_promised_twice(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread takes what it was promised right after the levels were read: it counts for the look all the same."""
    world.launch("news")
    limits, now, read = world.sender()._limits, world.clock.now(), rates.levels
    promised = limits.expect(1, most=10, now=now)
    assert promised is not None and promised.places == 10
    everything = limits.look(1, now).room

    def overtaken(database: Database, keys: Iterable[str]) -> dict[str, rates.Level]:
        levels = read(database, keys)
        promised.taken(10)
        return levels

    monkeypatch.setattr(rates, "levels", overtaken)
    assert limits.look(1, now).room == everything
    promised.over()


def test_a_campaigns_own_rate_slows_it_alone(world: World, now: datetime) -> None:
    """What its file says, while another campaign of the same provider takes what is left."""
    world.configure(news='rate: "10/second, burst 1"\n')
    world.add_campaign("other", "")
    world.launch("news")
    world.launch("other")
    world.run(world.sender(), timedelta(seconds=4))
    mine, others = (world.provider.times(lambda o, name=name: o.campaign == name) for name in ("news", "other"))
    assert_no_window_has_more(mine, rate("10/second, burst 1"))
    assert len(mine) >= 38
    assert len(others) == 300 and others[-1] - now < timedelta(seconds=3.5)


@pytest.mark.parametrize("name", ["news@shop.example", "shop.example"])
def test_a_senders_rate_counts_for_its_address_or_its_domain(world: World, now: datetime, name: str) -> None:
    """As config.yaml names it; a receipt from another address of the same domain is under the domain's alone."""
    world.configure(more=f'senders: {{{name}: {{rate: "50/second, burst 5"}}}}\n')
    world.launch("news")
    world.trigger("1")
    world.run(world.sender(), timedelta(seconds=2))
    times = world.provider.times(lambda o: ("@" in name and o.campaign == "news") or "@" not in name)
    assert_no_window_has_more(times, rate("50/second, burst 5"))
    assert len(times) >= 98
    assert [at for at, outgoing in world.provider.sent if outgoing.campaign == "receipt"] == [now]


def test_a_mailbox_providers_rate_delays_its_own_recipients_alone(world: World, now: datetime) -> None:
    """Gmail gets twenty a second; everybody else's messages leave as fast as the relay takes them. Each who waits is asked
    about once more.
    """
    transactional = "    transactional: {provider: scripted"
    world.configure((transactional, '    domains: {gmail.com: "20/second, burst 4"}\n' + transactional))
    world.launch("news")
    world.run(world.sender())
    gmail, others = world.provider.times(to_gmail), world.provider.times(lambda o: not to_gmail(o))
    assert len(gmail) == len(others) == 150
    assert_no_window_has_more(gmail, rate("20/second, burst 4"))
    assert others[-1] - now < timedelta(seconds=2.5)
    assert gmail[-1] - now <= timedelta(seconds=150 / 20 * 1.05)
    assert sum(world.touches().values()) <= 300 * 2


def test_every_other_domain_may_have_a_rate_of_its_own(world: World, now: datetime) -> None:
    """`default` is for each domain that is not named, not for all of them together."""
    transactional = "    transactional: {provider: scripted"
    world.configure((transactional, '    domains: {default: "10/second, burst 1"}\n' + transactional))
    world.launch("news")
    world.run(world.sender(), SECOND * 3)
    for here in (to_gmail, lambda o: not to_gmail(o)):
        assert_no_window_has_more(world.provider.times(here), rate("10/second, burst 1"))
        assert len(world.provider.times(here)) >= 28


def test_a_small_campaign_is_not_delayed_by_a_large_one(world: World, now: datetime) -> None:
    """Both want more than the rate allows: they take turns, so the small one has half of it until it has ended."""
    world.add_campaign("small", "")
    small = world.shop.folder / "rules/small.yaml"
    small.write_text(
        small.read_text().replace(
            "{id: {present: true}}", "{id: {in: [" + ", ".join(f"c{n}" for n in range(1, 21)) + "]}}"
        )
    )
    world.shop.workspace = load_workspace(world.shop.folder)
    world.launch("news")
    sender = world.sender()
    world.run(sender, timedelta(milliseconds=300))
    began = world.clock.now()
    world.launch("small")
    world.run(sender, until=lambda: len(world.provider.times(lambda o: o.campaign == "small")) == 20)
    assert world.clock.now() - began <= timedelta(seconds=0.6)


def test_a_receipt_does_not_wait_for_a_bulk_run_that_uses_the_whole_rate(world: World) -> None:
    """At every moment of the run some of the rate is left: whatever is triggered leaves at that moment."""
    world.launch("news")
    sender, asked = world.sender(), list[datetime]()

    def triggered() -> bool:
        if not asked or world.clock.now() - asked[-1] > timedelta(milliseconds=50):
            asked.append(world.clock.now())
            world.trigger(str(len(asked)))
            sender.drain()
        return len(world.provider.times(lambda o: o.campaign == "news")) == 300

    world.run(sender, until=triggered)
    receipts = world.provider.times(lambda o: o.campaign == "receipt")
    assert receipts == asked and len(receipts) > 20


def test_what_waited_for_the_end_of_quiet_hours_leaves_at_the_rate(world: World) -> None:
    """At nine three hundred messages are due in the same second; they leave one after the other."""
    world.configure(more='quiet_hours: {email: {from: "13:00", to: "09:00"}}\n', news='rate: "50/second, burst 5"\n')
    world.launch("news")
    world.run(world.sender())
    times, nine = world.provider.times(), datetime(2026, 3, 3, 7, tzinfo=UTC)
    assert len(times) == 300 and times[0] == nine
    assert_no_window_has_more(times, rate("50/second, burst 5"))
    assert times[-1] - nine <= timedelta(seconds=6.2)


def test_a_new_sender_warms_up_day_by_day(world: World, now: datetime) -> None:
    """Forty on the first day, a hundred on the next, the rest when it is over: each at the hour at which it was due."""
    world.configure(more="senders: {news@shop.example: {warm_up: {from: 2026-03-02, days: [40, 100]}}}\n")
    world.launch("news")
    world.run(world.sender())
    days = [at.date().isoformat() for at in world.provider.times()]
    assert [days.count(f"2026-03-0{day}") for day in (2, 3, 4)] == [40, 100, 160]
    assert {at.hour for at in world.provider.times()} == {now.hour}
    assert sum(world.touches().values()) <= 300 * 2.5


def test_a_vendor_that_asks_to_wait_is_left_alone_by_all_and_delays_nobody_else(world: World, now: datetime) -> None:
    """Of two vendors one asks for ten minutes: its campaign waits, in another process, too, and with it its receipts;
    the other's goes on.
    """
    world.configure(
        ("  scripted: {use: file, folder: outbox}", "  scripted: {use: file, folder: outbox}\n  calm: {use: file, folder: calm}"),
        ("    transactional: {provider: scripted", "    transactional: {provider: calm"),
    )  # fmt: skip
    calm = Slow(world.clock)
    world.providers["calm"] = calm
    world.provider.answer = lambda outgoing: NotSent(code="http_429", retry_after=timedelta(minutes=10))
    first, second = world.sender(), world.sender()
    world.launch("news")
    first.drain()
    asked = len(world.provider.taken)
    assert 0 < asked <= 50 * 2
    world.provider.answer = world.provider._take
    world.trigger("1")
    for sender in (second, first):
        sender.drain()
        world.clock.set(now + timedelta(minutes=9))
    assert len(world.provider.taken) == asked
    assert len(calm.sent) == 1
    world.run(second)
    assert world.provider.times()[0] == now + timedelta(minutes=10)
    assert set(world.shop.states()) == {State.ACCEPTED}
    assert_no_window_has_more(world.provider.times(), rate("100/second, burst 20"))


def test_one_that_is_not_ready_holds_up_no_other(world: World, now: datetime) -> None:
    """A film that a network still makes is that message's matter alone: it comes again when it said, the others leave at once."""
    first: list[str] = []

    def not_ready(outgoing: Outgoing) -> Outcome:
        if not first or (first[0] == outgoing.key and world.clock.now() < now + timedelta(minutes=1)):
            first.append(outgoing.key)
            return NotSent(code="not_ready", retry_after=timedelta(minutes=1), alone=True)
        return world.provider._take(outgoing)

    world.provider.answer = not_ready
    for number in range(10):
        world.trigger(str(number))
    world.run(world.sender(), timedelta(seconds=30))
    waiting = [row for row in world.shop.rows() if row.state != State.ACCEPTED]
    assert [(row.reason, row.due_at >= now + timedelta(minutes=1)) for row in waiting] == [(Reason.NOT_READY, True)]
    world.run(world.sender(), timedelta(minutes=2))
    assert set(world.shop.states()) == {State.ACCEPTED} and len(first) == 1


def test_who_waits_for_a_place_has_a_reason_and_a_time(world: World, now: datetime) -> None:
    """Receipts are told one by one: pending, rate_limited, due when their place comes."""
    for number in range(30):
        world.trigger(str(number))
    world.sender().drain()
    rows = [row for row in world.shop.rows() if row.state == State.PENDING]
    assert len(rows) == 10
    assert {row.reason for row in rows} == {row.held_by for row in rows} == {Reason.RATE_LIMITED}
    assert sorted(row.due_at - now for row in rows) == [timedelta(milliseconds=10 * n) for n in range(1, 11)]


def test_a_message_that_is_withheld_takes_no_place(world: World) -> None:
    """Half of them have said no: the others leave as fast as if there were no more than they."""
    with world.shop.database.writing() as connection:
        odd = messages.c.customer_id % 2 == 1
        connection.execute(update(messages).where(odd).values(not_after=world.clock.now()))
    world.launch("news")
    with world.shop.database.writing() as connection:
        connection.execute(update(messages).where(odd).values(not_after=world.clock.now() - SECOND))
    world.run(world.sender())
    times = world.provider.times()
    assert len(times) == 150
    assert times[-1] - times[0] <= timedelta(seconds=1.4)
