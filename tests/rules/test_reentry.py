"""Re-entry: scripted histories of a thousand people against an oracle in plain Python, and what the starts of a campaign see."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import bindparam, select, update

from engine.clock import SteppedClock
from engine.questions.plan import plan
from engine.questions.why import why
from engine.questions.why.reentry import Reentry
from engine.store import Database
from engine.store.tables import customers, departures, messages, runs
from tests.conftest import NOW
from tests.questions.crowd import rewrite
from tests.sending.shop import NEWS, Shop

STARTS = 14
DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Script:
    """One person: whether the rule fits at each daily start, and for how many starts a message of theirs stays open."""

    inside: tuple[bool, ...]
    open_for: int


def scripts(count: int) -> dict[str, Script]:
    """Coming and going at every pace: hardly ever, now and then, every day."""
    chance, made = random.Random(11), {}
    for number in range(count):
        inside, pace = [chance.random() < 0.5], chance.choice((0.05, 0.3, 0.7))
        while len(inside) < STARTS:
            inside.append(inside[-1] is not (chance.random() < pace))
        made[f"p{number}"] = Script(inside=tuple(inside), open_for=chance.choice((0, 0, 0, 1, 4)))
    return made


def once(script: Script) -> list[int]:
    return [at for at, inside in enumerate(script.inside) if inside][:1]


def at_every_start(script: Script) -> list[int]:
    return [at for at, inside in enumerate(script.inside) if inside]


def three_days_later(script: Script) -> list[int]:
    owed: list[int] = []
    for at, inside in enumerate(script.inside):
        if inside and (not owed or at - owed[-1] >= 3):
            owed.append(at)
    return owed


def from_outside_to_inside(script: Script) -> list[int]:
    """At first when inside; then only after having been outside, and never while the last message is still open."""
    owed, been_outside = list[int](), True
    for at, inside in enumerate(script.inside):
        if not inside:
            been_outside = True
        elif been_outside and (not owed or at - owed[-1] > script.open_for):
            owed.append(at)
            been_outside = False
    return owed


ORACLES: Mapping[str, Callable[[Script], list[int]]] = {
    "never": once,
    "on_rematch": from_outside_to_inside,
    "always": at_every_start,
    "{after: 3 days}": three_days_later,
}


def campaign(reentry: str) -> str:
    text = NEWS.replace("{id: {present: true}}", "{vip: true}").replace("reentry: always", f"reentry: {reentry}")
    assert text.count("vip") == 1 and reentry in text
    return text


def shop_of(folder: Path, database: Database, people: Mapping[str, Any], reentry: str) -> Shop:
    made = Shop(folder, database, SteppedClock(NOW), rows=[{"id": name} for name in people])
    config = (folder / "config.yaml").read_text(encoding="utf-8")
    (folder / "config.yaml").write_text(config.replace("{first_name: text}", "{first_name: text, vip: boolean}"))
    rewrite(made, "rules/news.yaml", campaign(reentry))
    return made


def become(shop: Shop, inside: Mapping[str, bool]) -> None:
    """The rule fits these people, or does not."""
    who = customers.c.external_id == bindparam("who")
    rows = [{"who": name, "known": {"vip": fits}} for name, fits in inside.items()]
    with shop.database.writing() as connection:
        connection.execute(update(customers).where(who).values(attributes=bindparam("known")), rows)


def end_messages(shop: Shop, people: Mapping[str, Script], start: int) -> None:
    """Whatever has been open long enough ends; how it ends is nothing to re-entry."""
    m = messages.c
    numbered = select(m.id, customers.c.external_id, runs.c.occurrence).join_from(messages, customers).join(runs)
    with shop.database.writing() as connection:
        waiting = connection.execute(numbered.where(m.state == "pending")).all()
        over = [row.id for row in waiting if start - int(row.occurrence) >= people[row.external_id].open_for]
        connection.execute(update(messages).where(m.id.in_(over)).values(state="skipped"))


def owed(shop: Shop) -> dict[str, list[int]]:
    """Each person's starts at which a message was owed."""
    query = select(customers.c.external_id, runs.c.occurrence).join_from(messages, customers).join(runs)
    found: dict[str, list[int]] = {}
    with shop.database.reading() as connection:
        for row in connection.execute(query.order_by(messages.c.id)):
            found.setdefault(row.external_id, []).append(int(row.occurrence))
    return found


