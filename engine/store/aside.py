"""Customers that a question goes back to several times: their ids, laid aside for the length of a transaction.

A temporary table of the connection's own: nobody else sees it, and nothing of the database is changed.
"""

from __future__ import annotations

from sqlalchemy import Column, Connection, MetaData, Select, Table, insert

from engine.store.tables import Id

ASIDE = Table("laid_aside", MetaData(), Column("id", Id, primary_key=True), prefixes=["TEMPORARY"])


def lay_aside(connection: Connection, ids: Select[tuple[int]]) -> Table:
    """The table of these ids; what was in it before is gone."""
    ASIDE.drop(connection, checkfirst=True)
    ASIDE.create(connection, checkfirst=False)
    connection.execute(insert(ASIDE).from_select(["id"], ids))
    if connection.dialect.name == "postgresql":  # without, it takes every temporary table for a small one
        connection.exec_driver_sql("ANALYZE laid_aside")
    return ASIDE
