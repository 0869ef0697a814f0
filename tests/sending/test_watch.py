"""Watched: a campaign that goes badly is paused with its reason, and the rest of a run follows only a first part that went well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import BigInteger, Connection, literal, select

from engine.campaigns.launch import let_go
from engine.clock import SteppedClock
from engine.guards import Canary, Rates, Tally
from engine.ledger import brakes, canaries
from engine.ledger.balance import balance
from engine.ledger.canaries import WAITS
from engine.ledger.cancel import cancel_run
from engine.ledger.record import record_events
from engine.ledger.tallies import tally
from engine.model import EventName, Lane, Reason, State
from engine.provider import Accepted, Ambiguous, Outcome, Outgoing, ProviderEvent, Rejected
from engine.rules.workspace import load_workspace
from engine.sending.watch import Watch
from engine.store import Database, tables
from tests.sending.shop import NEWS, Shop

PEOPLE = 200
CANARY = "canary: {share: 10 %, wait: 2 hours, smallest: 100}"
STOP = "stop: {within: 6 hours, at_least: 50, bounces: 8 %, complaints: 1 %, errors: 20 %}"


@pytest.fixture
def shop(tmp_path: Path, database: Database, now: datetime) -> Shop:
    return Shop(tmp_path, database, SteppedClock(now), customers=PEOPLE)


def guarded(shop: Shop, said: str, *, own: str = "") -> Shop:
    config = shop.folder / "config.yaml"
    config.write_text(config.read_text(encoding="utf-8") + f"guards: {{{said}}}\n", encoding="utf-8")
    (shop.folder / "rules/news.yaml").write_text(NEWS + own, encoding="utf-8")
    shop.workspace = load_workspace(shop.folder)
    shop.launch()
    return shop


def some(every: int, bad: Outcome) -> Callable[[Outgoing], Outcome]:
    """Every so many-th message ends badly."""
    return lambda outgoing: bad if int(outgoing.key.partition("-")[2]) % every == 0 else Accepted()


def report(shop: Shop, name: EventName, *, every: int) -> None:
    """The vendor reports this of every so many-th message that it took."""
    taken = [one for one in shop.provider.taken if int(one.key.partition("-")[2]) % every == 0]
    told = [ProviderEvent(name=name, at=shop.clock.now(), dedupe=one.key, message_key=one.key) for one in taken]
    for _ in range(2):  # and once more: it is counted once
        record_events(shop.database, told, provider="scripted", now=shop.clock.now())


def let_pass(shop: Shop, times: int = 1, **span: float) -> None:
    for _ in range(times):
        shop.pass_time(**span)
        shop.sender().drain()


def why_paused(shop: Shop) -> list[str]:
    return [brake.why for brake in brakes.paused(shop.database)]


# ---------------------------------------------------------------- canaries


def test_a_first_part_leaves_ahead_and_the_rest_follows_when_it_went_well(shop: Shop) -> None:
    """A tenth at once, from all over the audience; the others not before two hours; then everybody, once."""
    guarded(shop, CANARY)
    shop.sender().drain()
    ahead = len(shop.provider.taken)
    assert 10 <= ahead <= 30
    assert Counter(row.due_at == WAITS for row in shop.rows() if row.state == State.PENDING) == {True: PEOPLE - ahead}
    numbers = [int((one.to or "").removeprefix("c").partition("@")[0]) for one in shop.provider.taken]
    assert min(numbers) < 40 and max(numbers) > PEOPLE - 40
    let_pass(shop, minutes=1)  # it has left: from here on it is watched
    let_pass(shop, minutes=118)
    assert len(shop.provider.taken) == ahead
    let_pass(shop, times=2, minutes=2)
    assert shop.states() == [State.ACCEPTED] * PEOPLE
    assert len({one.to for one in shop.provider.taken}) == len(shop.provider.taken) == PEOPLE
    assert balance(shop.database).holds


def test_each_run_draws_another_first_part(shop: Shop) -> None:
    """Nobody is always the one who gets the wrong price first."""
    guarded(shop, CANARY)
    shop.sender().drain()
    first = {one.to for one in shop.provider.taken}
    shop.provider.taken.clear()
    let_pass(shop, minutes=1)
    shop.launch("tomorrow")
    shop.sender().drain()
    second = {one.to for one in shop.provider.taken}
    assert first and second and not first <= second


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        (Rejected(code="550"), "errors of"),
        (Ambiguous(code="timeout"), "errors of"),
    ],
)
def test_a_first_part_that_goes_badly_stops_the_run(shop: Shop, bad: Outcome, what: str) -> None:
    """A third is refused, or unanswered: the campaign is paused with the numbers, and the rest never leaves by itself."""
    shop.provider.answer = some(3, bad)
    guarded(shop, CANARY)
    shop.sender().drain()
    handed_over = len(shop.provider.taken)
    let_pass(shop, times=3, hours=3)
    (why,) = why_paused(shop)
    assert why.startswith("the first part of run 1: ") and what in why and "10.0% are allowed" in why
    assert len(shop.provider.taken) == handed_over < PEOPLE
    brakes.resume(shop.database, "news")
    let_pass(shop, times=2, hours=3)
    assert len(shop.provider.taken) == handed_over, "lifting the pause alone lets nobody else go"


def test_bounces_and_complaints_reported_in_time_stop_the_run(shop: Shop) -> None:
    """They come by webhook an hour later, each twice."""
    guarded(shop, CANARY)
    shop.sender().drain()
    let_pass(shop, minutes=1)
    shop.pass_time(hours=1)
    report(shop, EventName.COMPLAINED, every=4)
    let_pass(shop, times=2, hours=1)
    assert "complaints of" in why_paused(shop)[0]
    assert State.PENDING in shop.states()


def test_a_person_lets_the_rest_go_after_all(shop: Shop) -> None:
    """Looked at and found right: the pause is lifted, and everybody else gets it, once."""
    shop.provider.answer = some(3, Rejected(code="550"))
    guarded(shop, CANARY)
    shop.sender().drain()
    let_pass(shop, times=2, hours=3)
    shop.provider.answer = lambda outgoing: Accepted()
    done = let_go(shop.workspace, shop.database, "news", by="Ana", now=shop.clock.now())
    assert done.runs == (1,)
    let_pass(shop, times=2, seconds=1)
    assert State.PENDING not in shop.states() and why_paused(shop) == []
    assert len({one.to for one in shop.provider.taken}) == len(shop.provider.taken)
    with shop.database.reading() as connection:
        assert "let go by Ana" in connection.execute(select(tables.canaries.c.why)).scalar_one()


def test_a_first_part_that_cannot_be_written_stops_the_run(shop: Shop) -> None:
    """The template asks for what nobody has: it would be the same with all the others."""
    text = shop.folder / "templates/news/email.txt"
    text.write_text("Hello {{ customer.surname }} {{ links.unsubscribe }} {{ postal_address }}", encoding="utf-8")
    guarded(shop, CANARY)
    shop.sender().drain()
    let_pass(shop, minutes=1)
    assert "errors of" in why_paused(shop)[0]
    assert {row.reason for row in shop.rows() if row.state == State.PENDING} == {Reason.CANARY}


def test_the_smallest_share_of_a_run_is_one_that_leaves_ahead(shop: Shop) -> None:
    """Less than a thousandth of two hundred: somebody leaves, it goes well, and everybody else follows."""
    guarded(shop, "canary: {share: 0.09 %, wait: 1 hours, smallest: 100}")
    shop.sender().drain()
    assert len(shop.provider.taken) == 1
    let_pass(shop, times=4, minutes=61)
    assert why_paused(shop) == []
    assert shop.states() == [State.ACCEPTED] * PEOPLE


@pytest.mark.parametrize(("share", "many"), [("5", 5000), ("0.35", 350), ("0.09", 90)])
def test_a_share_is_not_cut_to_something_rounder(database: Database, share: str, many: int) -> None:
    """Of a hundred thousand customers in a row as many are drawn as it says, and from all over them."""
    numbers = select(literal(1, BigInteger).label("n")).cte("numbers", recursive=True)
    numbers = numbers.union_all(select(numbers.c.n + 1).where(numbers.c.n < 100_000))
    for run in (1, 2, 77_000):
        drawn = select(numbers.c.n).where(canaries.ahead(numbers.c.n, run, Decimal(share) / 100)).order_by(numbers.c.n)
        with database.reading() as connection:
            found = connection.execute(drawn).scalars().all()
        assert abs(len(found) - many) <= many / 10
        assert max(end - start for start, end in pairwise(found)) < 5 * 100_000 / many


@pytest.mark.parametrize("how", ["before anybody looked", "while it was watched", "while it was decided"])
def test_a_run_that_was_cancelled_has_no_canary_any_more(shop: Shop, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody of its first part was written to, or it went badly: that is no reason to pause the whole campaign."""
    shop.provider.answer = some(3, Rejected(code="550"))
    guarded(shop, CANARY)
    if how == "before anybody looked":
        cancel_run(shop.database, 1, now=shop.clock.now())
    elif how == "while it was watched":
        shop.sender().work([Lane.BULK])
        cancel_run(shop.database, 1, now=shop.clock.now())
    else:
        counted = canaries.unwritten

        def cancelled_meanwhile(connection: Connection, canary: canaries.CanaryRun) -> int:
            cancel_run(shop.database, 1, now=shop.clock.now())
            return counted(connection, canary)

        monkeypatch.setattr(canaries, "unwritten", cancelled_meanwhile)
    let_pass(shop, times=4, minutes=61)
    assert why_paused(shop) == []
    assert {row.state for row in shop.rows()} <= {State.CANCELLED, State.ACCEPTED, State.REJECTED}
    with shop.database.reading() as connection:
        assert canaries.undecided(connection, *canaries.Stage) == []
    shop.launch("tomorrow")
    let_pass(shop, minutes=1)
    assert len(shop.provider.taken) > 0, "the next run goes on"


