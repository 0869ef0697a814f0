"""Conditions asked of everybody at once, each kind of rows in one pass: for a million customers, a million looks are too many.

SQLite looks a customer up in the list of those whom a pass found. PostgreSQL does so, too, while the list fits into work_mem;
a longer one it would read through for each customer anew, so there it is joined.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, FromClause, Select, select

from engine.rules.columns import POSTGRESQL
from engine.rules.syntax import Condition
from engine.store.tables import customers

MOST_PASSES = 24
"""After so many in one statement the rest is asked customer by customer."""


@dataclass(kw_only=True, slots=True)
class Together:
    """The passes of one statement: `joined` to customers are those of PostgreSQL."""

    dialect: str
    joined: list[FromClause] = field(default_factory=list)
    passes: dict[tuple[Condition, bool], ColumnElement[bool]] = field(default_factory=dict)

    @property
    def full(self) -> bool:
        return len(self.passes) >= MOST_PASSES

    def found(self, ids: Select[tuple[int]]) -> ColumnElement[bool]:
        """Whether a customer is among the ids that a pass finds; the column is called customer_id."""
        if self.dialect != POSTGRESQL:
            return customers.c.id.in_(ids)
        each = ids.subquery(f"pass_{len(self.joined)}")
        self.joined.append(each)
        return each.c.customer_id.is_not(None)

    def whole(self, holds: ColumnElement[bool]) -> ColumnElement[bool]:
        """The whole condition as one expression over customers."""
        if not self.joined:
            return holds
        everybody: FromClause = customers
        for each in self.joined:
            everybody = everybody.outerjoin(each, each.c.customer_id == customers.c.id)
        return customers.c.id.in_(select(customers.c.id).select_from(everybody).where(holds).correlate(None))
