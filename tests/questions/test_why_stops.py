"""Why nothing leaves: a pause, the kill switch, a canary and a cancelled run, each with what lets the message go."""

from __future__ import annotations

import io
import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from engine.campaigns.launch import launch_due, let_go
from engine.cli.app import plain
from engine.cli.why import why_page
from engine.clock import SteppedClock
from engine.ledger import brakes
from engine.ledger.cancel import cancel
from engine.model import Reason, State
from engine.provider import Accepted, Rejected
from engine.questions.why import REASONS, Says, Why, why
from engine.rules.workspace import load_workspace
from engine.store import Database
from engine.store.tables import customers
from tests.sending.shop import NEWS, POST, Shop

CANARY = "guards: {canary: {share: 10 %, wait: 2 hours, smallest: 100}}\n"


@pytest.fixture
def shop(tmp_path: Path, database: Database, now: datetime) -> Shop:
    return Shop(tmp_path, database, SteppedClock(now), customers=200)


def asked(shop: Shop, customer: str = "c1", campaign: str = "news") -> Why:
    return why(shop.workspace, shop.database, customer, campaign, now=shop.clock.now())


def page_of(found: Why) -> str:
    page = io.StringIO()
    why_page(Console(file=page, width=80), found)
    assert max(map(len, page.getvalue().splitlines())) <= 80
    return " ".join(page.getvalue().split())


def written(shop: Shop, name: str, text: str) -> None:
    (shop.folder / name).parent.mkdir(parents=True, exist_ok=True)
    (shop.folder / name).write_text(text, encoding="utf-8")
    shop.workspace = load_workspace(shop.folder)


def parts_of(shop: Shop) -> tuple[str, str]:
    """One customer of the rest of the run, and one of its first part."""
    with shop.database.reading() as connection:
        names = {row.id: row.external_id for row in connection.execute(customers.select())}
    return (
        next(names[row.customer_id] for row in shop.rows() if row.reason == Reason.CANARY),
        next(names[row.customer_id] for row in shop.rows() if row.reason is None),
    )


@pytest.mark.parametrize(
    ("brake", "whom", "remedy"),
    [
        ("news", "news", "`regulars resume news`"),
        (brakes.ALL, "everything", "`regulars resume --all`"),
        (brakes.RESTORED, "everything", "`regulars resume --after-restore`"),
    ],
)
def test_a_pause_is_the_gate_that_decides(shop: Shop, brake: str, whom: str, remedy: str) -> None:
    """Before every gate of the policy: since when, why and what lets it go, in the answer, on the page and in JSON."""
    shop.launch()
    brakes.pause(shop.database, brake, why="the wrong price", now=shop.clock.now())
    shop.sender().drain()
    found = asked(shop)
    assert shop.provider.taken == [] and found.messages[0].state is State.PENDING
    first = found.gates[0]
    assert (first.name, first.says, first.reason, first.decides) == ("pause", Says.HOLDS, Reason.PAUSED, True)
    assert (first.facts, first.remedy) == (f"{whom} is paused since 2026-03-02 14:00: the wrong price", remedy)
    assert found.answer[:2] == (
        f"{first.facts[:1].upper()}{first.facts[1:]}. It goes on after {remedy}.",
        f"Message {found.messages[0].id} is pending.",
    )
    assert found.answer[-1].endswith(f"The message would wait: {REASONS[Reason.PAUSED]}.")
    assert found.ahead is not None and found.ahead.leaves_at is None
    assert f"holds: {first.why} ({remedy})" in page_of(found)
    assert json.loads(json.dumps(plain(found)))["gates"][0]["remedy"] == remedy


def test_two_brakes_are_told_both_and_what_is_resumed_no_more(shop: Shop) -> None:
    """Another campaign's pause is none of this one's."""
    for name in (brakes.ALL, "news", "receipt"):
        brakes.pause(shop.database, name, why="", now=shop.clock.now())
    assert asked(shop).gates[0].remedy == "`regulars resume --all` and `regulars resume news`"
    brakes.resume(shop.database, brakes.ALL)
    brakes.resume(shop.database, "news")
    first = asked(shop).gates[0]
    assert (first.says, first.decides, first.facts) == (
        Says.PASSES, False, "neither the campaign nor everything is paused",
    )  # fmt: skip
    assert "resume" not in page_of(asked(shop))


def test_a_public_post_tells_its_pause(shop: Shop) -> None:
    """No gate of the policy is asked of it; the brake is."""
    config = (
        (shop.folder / "config.yaml")
        .read_text(encoding="utf-8")
        .replace(
            "channels:\n",
            "  board: {use: console, channel: social}\nchannels:\n  social: {commercial: {provider: board, from: Shop}}\n",
        )
    )
    written(shop, "config.yaml", config)
    written(shop, "templates/post/social.txt", "Good morning.")
    written(shop, "rules/post.yaml", POST)
    assert [(gate.name, gate.says) for gate in asked(shop, campaign="post").gates] == [("pause", Says.PASSES)]
    brakes.pause(shop.database, "post", why="", now=shop.clock.now())
    found = asked(shop, campaign="post")
    assert "`regulars resume post`" in found.answer[0] and "public post" in found.answer[1]