def test_a_small_run_leaves_as_one(shop: Shop) -> None:
    """Ten of two hundred would prove something; of ninety nine, where a hundred are asked for, nothing."""
    guarded(shop, "canary: {share: 10 %, smallest: 201}")
    shop.sender().drain()
    assert shop.states() == [State.ACCEPTED] * PEOPLE


# ---------------------------------------------------------------- automatic stops


def test_a_campaign_that_goes_badly_is_paused_in_the_middle(shop: Shop) -> None:
    """Half is refused: once enough have left, the rest stays."""
    shop.provider.answer = some(2, Rejected(code="550"))
    guarded(shop, STOP, own="not_later_than: 2 days\n")
    config = shop.workspace.settings.sending
    assert config.batch == 4
    sender = shop.sender()
    for _ in range(30):
        sender.work([Lane.BULK])
        sender.watch()
    (why,) = why_paused(shop)
    assert "errors of" in why and "20.0% are allowed" in why
    assert 50 <= len(shop.provider.taken) <= 70


def test_late_bounces_stop_what_is_still_to_come(shop: Shop) -> None:
    """The first run's messages bounce while the next one waits: counted by when they left, each once."""
    guarded(shop, STOP)
    shop.sender().drain()
    shop.launch("tomorrow")
    report(shop, EventName.BOUNCED, every=5)
    with shop.database.reading() as connection:
        seen = tally(connection, "news", since=shop.clock.now() - timedelta(hours=1))
    assert seen == Tally(begun=PEOPLE, errors=0, bounces=PEOPLE // 5, complaints=0)
    shop.pass_time(minutes=1)
    shop.sender().watch()
    assert "bounces of 200" in why_paused(shop)[0]


def test_what_left_before_a_stop_is_not_held_against_it_again(shop: Shop) -> None:
    """Somebody looked and resumed: only what leaves from then on counts."""
    guarded(shop, STOP)
    shop.sender().drain()
    report(shop, EventName.BOUNCED, every=5)
    shop.sender().watch()
    assert brakes.resume(shop.database, "news")
    shop.launch("tomorrow")
    let_pass(shop, times=2, minutes=1)
    assert why_paused(shop) == []
    assert shop.states() == [State.ACCEPTED] * 2 * PEOPLE


def test_a_receipt_is_not_stopped_by_what_is_said_for_offers(shop: Shop) -> None:
    """Unless its own file says so."""
    config = shop.folder / "rules/receipt.yaml"
    guarded(shop, STOP)
    watch = Watch(setup=shop.setup, database=shop.database, now=shop.clock.now)
    assert watch.terms_of("news") is not None and watch.terms_of("receipt") is None
    config.write_text(config.read_text(encoding="utf-8") + f"guards: {{{STOP}}}\n", encoding="utf-8")
    shop.workspace = load_workspace(shop.folder)
    assert watch.terms_of("receipt") is not None


def test_what_no_guard_asks_about_is_not_counted(shop: Shop) -> None:
    """Without guards not a row is written for a hand-over; what no span reaches is forgotten."""
    shop.launch()
    shop.sender().drain()
    with shop.database.reading() as connection:
        assert connection.execute(select(tables.tallies)).all() == []
    report(shop, EventName.BOUNCED, every=5)
    let_pass(shop, days=3)
    with shop.database.reading() as connection:
        assert connection.execute(select(tables.tallies)).all() == []


def test_one_bad_end_alone_stops_nothing() -> None:
    """One complaint of fifty is two percent, and no campaign's end; two are."""
    rates = Rates.model_validate({"complaints": "0.3 %"})
    assert rates.exceeded(Tally(begun=50, complaints=1)) == ""
    assert rates.exceeded(Tally(begun=50, complaints=2)) == "2 complaints of 50 messages (4.0%); 0.3% are allowed"
    assert rates.exceeded(Tally(begun=1000, complaints=3)) == ""
    assert Canary.model_validate({"share": "5 %"}).exceeded(Tally(begun=100, bounces=5)) == ""
