"""An import that is killed at any moment, and started again, ends as if it had never been killed."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from engine.intake import import_customers, import_events
from engine.store import Database
from tests.conftest import SECRET
from tests.intake.shop import SETTINGS, consents_of, customers_of, events_of, numbers, write

CHUNK = 100
ROWS = CHUNK * 2 + 50

VICTIM = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from sqlalchemy import event
from engine.intake import import_customers, import_events
from engine.store import open_database
from tests.intake.shop import SETTINGS

url, kind, path, now, commits, statements = sys.argv[1:]
database = open_database(url, secret=os.environ["REGULARS_SECRET"])
done = {"commits": 0, "statements": 0}

def count(what):
    done[what] += 1
    if done == {"commits": int(commits), "statements": int(statements)}:
        os.kill(os.getpid(), signal.SIGKILL)

def begins_to_commit(*_):
    done["statements"] = 0
    count("commits")

event.listen(database.pool, "after_cursor_execute", lambda *_: count("statements"))
event.listen(database.pool, "commit", begins_to_commit)
options = {"settings": SETTINGS, "database": database, "now": datetime.fromisoformat(now), "chunk": 100}
if kind == "customers":
    import_customers(Path(path), proof="form", **options)
else:
    import_events(Path(path), name="purchase", **options)
"""


def _customers(path: Path) -> Path:
    rows = (f"c{n},c{n}@shop.example,{n},{('yes', 'no', '')[n % 3]}\n" for n in range(ROWS))
    return write(path, "id,email,points,consent.email.offers\n" + "".join(rows))


def _events(path: Path) -> Path:
    rows = (f"{n},c{n % ROWS},2026-03-01T10:00:00,{n}\n" for n in range(ROWS))
    return write(path, "id,customer,at,amount\n" + "".join(rows))


MOMENTS = [((0, 3), 0), ((1, 0), 0), ((1, 2), CHUNK), ((2, 0), CHUNK), ((2, 3), CHUNK * 2)]
"""Commits begun and statements done since, when the process dies; and the rows that are durable then."""


def _killed(moment: tuple[int, int], url: str, kind: str, path: Path, now: datetime) -> bool:
    """Run the import in a process that kills itself at that moment; whether it came to that."""
    command = [sys.executable, "-c", VICTIM, url, kind, str(path), now.isoformat(), *map(str, moment)]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        command, cwd=root, env={"REGULARS_SECRET": SECRET}, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, -9), done.stderr
    return done.returncode == -9


@pytest.mark.parametrize(("moment", "durable"), MOMENTS)
def test_customers_killed_midway_and_imported_again_are_all_there_once(
    database: Database, database_url: str, tmp_path: Path, now: datetime, moment: tuple[int, int], durable: int
) -> None:
    """No customer is lost or doubled, and no consent is written twice."""
    path = _customers(tmp_path / "customers.csv")
    assert _killed(moment, database_url, "customers", path, now)
    assert len(customers_of(database)) == durable
    done = import_customers(path, settings=SETTINGS, database=database, now=now, chunk=CHUNK, proof="form")
    assert numbers(done) == (ROWS - durable, 0, durable, 0)
    found = customers_of(database)
    assert {key: value["email"] for key, value in found.items()} == {f"c{n}": f"c{n}@shop.example" for n in range(ROWS)}
    assert sorted(row[0] for row in consents_of(database)) == sorted(f"c{n}" for n in range(ROWS) if n % 3 < 2)


@pytest.mark.parametrize(("moment", "durable"), MOMENTS)
def test_events_killed_midway_and_imported_again_are_all_there_once(
    database: Database, database_url: str, tmp_path: Path, now: datetime, moment: tuple[int, int], durable: int
) -> None:
    """Every event is there exactly once, with its own amount."""
    import_customers(
        _customers(tmp_path / "customers.csv"), settings=SETTINGS, database=database, now=now, chunk=CHUNK, proof="form"
    )
    path = _events(tmp_path / "events.csv")
    assert _killed(moment, database_url, "events", path, now)
    assert len(events_of(database)) == durable
    done = import_events(path, name="purchase", settings=SETTINGS, database=database, now=now, chunk=CHUNK)
    assert numbers(done) == (ROWS - durable, 0, durable, 0)
    assert {key: value[3]["amount"] for key, value in events_of(database).items()} == {
        f"event:{n}": n for n in range(ROWS)
    }