@pytest.mark.parametrize("reentry", ORACLES)
def test_a_thousand_histories_are_as_the_oracle_has_them(tmp_path: Path, database: Database, reentry: str) -> None:
    """Never, on a rematch, always, after a span: everybody gets it at exactly those starts, whoever waits meanwhile."""
    people = scripts(1000)
    shop = shop_of(tmp_path, database, people, reentry)
    for start in range(STARTS):
        become(shop, {name: script.inside[start] for name, script in people.items()})
        told = plan(shop.workspace, database, now=shop.clock.now()).campaigns[0]
        assert shop.launch(str(start)) == told.audience
        assert told.audience + told.kept_out == sum(script.inside[start] for script in people.values())
        assert shop.launch(str(start)) == 0, "the same start again owes nothing, and sees nothing"
        end_messages(shop, people, start)
        shop.pass_time(days=1)
    found, oracle = owed(shop), ORACLES[reentry]
    assert found == {name: expected for name, script in people.items() if (expected := oracle(script))}
    assert reentry == "never" or any(len(starts) > 2 for starts in found.values())


def reentry_of(shop: Shop, person: str) -> Reentry:
    found = why(shop.workspace, shop.database, person, "news", now=shop.clock.now())
    assert found.reentry is not None
    return found.reentry


def start(shop: Shop, **inside: bool) -> int:
    """The next day's start, with these people inside or not; all messages of it end."""
    shop.pass_time(days=1)
    become(shop, inside)
    count = shop.launch(f"{shop.clock.now()}")
    with shop.database.writing() as connection:
        connection.execute(update(messages).values(state="skipped"))
    return count


def test_who_had_it_before_the_rule_was_on_rematch_is_kept_out_until_seen_outside(
    tmp_path: Path, database: Database
) -> None:
    """Nothing was noted under `never`: it is not assumed that they left meanwhile. The first start notes who is outside."""
    shop = shop_of(tmp_path, database, {"ana": 1, "ben": 1}, "never")
    assert start(shop, ana=True, ben=True) == 2
    become(shop, {"ana": False})
    rewrite(shop, "rules/news.yaml", campaign("on_rematch"))
    assert start(shop, ana=True, ben=True) == 0, "ana left and came back between two starts"
    assert start(shop, ana=False, ben=True) == 0
    assert start(shop, ana=True, ben=True) == 1
    assert [row.customer_id for row in shop.rows()] == [1, 2, 1]


def test_why_tells_when_the_customer_was_seen_outside(tmp_path: Path, database: Database) -> None:
    """Kept out: until what. Let in: since when the customer had been outside."""
    shop = shop_of(tmp_path, database, {"ana": 1}, "on_rematch")
    assert not reentry_of(shop, "ana").keeps_out
    start(shop, ana=True)
    kept = reentry_of(shop, "ana")
    assert (kept.keeps_out, kept.until, kept.left_at) == (True, None, None)
    assert "until a start of the campaign sees the customer outside" in kept.lasts
    told = why(shop.workspace, database, "ana", "news", now=shop.clock.now()).answer
    assert "kept out until a start of the campaign sees the customer outside the audience" in told[0]
    start(shop, ana=False)
    kept = reentry_of(shop, "ana")
    assert (kept.keeps_out, kept.left_at, kept.lasts) == (False, shop.clock.now(), "")
    start(shop, ana=True)
    assert reentry_of(shop, "ana").keeps_out, "what was seen before the last message lets nobody in"


def test_who_is_outside_is_noted_once_for_each_message(tmp_path: Path, database: Database) -> None:
    """However many starts see the customer outside: the notes grow with the messages, not with the starts."""
    shop = shop_of(tmp_path, database, {"ana": 1, "ben": 1}, "on_rematch")
    for _ in range(2):
        start(shop, ana=True, ben=False)
        for _ in range(4):
            start(shop, ana=False, ben=False)
    with database.reading() as connection:
        noted = connection.execute(select(departures.c.customer_id, departures.c.at)).all()
    assert len(noted) == 2 == len(set(noted))
    assert {row.customer_id for row in noted} == {1}


@pytest.mark.parametrize("reentry", ["never", "always", "{after: 3 days}"])
def test_only_on_rematch_has_to_remember(tmp_path: Path, database: Database, reentry: str) -> None:
    """No other rule writes anything down."""
    shop = shop_of(tmp_path, database, {"ana": 1}, reentry)
    start(shop, ana=True)
    start(shop, ana=False)
    with database.reading() as connection:
        assert connection.execute(select(departures)).all() == []
