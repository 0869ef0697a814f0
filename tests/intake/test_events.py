"""Events come in once, by their id, whatever is done twice, in the wrong order or at the same time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.errors import IntakeError
from engine.intake import Fate, Imported, import_events, take_customers, take_events
from engine.store import Database
from tests.intake.shop import SETTINGS, events_of, numbers, read_rejects, write

Take = Callable[..., Imported]


@pytest.fixture
def take(database: Database, now: datetime, tmp_path: Path) -> Take:
    """Import a text as events.csv (or another name); there are the customers c1 to c3."""
    with database.writing() as connection:
        take_customers(connection, database, SETTINGS, [{"id": f"c{n}"} for n in (1, 2, 3)], now=now)

    def importing(text: str, name: str | None = None, file: str = "events.csv", **options: object) -> Imported:
        path = write(tmp_path / file, text)
        return import_events(path, settings=SETTINGS, database=database, now=now, name=name, **options)  # type: ignore[arg-type]

    return importing


PURCHASES = '''id,customer,at,name,amount,category,gift
1,c1,2026-03-01T10:00:00+01:00,purchase,12.50,jazz,yes
2,c2,2026-03-01T10:00,purchase,7,,
3,c2,2026-03-01,purchase,-3.25,"rock, ""hard""",no
'''


def test_every_column_arrives_typed_and_local_times_are_the_workspaces(take: Take, database: Database) -> None:
    """A time with an offset is that instant; one without is local in the workspace's zone; a date is its midnight."""
    assert numbers(take(PURCHASES)) == (3, 0, 0, 0)
    assert events_of(database) == {
        "event:1": (
            "c1",
            "purchase",
            datetime(2026, 3, 1, 9, tzinfo=UTC),
            {"amount": 12.5, "category": "jazz", "gift": True},
        ),
        "event:2": ("c2", "purchase", datetime(2026, 3, 1, 8, tzinfo=UTC), {"amount": 7}),
        "event:3": (
            "c2",
            "purchase",
            datetime(2026, 2, 28, 22, tzinfo=UTC),
            {"amount": -3.25, "category": 'rock, "hard"', "gift": False},
        ),
    }


def test_a_file_imported_twice_changes_nothing(take: Take, database: Database) -> None:
    """The id makes an event itself, so that an export may overlap with the last one."""
    take(PURCHASES)
    before = events_of(database)
    assert numbers(take(PURCHASES)) == (0, 0, 3, 0)
    assert numbers(take(PURCHASES + "4,c3,2026-03-02,purchase,1,,\n")) == (1, 0, 3, 0)
    assert {key: value for key, value in events_of(database).items() if key != "event:4"} == before


def test_a_corrected_row_changes_its_event_and_a_taken_id_is_rejected(take: Take, database: Database) -> None:
    """A wrong amount can be put right; an id that means something else already is not quietly dropped."""
    take(PURCHASES)
    done = take("id,customer,at,name,amount\n1,c1,2026-03-01T09:00Z,purchase,99\n2,c3,2026-03-01T08:00Z,purchase,7\n")
    assert numbers(done) == (0, 1, 0, 1)
    assert "belongs to another event" in read_rejects(done.rejects)[0]["reject.reason"]
    assert numbers(take("id,customer,at,name,amount\n2,c2,2026-03-01T08:00Z,visit,7\n")) == (0, 0, 0, 1)
    found = events_of(database)
    assert found["event:1"][3] == {"amount": 99}
    assert found["event:2"][:2] == ("c2", "purchase")


def test_an_id_repeated_in_a_file_is_one_event_and_its_last_row_wins(take: Take, database: Database) -> None:
    """A file that contradicts itself ends the same however often it is imported."""
    text = "id,customer,at,amount\n1,c1,2026-03-01,1\n1,c1,2026-03-01,2\n1,c1,2026-03-01,2\n1,c2,2026-03-01,3\n"
    assert numbers(take(text, "purchase")) == (1, 1, 1, 1)
    assert numbers(take(text, "purchase")) == (0, 2, 1, 1)
    assert events_of(database)["event:1"][3] == {"amount": 2}


def test_the_name_comes_from_the_column_or_from_the_caller(take: Take, database: Database) -> None:
    """A file of one kind of event needs no column for it; one of several kinds has both kinds' properties."""
    take("id,customer,at,amount\n1,c1,2026-03-01,5\n", "purchase")
    take("id,customer,at,name,page,category\n2,c1,2026-03-01,visit,/home,\n3,c1,2026-03-01,,,jazz\n", "purchase")
    assert {key: (value[1], value[3]) for key, value in events_of(database).items()} == {
        "event:1": ("purchase", {"amount": 5}),
        "event:2": ("visit", {"page": "/home"}),
        "event:3": ("purchase", {"category": "jazz"}),
    }


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",c1,2026-03-01,purchase,1,", "id is missing"),
        ("9,,2026-03-01,purchase,1,", "customer is missing"),
        ("9,c1,,purchase,1,", "at is missing"),
        ("9,c1,2026-03-01,,1,", "name is missing"),
        ("9,c9,2026-03-01,purchase,1,", "no customer with this id"),
        ("9,c1,1.3.2026,purchase,1,", "at: a time is written"),
        ("9,c1,2026-03-01,purchse,1,", 'there is no event "purchse". Did you mean "purchase"?'),
        ("9,c1,2026-03-01,purchase,1 €,", "amount: a number is written"),
        ("9,c1,2026-03-01,purchase,1,/home", 'purchase: unknown column "page"'),
    ],
)
def test_a_bad_row_is_rejected_with_the_reason_and_no_other(
    take: Take, database: Database, row: str, reason: str
) -> None:
    """An event of a customer who is not there, or that makes no sense, is shown and not guessed at."""
    head = "id,customer,at,name,amount,page\ng1,c1,2026-03-01,purchase,1,\n"
    done = take(f"{head}{row}\ng2,c1,2026-03-01,visit,1,/home\n")
    assert numbers(done) == (2, 0, 0, 1)
    (told,) = read_rejects(done.rejects)
    assert told["reject.line"] == "3"
    assert reason in told["reject.reason"]
    assert set(events_of(database)) == {"event:g1", "event:g2"}


@pytest.mark.parametrize(
    ("text", "name", "told"),
    [
        ("id,customer,at,amount\n", None, 'no column "name"'),
        ("id,customer,amount\n", "purchase", 'no column "at"'),
        ("id,at,amount\n", "purchase", 'no column "customer"'),
        ("id,customer,at,amuont\n", "purchase", 'unknown column "amuont". Did you mean "amount"?'),
        ("id,customer,at,page\n", "purchase", 'unknown column "page"'),
        ("id,customer,at\n", "purchse", 'there is no event "purchse" in config.yaml. Did you mean "purchase"?'),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused_whole(take: Take, text: str, name: str | None, told: str) -> None:
    """What is wrong with every row is said once, before anything is taken."""
    with pytest.raises(IntakeError) as error:
        take(text + "1,c1,2026-03-01,5\n", name)
    assert told in str(error.value).replace("..", ".")


def test_a_text_may_hold_whatever_stands_between_json_objects(take: Take, database: Database) -> None:
    """No text of a shop's can mix up the properties of two events."""
    rows = ['a}, {"b', "}, {", '"', "\\", "{}", "", "emoji 🎷", "line\nbreak"]
    cells = "".join(f'{n},c1,2026-03-01,"{text.replace(chr(34), chr(34) * 2)}"\n' for n, text in enumerate(rows))
    take(f"id,customer,at,category\n{cells}", "purchase")
    found = events_of(database)
    assert [found[f"event:{n}"][3].get("category", "") for n in range(len(rows))] == rows


def test_rows_of_a_request_are_taken_by_the_same_rules(take: Take, database: Database, now: datetime) -> None:
    """The HTTP door's rows hold JSON's own values; each gets its own end, in their order."""
    row = {"id": "1", "customer": "c1", "at": "2026-03-01", "name": "purchase"}
    rows = [
        {**row, "amount": 1.5, "gift": True},
        {**row, "amount": 1.5, "gift": True},
        {**row, "id": "2", "amount": "1,5"},
        {**row, "id": "3", "amount": True},
        {**row, "id": "4", "category": "\0"},
        {**row, "id": "5", "category": ["a"]},
        {**row, "id": 6, "customer": "nobody"},
        {**row, "id": 7, "name": ["purchase"]},
        {},
    ]
    with database.writing() as connection:
        ends = take_events(connection, database, SETTINGS, rows, now=now)  # type: ignore[arg-type]
    assert [end.fate for end in ends] == [Fate.ADDED, Fate.UNCHANGED, *([Fate.REJECTED] * 7)]
    assert all(end.reason for end in ends[2:])
    assert events_of(database)["event:1"][3] == {"amount": 1.5, "gift": True}
