"""What became of a whole file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """What an import did: read = added + changed + unchanged + rejected.

    rejects: the file that holds the rejected rows with their reasons; None where every row was good.
    kept_out: rows that say yes for customers who had said no; their no stands.
    """

    read: int
    added: int
    changed: int
    unchanged: int
    rejected: int
    rejects: Path | None
    seconds: float
    kept_out: int = 0