def test_a_launch_that_a_guard_holds_is_told_with_the_command_that_confirms(shop: Shop) -> None:
    """Nobody was owed anything yet: the hold decides, but not about the next start, which is counted anew; and once let go, no more."""
    written(shop, "rules/news.yaml", NEWS + "guards: {audience_at_most: 100}\n")
    due = shop.clock.now() - timedelta(hours=2)  # noon in Helsinki
    launch_due(shop.workspace, shop.database, now=due, failed=lambda _name, _error: None)
    found = asked(shop)
    assert found.messages == () and [gate.name for gate in found.gates[:2]] == ["pause", "launch"]
    (gate,) = (one for one in found.gates if one.decides)
    assert (gate.name, gate.says, gate.remedy) == ("launch", Says.HOLDS, "`regulars launch news --confirm`")
    told = "the launch of 2026-03-02 12:00 is held since 2026-03-02 12:00: it would go to 200; guards.audience_at_most is 100. "
    assert gate.facts.startswith(told) and found.answer[0].count(gate.remedy) == 1
    assert found.answer[0] == f"The{gate.facts[3:]}."
    assert f"holds: {gate.why} ({gate.remedy})" in page_of(found)
    assert found.ahead is not None and "launch" not in [one.name for one in found.ahead.gates]
    brakes.pause(shop.database, "news", why="", now=shop.clock.now())
    assert [(one.name, one.decides) for one in asked(shop).gates[:2]] == [("pause", True), ("launch", False)]
    brakes.resume(shop.database, "news")
    let_go(shop.workspace, shop.database, "news", by="Ana", now=shop.clock.now())
    after = asked(shop)
    assert "launch" not in [one.name for one in after.gates] and "next looked at" in after.answer[0]


def test_a_launch_that_is_held_keeps_no_message_of_an_earlier_run(shop: Shop) -> None:
    """It is told, and the message goes its way: only what is not owed yet waits for the confirmation."""
    shop.launch("yesterday")
    written(shop, "rules/news.yaml", NEWS + "guards: {audience_at_most: 100}\n")
    shop.pass_time(hours=22)
    launch_due(shop.workspace, shop.database, now=shop.clock.now(), failed=lambda _name, _error: None)
    found = asked(shop)
    assert [(one.name, one.decides) for one in found.gates[:2]] == [("pause", False), ("launch", False)]
    assert "`regulars launch news --confirm`" in found.answer[0] and "next looked at" in found.answer[1]
    config = (shop.folder / "config.yaml").read_text(encoding="utf-8")
    written(shop, "config.yaml", f'{config}quiet_hours: {{email: {{from: "11:00", to: "13:00"}}}}\n')
    assert [one.name for one in asked(shop).gates if one.decides] == ["quiet_hours"]
    written(shop, "config.yaml", config)
    shop.sender().drain()
    assert asked(shop).messages[0].state is State.ACCEPTED


def test_a_canary_is_told_stage_by_stage(shop: Shop) -> None:
    """Whoever waits for the first part reads how far it is, and no date that stands for never."""
    written(shop, "rules/news.yaml", NEWS + CANARY)
    shop.launch()
    rest, ahead = parts_of(shop)
    assert [gate.name for gate in asked(shop, ahead).gates if gate.name == "canary"] == []
    found = asked(shop, rest)
    assert found.gates[1].name == "canary" and "is leaving" in found.gates[1].facts
    assert found.answer[0].endswith(f"is pending: {REASONS[Reason.CANARY]}.") and "9000" not in page_of(found)
    shop.sender().drain()
    shop.pass_time(minutes=1)
    shop.sender().drain()
    (gate,) = (one for one in asked(shop, rest).gates if one.decides)
    assert gate.name == "canary" and gate.facts.endswith("has left, and is decided on 2026-03-02 16:01")
    shop.pass_time(hours=2)
    for _ in range(2):
        shop.sender().drain()
    assert asked(shop, rest).messages[0].state is State.ACCEPTED


def test_a_canary_that_stopped_its_run_says_what_lets_the_rest_go(shop: Shop) -> None:
    """The pause and the run are two things: lifting the first alone lets nobody go."""
    shop.provider.answer = lambda outgoing: Rejected(code="550") if outgoing.key[-1] in "147" else Accepted()
    written(shop, "rules/news.yaml", NEWS + CANARY)
    shop.launch()
    rest, _ = parts_of(shop)
    for _ in range(3):
        shop.sender().drain()
        shop.pass_time(hours=3)
    both = asked(shop, rest)
    assert [(one.name, one.decides) for one in both.gates[:2]] == [("pause", True), ("canary", False)]
    assert "`regulars resume news`" in both.answer[0] and "`regulars launch news --confirm`" in both.answer[1]
    brakes.resume(shop.database, "news")
    found = asked(shop, rest)
    (gate,) = (one for one in found.gates if one.decides)
    assert (gate.name, gate.remedy) == ("canary", "`regulars launch news --confirm`") and "errors of" in gate.facts
    assert found.answer[0].startswith("The first part of run 1: ") and "9000" not in page_of(found)


def test_a_cancelled_run_is_told(shop: Shop) -> None:
    """For good, whatever it waited for before: nothing lets it go; the campaign's next start is told behind it."""
    written(shop, "rules/news.yaml", NEWS + CANARY)
    shop.launch()
    cancel(shop.database, "news", now=shop.clock.now())
    reasons = {row.reason for row in shop.rows()}
    found = asked(shop)
    assert reasons == {Reason.CANCELLED}
    assert found.answer[0] == f"Message {found.messages[0].id} is cancelled: {REASONS[Reason.CANCELLED]}."
    assert not any(gate.remedy for gate in found.gates) and found.answer[-1].startswith("Next start")
