"""Caps on money: never passed, whoever dies and however many senders there are; told, and let go by a person or the next day."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import func, select

from engine.campaigns.launch import trigger
from engine.clock import SteppedClock
from engine.errors import WorkspaceError
from engine.ledger import brakes
from engine.ledger.judge import Judgement, judge
from engine.ledger.record import record_events
from engine.ledger.spending import spent
from engine.measure.report import report
from engine.model import EventName, Lane, Reason, State
from engine.provider import Accepted, Ambiguous, Finding, NotFound, NotSent, Outcome, Outgoing, ProviderEvent, Rejected
from engine.questions.doctor.answer import diagnose
from engine.questions.plan import plan
from engine.rules.workspace import load_workspace
from engine.settings import load_settings
from engine.store import Database
from engine.store.tables import attempts
from tests.conftest import NOW
from tests.sending.shop import CONFIG, NEWS, Scripted, Shop

PEOPLE = 60


@pytest.fixture
def shop(tmp_path: Path, database: Database, database_url: str) -> Shop:
    """Sixty customers, and a letter costs ten cents."""
    shop = Shop(tmp_path, database, SteppedClock(NOW), customers=PEOPLE)
    (tmp_path / "config.yaml").write_text(CONFIG + f"database: {database_url}\nprices: {{email: 0.10}}\n", "utf-8")
    return shop


def limit(shop: Shop, said: str, campaign: str = "") -> None:
    config = shop.folder / "config.yaml"
    kept = config.read_text(encoding="utf-8").partition("guards:")[0]
    config.write_text(f"{kept}guards: {{{said}}}\n", encoding="utf-8")
    (shop.folder / "rules/news.yaml").write_text(NEWS + campaign, encoding="utf-8")
    shop.workspace = load_workspace(shop.folder)


def left(shop: Shop) -> int:
    return len(shop.provider.taken)


def test_a_days_money_is_never_passed_and_the_rest_leaves_on_the_next_days(shop: Shop) -> None:
    """Two euros a day at ten cents: twenty letters, then tomorrow twenty more, the reason written down; receipts do not wait."""
    limit(shop, "spend: {a_day: 2}")
    shop.launch()
    seen = []
    for _ in range(3):
        shop.sender().drain()
        seen.append((left(shop), Counter(row.reason for row in shop.rows() if row.state == State.PENDING)))
        shop.pass_time(days=1)
    assert [many for many, _ in seen] == [20, 40, 60]
    shop.launch("once more")
    shop.sender().drain()
    assert left(shop) == 80
    with shop.database.writing() as connection:
        now = shop.clock.now()
        trigger(
            shop.workspace,
            connection,
            shop.database,
            "receipt",
            customer="c1",
            data={"order": "7"},
            occurrence="7",
            now=now,
        )
    shop.sender().drain()
    assert shop.provider.taken[-1].campaign == "receipt"
    assert seen[0][1][Reason.DAY_SPENT] >= 1
    assert {row.due_at for row in shop.rows() if row.held_by == Reason.DAY_SPENT} <= {
        datetime(2026, 3, day, 22, 0, tzinfo=UTC)
        for day in (2, 3, 5)  # midnight in Helsinki
    }
    line = report(shop.database, now=shop.clock.now()).lines[0]
    assert line.cost == 8
    assert line.held[Reason.DAY_SPENT] >= 1


def test_a_run_that_has_cost_enough_is_paused_until_somebody_allows_more(shop: Shop) -> None:
    """Resumed with the same cap it is paused again, and no letter more has left; with a higher one it goes on."""
    limit(shop, "spend: {a_run: 1.55}")
    shop.launch()
    shop.sender().drain()
    assert left(shop) == 15
    [brake] = brakes.paused(shop.database)
    assert (brake.campaign, "may cost 1.55 EUR" in brake.why) == ("news", True)
    brakes.resume(shop.database, "news")
    shop.pass_time(minutes=1)
    shop.sender().drain()
    assert (left(shop), len(brakes.paused(shop.database))) == (15, 1)
    limit(shop, "spend: {a_run: 1.55}", "guards: {spend: {a_run: 100}}")
    brakes.resume(shop.database, "news")
    shop.pass_time(minutes=1)
    shop.sender().drain()
    assert Counter(shop.states()) == {State.ACCEPTED: PEOPLE}


def test_many_senders_together_pass_no_cap(shop: Shop) -> None:
    """Four senders at once, a vendor that answers all ways: what it may have taken never costs more than the cap."""
    limit(shop, "spend: {a_day: 3}")
    shop.launch()
    together, most = threading.Lock(), 0
    ends = (Accepted(), NotSent(code="busy"), Ambiguous(code="timeout"), Rejected(code="gone"))
    held: Counter[str] = Counter()

    def answer(outgoing: Outgoing) -> Outcome:
        nonlocal most
        outcome = ends[int(outgoing.key.rpartition("-")[2]) % 4]
        with together:
            held["flying"] += 1
            most = max(most, held["flying"] + held["paid"])
        with together:
            held["flying"] -= 1
            held["paid"] += isinstance(outcome, Accepted | Ambiguous)
        return outcome

    shop.provider = Scripted(answer)
    senders = [shop.sender() for _ in range(4)]
    crew = [threading.Thread(target=sender.drain) for sender in senders]
    for one in crew:
        one.start()
    for one in crew:
        one.join()
    assert most <= 30
    with shop.database.reading() as connection:
        counted = spent(connection, ["all 2026-03-02"])["all 2026-03-02"]
        paid = select(func.sum(attempts.c.cost)).where(attempts.c.outcome.in_(("accepted", "ambiguous")))
        assert counted == connection.execute(paid).scalar_one() <= 3_000_000


def reserved(shop: Shop) -> set[int]:
    with shop.database.reading() as connection:
        return set(spent(connection, ["run 1", "campaign news 2026-03-02", "all 2026-03-02"]).values())


def silent(key: str) -> bool:
    return int(key.rpartition("-")[2]) % 4 == 0


class Asked(Scripted):
    """Answers nothing to every fourth, and finds this when it is asked."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(self._answer_most, settle_time=timedelta(minutes=2))
        self._finding = finding

    def _answer_most(self, outgoing: Outgoing) -> Outcome:
        return Ambiguous(code="timeout") if silent(outgoing.key) else Accepted()

    def look_up(self, outgoing: Outgoing, *, deadline: float) -> Finding:
        return self._finding


