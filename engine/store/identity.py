"""Which database this is: the server and its history on PostgreSQL, the file on SQLite. A restored one is another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError

from engine.errors import AnotherDatabase, StoreError

_SERVER = (
    "SELECT CASE WHEN pg_is_in_recovery() THEN '' ELSE s.system_identifier || '/' ||"
    " ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int || '/' || d.oid END"
    " FROM pg_control_system() s, pg_database d WHERE d.datname = current_database()"
)
"""The cluster, its timeline (one more after each promotion and each recovery to a point in time), and the database in it;
empty while it is a standby.

https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-TIMELINES
"""
_TIMELINE = "another timeline of the server"
_PARTS = ("another PostgreSQL cluster", _TIMELINE, "another database in the cluster")


def server(connection: Connection) -> str | None:
    """Cluster, timeline and database; None on SQLite, and where the server does not tell."""
    if connection.dialect.name != "postgresql":
        return None
    try:
        with connection.begin_nested():
            return str(connection.exec_driver_sql(_SERVER).scalar_one())
    except DatabaseError:  # a service that keeps this to itself, or a standby
        return None


def difference(former: str, present: str, *, promotions: bool = True) -> str:
    """In words, how two servers differ; `promotions`: whether another timeline alone counts."""
    for name, one, other in zip(_PARTS, former.split("/"), present.split("/"), strict=True):
        if one != other and (promotions or name != _TIMELINE):
            return f"{name} (it was {one}, it is {other})"
    return ""


class Same:
    """Sees to it that every connection of a process leads to the one database that its first one led to. Raises
    AnotherDatabase.
    """

    def __init__(self) -> None:
        self._first: str | None = None
        self._path = ""

    def __call__(self, connection: Any, _record: Any) -> None:
        """A new connection was made."""
        if hasattr(connection, "iterdump"):  # SQLite's
            self._path = connection.execute("PRAGMA database_list").fetchone()[2]
            self.look()
        else:
            present = _told(connection)
            if present == "":  # promoted, it may be on another timeline: no connection may live until then
                raise StoreError("the server is a standby, or in recovery", remedy="Wait until it takes changes.")
            self._compare(present)

    def look(self) -> None:
        """SQLite: at the file, which open connections would not notice. PostgreSQL closes them itself."""
        if self._path:
            self._compare(_file(self._path))

    def _compare(self, present: str | None) -> None:
        self._first = self._first or present
        if present and present != self._first:
            raise AnotherDatabase(
                "this is not the database that this process began with: it was replaced, or the server failed over",
                where="config.yaml: database",
                remedy="End this process and start it again: the start looks at what may have been lost.",
            )


def _file(path: str) -> str | None:
    """SQLite's file by its number on the disk: a copy that was put in its place is another."""
    try:
        found = Path(path).stat()
    except OSError:  # in memory, or gone
        return None
    return f"{found.st_dev}:{found.st_ino}"


def _told(connection: Any) -> str | None:
    try:
        return str(connection.execute(_SERVER).fetchone()[0])
    except Exception:  # see `server`; what is truly wrong with a connection shows at its first use
        return None
    finally:
        connection.rollback()
