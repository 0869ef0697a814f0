"""Texts that people send us: a STOP is confirmed once, HELP is answered, what may be a no waits for a person."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from engine.campaigns.answers import answer
from engine.cli.app import app
from engine.clock import SteppedClock
from engine.ledger.consent import suppress_contact_point
from engine.ledger.record import record_events
from engine.ledger.replies import Reading, read, settle, unread
from engine.model import Channel, EventName, MessageClass, Reason, State, SuppressionReason
from engine.provider import Accepted, Capabilities, ProviderEvent
from engine.questions.doctor.books import prove
from engine.rules.workspace import load_workspace
from engine.store import Database
from engine.store.tables import suppressions
from tests.sending.shop import CONFIG, NEWS, Scripted, Shop

ANA, BEN = "+358401234567", "+358401234568"
ANSWERS = """
answers:
  stop: {en: "Shop: you get no more texts.", de: "Shop: Sie bekommen nichts mehr."}
  help: {en: "Shop, Street 1, help@shop.example. STOP ends these texts."}
"""
ROUTES = "channels: {sms: {commercial: {provider: scripted, from: '+15005550006'}, transactional: {provider: scripted, from: '+15005550006'}}}"


class TextShop(Shop):
    """The shop, writing texts to Ana and Ben."""

    def __init__(self, folder: Path, database: Database, clock: SteppedClock, url: str) -> None:
        people = [
            {"id": name, "sms": number, "consent.sms.offers": "yes"} for name, number in (("ana", ANA), ("ben", BEN))
        ]
        super().__init__(folder, database, clock, rows=people)
        head, _, rest = CONFIG.partition("channels:")
        config = head + ROUTES + "\n" + rest.partition("sending:")[1] + rest.partition("sending:")[2] + ANSWERS
        (folder / "config.yaml").write_text(config + f"database: {url}\n", encoding="utf-8")
        (folder / "rules/news.yaml").write_text(NEWS.replace("channel: email", "channel: sms"), encoding="utf-8")
        (folder / "rules/receipt.yaml").unlink()
        (folder / "templates/news/sms.txt").write_text("News! STOP ends this.", encoding="utf-8")
        self.workspace = load_workspace(folder)
        self.provider: Scripted = Scripted(lambda outgoing: Accepted(provider_message_id=outgoing.key))
        self.provider.capabilities = Capabilities(channel=Channel.SMS)
        self.number = 0

    def hear(
        self, words: str, *, sender: str = ANA, at: datetime | None = None, answered: bool = False
    ) -> ProviderEvent:
        """A text came in, as the web door takes it."""
        self.number += 1
        event = ProviderEvent(
            name=EventName.REPLIED, at=at or self.clock.now(), dedupe=str(self.number), address=sender, text=words,
            answered=answered,
        )  # fmt: skip
        self.take(event)
        return event

    def take(self, event: ProviderEvent) -> None:
        now = self.clock.now()
        answering = partial(answer, self.workspace, self.database, now=now)
        record_events(self.database, [event], provider="scripted", now=now, channel=Channel.SMS, answer=answering)

    def said(self) -> list[tuple[str | None, str]]:
        """Send what is due; what was sent since the last time, and to whom."""
        before = len(self.provider.taken)
        self.sender().drain()
        return [(one.to, one.content.text) for one in self.provider.taken[before:]]  # type: ignore[union-attr]

    def suppressed(self) -> list[str]:
        with self.database.reading() as connection:
            return list(
                connection.execute(select(suppressions.c.reason).where(suppressions.c.lifted_at.is_(None))).scalars()
            )


@pytest.fixture
def shop(tmp_path: Path, database: Database, database_url: str, now: datetime) -> TextShop:
    return TextShop(tmp_path, database, SteppedClock(now), database_url)


STOPPED = (ANA, "Shop: you get no more texts.")


def test_a_stop_is_confirmed_once_although_the_number_is_suppressed(shop: TextShop) -> None:
    """One text, without advertisement, transactional and in the books; none for a second STOP or a repeated webhook."""
    event = shop.hear("STOP")
    assert shop.said() == [STOPPED]
    assert shop.provider.taken[0].message_class is MessageClass.TRANSACTIONAL
    shop.take(event)
    shop.pass_time(minutes=1)
    shop.hear("stop!")
    assert (shop.said(), shop.suppressed()) == ([], ["opted_out"])


@pytest.mark.parametrize("reason", [SuppressionReason.BOUNCED, SuppressionReason.PROVIDER])
def test_nothing_goes_to_a_dead_number_that_said_stop(shop: TextShop, reason: SuppressionReason) -> None:
    """The confirmation of a STOP passes an opt-out alone, not what else the number is suppressed for."""
    with shop.database.writing() as connection:
        at = shop.clock.now()
        suppress_contact_point(connection, shop.database, Channel.SMS, ANA, reason, at=at, source="scripted")
    shop.hear("STOP")
    assert (shop.said(), set(shop.suppressed())) == ([], {reason, "opted_out"})
    assert prove(shop.database).total.balance
    shop.launch()
    assert [to for to, _ in shop.said()] == [BEN]


def test_after_a_start_the_next_stop_is_confirmed_again(shop: TextShop) -> None:
    """START lifts what a STOP did and nothing else; it is another STOP then."""
    shop.hear("STOP")
    shop.said()
    shop.pass_time(minutes=1)
    shop.hear("START")
    assert (shop.suppressed(), shop.said()) == ([], [])  # no words for START in config.yaml
    shop.pass_time(minutes=1)
    shop.hear("STOP")
    assert shop.said() == [STOPPED]


def test_a_late_stop_and_one_that_the_vendor_answers_are_obeyed_and_not_confirmed(shop: TextShop) -> None:
    """Five minutes are the limit; Twilio's own opt-out handling has answered already; a stranger has no account here."""
    shop.hear("STOP", at=shop.clock.now() - timedelta(minutes=6))
    shop.hear("STOP", sender=BEN, answered=True)
    shop.hear("STOP", sender="+358409999999")
    assert (shop.said(), shop.suppressed()) == ([], ["opted_out"] * 3)


