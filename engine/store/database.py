"""Opening a database, SQLite or PostgreSQL, with the durability that the ledger's promises rest on."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection, event, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DatabaseError, DataError, IntegrityError, OperationalError, ProgrammingError

from engine.errors import Deadlocked, StoreError
from engine.store import tables
from engine.store.folding import FOLDED, fold_addresses
from engine.store.identity import Same
from engine.store.pool import make_pool
from engine.store.turn import Turn

MIGRATIONS = Path(__file__).parent / "migrations"
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Database:
    """An open database. `ledger` names it in message keys; `pepper` keys the hashes of addresses. `turn` is where the threads
    of this process queue to write, where the database has one writer; None where it has many. `same` sees to it that it stays
    the one database that it was.
    """

    pool: sa.Engine
    ledger: str
    pepper: bytes
    turn: Turn | None = None
    first: bool = False
    same: Same = field(default_factory=Same, repr=False)

    @property
    def ahead(self) -> Self:
        """The same database for somebody who is waited for: what is written through it goes ahead of bulk."""
        return replace(self, first=True)

    @property
    def dialect(self) -> str:
        return self.pool.dialect.name

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection with one consistent view. Nothing is written through it."""
        with clear_errors(), self._readers.connect() as connection, connection.begin():
            _begin(connection, "BEGIN")
            yield connection

    @contextmanager
    def writing(self, *, durable: bool = True, by_index: bool = False) -> Iterator[Connection]:
        """A transaction, durable when the block ends; rolled back whole when it raises.

        One that is not `durable` is on disk, on PostgreSQL, only together with the next that is: it does not wait for it.
        by_index: rows are found by indexes. PostgreSQL reads the whole of a table that grows faster than its statistics.
        """
        turn = self.turn.taken(ahead=self.first) if self.turn else nullcontext()
        with turn, clear_errors(), self.pool.begin() as connection:
            _begin(connection, "BEGIN IMMEDIATE")
            if not durable and self.dialect == "postgresql":
                connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
            if by_index and self.dialect == "postgresql":
                connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            yield connection

    @cached_property
    def _readers(self) -> sa.Engine:
        """The same connections, each about to read. On PostgreSQL each statement would else see a state of its own."""
        return (
            self.pool.execution_options(isolation_level="REPEATABLE READ")
            if self.dialect == "postgresql"
            else self.pool
        )

    def insert(self, table: sa.Table) -> Any:
        """The dialect's INSERT, for the ON CONFLICT that both have and SQLAlchemy's common one has not."""
        return postgresql.insert(table) if self.dialect == "postgresql" else sqlite.insert(table)

    def inserted(self, connection: Connection, statement: Any) -> int:
        """Run an INSERT; how many rows it made (psycopg tells only when asked)."""
        return int(connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount)

    def address_hash(self, address: str) -> bytes:
        """A keyed hash of a normalised address: suppressions and webhooks find a contact point by it. An email address is the same in
        capitals.
        """
        return self._hashed(address.lower() if "@" in address else address)

    def _hashed(self, text: str) -> bytes:
        return hmac.new(self.pepper, text.encode(), hashlib.sha256).digest()[:16]

    def message_key(self, message_id: int) -> str:
        """Our name for a message towards vendors: stable, unique, free of personal data."""
        return f"{self.ledger}-{message_id}"

    def message_id(self, key: str) -> int | None:
        """The message a key names, or None where the key is not one of this ledger's."""
        ledger, _, number = key.strip().partition("-")
        return (
            int(number)
            if ledger == self.ledger and number.isascii() and number.isdigit() and len(number) < 19
            else None
        )

    def seal(self, key: str) -> str:
        """What proves a message key to us: in a bounce address or a Message-ID, where anybody may write what he likes."""
        return hmac.digest(self.pepper, b"message key " + key.encode(), "sha256").hex()[:12]

    def key_of(self, sealed: str) -> str | None:
        """The message key in a text of the form KEY-SEAL; None where that is no key of ours, or the seal is wrong."""
        key, _, seal = sealed.strip().lower().rpartition("-")
        genuine = self.message_id(key) is not None and hmac.compare_digest(seal.encode(), self.seal(key).encode())
        return key if genuine else None

    def close(self) -> None:
        self.pool.dispose()
        if self.turn:
            self.turn.close()


def open_database(url: str, *, secret: str, folder: Path | None = None) -> Database:
    """Open the database at `url`, bringing its tables up to date. A relative SQLite path is taken from `folder`.

    Raises StoreError where it cannot be opened, is not durable, or was made with another secret.
    """
    pool = make_pool(url, folder)
    same = Same()
    event.listen(pool, "connect", same)
    try:
        with clear_errors():
            _assert_durable(pool)
            migrate(pool)
            return replace(_identify(pool, secret), same=same)
    except BaseException:
        pool.dispose()
        raise


def _begin(connection: Connection, word: str) -> None:
    """Begin SQLite's transaction, as PostgreSQL's driver does by itself. Past SQLAlchemy, which takes longer for it than a small
    transaction lasts.
    """
    if connection.dialect.name != "sqlite":
        return
    try:
        connection.connection.driver_connection.execute(word)  # type: ignore[union-attr]
    except sqlite3.Error as error:
        raise OperationalError(word, None, error) from error


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """One setting of the database that a promise rests on: what it is, what it may be, and what happens otherwise."""

    name: str
    value: str
    needed: tuple[str, ...]
    danger: str

    @property
    def durable(self) -> bool:
        return self.value in self.needed


