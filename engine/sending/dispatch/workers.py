"""Who is at work: each process that hands over gives a sign of life now and then, for people to look at. Nothing depends on it."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from sqlalchemy import delete, select

from engine.store import Database
from engine.store.tables import workers

QUIET = timedelta(minutes=1)
"""Without a sign of life for so long, a process counts as gone."""

FORGOTTEN = timedelta(days=1)


class Kind(StrEnum):
    """A daemon launches campaigns and hands over; a worker only hands over."""

    DAEMON = "daemon"
    WORKER = "worker"


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker:
    """A process that hands over: its name (the owner of its claims), where it runs, and its signs of life (UTC)."""

    name: str
    kind: Kind
    host: str
    pid: int
    started_at: datetime
    seen_at: datetime

    @classmethod
    def here(cls, name: str, kind: Kind, *, now: datetime) -> Self:
        return cls(name=name, kind=kind, host=socket.gethostname(), pid=os.getpid(), started_at=now, seen_at=now)


def beat(database: Database, me: Worker) -> None:
    """A sign of life. Those who gave none for a day are forgotten."""
    row = {**asdict(me), "kind": me.kind.value}
    here = database.insert(workers).values(row)
    with database.writing() as connection:
        connection.execute(here.on_conflict_do_update(index_elements=["name"], set_={"seen_at": me.seen_at}))
        connection.execute(delete(workers).where(workers.c.seen_at < me.seen_at - FORGOTTEN))


def leave(database: Database, name: str) -> None:
    """This process ends."""
    with database.writing() as connection:
        connection.execute(delete(workers).where(workers.c.name == name))


def living(database: Database, *, now: datetime) -> Sequence[Worker]:
    """Those who gave a sign of life of late, the longest at work first."""
    query = select(workers).where(workers.c.seen_at > now - QUIET).order_by(workers.c.started_at, workers.c.name)
    with database.reading() as connection:
        return [Worker(**{**row._mapping, "kind": Kind(row.kind)}) for row in connection.execute(query)]
