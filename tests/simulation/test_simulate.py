"""A simulation decides as the daemon does, whatever happened meanwhile, and leaves no trace on the live database."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select, update
from typer.testing import CliRunner

from engine import shipped
from engine.cli.app import app
from engine.daemon import Stepped, open_workspace_database
from engine.demo.people import customer_rows, people
from engine.demo.purchases import event_rows, read_purchases
from engine.errors import RegularsError, StoreError
from engine.intake import take_customers, take_events
from engine.model import Reason, State
from engine.rules.workspace import Workspace, load_workspace
from engine.simulation.calendar import read
from engine.simulation.past import rewind
from engine.simulation.play import simulate, step_through
from engine.store import Database
from engine.store.copying import copy_database
from engine.store.scratch import open_scratch
from engine.store.tables import consents, customers, departures, messages, metadata, runs
from tests.conftest import SECRET

EVERY = 40
START, END = datetime(1997, 3, 1, tzinfo=UTC), datetime(1997, 8, 5, tzinfo=UTC)


@pytest.fixture
def workspace(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The starter with a fortieth of the CDNOW customers, imported on the first day; all channels go into files."""
    monkeypatch.setenv("REGULARS_API_KEYS", "k")
    folder = tmp_path / "shop"
    folder.mkdir()
    for name in ("rules", "templates"):
        shutil.copytree(shipped.starter() / name, folder / name)
    config = (shipped.starter() / "config.yaml").read_text(encoding="utf-8")
    for old, new in (
        ("database: sqlite:///regulars.db", f"database: {database_url}"),
        ("{use: console, channel: sms}", "{use: file, channel: sms, folder: outbox}"),
        ("{use: console, channel: social}", "{use: file, channel: social, folder: outbox}"),
        ("threads: 2", "threads: 1"),
    ):
        assert old in config
        config = config.replace(old, new)
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    return load_workspace(folder)


def take_in(workspace: Workspace, *, now: datetime) -> None:
    bought = [one for one in read_purchases(shipped.cdnow() / "CDNOW_sample.txt") if one.customer % EVERY == 0]
    since: dict[int, datetime] = {}
    for purchase in bought:
        since.setdefault(purchase.customer, purchase.at)
    database, settings = open_workspace_database(workspace), workspace.settings
    with database.writing() as connection:
        rows: list[Any] = list(customer_rows(people(since), since))
        ends = take_customers(connection, database, settings, rows, now=now, proof="asked at the till")
        ends += take_events(connection, database, settings, list(event_rows(bought)), now=now)  # type: ignore[arg-type]
    assert not [end.reason for end in ends if end.reason]
    database.close()


def decisions(database: Database) -> Counter[tuple[object, ...]]:
    """Every message with what became of it, and when."""
    m = messages.c
    query = select(
        m.campaign, runs.c.occurrence, customers.c.external_id, m.channel, m.state, m.reason, m.held_by, m.first_sent_at,
        m.template_path, m.changed_at,
    ).select_from(messages.join(runs).outerjoin(customers, m.customer_id == customers.c.id))  # fmt: skip
    with database.reading() as connection:
        return Counter(tuple(row) for row in connection.execute(query))


def copied(workspace: Workspace, path: Path) -> Database:
    copy_database(workspace.settings.database, workspace.folder, path, secret=SECRET, until=END)
    return open_scratch(path, secret=SECRET)


def contents(workspace: Workspace) -> dict[str, object]:
    """Everything in the live database; of a SQLite file also its bytes."""
    url = workspace.settings.database
    if url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///"))
        return {"bytes": hashlib.sha256(path.read_bytes()).hexdigest()}
    database = open_workspace_database(workspace)
    with database.reading() as connection:
        found = {table.name: Counter(map(str, connection.execute(select(table)))) for table in metadata.sorted_tables}
    database.close()
    return dict(found)