def without_an_answer(shop: Shop, finding: Finding) -> None:
    """All sixty handed over, six euros reserved; to every fourth nobody answers, and the vendor can be asked."""
    limit(shop, "spend: {a_run: 100, a_day: 6}", "guards: {spend: {a_day: 6}}")
    shop.provider = Asked(finding)
    shop.launch()
    sender = shop.sender()
    while sender.work([Lane.BULK]):
        pass
    assert reserved(shop) == {6_000_000}


def test_what_never_arrived_is_paid_for_once(shop: Shop) -> None:
    """The cap would be full; but the vendor never had any: the money is free again, and everybody gets the letter today."""
    without_an_answer(shop, NotFound())
    for _ in range(8):
        shop.pass_time(minutes=1)
        shop.sender().reconcile()
    assert reserved(shop) == {4_500_000}
    shop.provider.answer = lambda outgoing: Accepted()
    shop.pass_time(minutes=1)
    shop.sender().drain()
    assert Counter(shop.states()) == {State.ACCEPTED: PEOPLE}
    assert reserved(shop) == {6_000_000}
    assert report(shop.database, now=shop.clock.now()).lines[0].cost == 6


class Gone(BaseException):
    """The sender's process ends."""


def test_who_dies_keeps_no_money_of_what_never_arrived(shop: Shop) -> None:
    """Nobody heard the end of its hand-overs; the vendor, asked twice, never had them, and the cap has room for them again."""

    def ends(outgoing: Outgoing) -> Outcome:
        raise Gone

    limit(shop, "spend: {a_run: 100, a_day: 6}", "guards: {spend: {a_day: 6}}")
    shop.provider = Asked(NotFound())
    shop.provider.answer = ends
    shop.launch()
    with pytest.raises(Gone):
        shop.sender().work([Lane.BULK])
    (money,) = reserved(shop)
    assert money > 0
    for _ in range(12):
        shop.pass_time(minutes=1)
        sender = shop.sender()
        sender.tidy()
        sender.reconcile()
    assert reserved(shop) == {0}
    shop.provider.answer = lambda outgoing: Accepted()
    shop.pass_time(minutes=1)
    shop.sender().drain()
    assert Counter(shop.states()) == {State.ACCEPTED: PEOPLE}
    assert reserved(shop) == {6_000_000}


