"""Rows into a CSV file, as the imports take it."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path


def write_csv(path: Path, rows: Iterable[Mapping[str, object]]) -> Path:
    """Write the rows, all of the same columns, and give the file back. There must be at least one row."""
    remaining = iter(rows)
    first = next(remaining)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(first))
        writer.writeheader()
        writer.writerow(first)
        writer.writerows(remaining)
    return path
