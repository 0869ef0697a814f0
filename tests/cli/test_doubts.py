"""Doubts on the command line: listed, exported, and settled by hand, never without a trace."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from engine.cli.app import app
from engine.clock import SteppedClock
from engine.errors import RegularsError
from engine.ledger.balance import balance
from engine.ledger.cancel import cancel
from engine.model import Reason, State
from engine.provider import Accepted, Ambiguous, Outgoing
from engine.store import Database
from engine.store.tables import judgements
from tests.sending.shop import CONFIG, Shop

IN_DOUBT = {"c1@customers.example", "c2@customers.example", "c3@customers.example"}


@pytest.fixture
def shop(tmp_path: Path, database: Database, database_url: str, now: datetime) -> Shop:
    """Nine were handed over; of three nobody knows whether they arrived."""

    def answer(outgoing: Outgoing) -> Accepted | Ambiguous:
        return Ambiguous(code="=timeout()") if outgoing.to in IN_DOUBT else Accepted()

    shop = Shop(tmp_path, database, SteppedClock(now))
    (tmp_path / "config.yaml").write_text(CONFIG + f"database: {database_url}\n", encoding="utf-8")
    shop.provider.answer = answer
    shop.launch()
    shop.sender().drain()
    return shop


def run(shop: Shop, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["doubts", *words, "-w", str(shop.folder)], catch_exceptions=False)
    return done.exit_code, done.stdout


def asked(shop: Shop, *words: str) -> Any:
    return json.loads(run(shop, *words, "--json")[1])


def settle(shop: Shop, verdict: str, *ids: int) -> Any:
    said = ("--as", verdict, "--by", "Ana", "--why", "the vendor's log")
    return asked(shop, "settle", *map(str, ids), *said)


def test_doubts_are_listed_without_addresses(shop: Shop) -> None:
    """Who, by whom, since when, and why; addresses only for those who ask; exit status 1 while there is one."""
    listed = asked(shop)
    assert [(one["customer"], one["state"], one["reason"]) for one in listed] == [
        (name, "in_doubt", "no_answer") for name in ("c1", "c2", "c3")
    ]
    status, page = run(shop)
    assert status == 1 and "3 in doubt" in page and "@" not in page + json.dumps(listed)
    assert {one["address"] for one in asked(shop, "--show-addresses")} == IN_DOUBT


def test_doubts_are_asked_for_by_what_they_are(shop: Shop) -> None:
    """Each filter leaves out what is not of its kind."""
    run_id = str(asked(shop)[0]["run"])
    for words, found in (
        (["--campaign", "news"], 3), (["--campaign", "other"], 0), (["--provider", "scripted"], 3),
        (["--provider", "other"], 0), (["--run", run_id], 3), (["--run", "99"], 0), (["--state", "unknown"], 0),
    ):  # fmt: skip
        assert len(asked(shop, *words)) == found, words
    shop.pass_time(hours=73)
    shop.sender().drain()
    assert (len(asked(shop, "--state", "unknown")), len(asked(shop, "--state", "in_doubt"))) == (3, 0)


def test_doubts_are_exported(shop: Shop) -> None:
    """Both kinds of file hold the same; what a spreadsheet would take for a formula is text."""
    table, lines = shop.folder / "doubts.csv", shop.folder / "doubts.jsonl"
    run(shop, "--export", str(table))
    run(shop, "--export", str(lines))
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    told = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    assert (
        [row["key"] for row in rows]
        == [one["key"] for one in told]
        == [shop.database.message_key(n) for n in (1, 2, 3)]
    )
    assert (rows[0]["detail"], told[0]["detail"]) == ("'=timeout()", "=timeout()")
    with pytest.raises(RegularsError, match=r"a \.csv or a \.jsonl"):
        run(shop, "--export", str(shop.folder / "doubts.xlsx"))


def test_doubts_are_settled_by_hand_and_on_record(shop: Shop) -> None:
    """Arrived, refused, once more: the states, the books, and who said so why, before and after."""
    settle(shop, "accepted", 1)
    settle(shop, "rejected", 2)
    settle(shop, "resend", 3)
    assert shop.states()[:3] == [State.ACCEPTED, State.REJECTED, State.PENDING]
    assert shop.rows()[0].accepted_at == shop.rows()[0].first_sent_at
    first = {one.key: one for one in shop.provider.taken}
    shop.provider.taken.clear()
    shop.provider.answer = lambda outgoing: Accepted()
    shop.clock.set(datetime.now(UTC))  # the command line works by the real clock
    shop.sender().drain()
    assert [first[one.key] for one in shop.provider.taken] == shop.provider.taken
    assert (shop.states()[2], shop.rows()[2].possible_duplicate) == (State.ACCEPTED, True)
    assert balance(shop.database).holds
    with shop.database.reading() as connection:
        kept = connection.execute(judgements.select().order_by(judgements.c.id)).all()
    assert [(one.message_id, one.by, one.why, one.before, one.before_reason, one.after) for one in kept] == [
        (number, "Ana", "the vendor's log", "in_doubt", Reason.NO_ANSWER, after)
        for number, after in ((1, "accepted"), (2, "rejected"), (3, "pending"))
    ]
    assert [one["message"] for one in asked(shop, "settled")] == [3, 2, 1]


def test_an_unknown_may_become_known_by_hand(shop: Shop) -> None:
    """Given up after three days; then the customer says that it came."""
    shop.pass_time(hours=73)
    shop.sender().drain()
    (judged,) = settle(shop, "accepted", 1)
    assert (judged["before"], judged["after"]) == ("unknown", "accepted")
    assert run(shop)[0] == 1
    settle(shop, "accepted", 2, 3)
    assert run(shop)[0] == 0


def test_what_is_certain_cannot_be_settled(shop: Shop) -> None:
    """An accepted message, none at all, one of a cancelled run, one that is too late: refused, each with its reason."""
    told = settle(shop, "rejected", 9, 99)
    assert [one["refused"] for one in told] == ["it is accepted, and that is certain", "there is no such message"]
    cancel(shop.database, "news", now=shop.clock.now())
    assert [one["refused"] for one in settle(shop, "resend", 1)] == ["its run was cancelled"]
    assert asked(shop, "settled") == []
    with pytest.raises(RegularsError, match="who settles"):
        run(shop, "settle", "1", "--as", "accepted", "--by", " ", "--why", "x")