@pytest.mark.parametrize("how", ["found", "reported", "judged"])
def test_what_was_dropped_after_all_is_given_back_once(shop: Shop, how: str) -> None:
    """However late, and however often it is told."""
    without_an_answer(shop, Rejected(code="dropped"))
    database, now = shop.database, shop.clock.now()
    keys = [key for row in shop.rows() if silent(key := database.message_key(row.id))]
    for number in range(2):
        if how == "found":
            shop.pass_time(minutes=1)
            shop.sender().reconcile()
        elif how == "reported":
            told = [
                ProviderEvent(name=EventName.REJECTED, at=now, dedupe=f"{number}{key}", message_key=key) for key in keys
            ]
            record_events(database, [*told, *told], provider="scripted", now=now)
        else:
            judge(database, [row.id for row in shop.rows()], Judgement.REJECTED, by="Ana", why="their log", now=now)
        assert Counter(shop.states()) == {State.ACCEPTED: 45, State.REJECTED: 15}
        assert reserved(shop) == {4_500_000}
    assert report(database, now=now).lines[0].cost == Decimal("4.5")


def test_a_sender_that_only_slept_gives_its_money_back_itself(shop: Shop) -> None:
    """The vendor's report comes first, then its answer: together they free what one message costs."""
    limit(shop, "spend: {a_run: 100}")
    database, now = shop.database, shop.clock.now()

    ends = {"c1@customers.example": Rejected(code="550"), "c2@customers.example": Ambiguous(code="timeout")}

    def dropped_at_once(outgoing: Outgoing) -> Outcome:
        told = ProviderEvent(name=EventName.REJECTED, at=now, dedupe=outgoing.key, message_key=outgoing.key)
        record_events(database, [told], provider="scripted", now=now)
        return ends.get(outgoing.to or "", Accepted())

    shop.provider = Scripted(dropped_at_once)
    shop.launch()
    shop.sender().drain()
    assert reserved(shop) == {(PEOPLE - 2) * 100_000}
    with database.reading() as connection:
        found = connection.execute(select(attempts.c.outcome, attempts.c.code).where(attempts.c.outcome == "dropped"))
        assert [tuple(row) for row in found] == [("dropped", "timeout")]  # what was proved no doubt takes back


def test_a_cap_is_told_ahead_and_while_it_holds(shop: Shop, tmp_path: Path) -> None:
    """The plan says what would happen, the doctor how much is left."""
    limit(shop, "spend: {a_day: 2, a_run: 4}")
    [planned] = [one for one in plan(shop.workspace, shop.database, now=NOW).campaigns if one.campaign == "news"]
    assert any("6.00 EUR, and guards.spend.a_run is 4.00: after about 40" in told for told in planned.warnings)
    shop.launch()
    shop.sender().drain()
    found = diagnose(load_settings(shop.folder), shop.folder, now=NOW + timedelta(minutes=1), dns=None).findings
    assert [one.what for one in found if "spent today" in one.what] == ["2.00 of 2.00 EUR are spent today (100%)"]


def test_a_text_without_a_price_would_go_past_every_cap(shop: Shop) -> None:
    """So config.yaml is refused until every country has one."""
    config = shop.folder / "config.yaml"
    text = config.read_text(encoding="utf-8").replace(
        "channels:\n", "channels:\n  sms:\n    commercial: {provider: scripted, from: '+358401234567'}\n"
    )
    config.write_text(
        text.replace("prices: {email: 0.10}", "prices: {sms: {FI: 0.05}}") + "guards: {spend: {a_day: 2}}\n"
    )
    with pytest.raises(WorkspaceError, match="have no price: they would count as free"):
        load_settings(shop.folder)
