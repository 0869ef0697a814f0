"""The numbers of messages and links after a restore. They stand in keys that vendors remember and in links that were sent, so
what the lost time may have used is not used again: numbers go on at the next thousand million.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete, func, insert, literal, select

from engine.store.tables import facts, links, messages

STRIDE = 1_000_000_000
_FIRST = "first_message"


def skip(connection: Connection, incarnation: str) -> None:
    """Go on with numbers that were never used before."""
    first = (_newest(connection) // STRIDE + 1) * STRIDE
    if connection.dialect.name == "postgresql":
        for table in ("messages", "links"):
            sequence = func.pg_get_serial_sequence(table, "id")
            connection.execute(select(func.setval(sequence, literal(first), False)))
        return
    # SQLite's next number is one more than the greatest there is
    connection.execute(insert(links).values(id=first, url=f"restored:{incarnation}"))
    connection.execute(delete(facts).where(facts.c.name == _FIRST))
    connection.execute(insert(facts).values(name=_FIRST, value=str(first)))


def _newest(connection: Connection) -> int:
    greatest = (select(func.coalesce(func.max(table.c.id), 0)).scalar_subquery() for table in (messages, links))
    row = connection.execute(select(*greatest)).one()
    return max(map(int, row))


def first_number(connection: Connection) -> int | None:
    """The number that the next message must have; None where the database counts on by itself."""
    if connection.dialect.name == "postgresql":
        return None
    told = connection.execute(select(facts.c.value).where(facts.c.name == _FIRST)).scalar()
    if told is None or _after(connection, int(told)):
        return None
    return int(told)


def _after(connection: Connection, first: int) -> bool:
    return connection.execute(select(messages.c.id).where(messages.c.id >= first).limit(1)).first() is not None