def test_simulated_decisions_are_the_daemon_s_before_and_after_it_ran(workspace: Workspace, tmp_path: Path) -> None:
    """The same messages with the same ends at the same instants; afterwards the same period simulated again is the same."""
    take_in(workspace, now=START)
    before = contents(workspace)
    simulated = simulate(workspace, start=START, end=END)
    assert contents(workspace) == before, "the live database was touched"
    assert not (workspace.folder / "outbox").exists(), "something was sent"

    copy = copied(workspace, tmp_path / "copy.db")
    rewind(copy, START)
    step_through(workspace, copy, start=START, end=END)

    live = Stepped(workspace.folder, start=START, end=END)
    live.run()
    live.installation.close()
    database = open_workspace_database(workspace)
    try:
        real = decisions(database)
        assert real == decisions(copy)
        zone = workspace.settings.time_zone
        assert simulated == read(database, start=START, end=END, zone=zone, not_simulated=("receipt",))
    finally:
        copy.close()
        database.close()
    sent = sum(line.sent for line in simulated.lines)
    assert sent > 30 and sent == len(list((workspace.folder / "outbox").iterdir()))
    reasons = {reason for line in simulated.lines for reason in (*line.withheld, *line.held)}
    assert reasons >= {Reason.NO_CONSENT, Reason.QUIET_HOURS}, "the comparison is about more than sent ones"
    assert simulate(workspace, start=START, end=END) == simulated, "what was sent meanwhile counts"


def test_a_later_part_is_simulated_from_what_was_really_sent(workspace: Workspace) -> None:
    """The daemon ran to a day; the simulation goes on from there as the daemon itself would."""
    take_in(workspace, now=START)
    middle = datetime(1997, 5, 1, 8, tzinfo=UTC)
    first = Stepped(workspace.folder, start=START, end=middle - timedelta(seconds=1))
    first.run()
    first.installation.close()
    simulated = simulate(workspace, start=middle, end=END)
    second = Stepped(workspace.folder, start=middle, end=END)
    second.run()
    second.installation.close()
    database = open_workspace_database(workspace)
    zone = workspace.settings.time_zone
    assert simulated == read(database, start=middle, end=END, zone=zone, not_simulated=("receipt",))
    database.close()
    assert sum(day.sent for day in simulated.days) > 0
    assert all(day.day >= date(1997, 5, 1) for day in simulated.days)


def test_who_came_back_is_simulated_from_what_the_starts_really_saw(workspace: Workspace) -> None:
    """With `reentry: on_rematch`: departures noted before the first moment count, those noted later never happened."""
    shutil.rmtree(workspace.folder / "rules" / "tests")
    for rules in (workspace.folder / "rules" / "campaigns").iterdir():
        text = rules.read_text(encoding="utf-8").replace("reentry: {after: 180 days}", "reentry: on_rematch")
        text = text.replace('"0 10 * * mon"', '"0 10 1 * *"')
        rules.write_text(text, encoding="utf-8") if rules.stem == "win-back" else rules.unlink()
    workspace, end = load_workspace(workspace.folder), datetime(1998, 5, 1, tzinfo=UTC)
    take_in(workspace, now=START)
    middle = datetime(1997, 9, 1, 8, tzinfo=UTC)
    for first, last in ((START, middle - timedelta(seconds=1)), (middle, end)):
        live = Stepped(workspace.folder, start=first, end=last)
        live.run()
        live.installation.close()
    database = open_workspace_database(workspace)
    with database.reading() as connection:
        again = select(messages.c.customer_id).where(messages.c.campaign == "win-back").group_by(messages.c.customer_id)
        assert connection.execute(again.having(func.count() > 1)).first(), "somebody came back"
        noted = set(connection.execute(select(departures.c.at > middle)).scalars())
        assert noted == {True, False}, "some left before the middle, and some later"
    real = read(database, start=middle, end=end, zone=workspace.settings.time_zone)
    database.close()
    assert simulate(workspace, start=middle, end=end) == real


