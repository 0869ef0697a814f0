"""The books, proved: for every run, every campaign and in all, what was owed is what stands in some state, at one instant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, func, select

from engine.ledger.brakes import RESTORED, free_to_go, on
from engine.ledger.moves import in_state
from engine.model import OPEN, State
from engine.questions.doctor.finding import Finding, good, warning, wrong
from engine.scalars import clock_time
from engine.store import Database
from engine.store.tables import messages, replies, runs

AREA = "books"
LATE = timedelta(minutes=10)
SHOWN = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Books:
    """audience = accepted + rejected + skipped + expired + dead + cancelled + unknown + open. `strange`: messages in a state
    that this version does not know; they are in no column, so the books do not balance.
    """

    audience: int
    states: Mapping[State, int]
    strange: int

    @property
    def open(self) -> int:
        return sum(self.states.get(state, 0) for state in OPEN)

    @property
    def balance(self) -> bool:
        return self.audience == sum(self.states.values()) and not self.strange


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOff:
    """A run whose books do not balance: what it wrote down when it owed, and how many messages there are."""

    run: int
    campaign: str
    occurrence: str
    owed: int
    there: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """All books at one instant. `runs`: how many were proved; `off`: those that do not balance, the newest SHOWN of them."""

    runs: int
    off: tuple[RunOff, ...]
    campaigns: Mapping[str, Books]
    total: Books


def prove(database: Database) -> Proof:
    """Count everything in one view of the database."""
    with database.reading() as connection:
        states = _states(connection)
        owed = {
            row.campaign: row.owed
            for row in connection.execute(
                select(runs.c.campaign, func.sum(runs.c.owed).label("owed")).group_by(runs.c.campaign)
            )
        }
        off = tuple(_runs_off(connection))
        count = connection.execute(select(func.count()).select_from(runs)).scalar_one()
    campaigns = {name: _books(int(owed.get(name, 0)), states[name]) for name in sorted({*owed, *states})}
    together: dict[str, int] = defaultdict(int)
    for words in states.values():
        for word, times in words.items():
            together[word] += times
    return Proof(runs=count, off=off, campaigns=campaigns, total=_books(sum(map(int, owed.values())), together))


def _states(connection: Connection) -> defaultdict[str, dict[str, int]]:
    m, found = messages.c, defaultdict[str, dict[str, int]](dict)
    query = select(m.campaign, m.state, func.count().label("times")).group_by(m.campaign, m.state)
    for row in connection.execute(query):
        found[row.campaign][row.state] = row.times
    return found


def _books(audience: int, words: Mapping[str, int]) -> Books:
    known = {state: words[state.value] for state in State if state.value in words}
    return Books(audience=audience, states=known, strange=sum(words.values()) - sum(known.values()))


def _runs_off(connection: Connection) -> Iterator[RunOff]:
    """Runs against their own messages, and messages of a run that is not there."""
    counted = select(messages.c.run_id, func.count().label("there")).group_by(messages.c.run_id).subquery()
    there, r = func.coalesce(counted.c.there, 0), runs.c
    query: Any = (
        select(r.id, r.campaign, r.occurrence, r.owed, there.label("there"))
        .outerjoin(counted, counted.c.run_id == r.id)
        .where(r.owed != there)
        .order_by(r.id.desc())
        .limit(SHOWN)
    )
    for row in connection.execute(query):
        yield RunOff(run=row.id, campaign=row.campaign, occurrence=row.occurrence, owed=row.owed, there=row.there)


def books(proof: Proof) -> Iterator[Finding]:
    """The proof in words."""
    total = proof.total
    sums = [f"{total.states[state]:,} {state.value.replace('_', ' ')}" for state in State if total.states.get(state)]
    equation = f"{total.audience:,} owed = {' + '.join(sums) or '0'}"
    bad = [name for name, one in proof.campaigns.items() if not one.balance]
    if not (bad or proof.off) and total.balance:
        each = f"each of {len(proof.campaigns):,} campaigns and {proof.runs:,} runs balances for itself"
        yield good(AREA, f"{equation}; {each}")
        return
    remedy = "A message's row was lost or changed past the ledger: look for manual changes, and at the disk."
    for one in proof.off:
        what = f"run {one.run} ({one.campaign} {one.occurrence}) owed {one.owed:,} and has {one.there:,} messages"
        yield wrong(AREA, what, remedy)
    for name in bad:
        found = proof.campaigns[name]
        what = f"{name} owed {found.audience:,}, and {sum(found.states.values()):,} stand in a state"
        yield wrong(AREA, what + (f"; {found.strange:,} in an unknown one" if found.strange else ""), remedy)


def motion(connection: Connection, *, now: datetime, zone: ZoneInfo) -> Iterator[Finding]:
    """Whether somebody is at work on what is due. Times by the clocks of `zone`."""
    m = messages.c
    due = select(func.count(), func.min(m.due_at)).where(in_state(State.PENDING), m.due_at < now - LATE, free_to_go())
    over = select(func.count()).where(in_state(State.CLAIMED, State.SENDING), m.lease_until < now - LATE)
    late, oldest = connection.execute(due).one()
    if late:
        first = clock_time(oldest, zone)
        what = f"{late:,} messages should have left more than ten minutes ago, the first at {first} ({zone.key})"
        yield warning("sending", what, "Is `regulars run` running, and fast enough?")
    abandoned = connection.execute(over).scalar_one()
    if abandoned:
        what = f"{abandoned:,} messages were left by a sender that died, and nobody has taken them up"
        yield warning("sending", what, "Start `regulars run`.")
    doubts = select(m.state, func.count()).where(in_state(State.IN_DOUBT, State.UNKNOWN)).group_by(m.state)
    for word, times in connection.execute(doubts.order_by(m.state)):
        yield warning("sending", f"{times:,} messages are {word.replace('_', ' ')}", "See `regulars doubts`.")
    for brake in on(connection):
        if brake.campaign != RESTORED:  # of that, see `place`
            yield warning("sending", f"{brake.whom} is paused: {brake.why}", "`regulars resume` lets it go.")
    unread = connection.execute(select(func.count()).where(replies.c.settled_at.is_(None))).scalar_one()
    if unread:
        yield warning("sending", f"{unread:,} replies that may be a no wait to be read", "See `regulars replies`.")
    if not (late or abandoned):
        yield good("sending", "nothing that is due waits for a sender")