def test_a_confirmation_that_could_not_leave_in_time_expires(shop: TextShop) -> None:
    """The sender was down: nobody is told after five minutes."""
    shop.hear("STOP")
    shop.pass_time(minutes=6)
    assert shop.said() == []
    assert shop.states() == [State.EXPIRED]


def test_the_answer_is_in_the_language_of_the_word(shop: TextShop) -> None:
    """A German word is answered in German, an unknown one in the first language there is."""
    shop.hear("Abmelden")
    shop.hear("wypisz", sender=BEN)
    assert {text for _, text in shop.said()} == {"Shop: Sie bekommen nichts mehr.", "Shop: you get no more texts."}


def test_help_is_answered_and_changes_nothing(shop: TextShop) -> None:
    """Even to somebody who has opted out; twice within a minute only once, so that two machines do not talk for ever."""
    shop.hear("STOP")
    shop.said()
    shop.hear("HELP")
    shop.hear("info")
    assert [text.partition(",")[0] for _, text in shop.said()] == ["Shop"]
    assert shop.suppressed() == ["opted_out"]


def test_what_may_be_a_no_waits_for_a_person_and_holds_what_is_commercial(shop: TextShop) -> None:
    """Nobody is suppressed and nothing commercial leaves until somebody has read it; then as that person says."""
    shop.hear("when does it end?")
    shop.hear("stpo", sender=BEN)
    shop.hear("when does it end?", sender="+358409999999")  # nobody we write to
    shop.launch()
    assert (shop.said(), shop.suppressed()) == ([], [])
    assert {row.reason for row in shop.rows()} == {Reason.REPLY_WAITS}
    waiting = unread(shop.database)
    assert [(one.customer, one.text) for one in waiting] == [("ana", "when does it end?"), ("ben", "stpo")]
    settle(shop.database, [waiting[0].id], Reading.NOTHING, by="Eva", why="a question", now=shop.clock.now())
    settle(shop.database, [waiting[1].id], Reading.OPT_OUT, by="Eva", why="a slip", now=shop.clock.now())
    shop.pass_time(minutes=16)
    assert [to for to, _ in shop.said()] == [ANA]
    assert shop.suppressed() == ["opted_out"]
    assert [(one.reading, one.by) for one in read(shop.database, limit=9)] == [("nothing", "Eva"), ("opt_out", "Eva")]
    again = settle(shop.database, [waiting[0].id], Reading.OPT_OUT, by="Eva", why="", now=shop.clock.now())
    assert again[0].refused


def test_replies_are_listed_and_settled_from_the_terminal(shop: TextShop) -> None:
    """Exit status 1 while one waits; what people write cannot steer the terminal."""
    shop.hear("cancel my \x1b[2Jappointment")

    def run(*words: str) -> tuple[int, Any]:
        result = CliRunner().invoke(app, ["replies", *words, "-w", str(shop.folder)])
        return result.exit_code, result.output

    status, page = run()
    assert status == 1 and "appointment" in page and "\x1b[2J" not in page
    (one,) = json.loads(run("--json")[1])
    status, page = run("settle", str(one["id"]), "--as", "nothing", "--by", "Eva", "--why", "a barber's")
    assert (status, page) == (0, f"{one['id']}: nothing\n")
    assert run()[0] == 0
    assert "Eva" in run("settled")[1]