def test_consents_imported_later_count_from_the_beginning(workspace: Workspace) -> None:
    """History imported today: who agreed by that import is written to in the past; an opt-out by link keeps its day."""
    take_in(workspace, now=datetime(2026, 1, 1, tzinfo=UTC))
    sent = {line.campaign: line.sent for line in simulate(workspace, start=START, end=END).lines}
    assert sent["second-purchase"] > 0
    database = open_workspace_database(workspace)
    with database.writing() as connection:
        connection.execute(update(consents).values(source="link"))
    database.close()
    sent = {line.campaign: line.sent for line in simulate(workspace, start=START, end=END).lines}
    assert sent["second-purchase"] == 0


def test_the_numbers_of_the_answer_agree_with_each_other(workspace: Workspace) -> None:
    """Owed is sent, withheld and open; the calendar and the pressure add up to what was sent."""
    take_in(workspace, now=START)
    simulated = simulate(workspace, start=START, end=END)
    for line in simulated.lines:
        assert line.owed == line.sent + sum(line.withheld.values()) + line.open
        assert line.sent == sum(day.sent for day in simulated.days if day.campaign == line.campaign)
    pressure = simulated.pressure
    assert sum(pressure.by_most.values()) == pressure.written_to <= pressure.customers
    assert max(pressure.by_most) <= 2, "the cap of config.yaml: two within 7 days"
    top = pressure.most_written_to
    assert [one.messages for one in top] == sorted((one.messages for one in top), reverse=True)


@pytest.mark.parametrize("gaps, most", [((0, 1, 6), 3), ((0, 7, 14), 1), ((0, 6, 7, 8), 3), ((0,), 1)])
def test_the_pressure_is_the_most_within_any_seven_days(
    database: Database, now: datetime, gaps: tuple[int, ...], most: int
) -> None:
    """A rolling window of seven days, its end not included."""
    with database.writing() as connection:
        connection.execute(customers.insert().values(external_id="ana", attributes={}, created_at=now))
        customer = connection.execute(select(func.max(customers.c.id))).scalar_one()
        connection.execute(
            database.insert(metadata.tables["template_versions"]).values(
                hash="h", name="n", sources={}, first_used_at=now
            )
        )
        common = {
            "campaign": "news",
            "channel": "email",
            "owed": 1,
            "definition": {},
            "definition_hash": "h",
            "template_hash": "h",
        }
        for number, days in enumerate(gaps):
            at = now + timedelta(days=days)
            run = {"occurrence": str(number), "nominal_at": at, "launched_at": at, **common}
            run_id = connection.execute(runs.insert().values(run).returning(runs.c.id)).scalar_one()
            connection.execute(messages.insert().values(_message(run_id, customer, at)))
    pressure = read(database, start=now, end=now, zone=load_zone()).pressure
    assert pressure.by_most == {most: 1}
    assert [(one.customer, one.messages, one.most_in_7_days) for one in pressure.most_written_to] == [
        ("ana", len(gaps), most)
    ]


def load_zone() -> ZoneInfo:
    return ZoneInfo("Europe/Helsinki")


def _message(run_id: int, customer: int, at: datetime) -> dict[str, object]:
    return {
        "run_id": run_id, "campaign": "news", "step": "main", "customer_id": customer, "channel": "email",
        "message_class": "commercial", "delivery": "at_most_once", "lane": 1, "state": State.ACCEPTED.value,
        "owed_at": at, "due_at": at, "changed_at": at, "first_sent_at": at, "accepted_at": at,
    }  # fmt: skip


# ---------------------------------------------------------------- the copy


