"""What a campaign wants done when nothing tells whether a message arrived: each class does that, and no more."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from engine.campaigns import launch as campaigns
from engine.clock import SteppedClock
from engine.daemon import set_up
from engine.errors import WorkspaceError
from engine.ledger.judge import Judgement, judge
from engine.model import Channel, DeliveryClass, MessageClass, Reason, State
from engine.provider import Accepted, Ambiguous, Finding, NotFound, Outgoing
from engine.questions.check import check
from engine.rules.campaign import Campaign
from engine.rules.workspace import load_workspace
from engine.store import Database
from tests.sending.shop import NEWS, RECEIPT, Scripted, Shop

SETTLE = timedelta(minutes=15)


class Silent(Scripted):
    """Answers nobody. Where it can be asked, it says what the test wants."""

    def __init__(self, *, asked: bool = False, remembers: timedelta | None = None) -> None:
        super().__init__(lambda o: Ambiguous(code="timeout"), remembers, settle_time=SETTLE if asked else None)
        self.finding: Finding = Ambiguous(code="503")

    def look_up(self, outgoing: Outgoing, *, deadline: float) -> Finding:
        return self.finding


@pytest.fixture
def shop(tmp_path: Path, database: Database, now: datetime) -> Shop:
    return Shop(tmp_path, database, SteppedClock(now), customers=2)


def launched(shop: Shop, delivery: str, provider: Scripted) -> Shop:
    (shop.folder / "rules/news.yaml").write_text(NEWS + f"delivery: {delivery}\n", encoding="utf-8")
    shop.workspace, shop.provider = load_workspace(shop.folder), provider
    shop.launch()
    shop.sender().drain()
    return shop


def let_pass(shop: Shop, times: int = 1, **span: float) -> None:
    for _ in range(times):
        shop.pass_time(**span)
        shop.sender().drain()


def test_each_kind_of_campaign_has_its_class() -> None:
    """Rather two receipts than none, rather no offer than two; a text costs money and comes with a ring."""

    def default(channel: Channel, message_class: MessageClass) -> DeliveryClass:
        given = {"campaign": "c", "channel": channel, "class": message_class, "purpose": "p"}
        return Campaign.model_validate(given).delivery_class

    chosen = {(c, k): default(c, k) for c in Channel for k in MessageClass}
    receipt = (Channel.EMAIL, MessageClass.TRANSACTIONAL)
    assert chosen.pop(receipt) is DeliveryClass.AT_LEAST_ONCE
    assert set(chosen.values()) == {DeliveryClass.AT_MOST_ONCE}


def test_ask_waits_for_a_person_and_for_nothing_else(shop: Shop) -> None:
    """A hundred days: in doubt, never handed over again, never given up. Then somebody decides."""
    launched(shop, "ask", Silent())
    let_pass(shop, times=4, days=25)
    assert shop.states() == [State.IN_DOUBT] * 2
    assert shop.sender().next_decision(shop.clock.now()) is None
    assert len(shop.provider.taken) == 2
    judge(shop.database, [1], Judgement.ACCEPTED, by="Ana", why="registered post", now=shop.clock.now())
    judge(shop.database, [2], Judgement.RESEND, by="Ana", why="it is not there", now=shop.clock.now())
    shop.provider.answer = lambda outgoing: Accepted()
    let_pass(shop, seconds=1)
    assert shop.states() == [State.ACCEPTED] * 2
    assert len(shop.provider.taken) == 3


def test_ask_takes_evidence_where_there_is_some(shop: Shop) -> None:
    """The vendor can be asked, and has it: nobody needs to be bothered."""
    provider = Silent(asked=True)
    provider.finding = Accepted(provider_message_id="p1")
    launched(shop, "ask", provider)
    let_pass(shop, seconds=1)
    assert shop.states() == [State.ACCEPTED] * 2


def test_exactly_once_hands_over_again_on_proof_alone(shop: Shop) -> None:
    """Without an answer: never again, and at last unknown. With the proof that it never arrived: once more."""
    provider = Silent(asked=True)
    launched(shop, "exactly_once", provider)
    let_pass(shop, times=3, hours=23)
    assert (shop.states(), len(provider.taken)) == ([State.IN_DOUBT] * 2, 2)
    let_pass(shop, hours=4)
    assert (shop.states(), len(provider.taken)) == ([State.UNKNOWN] * 2, 2)
    provider.finding = NotFound()
    shop.launch("tomorrow")
    let_pass(shop, times=4, minutes=16)
    assert len(provider.taken) > 4
    assert not any(row.possible_duplicate for row in shop.rows())


def test_exactly_once_uses_the_key_while_it_is_remembered(shop: Shop) -> None:
    """By the same key as often as it takes, in growing intervals; after that no more."""
    provider = Silent(remembers=timedelta(hours=24))
    launched(shop, "exactly_once", provider)
    let_pass(shop, times=23, hours=1)
    by_key = len(provider.taken)
    assert 2 * 10 <= by_key <= 2 * 200
    assert len({one.key for one in provider.taken}) == 2
    let_pass(shop, times=4, hours=1)
    assert len(provider.taken) == by_key


def test_a_vendor_that_does_not_answer_is_not_hammered(shop: Shop) -> None:
    """Each second somebody looks; the same key is used at once, and then ever more rarely."""
    provider = Silent(remembers=timedelta(hours=1))
    launched(shop, "at_most_once", provider)
    let_pass(shop, times=60, seconds=1)
    assert len(provider.taken) / 2 <= 9


def test_a_receipt_that_will_soon_be_useless_is_not_kept_for_evidence(shop: Shop, now: datetime) -> None:
    """Proof takes half an hour; a code is of use for ten minutes: one re-send after a lease. Without a limit, proof is awaited."""
    for name, late in (("receipt", "not_later_than: 10 minutes\n"), ("letter", "")):
        text = RECEIPT.replace("campaign: receipt", f"campaign: {name}\ntemplate: receipt") + late
        (shop.folder / f"rules/{name}.yaml").write_text(text, encoding="utf-8")
    shop.workspace, shop.provider = load_workspace(shop.folder), Silent(asked=True)
    for name in ("receipt", "letter"):
        with shop.database.writing() as connection:
            campaigns.trigger(
                shop.workspace,
                connection,
                shop.database,
                name,
                customer="c1",
                data={"order": "1"},
                occurrence=name,
                now=now,
            )
    shop.sender().drain()
    let_pass(shop, times=2, minutes=1)
    assert [row.possible_duplicate for row in shop.rows()] == [True, False]
    let_pass(shop, times=2, minutes=16)
    assert [row.possible_duplicate for row in shop.rows()] == [True, True]


SMS = """
campaign: text
audience: {id: {present: true}}
schedule: {cron: "0 12 * * *"}
channel: sms
class: commercial
purpose: offers
goal: {event: purchase, within: 14 days}
delivery: exactly_once
"""


def test_exactly_once_is_refused_where_the_provider_cannot(shop: Shop) -> None:
    """A screen neither knows our key nor can be asked: `check` says so with the line, and nothing starts."""
    config = shop.folder / "config.yaml"
    text = config.read_text(encoding="utf-8").replace(
        "channels:\n", "  screen: {use: console, channel: sms}\nchannels:\n"
    )
    text = text.replace("sending:", '  sms: {commercial: {provider: screen, from: "+15005550006"}}\nsending:')
    config.write_text(text, encoding="utf-8")
    (shop.folder / "rules/text.yaml").write_text(SMS, encoding="utf-8")
    (shop.folder / "templates/text").mkdir()
    (shop.folder / "templates/text/sms.txt").write_text("Hello {{ links.unsubscribe }}", encoding="utf-8")
    (problem,) = [one for one in check(shop.folder) if "exactly" in one.what or "cannot tell" in one.what]
    assert (problem.at.file, problem.at.line) == ("rules/text.yaml", 9)
    with pytest.raises(WorkspaceError, match="cannot tell what became"):
        set_up(shop.folder)
    (shop.folder / "rules/text.yaml").write_text(SMS.replace("exactly_once", "at_most_once"), encoding="utf-8")
    (shop.folder / "rules/news.yaml").write_text(NEWS + "delivery: exactly_once\n", encoding="utf-8")
    set_up(shop.folder)  # a folder knows our key: the same key is the same file


def test_exactly_once_does_not_leave_by_a_provider_that_came_later(shop: Shop) -> None:
    """Launched with one that could, sent by one that cannot: withheld, with the reason."""
    launched(shop, "exactly_once", Silent())
    assert shop.provider.taken == []
    assert {(row.state, row.reason) for row in shop.rows()} == {("skipped", Reason.REFUSED.value)}
