"""The oracle: the ledger, the vendor's record and the report held against each other. Each invariant is a check of its own.

It knows the product from outside: its tables, its log, its report. Where nothing of its kind happened, a check holds.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select

from engine.ledger.outages import DOWN, LATER, REFUSED
from engine.ledger.proofs import PROVED
from engine.measure.report import Report, report
from engine.model import FINAL, DeliveryClass, MessageClass, State
from engine.store import Database
from engine.store.tables import attempts, contact_points, events, look_ups, messages, runs, spending
from tests.faults.record import Taken


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What a check found: its objection, which names at most a few messages by key; empty where it has none."""

    name: str
    what: str
    objection: str

    @property
    def holds(self) -> bool:
        return not self.objection

    def __str__(self) -> str:
        return f"{self.name} {'holds' if self.holds else 'FAILS'}: {self.what}" + (
            f": {self.objection}" if self.objection else ""
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class OptOut:
    """An opt-out that was on disk at `at` (seconds since 1970), the moment its answer came."""

    message: str
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Reported:
    """A distinct event that the vendor reported and saw answered with 2xx, however often and in whatever order it came."""

    message: str
    name: str
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """What one daemon used at a moment: resident memory (bytes), open files, threads."""

    memory: int
    files: int
    threads: int


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """The tables as they stand at the end, by message key; what was `spent`, in millionths, by the name of its cap."""

    rows: Mapping[str, Any]
    attempts: Mapping[str, Sequence[Any]]
    runs: Sequence[Any]
    events: Sequence[Any]
    addresses: Sequence[str]
    report: Report
    looks: Mapping[str, str]
    spent: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything that a trial saw.

    owed: how many messages the campaigns owe. fires: occurrences that were due. doubts: of at most so many hand-overs nobody
    heard the end: what was in flight at each fault. quiet: all came to rest unaided. restored: a backup was put back, which does not know when what left after it left.
    balances: the books as looked at while it ran, audience and sum. hasty: keys that came again before the vendor's
    Retry-After was over; changed: keys whose second hand-over was another letter. rate: at most so many a second, where
    there is a limit. answered: reports that the vendor saw taken. settles: whether the vendor can be asked or remembers
    keys; refused: what it denied for good. left_behind: what daemons that ended on SIGTERM still
    held. healthy_first: whether the healthy campaign was through
    before the sick one's vendor came back.
    """

    ledger: Ledger
    record: Sequence[Taken]
    owed: int
    fires: int
    doubts: int
    quiet: bool
    restored: bool = False
    balances: Sequence[tuple[int, int]] = ()
    hasty: Sequence[str] = ()
    changed: Sequence[str] = ()
    opt_outs: Sequence[OptOut] = ()
    answered: Sequence[Reported] = ()
    samples: Sequence[Sample] = ()
    settles: bool = False
    refused: Collection[str] = ()
    left_behind: Sequence[str] = ()
    healthy_first: bool | None = None
    rate: int | None = None
    deadline: float = 1.0
    log: str = ""
    secrets: Sequence[str] = ()

    @property
    def counts(self) -> Counter[str]:
        """How often the vendor truly took each message."""
        return Counter(taken.key for taken in self.record)

    def state(self, key: str) -> State:
        return State(self.ledger.rows[key].state)


def read_ledger(database: Database, *, now: datetime) -> Ledger:
    """The ledger as it stands."""
    with database.reading() as connection:
        rows = {database.message_key(row.id): row for row in connection.execute(select(messages))}
        tried = defaultdict(list)
        for row in connection.execute(select(attempts).order_by(attempts.c.number)):
            tried[database.message_key(row.message_id)].append(row)
        launched = connection.execute(select(runs)).all()
        told = connection.execute(select(events).where(events.c.message_id.is_not(None))).all()
        looked = connection.execute(select(look_ups)).all()
        known = connection.execute(select(contact_points.c.address)).scalars().all()
        spent = {row.key: row.spent for row in connection.execute(select(spending))}
    books = report(database, now=now)
    looks = {database.message_key(one.message_id): f"looks {one.looks}, failures {one.failures}" for one in looked}
    return Ledger(
        rows=rows, attempts=tried, runs=launched, events=told, addresses=known, report=books, looks=looks, spent=spent
    )


def judge(seen: Evidence) -> list[Verdict]:
    """The verdict of every check, in order."""
    return [Verdict(name=name, what=what, objection=check(seen)) for name, (what, check) in CHECKS.items()]


def _few(found: Iterable[object]) -> str:
    """A few of them in words; empty where there are none."""
    listed = [str(each) for each in found]
    return ", ".join(listed[:5]) + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")


def _lost(seen: Evidence) -> str:
    if len(seen.ledger.rows) != seen.owed:
        return f"{seen.owed} are owed, {len(seen.ledger.rows)} are in the ledger"
    counts = seen.counts
    return _few(key for key in seen.ledger.rows if seen.state(key) is State.ACCEPTED and not counts[key])


_MAY_HAVE_IT = frozenset({State.ACCEPTED, State.IN_DOUBT, State.UNKNOWN})


def _denied(seen: Evidence) -> str:
    strange = [key for key in seen.counts if key not in seen.ledger.rows]
    if strange:
        return f"not in the ledger: {_few(strange)}"
    return _few(f"{key} is {seen.state(key)}" for key in seen.counts if seen.state(key) not in _MAY_HAVE_IT)


def _doubled(seen: Evidence) -> str:
    def allowed(key: str) -> int:
        row = seen.ledger.rows.get(key)
        return 2 if row and row.possible_duplicate and row.delivery == DeliveryClass.AT_LEAST_ONCE else 1

    twice = _few(f"{key} {count} times" for key, count in seen.counts.items() if count > allowed(key))
    changed = [told for told in seen.changed if not (seen.restored and told.endswith(" in at"))]
    return twice or (f"another letter the second time: {_few(changed)}" if changed else "")


def _unbalanced(seen: Evidence) -> str:
    wrong = [(audience, total) for audience, total in seen.balances if audience != total]
    if wrong:
        return f"while it ran, audience and sum: {_few(wrong)}"
    lines = seen.ledger.report.lines
    told, counted = Counter[str](), Counter(row.state for row in seen.ledger.rows.values())
    for line in lines:
        told.update({state.value: count for state, count in line.states.items()})
    if told != counted or sum(line.owed for line in lines) != len(seen.ledger.rows):
        return f"the report says {dict(told)}, the ledger {dict(counted)}"
    return _few(line.campaign for line in lines if not line.balanced)


def _after_opt_out(seen: Evidence) -> str:
    late = []
    for out in seen.opt_outs:
        who = seen.ledger.rows[out.message].customer_id
        theirs = [key for key, row in seen.ledger.rows.items() if row.customer_id == who and _commercial(row)]
        intents = [one.began_at.timestamp() for key in theirs for one in seen.ledger.attempts.get(key, ())]
        taken = [each.at for each in seen.record if each.key in theirs]
        if any(at > out.at for at in intents) or any(at > out.at + seen.deadline + 0.5 for at in taken):
            late.append(out.message)
    return _few(late)


def _commercial(row: Any) -> bool:
    return bool(row.message_class == MessageClass.COMMERCIAL)


def _too_fast(seen: Evidence) -> str:
    if seen.hasty:
        return f"before Retry-After was over: {_few(seen.hasty)}"
    at = sorted(taken.at for taken in seen.record)
    most = max((sum(start <= each < start + 1 for each in at[n : n + 5000]) for n, start in enumerate(at)), default=0)
    return f"{most} in one second, {seen.rate} allowed" if seen.rate is not None and most > seen.rate else ""


def _fired_twice(seen: Evidence) -> str:
    fired = Counter((run.campaign, run.occurrence) for run in seen.ledger.runs)
    if len(fired) != seen.fires:
        return f"{seen.fires} occurrences were due, {len(fired)} ran"
    return _few(f"{name} {count} times" for name, count in fired.items() if count > 1)


_STAMPED = {"delivered": "delivered_at", "bounced": "bounced_at"}
"""Which opens and clicks are a person's is another question; that those of a message are kept once is asked of all."""


def _events_lost(seen: Evidence) -> str:
    keys = {row.id: key for key, row in seen.ledger.rows.items()}
    kept = Counter((keys[event.message_id], event.name, event.at) for event in seen.ledger.events)
    wrong = [f"{each.message} {each.name}" for each in seen.answered if kept[each.message, each.name, each.at] != 1]
    wrong += [f"{key} {name} {count} times" for (key, name, _), count in kept.items() if count > 1]
    for key, name, _ in kept:
        first = min(at for other, word, at in kept if (other, word) == (key, name)) if name in _STAMPED else None
        if first is not None and getattr(seen.ledger.rows[key], _STAMPED[name]) != first:
            wrong.append(f"{key} is stamped {name} at another time than the first report's")
    return _few(wrong)


MOST = Sample(memory=400_000_000, files=256, threads=120)


def _bloated(seen: Evidence) -> str:
    return _few(
        name
        for name in ("memory", "files", "threads")
        for one in seen.samples
        if getattr(one, name) > getattr(MOST, name)
    )


def _held_up(seen: Evidence) -> str:
    return "the healthy campaign waited for the sick one" if seen.healthy_first is False else ""


def _told(seen: Evidence) -> str:
    log = seen.log.lower()
    found = [f"address {number}" for number, address in enumerate(seen.ledger.addresses) if address.lower() in log]
    return _few(found + [f"secret {number}" for number, secret in enumerate(seen.secrets) if secret.lower() in log])


def _restless(seen: Evidence) -> str:
    open_still = [f"{key} is {seen.state(key)}" for key in seen.ledger.rows if seen.state(key) not in FINAL]
    return _few(open_still) or ("" if seen.quiet else "it did not come to rest in time")


def _never_settled(seen: Evidence) -> str:
    if not seen.settles:
        return ""
    left = {
        seen.ledger.rows[out.message].customer_id for out in seen.opt_outs
    }  # to them nothing may be handed over again
    unknown = [
        (key, row)
        for key, row in seen.ledger.rows.items()
        if row.state == State.UNKNOWN.value and not (_commercial(row) and row.customer_id in left)
    ]
    return _few(
        f"{key} ({row.reason}, {row.detail}; {seen.ledger.looks.get(key, 'never looked up')})"
        for key, row in unknown
        if key not in seen.refused
    )


def _too_doubtful(seen: Evidence) -> str:
    """An answer that proves nothing is the vendor's doing; what nobody heard the end of is ours."""
    unheard = sum(one.ended_at is None for tried in seen.ledger.attempts.values() for one in tried)
    return f"of {unheard} hand-overs nobody heard the end, {seen.doubts} could be" if unheard > seen.doubts else ""


_NOT_TAKEN = frozenset({"rejected", "not_sent", DOWN, REFUSED, LATER, *PROVED})


def _miscounted(seen: Evidence) -> str:
    taken = Counter(dict.fromkeys(seen.ledger.spent, 0))
    for one in (each for tried in seen.ledger.attempts.values() for each in tried):
        for key in one.reserved_under.split("\n") if one.reserved_under else ():
            taken[key] += 0 if one.outcome in _NOT_TAKEN else one.cost
    spent = seen.ledger.spent
    return _few(
        f"{key}: {spent.get(key, 0)}, and {taken[key]} was taken" for key in taken if spent.get(key, 0) != taken[key]
    )


Check = Callable[[Evidence], str]
"""Looks at the evidence; what it objects to, empty where it does not."""

CHECKS: Mapping[str, tuple[str, Check]] = {
    "I1": ("nothing is lost: all that is owed is in the ledger, and what it calls accepted the vendor has", _lost),
    "I2": ("what the vendor has is accepted, in doubt or unknown, never called unsent", _denied),
    "I3": (
        "nothing is doubled but the one marked re-send of its class, and a second hand-over is the same letter",
        _doubled,
    ),
    "I4": ("the books balance at every instant, and the report says the same", _unbalanced),
    "I5": ("nothing commercial leaves after an opt-out is on disk", _after_opt_out),
    "I6": ("Retry-After and rate limits are kept", _too_fast),
    "I7": ("one run for each occurrence", _fired_twice),
    "I8": ("each report of the vendor counts once, in whatever order", _events_lost),
    "I9": ("memory, files and threads are bounded", _bloated),
    "I10": ("a sick campaign holds up no healthy one", _held_up),
    "I11": ("no address and no secret in the log", _told),
    "I12": ("after the last fault all comes to rest, unaided", _restless),
    "I13": ("what is kept as spent is what the vendor took or may have taken, no more and no less", _miscounted),
    "F4": ("a daemon that ends on SIGTERM leaves nothing in its hands", lambda seen: _few(seen.left_behind)),
    "G2": ("where the vendor can be asked or remembers keys, every doubt is settled", _never_settled),
    "G3": ("doubt is bounded by what was in flight", _too_doubtful),
}
