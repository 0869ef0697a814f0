"""What a seed draws: how many daemons, what befalls them and when. The same name is the same plan."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tests.faults.courier import Kind
from tests.faults.naive import Policy


class Blow(StrEnum):
    """What can befall a daemon or what it stands on."""

    KILL = "kill"  # SIGKILL at any moment
    COMMIT = "commit"  # SIGKILL before a transaction, before its COMMIT, after it
    BYTE = "byte"  # SIGKILL at a byte of the request to the vendor, or of its answer
    PAUSE = "pause"  # stands still for longer than its lease, then goes on
    FREEZE = "freeze"  # the same, at a commit
    TERM = "term"  # SIGTERM, as an operator ends it
    OUTAGE = "outage"  # the vendor refuses connections
    CRASH = "crash"  # PostgreSQL: immediate shutdown and restart
    LOCK = "lock"  # SQLite: somebody else holds the write lock
    CLOCK = "clock"  # the clock jumps by several leases, and back
    RESTORE = "restore"  # SQLite: yesterday's backup is put back, and an operator lets it go on


class Missing(StrEnum):
    """A negative control: the protection that is taken away. The oracle must object."""

    HONEST_ACCEPTANCE = "the provider says yes before it has asked"
    DOUBT = "a dead sender's messages go back to pending"
    GUARD = "the process does not see how long it stood still"
    DURABILITY = "synchronous_commit is off"


class Store(StrEnum):
    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


@dataclass(frozen=True, kw_only=True, slots=True)
class Act:
    """One blow, when the vendor has seen `requests` requests (or nothing goes on any more). `chance` is for its details."""

    blow: Blow
    requests: int
    chance: random.Random


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """One trial. `share`: how many of the vendor's answers are bad. `opt_outs`: how many readers leave meanwhile,
    `orders`: how many call for a receipt at the door. `skew`: each daemon's clock is wrong by several leases of its own.
    `dispatch`: how senders learn that something is due.
    `missing`: a protection taken away; `policy`: a naive sender in the daemon's place."""

    store: Store
    kind: Kind
    seed: int
    acts: Sequence[Act]
    customers: int = 100
    daemons: int = 1
    share: float = 0.1
    webhooks: bool = False
    opt_outs: int = 0
    orders: int = 0
    skew: bool = False
    dispatch: str = "threads"
    missing: Missing | None = None
    policy: Policy | None = None

    @property
    def name(self) -> str:
        return f"{self.store}-{self.kind}-{self.seed}"

    @property
    def door(self) -> bool:
        return self.webhooks or self.opt_outs > 0 or self.orders > 0


MESSAGES_PER_CUSTOMER = 2.2
BLOWS = 8
POINTS: Mapping[str, str] = {
    "owe": "INSERT INTO runs",
    "claim": "lease_until=",
    "intent": "INSERT INTO attempts",
    "answer": "UPDATE attempts",
}
"""The ledger's commits, each by what only it says: what is owed, a claim, the intent before a call, the answer after it."""
LONG = frozenset({Blow.PAUSE, Blow.FREEZE, Blow.LOCK})
ONE_STORE: Mapping[Store, Blow] = {Store.SQLITE: Blow.LOCK, Store.POSTGRESQL: Blow.CRASH}
EVERYWHERE = (
    Blow.KILL,
    Blow.KILL,
    Blow.COMMIT,
    Blow.COMMIT,
    Blow.BYTE,
    Blow.BYTE,
    Blow.PAUSE,
    Blow.FREEZE,
    Blow.TERM,
    Blow.OUTAGE,
)


def draw(store: Store, kind: Kind, seed: int) -> Plan:
    """The plan of a trial of the long form: a mixture of all blows."""
    chance = random.Random(f"{store}-{kind}-{seed}")
    blows = [chance.choice((*EVERYWHERE, ONE_STORE[store], ONE_STORE[store])) for _ in range(BLOWS)]
    clock = chance.random() < 0.15
    if clock:
        blows[chance.randrange(BLOWS)] = Blow.CLOCK
    if restore := store is Store.SQLITE and chance.random() < 0.25:
        blows[chance.randrange(BLOWS)] = Blow.RESTORE  # what comes by the door would be lost with the database
    return Plan(
        store=store,
        kind=kind,
        seed=seed,
        acts=spread(blows, chance),
        daemons=chance.choice((1, 1, 2)) if store is Store.SQLITE else chance.choice((1, 2, 3)),
        dispatch=chance.choice(("threads", "procrastinate")) if store is Store.POSTGRESQL else "threads",
        webhooks=not restore and chance.random() < 0.4,
        opt_outs=0 if clock or restore else chance.choice((0, 0, 5)),
        orders=0 if restore else chance.choice((0, 0, 10)),
    )


def only(store: Store, kind: Kind, seed: int, *blows: Blow, **changes: object) -> Plan:
    """A plan with just these blows, in this order."""
    chance = random.Random(f"{store}-{kind}-{seed}")
    acts = spread(list(blows), chance, int(str(changes.get("customers", 100))))
    return Plan(store=store, kind=kind, seed=seed, acts=acts, **changes)  # type: ignore[arg-type]


def spread(blows: Sequence[Blow], chance: random.Random, customers: int = 100) -> tuple[Act, ...]:
    """The blows over the campaign, from its first message to shortly before its last; those that take long at the end."""
    last = int(customers * MESSAGES_PER_CUSTOMER * 0.9)
    moments = sorted(chance.randrange(0, last) for _ in blows)
    blows = sorted(blows, key=lambda blow: blow in LONG)
    return tuple(
        Act(blow=blow, requests=at, chance=random.Random(chance.random()))
        for blow, at in zip(blows, moments, strict=True)
    )
