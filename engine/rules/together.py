"""Conditions asked of everybody at once, each kind of rows in one pass: for a million customers, a million looks are too many.

Of one rule, SQLite looks a customer up in the list of those whom a pass found. PostgreSQL does so, too, while the list fits into
work_mem; a longer one it would read through for each customer anew, so there it is joined. Many rules share their passes: what
they ask of the same rows are columns of one pass, and that is laid aside before the rules are asked.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Boolean, ColumnElement, FromClause, Select, TableClause, column, or_, select, table, true

from engine.rules.columns import POSTGRESQL
from engine.rules.syntax import Condition
from engine.store.tables import customers

MOST_PASSES = 24
"""After so many in one statement the rest is asked customer by customer."""


@dataclass(kw_only=True, slots=True)
class Together:
    """The passes of one rule's statement: `joined` to customers are those of PostgreSQL."""

    dialect: str
    joined: list[FromClause] = field(default_factory=list)
    passes: dict[tuple[Condition, bool], ColumnElement[bool]] = field(default_factory=dict)

    @property
    def narrowed(self) -> Together | None:
        """What is left behind a condition on the customer's own row, that few pass: they are looked up."""
        return None

    @property
    def looks_up(self) -> bool:
        """Whether few customers are asked about, and so each by itself."""
        return False

    def takes(self, _source: Hashable) -> bool:
        """Whether conditions over these rows are asked in a pass."""
        return len(self.passes) < MOST_PASSES

    def mixed(self, alike: bool) -> bool:
        """Whether a pass reads rows that not all of its conditions count; `alike`: they all count the same."""
        return not alike

    def found(self, _source: Hashable, rows: Select[tuple[int]], holds: ColumnElement[bool]) -> ColumnElement[bool]:
        """Whether a condition holds for a customer with such rows. `rows`: grouped by customer; their column is customer_id."""
        ids = rows.having(holds)
        if self.dialect != POSTGRESQL:
            return customers.c.id.in_(ids)
        each = ids.subquery(f"pass_{len(self.joined)}")
        self.joined.append(each)
        return each.c.customer_id.is_not(None)

    def whole(self, holds: ColumnElement[bool]) -> ColumnElement[bool]:
        """The whole condition as one expression over customers."""
        if not self.joined:
            return holds
        everybody = select(customers.c.id).select_from(_joined(self.joined)).where(holds)
        return customers.c.id.in_(everybody.correlate(None))


@dataclass(kw_only=True, slots=True)
class Pass:
    """A row for each customer who has `rows`, with a column for each thing asked of them, in `laid`: the table it is laid aside in."""

    rows: Select[Any]
    laid: TableClause
    asked: list[ColumnElement[Any]] = field(default_factory=list)

    def ask(self, what: ColumnElement[Any]) -> ColumnElement[Any]:
        """The column that has the answer."""
        known = next((place for place, each in enumerate(self.asked) if each.compare(what)), len(self.asked))
        if known == len(self.asked):
            self.asked.append(what)
            self.laid.append_column(column(f"asked_{known}", what.type))
        return self.laid.c[f"asked_{known}"]

    @property
    def query(self) -> Select[Any]:
        """Without those for whom nothing holds: no row says the same, and few rows are joined sooner."""
        told = self.rows.add_columns(*(each.label(f"asked_{place}") for place, each in enumerate(self.asked)))
        return told.having(or_(*self.asked)) if all(isinstance(each.type, Boolean) for each in self.asked) else told


@dataclass(kw_only=True, slots=True)
class Shared(Together):
    """The passes that many rules share, one for each source. A rule that is narrowed down to few customers takes part in those that
    are `made` anyway, and opens none. told: what ranks are laid aside, by what is ranked.
    """

    made: frozenset[Hashable] = frozenset()
    opens: bool = True
    sources: dict[Hashable, Pass] = field(default_factory=dict)
    told: dict[Hashable, Mapping[str, ColumnElement[Any]]] = field(default_factory=dict)

    @property
    def narrowed(self) -> Shared:
        return replace(self, opens=False)

    @property
    def looks_up(self) -> bool:
        return not self.opens

    def takes(self, source: Hashable) -> bool:
        return source in self.made or source in self.sources or (self.opens and len(self.sources) < MOST_PASSES)

    def mixed(self, _alike: bool) -> bool:
        return True

    def found(self, source: Hashable, rows: Select[tuple[int]], holds: ColumnElement[bool]) -> ColumnElement[bool]:
        return self.over(source, rows).ask(holds).is_(true())

    def over(self, source: Hashable, rows: Select[Any]) -> Pass:
        """The pass over these rows."""
        named = table(f"pass_{len(self.sources)}", column("customer_id"))
        return self.sources.setdefault(source, Pass(rows=rows, laid=named))

    def everybody(self) -> FromClause:
        """All customers, each with what the passes say."""
        return _joined([each.laid for each in self.sources.values()])


def _joined(passes: Sequence[FromClause]) -> FromClause:
    everybody: FromClause = customers
    for each in passes:
        everybody = everybody.outerjoin(each, each.c.customer_id == customers.c.id)
    return everybody
