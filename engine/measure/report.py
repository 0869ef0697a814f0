"""What happened: per campaign and channel owed, sent, delivered, opened, clicked, held, withheld; and what was bought afterwards.

Goal events count when the customer had them within the campaign's goal window after an accepted message of it, each event
once a campaign and channel. That is "afterwards", not "because of": only a holdout tells the difference (engine/measure/arms.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, func, or_, select

from engine.document import suggestion
from engine.errors import UnknownName
from engine.ledger.balance import known_campaigns
from engine.ledger.brakes import Brake, paused
from engine.ledger.holds import Hold, holding
from engine.ledger.posts import COUNTS
from engine.ledger.spending import money
from engine.measure.arms import Arms, arms
from engine.measure.goals import Afterwards, Wording, afterwards, wordings
from engine.model import OPEN, Channel, State
from engine.settings import BUILT_IN_EVENTS
from engine.store import Database
from engine.store.tables import attempts, events, messages, posts, runs


@dataclass(frozen=True, kw_only=True, slots=True)
class Fared:
    """How a campaign's posts to everybody by one provider, in one variant where it has any, fared, as its vendor told last: sums, None for what it does not count.

    posts: how many were counted. gone: how many of them their vendors do not know any more. as_of: the oldest count (UTC).
    """

    provider: str
    variant: str | None = None
    posts: int
    gone: int
    as_of: datetime
    likes: int | None
    shares: int | None
    replies: int | None
    clicks: int | None
    views: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Deed:
    """How often known customers did something with a campaign's messages or posts, and how many of them did."""

    events: int
    customers: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One campaign on one channel, as of the report's instant. Opened and clicked are people's, not machines'.

    arms: its holdout and its variants beside each other; None where it has neither.
    to_everybody: its messages are posts, of which nobody knows who read them. fared: of those, by provider and variant; empty before their vendors were asked.
    held: messages that had to wait, by the last reason, whatever became of them. withheld: ended unsent, by reason.
    cost: what its messages cost by the prices at their hand-over, what is in doubt included; None where nothing has a price.
    dead: surely not taken, and given up, by reason. rejected: refused by the provider for good, by its code.
    did: what customers that the shop knows did under their own name: `replied`, `reacted`, `shared`, where anybody did; people's, too.
    """

    campaign: str
    channel: Channel
    runs: int
    owed: int
    states: Mapping[State, int]
    delivered: int
    bounced: int
    opened: int
    clicked: int
    opted_out: int
    complained: int
    held: Mapping[str, int]
    withheld: Mapping[str, int]
    dead: Mapping[str, int]
    rejected: Mapping[str, int]
    possible_duplicates: int
    afterwards: Afterwards | None
    arms: Arms | None = None
    to_everybody: bool = False
    fared: tuple[Fared, ...] = ()
    cost: Decimal | None = None
    did: Mapping[str, Deed] = field(default_factory=dict)

    @property
    def sent(self) -> int:
        """Messages that a provider took."""
        return self.states.get(State.ACCEPTED, 0)

    @property
    def open(self) -> int:
        return sum(self.states.get(state, 0) for state in OPEN)

    @property
    def balanced(self) -> bool:
        """Whether the books balance: what the runs wrote down as owed is what stands in some state."""
        return self.owed == sum(self.states.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """Every campaign that ever ran, as of an instant (UTC). `held`: launches that a guard holds; `paused`: what is."""

    as_of: datetime
    lines: tuple[Line, ...]
    held: tuple[Hold, ...] = ()
    paused: tuple[Brake, ...] = ()


def report(database: Database, *, now: datetime, campaign: str | None = None) -> Report:
    """Read the books as they stand; goal events count up to `now`. With `campaign`, only that one's lines.

    Raises UnknownName where no run of it was ever launched.
    """
    launched = known_campaigns(database)
    if campaign is not None and campaign not in launched:
        raise UnknownName(f'no run of "{campaign}" was ever launched', remedy=suggestion(campaign, launched))
    with database.reading() as connection:
        launched_as = wordings(connection, campaign)
        totals = {(row.campaign, row.channel): row for row in connection.execute(_totals(campaign))}
        costs, deeds = _costs(connection, campaign), _deeds(connection, campaign)
        lines = [
            _line(
                connection,
                database,
                owed,
                totals.get(of),
                launched_as[owed.campaign],
                costs.get(of),
                deeds.get(of, {}),
                now,
            )
            for owed in connection.execute(_owed(campaign))
            for of in ((owed.campaign, owed.channel),)
        ]
        held = holding(connection, campaign)
    on = tuple(brake for brake in paused(database) if campaign in (None, brake.campaign) or brake.on_all)
    return Report(as_of=now, lines=tuple(lines), held=held, paused=on)


def _line(
    connection: Connection,
    database: Database,
    owed: Any,
    totals: Any,
    launched_as: Sequence[Wording],
    cost: Decimal | None,
    did: Mapping[str, Deed],
    now: datetime,
) -> Line:
    """One campaign and channel: what its runs owed, and what stands of it. `totals` is None where no message is there."""
    m = messages.c
    which = and_(m.campaign == owed.campaign, m.channel == owed.channel)
    people = totals is not None and bool(totals.people)  # what followed a public post, nobody can tell
    goal = launched_as[0].goal
    return Line(
        campaign=owed.campaign,
        channel=Channel(owed.channel),
        runs=owed.runs,
        owed=owed.owed,
        states={State(word): count for word, count in _tally(connection, m.state, which).items()},
        held=_tally(connection, m.held_by, which),
        withheld=_tally(connection, m.reason, which & m.state.in_(_WITHHELD)),
        dead=_tally(connection, m.reason, which & (m.state == State.DEAD.value)),
        rejected=_refusals(connection, which),
        afterwards=afterwards(connection, database, which, goal, now=now) if goal and people else None,
        arms=arms(connection, database, which, launched_as, now=now) if people else None,
        to_everybody=totals is not None and not people,
        fared=_fared(connection, which) if totals is not None and not people else (),
        cost=cost,
        did=did,
        possible_duplicates=totals.possible_duplicates if totals is not None else 0,
        **{name: getattr(totals, name) if totals is not None else 0 for name in _STAMPS},
    )


def _owed(campaign: str | None) -> Any:
    """What the runs wrote down, the first campaign first; a run that owed nobody anything is a run all the same."""
    r = runs.c
    query = select(r.campaign, r.channel, func.count().label("runs"), func.sum(r.owed).label("owed"))
    query = query.where(r.campaign == campaign) if campaign else query
    return query.group_by(r.campaign, r.channel).order_by(func.min(r.launched_at), r.campaign, r.channel)


def _costs(connection: Connection, campaign: str | None) -> dict[tuple[str, str], Decimal]:
    """By campaign and channel: of every hand-over that the vendor did not surely refuse."""
    m, a = messages.c, attempts.c
    paid = (a.cost.is_not(None), or_(a.outcome.is_(None), a.outcome.in_(("accepted", "ambiguous"))))
    query = select(m.campaign, m.channel, func.sum(a.cost).label("cost")).join(messages, m.id == a.message_id)
    query = query.where(*paid, *((m.campaign == campaign,) if campaign else ()))
    rows = connection.execute(query.group_by(m.campaign, m.channel))
    return {(row.campaign, row.channel): money(int(row.cost)) for row in rows}


def _deeds(connection: Connection, campaign: str | None) -> dict[tuple[str, str], dict[str, Deed]]:
    """By campaign and channel, then by event: of those whose customer is known, but for what a vendor takes for a machine's."""
    m, e = messages.c, events.c
    counts = (func.count().label("events"), func.count(e.customer_id.distinct()).label("customers"))
    people = (e.customer_id.is_not(None), e.properties["said"].as_string().is_(None))
    query = select(m.campaign, m.channel, e.name, *counts).join(events, e.message_id == m.id)
    query = query.where(e.name.in_(BUILT_IN_EVENTS), *people)
    query = query.where(m.campaign == campaign) if campaign else query
    found: dict[tuple[str, str], dict[str, Deed]] = defaultdict(dict)
    rows = connection.execute(query.group_by(m.campaign, m.channel, e.name))
    for row in sorted(rows, key=lambda row: list(BUILT_IN_EVENTS).index(row.name)):
        found[row.campaign, row.channel][row.name] = Deed(events=row.events, customers=row.customers)
    return found


