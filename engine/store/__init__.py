"""The database: its tables, its migrations, and how it is opened."""

from engine.store.database import Database, open_database, persistently

__all__ = ["Database", "open_database", "persistently"]
