"""Recency, frequency and monetary value: scores of 1 to 5 among all customers who have such events, and what they come to.

A score is ⌈5·rank/N⌉, the rank ascending in goodness, equal ones at their average rank, so equal customers score equally.
With fewer than five customers there are no scores. Recency counts whole days.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, String, and_, case, cast, func, literal, or_, select, true

from engine.model import AttributeType
from engine.rules.columns import days_between, in_json, numbers, whole_days
from engine.rules.frame import Frame
from engine.rules.measures import PLACES
from engine.rules.sources import events_named
from engine.rules.syntax import Rfm
from engine.rules.together import Shared
from engine.store.tables import customers, events

FEWEST = 5

SCORES: Mapping[str, str] = MappingProxyType(
    {
        "recency": "5: among the fifth who came last; 1: among the fifth who are away longest",
        "frequency": "5: among the fifth with the most events",
        "monetary": "5: among the fifth who spent most; needs `money`",
        "total": "recency, frequency and monetary added up, 3 to 15; needs `money`",
    }
)
"""What may be asked of RFM, each a whole number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Band:
    """A field of the plane of recency and frequency, edges included."""

    name: str
    says: str
    recency: tuple[int, int]
    frequency: tuple[int, int]


_ROWS = (
    Band(name="champions", says="came lately, come often", recency=(5, 5), frequency=(4, 5)),
    Band(name="loyal", says="come often, and came not long ago", recency=(3, 4), frequency=(4, 5)),
    Band(name="potential", says="came lately, and more than once", recency=(4, 5), frequency=(2, 3)),
    Band(name="new", says="came lately for the first time", recency=(5, 5), frequency=(1, 1)),
    Band(name="promising", says="came not long ago, seldom", recency=(4, 4), frequency=(1, 1)),
    Band(name="need_attention", says="middling in both", recency=(3, 3), frequency=(3, 3)),
    Band(name="about_to_sleep", says="seldom came, and are fading", recency=(3, 3), frequency=(1, 2)),
    Band(name="at_risk", says="came often, and not for long", recency=(1, 2), frequency=(3, 4)),
    Band(name="cannot_lose", says="came most often of all, and not for long", recency=(1, 2), frequency=(5, 5)),
    Band(name="hibernating", says="came seldom, and long ago", recency=(1, 2), frequency=(1, 2)),
)

BANDS: Mapping[str, Band] = MappingProxyType({row.name: row for row in _ROWS})
"""They cover the plane: everybody with scores is in exactly one."""


Scores = Mapping[str, ColumnElement[Any]]


def rfm(condition: Rfm, frame: Frame) -> ColumnElement[bool]:
    """Whether a customer's scores pass every test, and lie in one of the bands."""
    if frame.shared is not None and frame.shared.takes(events_named(condition.event)):
        return _passed(condition, _shared(condition, frame, frame.shared), frame)
    scored = _scored(condition, frame)
    passed = _passed(condition, {score: scored.c[score] for score in _told(condition)}, frame)
    return customers.c.id.in_(select(scored.c.customer_id).where(scored.c.everybody >= FEWEST, passed))


def _passed(condition: Rfm, scores: Scores, frame: Frame) -> ColumnElement[bool]:
    passed = [
        frame.tests(asked.tests, AttributeType.NUMBER, numbers(scores[asked.score], frame.dialect))
        for asked in condition.scores
    ]
    if condition.bands:
        passed.append(or_(*(_inside(BANDS[name], scores) for name in condition.bands)))
    return and_(true(), *passed)


def _told(condition: Rfm) -> tuple[str, ...]:
    """The scores that there are."""
    return ("recency", "frequency", *(("monetary", "total") if condition.money else ()))


def _shared(condition: Rfm, frame: Frame, shared: Shared) -> Scores:
    """Scores laid aside for all rules that rank by the same events: with those for money, where one of them asks for it."""
    own = replace(condition, scores=(), bands=())
    alike = [key for key in shared.made if isinstance(key, Rfm) and own in (key, replace(key, money=None))]
    ranking = max(alike, key=lambda key: key.money or "", default=own)
    if ranking not in shared.told:
        scored = _scored(ranking, frame)
        mine = shared.over(ranking, select(scored.c.customer_id).where(scored.c.everybody >= FEWEST))
        shared.told[ranking] = {score: mine.ask(scored.c[score]) for score in _told(ranking)}
    return shared.told[ranking]


