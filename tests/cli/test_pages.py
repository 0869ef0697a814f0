"""The pages on the terminal: times by the shop's clock on each of them, in JSON in UTC; and names in one piece."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from engine.cli.app import app
from engine.cli.pages import report_page
from engine.clock import SteppedClock
from engine.ledger import consent
from engine.ledger.record import record_events
from engine.measure.report import Fared, Report, report
from engine.model import Channel, EventName, State, SuppressionReason
from engine.provider import Accepted, Ambiguous, Outgoing, ProviderEvent
from engine.questions.doctor import diagnose
from engine.settings import load_settings
from engine.store import Database
from tests.sending.shop import CONFIG, Shop

BY_THE_SHOP, IN_UTC = "2026-03-02 14:00", "2026-03-02T12:00:00+00:00"
"""Helsinki is two hours ahead."""


@pytest.fixture
def shop(tmp_path: Path, database: Database, database_url: str, now: datetime) -> Shop:
    """One of nine is in doubt, another's address is suppressed."""

    def answer(outgoing: Outgoing) -> Accepted | Ambiguous:
        return Ambiguous(code="timeout") if outgoing.to == "c1@customers.example" else Accepted()

    shop = Shop(tmp_path, database, SteppedClock(now))
    (tmp_path / "config.yaml").write_text(CONFIG + f"database: {database_url}\n", encoding="utf-8")
    shop.provider.answer = answer
    shop.launch()
    shop.sender().drain()
    with database.writing() as connection:
        reason = SuppressionReason.BOUNCED
        consent.suppress_contact_point(
            connection, database, Channel.EMAIL, "c2@customers.example", reason, at=now, source="relay"
        )
    return shop


def said(shop: Shop, *words: str) -> str:
    return CliRunner(env={"COLUMNS": "120"}).invoke(app, [*words, "-w", str(shop.folder)]).stdout


@pytest.mark.parametrize("words", [("suppressions",), ("doubts",), ("undo",)])
def test_times_are_told_by_the_shops_clock(shop: Shop, words: tuple[str, ...]) -> None:
    """As the rules have them in their files; a program gets UTC, and says so."""
    assert BY_THE_SHOP in said(shop, *words), said(shop, *words)
    assert IN_UTC in said(shop, *words, "--json")


def test_what_was_decided_by_hand_is_told_by_the_shops_clock(shop: Shop) -> None:
    """It was decided a moment ago: no page shows the hour of UTC."""
    said(shop, "doubts", "settle", "1", "--as", "accepted", "--by", "Ana", "--why", "the log")
    said(shop, "suppressions", "lift", "1", "--by", "Ana", "--why", "the log")
    for words in (("doubts", "settled"), ("suppressions", "lifted")):
        page, present = said(shop, *words), datetime.now(UTC)
        there = present.astimezone(load_settings(shop.folder).time_zone)
        assert f"{there:%Y-%m-%d %H:}" in page and f"{present:%Y-%m-%d %H:}" not in page, page


def test_the_doctor_tells_times_by_the_shops_clock(shop: Shop, now: datetime) -> None:
    """Since when something waits, with the zone beside it, as a finding is read in JSON, too."""
    shop.launch("again")
    found = diagnose(load_settings(shop.folder), shop.folder, now=now.replace(hour=18), dns=None)
    assert any(f"the first at {BY_THE_SHOP} (Europe/Helsinki)" in one.what for one in found.findings)


def test_what_known_customers_did_is_told_in_words(shop: Shop, now: datetime) -> None:
    """How many of them, and how often where that is more; a program's answer is no person's. JSON has it, too."""
    sent = {row.customer_id: shop.database.message_key(row.id) for row in shop.rows() if row.state == State.ACCEPTED}
    first, second, third = list(sent.values())[:3]
    told = [
        (EventName.REPLIED, first),
        (EventName.REPLIED, first),
        (EventName.REPLIED, second),
        (EventName.SHARED, second),
    ]
    reports = [
        ProviderEvent(name=name, at=now, dedupe=str(place), message_key=key) for place, (name, key) in enumerate(told)
    ]
    reports.append(ProviderEvent(name=EventName.REPLIED, at=now, dedupe="away", message_key=third, machine=True))
    assert "customers who" not in said(shop, "report")
    record_events(shop.database, reports, provider="scripted", now=now)
    assert "\nnews (email) customers who replied: 2 (3 times), shared: 1\n" in said(shop, "report")
    (line,) = json.loads(said(shop, "report", "--json"))["lines"]
    assert line["did"] == {"shared": {"events": 1, "customers": 1}, "replied": {"events": 3, "customers": 2}}


@pytest.mark.parametrize("name", ["thank-the-best-again", "second-purchase", "news"])
def test_the_report_fits_80_columns_with_no_name_broken(shop: Shop, name: str) -> None:
    """Its moment and the posts' count by the shop's clock; a table without room is set closer before anything is broken."""
    now, page = shop.clock.now(), StringIO()
    read = report(shop.database, now=now)
    states = {State.ACCEPTED: 12_345, State.SKIPPED: 1_234}
    line = dataclasses.replace(read.lines[0], campaign=name, owed=13_579, states=states, opened=2_000)
    fared = Fared(
        provider="mastodon", posts=12, gone=0, as_of=now, likes=100, shares=10, replies=5, clicks=None, views=None
    )
    posted = dataclasses.replace(line, to_everybody=True, fared=(fared,))
    whole = Report(as_of=now, lines=(line, posted))
    report_page(Console(file=page, width=80), whole, currency="EUR", time_zone="Europe/Helsinki")
    lines = page.getvalue().splitlines()
    assert lines[0] == f"Report as of {BY_THE_SHOP} (Europe/Helsinki)" and max(map(len, lines)) <= 80
    told = [line.split() for line in lines if line.startswith(name)]
    assert told[0][:2] == [name, "email"] and told[0][3:6] == ["13,579", "12,345", "·"], page.getvalue()
    assert [row[0] for row in told[:4]] == [name] * 4
    assert ("02 Mar" if len(name) > 15 else "02 Mar 14:00") in " ".join(told[-1]), page.getvalue()
