"""The brakes on the command line: another process obeys, and they work when the rules are broken."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from engine.cli.app import app
from engine.clock import SteppedClock
from engine.errors import RegularsError
from engine.ledger import brakes
from engine.ledger.cancel import newest_runs
from engine.model import State
from engine.store import Database
from tests.sending.shop import CONFIG, Shop


@pytest.fixture
def shop(tmp_path: Path, database: Database, database_url: str, now: datetime) -> Shop:
    shop = Shop(tmp_path, database, SteppedClock(now))
    (tmp_path / "config.yaml").write_text(CONFIG + f"database: {database_url}\n", encoding="utf-8")
    shop.launch()
    return shop


def ask(shop: Shop, *words: str) -> Any:
    done = CliRunner().invoke(app, [*words, "--json", "-w", str(shop.folder)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_a_campaign_is_paused_and_resumed(shop: Shop) -> None:
    """Paused twice is paused once; the reason is kept; nothing leaves; resumed, everybody gets one."""
    told = ask(shop, "pause", "news", "--why", "the wrong price")
    assert (told["new"], [one["why"] for one in told["brakes"]]) == (True, ["the wrong price"])
    page = CliRunner().invoke(app, ["report", "-w", str(shop.folder)])
    assert "paused news: the wrong price" in page.output
    assert ask(shop, "pause", "news")["new"] is False
    shop.sender().drain()
    assert shop.provider.taken == []
    assert ask(shop, "resume", "news")["new"] is True
    shop.sender().drain()
    assert shop.states() == [State.ACCEPTED] * 9


def test_the_kill_switch_and_a_pause_are_two_brakes(shop: Shop) -> None:
    """What is resumed is told as still paused where the other brake is on."""
    ask(shop, "pause", "--all")
    ask(shop, "pause", "news")
    assert [one["campaign"] for one in ask(shop, "resume", "news")["brakes"]] == [brakes.ALL]
    done = CliRunner().invoke(app, ["resume", "news", "-w", str(shop.folder)])
    assert "everything is paused still" in done.output
    shop.sender().drain()
    assert shop.provider.taken == []


def test_brakes_work_when_the_rules_are_broken(shop: Shop) -> None:
    """The moment in which one wants them most."""
    (shop.folder / "rules/news.yaml").write_text("campaign: [", encoding="utf-8")
    assert ask(shop, "pause", "news")["new"]
    assert ask(shop, "undo", "news")["cancelled"] == 9


def test_a_name_that_nobody_has_is_a_mistake(shop: Shop) -> None:
    """A pause that brakes nothing would be believed."""
    for words in (["pause", "new"], ["pause"], ["pause", "news", "--all"], ["undo", "new"], ["cancel"]):
        with pytest.raises(RegularsError):
            CliRunner().invoke(app, [*words, "-w", str(shop.folder)], catch_exceptions=False)
    assert brakes.paused(shop.database) == ()


def test_the_rest_of_a_run_is_undone_by_number_or_by_name(shop: Shop) -> None:
    """What had left is told; `cancel --run` is the same; without a run the newest ones are listed."""
    listed = ask(shop, "undo")
    run = newest_runs(shop.database)[0].run
    assert [(one["run"], one["campaign"], one["states"]) for one in listed] == [(run, "news", {"pending": 9})]
    told = ask(shop, "undo", "news")
    assert (told["cancelled"], told["left"]) == (9, 0)
    assert ask(shop, "cancel", "--run", str(run))["cancelled"] == 0
    done = CliRunner().invoke(app, ["undo", str(run), "-w", str(shop.folder)])
    assert "0 cancelled" in done.output and "0 had left already" in done.output