_DURABILITY = {
    "sqlite": (
        ("PRAGMA synchronous", "synchronous", ("full", "extra"), "a power cut could lose or double messages"),
        ("PRAGMA journal_mode", "journal_mode", ("wal",), "readers and the one writer would wait for each other"),
    ),
    "postgresql": (
        ("SHOW fsync", "fsync", ("on",), "a crash could lose or double messages"),
        ("SHOW full_page_writes", "full_page_writes", ("on",), "a crash could tear a page of the ledger"),
        (
            "SHOW synchronous_commit",
            "synchronous_commit",
            ("on", "remote_apply", "remote_write"),
            "a crash could lose or double messages",
        ),
    ),
}


def durability(connection: Connection) -> list[Setting]:
    """The settings that a promise kept on disk needs, as they are."""
    return [
        Setting(name=name, value=_word(connection.exec_driver_sql(query).scalar()), needed=needed, danger=danger)
        for query, name, needed, danger in _DURABILITY[connection.dialect.name]
    ]


def _word(value: object) -> str:
    """SQLite tells its synchronous as a number."""
    return ("off", "normal", "full", "extra")[value] if isinstance(value, int) else str(value)


def _assert_durable(pool: sa.Engine) -> None:
    with pool.connect() as connection:
        for setting in durability(connection):
            if not setting.durable:
                raise StoreError(
                    f"the database runs with {setting.name} {setting.value}: {setting.danger}",
                    remedy=f"Set it to {setting.needed[0]}.",
                )


def schema(connection: Connection) -> tuple[str | None, str]:
    """The version of the tables, None where there are none, and the version that this code needs."""
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    head = ScriptDirectory(str(MIGRATIONS)).get_current_head()
    assert head is not None
    return MigrationContext.configure(connection).get_current_revision(), head


def migrate(pool: sa.Engine, to: str = "head") -> None:
    """Bring the tables to a version, the newest by default. Several processes may start at once: one migrates, the others wait."""
    from alembic import command  # here: 0.2 s that a command without a database need not wait for
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with pool.begin() as connection:
        _begin(connection, "BEGIN IMMEDIATE")
        if pool.dialect.name == "postgresql":
            connection.execute(select(sa.func.pg_advisory_xact_lock(0x52656775)))
        config.attributes["connection"] = connection
        command.upgrade(config, to)


def _identify(pool: sa.Engine, secret: str) -> Database:
    """Read, or on the first day write, the ledger's name and the check value of its secret."""
    pepper = hmac.new(secret.encode(), b"regulars address pepper", hashlib.sha256).digest()
    check = hmac.new(pepper, b"check", hashlib.sha256).hexdigest()
    turn = Turn(_turn_file(pool)) if pool.dialect.name == "sqlite" else None
    database = Database(pool=pool, ledger="", pepper=pepper, turn=turn)
    with database.writing() as connection:
        for name, value in (("ledger", secrets.token_hex(4)), ("secret_check", check)):
            connection.execute(database.insert(tables.facts).values(name=name, value=value).on_conflict_do_nothing())
        known = {row.name: row.value for row in connection.execute(select(tables.facts))}
        folded = database.insert(tables.facts).values(name=FOLDED, value="yes").on_conflict_do_nothing()
        if known["secret_check"] == check and database.inserted(connection, folded):
            fold_addresses(connection, was=database._hashed, now=database.address_hash)
    if known["secret_check"] != check:
        raise StoreError(
            "the secret is not the one this database was made with: suppressed addresses would not be recognised",
            where="config.yaml: secret",
            remedy="Set the environment variable to the former value.",
        )
    return replace(database, ledger=known["ledger"])


def _turn_file(pool: sa.Engine) -> Path | None:
    """Beside the database's own files, which SQLite calls `-wal` and `-shm`; none for a database in memory."""
    name = pool.url.database
    return Path(f"{name}-turn") if name and name != ":memory:" and not name.startswith("file:") else None


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn what a database says when it is full, locked, gone or read-only into words an operator can act on."""
    try:
        yield
    except DatabaseError as error:
        if isinstance(error, IntegrityError | ProgrammingError | DataError):
            raise  # a fault of ours, not the database's state
        told = str(error.orig).splitlines()[0] if error.orig else str(error)
        known = (remedy for sign, remedy in _REMEDIES.items() if sign in told.lower())
        remedy = next(known, "Look into the database's own log.")
        kind = Deadlocked if getattr(error.orig, "sqlstate", None) in _GAVE_WAY else StoreError
        raise kind(
            f"the database cannot be used: {told}", remedy=f"{remedy} This change was not half written."
        ) from error
    except sa.exc.TimeoutError as error:
        raise StoreError("no database connection became free", remedy="Lower sending.threads.") from error


_GAVE_WAY = ("40P01", "40001")
"""PostgreSQL's deadlock_detected and serialization_failure."""

TRIES = 5


def persistently(work: Callable[[], T]) -> T:
    """Do a whole transaction, again where it gave way to another in a deadlock: that one is through by then."""
    for _ in range(TRIES - 1):
        try:
            return work()
        except Deadlocked:
            continue
    return work()


_REMEDIES = {
    "full": "Free disk space, then start again.",
    "no space": "Free disk space, then start again.",
    "locked": "Another process holds the database: wait for it or stop it.",
    "readonly": "Make the file and its folder writable.",
    "read-only": "Make the database writable.",
    "unable to open": "Check the path and its permissions.",
    "malformed": "Restore the file from a backup.",
    "not a database": "Check the path: this file is something else.",
    "connection": "Check that the server runs and the URL is right.",
    "does not exist": "Create the database, or put the URL right.",
    "authentication": "Check user and password.",
}

__all__ = ["Database", "clear_errors", "migrate", "open_database", "persistently"]