def test_a_file_in_use_is_copied_with_its_log_and_not_changed(tmp_path: Path) -> None:
    """What a running daemon has committed is in the copy even where it is in the write-ahead log alone."""
    path = tmp_path / "live.db"
    live = sqlite3.connect(path, isolation_level=None)
    live.execute("PRAGMA journal_mode=WAL")
    live.execute("CREATE TABLE t (x)")
    live.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    live.execute("INSERT INTO t VALUES (1)")
    left = {name: (tmp_path / name).read_bytes() for name in ("live.db", "live.db-wal")}
    assert left["live.db-wal"], "the row is in the log"
    copy_database(f"sqlite:///{path}", tmp_path, tmp_path / "copy.db", secret=SECRET, until=END)
    assert sqlite3.connect(tmp_path / "copy.db").execute("SELECT x FROM t").fetchall() == [(1,)]
    assert {name: (tmp_path / name).read_bytes() for name in left} == left
    live.close()


def test_there_must_be_something_to_simulate(workspace: Workspace, tmp_path: Path) -> None:
    """No database, or a time that runs backwards: said in words, and no file is made."""
    with pytest.raises(StoreError, match="there is no database"):
        copy_database("sqlite:///none.db", tmp_path, tmp_path / "copy.db", secret=SECRET, until=END)
    assert not (tmp_path / "none.db").exists()
    with pytest.raises(RegularsError, match="ends before it begins"):
        simulate(workspace, start=END, end=START)


def test_postgresql_of_another_version_is_not_read(workspace: Workspace, tmp_path: Path) -> None:
    """Its tables may mean something else; bringing them up to date would touch them."""
    if workspace.settings.database.startswith("sqlite"):
        return  # a SQLite copy is brought up to date itself
    database = open_workspace_database(workspace)
    with database.writing() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'older'")
    database.close()
    with pytest.raises(StoreError, match="of another version"):
        copied(workspace, tmp_path / "copy.db")


# ---------------------------------------------------------------- the command


def test_the_page_and_the_json_say_the_same(workspace: Workspace) -> None:
    """Weeks or days for a person, everything for a program; times without an offset are the workspace's."""
    take_in(workspace, now=START)
    words = ["simulate", "--from", "1997-03-15", "--to", "1997-05-01", "-w", str(workspace.folder)]
    done = CliRunner().invoke(app, [*words, "--json"])
    told = json.loads(done.stdout)
    assert (done.exit_code, told["start"]) == (0, "1997-03-14T22:00:00+00:00")
    total = sum(day["sent"] for day in told["days"])
    for by in ("day", "week"):
        page = CliRunner().invoke(app, [*words, "--by", by]).stdout
        calendar = page.split("What would become")[0]
        lines = [line for line in calendar.splitlines() if line.startswith("1997-")]
        assert sum(int(line.split()[-1].replace(",", "")) for line in lines) == total > 0
        assert "Not simulated, because they wait for a call: receipt." in page
    assert CliRunner().invoke(app, ["simulate", "--from", "soon", "--to", "now", "-w", str(workspace.folder)]).exit_code


def test_sigterm_leaves_no_copy_of_the_customers(workspace: Workspace, tmp_path: Path) -> None:
    """A simulation that is stopped half-way takes its copy of the database with it, whoever may read the folder for what is temporary."""
    take_in(workspace, now=START)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    words = ["simulate", "--from", "1997-03-15", "--to", "2027-05-01", "-w", str(workspace.folder)]
    running = subprocess.Popen(
        [sys.executable, "-m", "engine.cli", *words],
        env={**os.environ, "TMPDIR": str(scratch)},
        cwd=Path(__file__).parents[2],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 60
        while not list(scratch.glob("regulars-simulation-*/copy.db")) and time.monotonic() < until:
            time.sleep(0.02)
        assert running.poll() is None
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=60) == 143
    finally:
        running.kill()
    assert list(scratch.iterdir()) == []


def test_rules_under_change_are_simulated_as_they_stand(workspace: Workspace) -> None:
    """The question is what these rules would do, not what former ones did."""
    take_in(workspace, now=START)
    campaigns = {name: one for name, one in workspace.campaigns.items() if name == "win-back"}
    only = simulate(replace(workspace, campaigns=campaigns), start=START, end=END)
    assert {line.campaign for line in only.lines} == {"win-back"}
