"""The books: audience = accepted + rejected + skipped + expired + dead + cancelled + unknown + open, at every instant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select

from engine.model import OPEN, State
from engine.store import Database
from engine.store.tables import messages, runs


@dataclass(frozen=True, kw_only=True, slots=True)
class Balance:
    """How many messages stand in each state. `audience` is what the runs wrote down when they owed, so a lost row shows."""

    audience: int
    by_state: Mapping[State, int]

    @property
    def open(self) -> int:
        return sum(self.by_state.get(state, 0) for state in OPEN)

    @property
    def holds(self) -> bool:
        return self.audience == sum(self.by_state.values())


def balance(database: Database, *, campaign: str | None = None) -> Balance:
    """Count the books, of one campaign or of all."""
    owed = select(func.coalesce(func.sum(runs.c.owed), 0)).where(*((runs.c.campaign == campaign,) if campaign else ()))
    states = select(messages.c.state, func.count()).where(*((messages.c.campaign == campaign,) if campaign else ()))
    with database.reading() as connection:
        audience = int(connection.execute(owed).scalar_one())
        rows = connection.execute(states.group_by(messages.c.state)).all()
    return Balance(audience=audience, by_state={State(row[0]): row[1] for row in rows})


def known_campaigns(database: Database) -> tuple[str, ...]:
    """The campaigns that were ever launched, whether or not the rules still have them."""
    with database.reading() as connection:
        return tuple(connection.execute(select(runs.c.campaign).distinct().order_by(runs.c.campaign)).scalars())
