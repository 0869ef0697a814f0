"""Guards: a segment that returns everyone is held, told, and let go by a person; nothing is owed meanwhile."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, func, select
from typer.testing import CliRunner

from engine.campaigns.launch import launch_due, let_go
from engine.cli.app import app
from engine.clock import SteppedClock
from engine.daemon import once
from engine.errors import HeldBack, RegularsError, UnknownName
from engine.guards import Guards
from engine.ledger.cancel import cancel_run, newest_runs
from engine.ledger.holds import holding
from engine.measure.report import report
from engine.questions.plan import plan
from engine.rules.workspace import load_workspace
from engine.store import Database, tables
from tests.sending.shop import CONFIG, NEWS, Shop

NOON = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)  # noon in Helsinki, when the campaign is due
FEW = "audience: {id: {in: [c1, c2, c3]}}"
ALL = "audience: {id: {present: true}}"


@pytest.fixture
def shop(tmp_path: Path, database: Database, database_url: str) -> Shop:
    """Nine customers; the campaign goes to three of them, and has gone to them once."""
    shop = Shop(tmp_path, database, SteppedClock(NOON - timedelta(days=1)))
    (tmp_path / "config.yaml").write_text(CONFIG + f"database: {database_url}\n", encoding="utf-8")
    guard(shop, "jump_from: 5")
    write(shop, FEW)
    assert [run.owed for run in launch_due(shop.workspace, shop.database, now=shop.clock.now())] == [3]
    shop.clock.set(NOON)
    return shop


def write(shop: Shop, audience: str, more: str = "") -> None:
    (shop.folder / "rules/news.yaml").write_text(NEWS.replace(ALL, audience) + more, encoding="utf-8")
    shop.workspace = load_workspace(shop.folder)


def guard(shop: Shop, said: str) -> None:
    config = shop.folder / "config.yaml"
    kept = config.read_text(encoding="utf-8").partition("guards:")[0]
    config.write_text(f"{kept}guards: {{{said}}}\n", encoding="utf-8")
    shop.workspace = load_workspace(shop.folder)


def launched(shop: Shop) -> tuple[list[int], list[str]]:
    """How many each launch owed, and why others were not launched."""
    refused: list[str] = []

    def failed(name: str, error: RegularsError) -> None:
        refused.append(str(error))

    runs = launch_due(shop.workspace, shop.database, now=shop.clock.now(), failed=failed)
    return [run.owed for run in runs], refused


def owed(shop: Shop) -> int:
    with shop.database.reading() as connection:
        return connection.execute(select(func.count()).select_from(tables.messages)).scalar_one()


def test_a_condition_dropped_from_a_rule_is_held(shop: Shop) -> None:
    """Three the last time, nine now: nothing is owed, no run is there, and the reason has both numbers."""
    write(shop, ALL)
    runs, (why,) = launched(shop)
    assert (runs, owed(shop), len(newest_runs(shop.database))) == ([], 3, 1)
    assert "it went to 3 the last time and would go to 9; guards.audience_jump is 50%" in why


def test_what_is_held_is_not_counted_again_until_the_rules_change(shop: Shop) -> None:
    """The daemon looks every few seconds: the same answer without the work; mended rules are asked anew, and launched."""
    write(shop, ALL)
    launched(shop)
    tables_read: list[str] = []

    def seen(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        tables_read.append(statement)

    event.listen(shop.database.pool, "before_cursor_execute", seen)
    assert len(launched(shop)[1]) == 1
    assert not any("INSERT INTO messages" in statement for statement in tables_read)
    write(shop, FEW)
    assert launched(shop) == ([3], [])
    with shop.database.reading() as connection:
        assert holding(connection) == ()


def test_a_larger_audience_than_is_allowed_is_held_even_the_first_time(shop: Shop) -> None:
    """There is no last run to compare with; the number itself is too large. What the campaign says for itself counts first."""
    guard(shop, "audience_at_most: 5")
    write(shop, ALL)
    assert "guards.audience_at_most is 5" in launched(shop)[1][0]
    write(shop, ALL, "guards: {audience_at_most: 9}\n")
    assert launched(shop) == ([9], [])


def test_small_audiences_may_jump(shop: Shop) -> None:
    """From three to nine is nothing to wake somebody for, where jump_from says so; it is by default."""
    guard(shop, "jump_from: 10")
    write(shop, ALL)
    assert launched(shop) == ([9], [])
    assert Guards.model_fields["jump_from"].default == 1000


def test_a_runaway_that_was_undone_is_no_measure(shop: Shop) -> None:
    """It was confirmed in error and undone: the next one of its size is held again."""
    write(shop, ALL)
    launched(shop)
    run = let_go(shop.workspace, shop.database, "news", by="Ana", now=NOON)
    assert run.launched is not None and run.launched.owed == 9
    cancel_run(shop.database, run.launched.run_id, now=NOON)
    shop.pass_time(days=1)
    assert len(launched(shop)[1]) == 1


def test_a_person_lets_it_go(shop: Shop) -> None:
    """Once, however late, on record; after that it is neither held nor due."""
    write(shop, ALL)
    launched(shop)
    shop.pass_time(hours=20)  # much later than `max_lateness`
    run = let_go(shop.workspace, shop.database, "news", by="Ana", now=shop.clock.now())
    assert run.launched is not None and (run.launched.new, run.launched.owed) == (True, 9)
    with pytest.raises(UnknownName, match='nothing of "news" is held'):
        let_go(shop.workspace, shop.database, "news", by="Ana", now=shop.clock.now())
    assert launched(shop) == ([], [])
    with shop.database.reading() as connection:
        (row,) = connection.execute(select(tables.holds)).all()
    assert row.released_by == "Ana"


def test_a_hold_is_told_everywhere(shop: Shop) -> None:
    """By the daemon's one pass with status 1, by the plan, by the report, by `launch`; and `--confirm` launches it."""
    write(shop, ALL)
    _, _, refused = once(shop.folder, now=NOON)
    assert [one.campaign for one in refused] == ["news"] and "would go to 9" in refused[0].why
    planned = plan(shop.workspace, shop.database, now=NOON).campaigns[0]
    assert any(warning.startswith("Held since 2026-03-02 12:00:") for warning in planned.warnings)
    assert [one.campaign for one in report(shop.database, now=NOON).held] == ["news"]
    page = CliRunner().invoke(app, ["report", "-w", str(shop.folder)])
    assert "held news" in page.output
    asked = CliRunner().invoke(app, ["launch", "-w", str(shop.folder)])
    assert asked.exit_code == 1 and "held news" in asked.output
    done = CliRunner().invoke(app, ["launch", "news", "--confirm", "--by", "Ana", "--json", "-w", str(shop.folder)])
    assert (done.exit_code, json.loads(done.stdout)["launched"]["owed"]) == (0, 9)
    assert CliRunner().invoke(app, ["launch", "-w", str(shop.folder)]).exit_code == 0


def test_who_does_not_ask_is_told_by_an_error(shop: Shop) -> None:
    """A launch by whoever looks at nothing raises, and leaves no half-owed run."""
    write(shop, ALL)
    with pytest.raises(HeldBack, match="regulars launch news --confirm"):
        shop.launch("tomorrow")
    assert owed(shop) == 3