_WITHHELD = (State.SKIPPED.value, State.EXPIRED.value, State.CANCELLED.value)
_STAMPS = {
    name: messages.c[f"{name}_at"] for name in ("delivered", "bounced", "opened", "clicked", "opted_out", "complained")
}


def _totals(campaign: str | None) -> Any:
    m = messages.c
    query = select(
        m.campaign,
        m.channel,
        func.count(m.customer_id).label("people"),
        func.sum(case((m.possible_duplicate, 1), else_=0)).label("possible_duplicates"),
        *(func.count(column).label(name) for name, column in _STAMPS.items()),
    )
    query = query.where(m.campaign == campaign) if campaign else query
    return query.group_by(m.campaign, m.channel)


def _tally(connection: Connection, column: ColumnElement[Any], which: ColumnElement[bool]) -> dict[str, int]:
    rows = connection.execute(
        select(column, func.count())
        .where(which, column.is_not(None))
        .group_by(column)
        .order_by(func.count().desc(), column)
    )
    return {row[0]: row[1] for row in rows}


def _refusals(connection: Connection, which: ColumnElement[bool]) -> dict[str, int]:
    last = and_(attempts.c.message_id == messages.c.id, attempts.c.number == messages.c.attempts)
    query = (
        select(attempts.c.code, func.count())
        .select_from(messages.outerjoin(attempts, last))
        .where(which, messages.c.state == State.REJECTED.value)
    )
    return {
        code or "refused": count
        for code, count in connection.execute(query.group_by(attempts.c.code).order_by(func.count().desc()))
    }


def _fared(connection: Connection, which: ColumnElement[bool]) -> tuple[Fared, ...]:
    m, p = messages.c, posts.c
    variant = m["values"]["variant"].as_string().label("variant")
    one = select(m.provider, variant, p.gone_at, p.counted_at, *(p[name] for name in COUNTS))
    told = (
        one.select_from(messages.join(posts, p.message_id == m.id)).where(which, p.counted_at.is_not(None)).subquery()
    )
    t = told.c
    counted = select(
        t.provider,
        t.variant,
        func.count().label("posts"),
        func.count(t.gone_at).label("gone"),
        func.min(t.counted_at).label("as_of"),
        *(func.sum(t[name]).label(name) for name in COUNTS),
    )
    rows = connection.execute(counted.group_by(t.provider, t.variant).order_by(t.provider, t.variant))
    return tuple(
        Fared(
            provider=row.provider,
            variant=row.variant,
            posts=row.posts,
            gone=row.gone,
            as_of=row.as_of,
            **{name: None if row._mapping[name] is None else int(row._mapping[name]) for name in COUNTS},
        )
        for row in rows
    )
