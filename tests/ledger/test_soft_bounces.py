"""Failures that should pass: five in a row end our writing to an address, and whatever shows that somebody reads does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType

import pytest
from sqlalchemy import select

from engine.ledger.lifting import lift
from engine.ledger.record import record_events
from engine.model import EventName
from engine.provider import Accepted, ProviderEvent
from engine.settings import SoftBounces
from engine.store import Database
from engine.store.tables import customers, suppressions
from tests.ledger.books import add_customers, begin, end, owe_all, take

DAY = timedelta(days=1)
_E = EventName
SOFT, HARD, DELIVERED, OPENED, NOTHING = _E.BOUNCED_SOFT, _E.BOUNCED, _E.DELIVERED, _E.OPENED, None


def send(
    database: Database,
    told: Sequence[EventName | None],
    now: datetime,
    *,
    every: timedelta = DAY,
    limit: SoftBounces,
    detail: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """A message each time, and what is reported of it an hour later; the reasons why the address is suppressed then."""
    add_customers(database, 1, now)
    for number, name in enumerate(told):
        at = now + number * every
        owe_all(database, at, occurrence=f"{number} {at}")
        sent = begin(database, take(database, at)[0], at, revision=0)
        if sent is None:
            break  # decided anew: the address was suppressed meanwhile
        end(database, sent, Accepted(), at)
        if name is not None:
            later = at + DAY / 24
            key = database.message_key(sent.id)
            event = ProviderEvent(name=name, at=later, dedupe=f"{number} {at}", message_key=key, detail=detail)
            for _ in range(2):  # vendors repeat themselves
                record_events(database, [event], provider="relay", now=later, soft_bounces=limit)
    with database.reading() as connection:
        return list(connection.execute(select(suppressions.c.reason)).scalars())


@pytest.mark.parametrize(
    ("told", "every", "suppressed"),
    [
        ([SOFT] * 5, DAY, True),
        ([SOFT] * 4, DAY, False),
        ([SOFT, SOFT, DELIVERED, SOFT, SOFT, SOFT], DAY, False),
        ([SOFT, SOFT, OPENED, SOFT, SOFT, SOFT], DAY, False),
        ([SOFT, SOFT, NOTHING, SOFT, SOFT, SOFT], DAY, True),  # that one is on its way still
        ([SOFT, SOFT, NOTHING, SOFT, SOFT, SOFT], 3 * DAY, False),  # by now it has arrived
        ([SOFT] * 5, 10 * DAY, False),
        ([HARD, SOFT, HARD, HARD, SOFT], DAY, True),  # nobody said that the address is dead, and it is
        ([HARD] * 4, DAY, False),
    ],
)
def test_five_in_a_row_end_it(
    database: Database, now: datetime, told: Sequence[EventName | None], every: timedelta, suppressed: bool
) -> None:
    """Within thirty days, each message once however often it is told; what arrived in between begins anew."""
    found = send(database, told, now, every=every, limit=SoftBounces())
    assert found == (["soft_bounced"] if suppressed else [])


@pytest.mark.parametrize(("status", "suppressed"), [("5.7.26", False), ("5.4.1", True)])
def test_a_policy_is_no_fault_of_the_address(database: Database, now: datetime, status: str, suppressed: bool) -> None:
    """5.7.x: the mailbox provider does not want ours, from whomever to whomever."""
    found = send(database, [HARD] * 8, now, limit=SoftBounces(), detail={"status": status})
    assert bool(found) is suppressed


def test_the_workspace_says_how_many_and_whether_at_all(database: Database, now: datetime) -> None:
    """`soft_bounces:` in config.yaml; 0 is never."""
    assert send(database, [SOFT] * 8, now, limit=SoftBounces(in_a_row=0)) == []


def test_a_lifted_suppression_begins_the_row_anew(database: Database, now: datetime) -> None:
    """The five that led to it count no more: the next soft bounce ends nothing, the fifth does."""
    assert send(database, [SOFT] * 5, now, limit=SoftBounces()) == ["soft_bounced"]
    with database.reading() as connection:
        number = connection.execute(select(suppressions.c.id)).scalar_one()
    later = now + 5 * DAY
    lift(database, [number], yes=None, purposes=(), by="Eva", why="he emptied it", now=later)
    for more in range(1, 6):
        at = later + more * DAY
        owe_all(database, at, occurrence=f"again {more}")
        sent = begin(database, take(database, at)[0], at, revision=revision(database))
        assert sent is not None
        end(database, sent, Accepted(), at)
        event = ProviderEvent(name=SOFT, at=at, dedupe=f"again {more}", message_key=database.message_key(sent.id))
        record_events(database, [event], provider="relay", now=at)
        with database.reading() as connection:
            stands = select(suppressions.c.reason).where(suppressions.c.lifted_at.is_(None))
            assert list(connection.execute(stands).scalars()) == (["soft_bounced"] if more == 5 else [])


def revision(database: Database) -> int:
    with database.reading() as connection:
        return int(connection.execute(select(customers.c.revision)).scalar_one())


def test_fewer_may_be_enough(database: Database, now: datetime) -> None:
    """Two, where the shop wants that."""
    assert send(database, [SOFT] * 2, now, limit=SoftBounces(in_a_row=2)) == ["soft_bounced"]
