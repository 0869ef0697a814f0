"""The store keeps its promises about durability, migrations and clear errors."""

from __future__ import annotations

import itertools
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from engine.errors import StoreError
from engine.store import Database, open_database
from engine.store.database import migrate
from engine.store.pool import make_pool
from engine.store.tables import metadata
from tests.conftest import NOW, SECRET
from tests.ledger.books import add_customers, begin, owe_all, take
from tests.postgres import Server


@pytest.mark.filterwarnings("ignore:autogenerate skipping")
def test_the_migrations_make_exactly_the_tables_of_the_code(database: Database) -> None:
    """A table changed without a migration, or a migration without its table, shows as a difference."""
    with database.reading() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
    assert [d for d in differences if "uq_messages_intent" not in str(d) and not _elsewhere(d, database)] == []


def _elsewhere(difference: Any, database: Database) -> bool:
    """An index that the other database alone has."""
    if difference[0] != "add_index":
        return False
    meant = next(one for table in metadata.tables.values() for one in table.indexes if one.name == difference[1].name)
    return meant._ddl_if is not None and meant._ddl_if.dialect != database.dialect


def test_a_database_opened_with_another_secret_is_refused(database: Database, database_url: str) -> None:
    """With another secret the hashes of suppressed addresses would match nothing, so opted-out people would be written to."""
    with pytest.raises(StoreError, match="not the one this database was made with"):
        open_database(database_url, secret="another")


def test_a_path_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    """The operator is told what to look at, not shown a stack of calls."""
    with pytest.raises(StoreError, match="Check the path"):
        open_database("sqlite:////nowhere/at/all.db", secret="s")


def test_a_message_key_leads_back_to_its_message_only_in_its_own_ledger(database: Database) -> None:
    """A webhook for another installation's message finds nothing here."""
    assert database.message_id(database.message_key(42)) == 42
    assert database.message_id("00000000-42") is None
    assert database.message_id(f"{database.ledger}-42x") is None


@pytest.mark.parametrize("setting", ["fsync", "synchronous_commit"])
def test_a_server_that_could_forget_a_commit_is_refused(postgres_server: Server, setting: str) -> None:
    """Nothing is opened on it, and the error says which setting, what it endangers, and what it should be."""
    name, url = postgres_server.copy("template_regulars")
    try:
        with (
            postgres_server.set(setting, "off"),
            pytest.raises(StoreError, match=f"runs with {setting} off: a crash could"),
        ):
            open_database(url, secret=SECRET)
        open_database(url, secret=SECRET).close()
    finally:
        postgres_server.drop(name)


def test_suppressions_of_before_stand_and_make_room_for_other_reasons(tmp_path: Path, postgres_server: Server) -> None:
    """From the tables of one suppression an address to those of one a reason: what was there stays, and stands."""
    postgres_server._sql("CREATE DATABASE before_0018")
    there = {"channel": "email", "address_hash": b"a", "at": NOW, "source": "relay"}
    for url in (f"sqlite:///{tmp_path / 'before.db'}", postgres_server.url("before_0018")):
        pool = make_pool(url, None)
        migrate(pool, "0017")
        with pool.begin() as connection:
            connection.execute(sa.insert(metadata.tables["suppressions"]).values(**there, reason="bounced"))
        pool.dispose()
        database = open_database(url, secret=SECRET)
        with database.writing() as connection:
            connection.execute(sa.insert(metadata.tables["suppressions"]).values(**there, reason="opted_out"))
            rows = connection.execute(sa.select(metadata.tables["suppressions"])).all()
        assert [(row.reason, row.at, row.lifted_at) for row in rows] == [
            ("bounced", NOW, None),
            ("opted_out", NOW, None),
        ]
        with pytest.raises(sa.exc.IntegrityError), database.writing() as connection:
            connection.execute(sa.insert(metadata.tables["suppressions"]).values(**there, reason="bounced"))
        database.close()
    postgres_server.drop("before_0018")


def test_addresses_kept_with_capitals_are_found_in_small_letters(tmp_path: Path, postgres_server: Server) -> None:
    """A database of before: whoever is suppressed there stays so, however the address is written from now on; told once."""
    postgres_server._sql("CREATE DATABASE before_folding")
    point, kept = metadata.tables["contact_points"], metadata.tables["suppressions"]
    for url in (f"sqlite:///{tmp_path / 'before.db'}", postgres_server.url("before_folding")):
        database = open_database(url, secret=SECRET)
        add_customers(database, 1, NOW)
        owe_all(database, NOW)
        assert begin(database, take(database, NOW)[0], NOW)
        with database.writing() as connection:
            connection.execute(sa.delete(metadata.tables["facts"]).where(sa.column("name") == "addresses_folded"))
            gone = "Änna@shop.example"  # the customer has another address by now
            hashes = {each: database._hashed(each) for each in ("Ana@Shop.example", "ana@shop.example", gone)}
            connection.execute(sa.update(metadata.tables["messages"]).values(sent_to=gone))
            present = {"address": "Ana@Shop.example", "address_hash": hashes["Ana@Shop.example"]}
            connection.execute(sa.update(point).values(present))
            said = {"channel": "email", "at": NOW, "source": "relay"}
            for address, reason in (
                ("Ana@Shop.example", "bounced"), ("Ana@Shop.example", "complained"), ("ana@shop.example", "bounced"),
                (gone, "opted_out"),
            ):  # fmt: skip
                connection.execute(sa.insert(kept).values(**said, address_hash=hashes[address], reason=reason))
        database.close()
        for _ in range(2):
            database = open_database(url, secret=SECRET)
            with database.reading() as connection:
                mine = database.address_hash("ANA@shop.example")
                assert connection.execute(sa.select(point.c.address_hash)).scalar_one() == mine
                reasons = connection.execute(sa.select(kept.c.reason).where(kept.c.address_hash == mine)).scalars()
                assert sorted(reasons) == ["bounced", "complained"]
                theirs = kept.c.address_hash == database.address_hash("änna@shop.example")
                assert connection.execute(sa.select(kept.c.reason).where(theirs)).scalars().all() == ["opted_out"]
            database.close()
    postgres_server.drop("before_folding")


@pytest.mark.parametrize("statement", [5, 60])
def test_a_migration_that_was_killed_is_whole_or_not_there(
    statement: int, tmp_path: Path, postgres_server: Server
) -> None:
    """SIGKILL in the middle of making the tables; the next start makes them all, on both databases."""
    postgres_server._sql(f"CREATE DATABASE killed_{statement}")
    for url in (f"sqlite:///{tmp_path / 'killed.db'}", postgres_server.url(f"killed_{statement}")):
        child = os.fork()
        if not child:
            _migrate_and_die(url, statement)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        database = open_database(url, secret=SECRET)
        with database.reading() as connection:
            assert set(sa.inspect(connection).get_table_names()) == {*metadata.tables, "alembic_version"}
        database.close()
    postgres_server.drop(f"killed_{statement}")


def _migrate_and_die(url: str, statement: int) -> None:
    seen = itertools.count(1)

    def die(*_: object) -> None:
        if next(seen) == statement:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        pool = make_pool(url, None)
        sa.event.listen(pool, "before_cursor_execute", die)
        migrate(pool)
    finally:
        os._exit(1)
