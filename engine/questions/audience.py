"""Who is in a segment, or in a campaign's audience: how many, a sample, the SQL that answers it, and the way the database takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Dialect, Select, case, func, select
from sqlalchemy.dialects import postgresql, sqlite

from engine.document import suggestion
from engine.errors import UnknownName
from engine.questions.missing import Missing, negations
from engine.rules.compile import audience as campaign_audience
from engine.rules.compile import audience_condition, matches
from engine.rules.everybody import sizes
from engine.rules.syntax import Condition
from engine.rules.workspace import Workspace
from engine.store import Database
from engine.store.tables import customers

SAMPLE = 10
COUNT = "count"


@dataclass(frozen=True, kw_only=True, slots=True)
class Audience:
    """The answer as of an instant. `sample` holds customers' external ids, the first by the order of their taking in.

    query_plan: the database's own words on how it finds them, a line a step. missing: where a `not` takes in customers for want of
    a value.
    """

    name: str
    as_of: datetime
    count: int
    customers: int
    sample: tuple[str, ...]
    sql: str
    query_plan: tuple[str, ...]
    missing: tuple[Missing, ...] = ()


def audience(workspace: Workspace, database: Database, name: str, *, now: datetime) -> Audience:
    """Ask by the name of a segment or a campaign. Raises UnknownName with the nearest one that exists."""
    chosen = chosen_customers(workspace, name, now=now, dialect=database.dialect)
    if chosen is None:
        raise UnknownName(f'"{name}" is a public post: it has no audience of customers')
    with database.reading() as connection:
        total = connection.execute(select(func.count()).select_from(customers)).scalar_one()
        sql = _sql(chosen, database.dialect)
        asked = negations(workspace, _condition(workspace, name), now=now, dialect=database.dialect)
        counted = counts_of(connection, chosen, asked.flags)
        return Audience(
            name=name,
            as_of=now,
            count=counted[COUNT],
            customers=total,
            sample=sample_of(connection, chosen),
            sql=sql,
            query_plan=tuple(_query_plan(connection, sql, database.dialect)),
            missing=asked.told(counted.__getitem__),
        )


def _condition(workspace: Workspace, name: str) -> Condition:
    segment = workspace.segments.get(name)
    return segment.who if segment else audience_condition(workspace, workspace.campaigns[name])


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """How many customers are in a segment."""

    name: str
    description: str
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """All segments as of an instant, by their names, and how many customers there are."""

    as_of: datetime
    customers: int
    segments: tuple[Size, ...]


def all_sizes(workspace: Workspace, database: Database, *, now: datetime) -> Sizes:
    """How large every segment is, all asked in one go: that takes a few times as long as one."""
    asked = sorted(workspace.segments.values(), key=lambda segment: segment.name)
    with database.reading() as connection:
        total = connection.execute(select(func.count()).select_from(customers)).scalar_one()
        counts = sizes(workspace, connection, [segment.who for segment in asked], now=now)
    return Sizes(
        as_of=now,
        customers=total,
        segments=tuple(
            Size(name=one.name, description=one.description, count=count)
            for one, count in zip(asked, counts, strict=True)
        ),
    )


def chosen_customers(workspace: Workspace, name: str, *, now: datetime, dialect: str) -> Select[tuple[int]] | None:
    """The customers' ids behind a name: the same query that a run owes its messages by. None for a public post."""
    if name in workspace.segments:
        who = matches(workspace, workspace.segments[name].who, now=now, dialect=dialect, everybody=True)
        return select(customers.c.id).where(who)
    if name in workspace.campaigns:
        return campaign_audience(workspace, workspace.campaigns[name], now=now, dialect=dialect)
    known = [*workspace.segments, *workspace.campaigns]
    raise UnknownName(f'there is no segment or campaign "{name}"', remedy=suggestion(name, known))


def count_of(connection: Connection, chosen: Select[tuple[int]]) -> int:
    return int(connection.execute(select(func.count()).select_from(chosen.subquery())).scalar_one())


def counts_of(
    connection: Connection, chosen: Select[tuple[int]], flags: Mapping[str, ColumnElement[bool]]
) -> dict[str, int]:
    """How many were chosen (`count`), and for how many of them each flag, a question about the customer's own row, holds."""
    asked = [func.count(case((flag, 1))).label(name) for name, flag in flags.items()]
    return dict(
        connection.execute(chosen.with_only_columns(func.count().label(COUNT), *asked, maintain_column_froms=True))
        .mappings()
        .one()
    )


def sample_of(connection: Connection, chosen: Select[tuple[int]]) -> tuple[str, ...]:
    named = chosen.with_only_columns(customers.c.external_id).order_by(customers.c.id).limit(SAMPLE)
    return tuple(connection.execute(named).scalars())


def _sql(chosen: Select[tuple[int]], dialect: str) -> str:
    """The statement with its values written in, for reading and for EXPLAIN."""
    written: Dialect = postgresql.dialect() if dialect == "postgresql" else sqlite.dialect()  # type: ignore[no-untyped-call]
    return str(chosen.compile(dialect=written, compile_kwargs={"literal_binds": True}))


def _query_plan(connection: Connection, sql: str, dialect: str) -> Iterator[str]:
    """As the database tells it; SQLite's steps are indented under the step that they are part of, as PostgreSQL's are."""
    if dialect == "postgresql":
        yield from connection.exec_driver_sql(f"EXPLAIN {sql}").scalars()
        return
    depths = {0: -1}
    for step, parent, _, detail in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}"):
        depths[step] = depths.get(parent, -1) + 1
        yield f"{'  ' * depths[step]}{detail}"
