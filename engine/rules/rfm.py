"""Recency, frequency and monetary value: scores of 1 to 5 among all customers who have such events, and what they come to.

A score is ⌈5·rank/N⌉, the rank ascending in goodness, equal ones at their average rank, so equal customers score equally.
With fewer than five customers there are no scores. Recency counts whole days.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, String, and_, case, cast, func, literal, or_, select

from engine.model import AttributeType
from engine.rules.columns import days_between, in_json, numbers, whole_days
from engine.rules.frame import Frame
from engine.rules.measures import PLACES
from engine.rules.syntax import Rfm
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


def rfm(condition: Rfm, frame: Frame) -> ColumnElement[bool]:
    """Whether a customer's scores pass every test, and lie in one of the bands."""
    scored = _scored(condition, frame)
    passed = [
        frame.tests(asked.tests, AttributeType.NUMBER, numbers(scored.c[asked.score], frame.dialect))
        for asked in condition.scores
    ]
    if condition.bands:
        passed.append(or_(*(_inside(BANDS[name], scored) for name in condition.bands)))
    return customers.c.id.in_(select(scored.c.customer_id).where(scored.c.everybody >= FEWEST, *passed))


def scores(condition: Rfm, frame: Frame) -> ColumnElement[str]:
    """A customer's scores in words, `recency 5, frequency 2`; NULL for whoever has none."""
    scored = _scored(condition, frame)
    told: ColumnElement[str] = literal("", String())
    for name in ("recency", "frequency", *(("monetary",) if condition.money else ())):
        told = told + literal(f"{', ' if name != 'recency' else ''}{name} ", String()) + cast(scored.c[name], String())
    mine = select(told).where(scored.c.customer_id == customers.c.id, scored.c.everybody >= FEWEST)
    return mine.correlate(customers).scalar_subquery()


def _inside(band: Band, scored: Any) -> ColumnElement[bool]:
    return and_(scored.c.recency.between(*band.recency), scored.c.frequency.between(*band.frequency))


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
    counted = [events.c.name == condition.event, events.c.at <= frame.now, events.c.customer_id.is_not(None)]
    if condition.within is not None:
        counted.append(events.c.at > frame.now - condition.within)
    days = whole_days(days_between(frame.now, func.max(events.c.at), frame.dialect), frame.dialect)
    columns = [days.label("days"), func.count().label("times")]
    if condition.money is not None:
        money = in_json(events.c.properties, condition.money, AttributeType.NUMBER, frame.dialect).column
        columns.append(func.coalesce(func.round(func.sum(money), PLACES), 0).label("money"))
    return select(events.c.customer_id, *columns).where(*counted).group_by(events.c.customer_id).cte()
