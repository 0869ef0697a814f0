"""What messages cost, kept by all senders together: reserved in the transaction of the intents, given back where the vendor surely
did not take one. So a cap is never passed, whoever dies and however many senders there are.

Money is in millionths of the workspace's currency: whole numbers add up exactly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, bindparam, select, update

from engine.model import Reason
from engine.store.tables import spending

MILLIONTHS = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Cap:
    """So much may be spent under a name (millionths). reason: why a message waits that does not fit.

    ends: until when it holds (UTC), after which there is another; None for as long as its run lasts.
    """

    key: str
    most: int
    reason: Reason
    ends: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What one hand-over costs (millionths; 0 where it has no price), the caps that it must fit under, and the names under
    which it is only counted.
    """

    amount: int = 0
    caps: tuple[Cap, ...] = ()
    counted: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        return (*(cap.key for cap in self.caps), *self.counted) if self.amount else ()


FREE = Cost()


def millionths(amount: Decimal) -> int:
    """Rounded up: a cap is rather kept than passed."""
    return int(-(-amount * MILLIONTHS // 1))


def money(amount: int) -> Decimal:
    """In whole units."""
    return Decimal(amount) / MILLIONTHS


def reserve(connection: Connection, costs: Sequence[tuple[int, Cost]], *, now: datetime) -> dict[int, Reason]:
    """Spend for each of these messages, by its id, in their order. Returns who does not fit, and why."""
    keys = sorted({key for _, cost in costs for key in cost.keys})
    if not keys:
        return {}
    spent = _locked(connection, keys, now)
    refused: dict[int, Reason] = {}
    more = Counter[str]()
    for message, cost in costs:
        full = next((cap for cap in cost.caps if spent[cap.key] + more[cap.key] + cost.amount > cap.most), None)
        if cost.amount and full is not None:
            refused[message] = full.reason
            continue
        more.update(dict.fromkeys(cost.keys, cost.amount))
    _add(connection, more)
    return refused


def correct(connection: Connection, *, not_taken: Iterable[Cost], taken: Iterable[Cost]) -> None:
    """What the vendor surely did not take is free again; what it took after all, though that had been given back, is spent."""
    more = Counter[str]()
    for cost in taken:
        more.update(dict.fromkeys(cost.keys, cost.amount))
    for cost in not_taken:
        more.subtract(dict.fromkeys(cost.keys, cost.amount))
    _add(connection, more)


def give_back_reserved(connection: Connection, reserved: Iterable[tuple[int | None, str | None]]) -> None:
    """The vendor surely did not take these attempts, each by its cost and the names that it was reserved under, as they stand in the ledger."""
    less = Counter[str]()
    for cost, names in reserved:
        less.subtract(dict.fromkeys(names.split("\n") if names else (), cost or 0))
    _add(connection, less)


def spent(connection: Connection, keys: Iterable[str]) -> dict[str, int]:
    """As it stands; what nothing was spent under is not there."""
    rows = connection.execute(select(spending.c.key, spending.c.spent).where(spending.c.key.in_(list(keys))))
    return {row.key: row.spent for row in rows}


def _locked(connection: Connection, keys: Sequence[str], now: datetime) -> dict[str, int]:
    """In the order of their names, as everybody locks them who locks several."""
    query = select(spending.c.key, spending.c.spent).where(spending.c.key.in_(keys)).order_by(spending.c.key)
    found = {row.key: row.spent for row in connection.execute(query.with_for_update())}
    if len(found) == len(keys):
        return found
    missing = [{"key": key, "spent": 0, "since": now} for key in keys if key not in found]
    _make(connection, missing)
    return {row.key: row.spent for row in connection.execute(query.with_for_update())}


def _make(connection: Connection, rows: Sequence[Mapping[str, object]]) -> None:
    from sqlalchemy.dialects import postgresql, sqlite

    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(make(spending).on_conflict_do_nothing(), list(rows))


def _add(connection: Connection, more: Mapping[str, int]) -> None:
    rows = [{"name": key, "more": amount} for key, amount in sorted(more.items()) if amount]
    if rows:
        mine = update(spending).where(spending.c.key == bindparam("name"))
        connection.execute(mine.values(spent=spending.c.spent + bindparam("more")), rows)