def scores(condition: Rfm, frame: Frame) -> ColumnElement[str]:
    """A customer's scores in words, `recency 5, frequency 2`; NULL for whoever has none."""
    scored = _scored(condition, frame)
    told: ColumnElement[str] = literal("", String())
    for name in ("recency", "frequency", *(("monetary",) if condition.money else ())):
        told = told + literal(f"{', ' if name != 'recency' else ''}{name} ", String()) + cast(scored.c[name], String())
    mine = select(told).where(scored.c.customer_id == customers.c.id, scored.c.everybody >= FEWEST)
    return mine.correlate(customers).scalar_subquery()


def _inside(band: Band, scores: Scores) -> ColumnElement[bool]:
    return and_(scores["recency"].between(*band.recency), scores["frequency"].between(*band.frequency))


def _scored(condition: Rfm, frame: Frame) -> Any:
    """One row a customer with events that count: the scores, and how many have any."""
    each = _each(condition, frame)
    everybody = select(func.count()).select_from(each).scalar_subquery()
    scores = {"recency": _score(each, each.c.days, everybody, most_is_best=False)}
    scores["frequency"] = _score(each, each.c.times, everybody)
    if condition.money:
        scores["monetary"] = _score(each, each.c.money, everybody)
        scores["total"] = scores["recency"] + scores["frequency"] + scores["monetary"]
    columns = [score.label(name) for name, score in scores.items()]
    return select(each.c.customer_id, everybody.label("everybody"), *columns).subquery()


def _score(each: Any, value: Any, everybody: Any, *, most_is_best: bool = True) -> ColumnElement[Any]:
    """One more for each of the scores 2 to 5 that the value reaches. The values that reach one are looked for only once, over
    how many customers have which value: that is much less than to rank every customer.
    """
    alike = func.count()
    upwards = value.asc() if most_is_best else value.desc()
    upto = func.sum(alike).over(order_by=upwards)
    known = select(value.label("value"), alike.label("alike"), upto.label("upto")).group_by(value).subquery()
    # ⌈5·average rank/N⌉ in whole numbers: the average rank of equal ones is the rank of their last − (how many − 1)/2
    twice = 2 * known.c.upto - known.c.alike + 1
    scored = select(known.c.value, ((5 * twice + 2 * everybody - 1) // (2 * everybody)).label("score")).cte()
    edge = func.min if most_is_best else func.max
    score: ColumnElement[Any] = literal(1)
    for reached in range(2, 6):
        least = select(edge(scored.c.value)).where(scored.c.score >= reached).scalar_subquery()
        score = score + case((value >= least if most_is_best else value <= least, 1), else_=0)
    return score


def _each(condition: Rfm, frame: Frame) -> Any:
    """Every customer with events that count, each with the three numbers that are compared."""
    mine = [events.c.name == condition.event, events.c.at <= frame.now, events.c.customer_id.is_not(None)]
    rows = select(events.c.customer_id).where(*mine).group_by(events.c.customer_id)
    source = events_named(condition.event)
    recent = events.c.at > frame.now - condition.within if condition.within is not None else None
    if frame.shared is None or not frame.shared.takes(source):
        numbers = _numbers(condition, frame, None)
        return (rows if recent is None else rows.where(recent)).add_columns(*_labelled(numbers)).cte()
    passed = frame.shared.over(source, rows)
    numbers = {name: passed.ask(number) for name, number in _numbers(condition, frame, recent).items()}
    return select(passed.laid.c.customer_id, *_labelled(numbers)).where(numbers["times"] > 0).subquery()


def _numbers(condition: Rfm, frame: Frame, only: ColumnElement[bool] | None) -> dict[str, ColumnElement[Any]]:
    """Over all events of a group, or `only` some."""

    def of(value: Any) -> Any:
        return value if only is None else case((only, value))

    days = days_between(frame.now, func.max(of(events.c.at)), frame.dialect)
    times = func.count() if only is None else func.count(of(1))
    numbers = {"days": whole_days(days, frame.dialect), "times": times}
    if condition.money is not None:
        money = in_json(events.c.properties, condition.money, AttributeType.NUMBER, frame.dialect).column
        numbers["money"] = func.coalesce(func.round(func.sum(of(money)), PLACES), 0)
    return numbers


def _labelled(numbers: Mapping[str, ColumnElement[Any]]) -> list[Any]:
    return [number.label(name) for name, number in numbers.items()]
