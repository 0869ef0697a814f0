"""The guide's own examples are taken by the workspace that ships."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

from engine.intake import import_customers, import_events
from engine.settings import load_settings
from engine.store import Database
from tests.intake.shop import consents_of, events_of, numbers, write

ROOT = Path(__file__).parents[2]


def test_the_examples_of_the_guide_can_be_imported_as_they_stand(
    database: Database, now: datetime, tmp_path: Path
) -> None:
    """A reader who copies a block gets what the text says."""
    guide = (ROOT / "docs" / "importing.md").read_text(encoding="utf-8")
    people, purchases = re.findall(r"```csv\n(.*?)```", guide, re.DOTALL)
    (lines,) = re.findall(r"```json\n(.*?)```", guide, re.DOTALL)
    settings = load_settings(ROOT)
    done = import_customers(
        write(tmp_path / "customers.csv", people), settings=settings, database=database, now=now, proof="form"
    )
    assert numbers(done) == (3, 0, 0, 0)
    assert len(consents_of(database)) == 3
    for name, text, event in (("purchases.csv", purchases, "purchase"), ("events.jsonl", lines, None)):
        taken = import_events(write(tmp_path / name, text), settings=settings, database=database, now=now, name=event)
        assert taken.rejected == 0
    assert sorted(events_of(database)) == [f"event:order-{n}" for n in (1, 2, 3, 4)]
