"""The simulation's page: every campaign's name in one piece, and every number of the calendar, however many campaigns there are."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from io import StringIO

import pytest
from rich.console import Console

from engine.cli.simulate import By, simulation_page
from engine.model import Channel
from engine.simulation.calendar import Day, Line, Pressure, Simulation

START = datetime(2026, 3, 2, tzinfo=UTC)


def simulated(campaigns: int) -> Simulation:
    """Each sends 1,000 and its number on every day of a week, and on the next Monday."""
    names = [f"a-long-campaign-no-{n:02d}" for n in range(campaigns)]
    days = [date(2026, 3, 2) + timedelta(days=n) for n in range(8)]
    return Simulation(
        start=START,
        end=START + timedelta(days=8),
        time_zone="Europe/Helsinki",
        lines=tuple(
            Line(
                campaign=name,
                channel=Channel.EMAIL,
                runs=8,
                owed=9_000,
                sent=8_000 + 8 * n,
                withheld={},
                held={},
                open=0,
            )
            for n, name in enumerate(names)
        ),
        days=tuple(
            Day(day=day, campaign=name, channel=Channel.EMAIL, sent=1_000 + n)
            for day in days
            for n, name in enumerate(names)
        ),
        pressure=Pressure(customers=0, written_to=0, by_most={}, most_written_to=()),
        not_simulated=(),
    )


@pytest.mark.parametrize("campaigns", [0, 1, 3, 4, 12])
@pytest.mark.parametrize("width", [80, 120])
def test_no_name_is_broken_and_no_number_left_out(campaigns: int, width: int) -> None:
    """By day and by week; more campaigns than fit beside each other stand below each other."""
    found = simulated(campaigns)
    for by, days in ((By.DAY, 1), (By.WEEK, 7)):
        page = Console(width=width, file=(shown := StringIO()))
        simulation_page(page, found, by=by)
        text = shown.getvalue()
        assert max(map(len, text.splitlines())) <= width
        assert "…" not in text
        for number, line in enumerate(found.lines):
            assert text.count(line.campaign) == 2  # in the calendar, and among the books
            assert re.search(rf"\b{days * (1_000 + number):,}\b", text)
        assert text.count("What would go out") == (1 if campaigns else 0)
        assert ("Nothing would go out" in text) == (not campaigns)
        total = sum(1_000 + number for number in range(campaigns)) * days
        assert not campaigns or re.search(rf"2026-03-02.*\b{total:,}$", text, re.MULTILINE)
