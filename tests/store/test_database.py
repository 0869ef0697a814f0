"""The store keeps its promises about durability, migrations and clear errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from engine.errors import StoreError
from engine.store import Database, open_database
from engine.store.tables import metadata


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
