"""Why: what is said before a run is what the ledger says after it, and what is foretold comes true, to the instant."""

from __future__ import annotations

import dataclasses
import io
import json
import random
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from engine import shipped
from engine.campaigns.planned import plan_file
from engine.cli.app import app, plain
from engine.cli.why import why_page
from engine.clock import SteppedClock
from engine.demo.purchases import event_rows, read_purchases
from engine.errors import UnknownName
from engine.intake.customers import take_customers
from engine.intake.events import take_events
from engine.ledger.consent import suppress_contact_point
from engine.ledger.record import record_events
from engine.ledger.replies import keep
from engine.model import Channel, EventName, Reason, State, SuppressionReason
from engine.policy.decide import GATES
from engine.provider import Accepted, Ambiguous, NotSent, Outgoing, ProviderEvent
from engine.questions.why import REASONS, LookedUp, Says, Why, explained, why
from engine.questions.why.gates import FACTS
from engine.rules.compile import audience
from engine.rules.workspace import Workspace, load_workspace
from engine.store import Database
from engine.store.tables import customers
from tests.sending.shop import CONFIG, NEWS, Scripted, Shop

ADDRESS = "c1@customers.example"
FULL = {"id": "c1", "email": ADDRESS, "first_name": "Ana", "consent.email.offers": "yes"}


class Asked(Shop):
    """The shop of the senders' tests, with the questions about its one customer."""

    def why(self, campaign: str = "news", **more: Any) -> Why:
        return why(self.workspace, self.database, "c1", campaign, now=self.clock.now(), **more)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")
        self.workspace = load_workspace(self.folder)


@pytest.fixture
def shop_of(tmp_path: Path, database: Database, now: datetime) -> Callable[..., Asked]:
    return lambda **row: Asked(tmp_path, database, SteppedClock(now), rows=[{**FULL, **row}])


@pytest.fixture
def shop(shop_of: Callable[..., Asked]) -> Asked:
    return shop_of()


def test_every_reason_has_its_words() -> None:
    """A new reason of the ledger cannot come without its explanation; one of another version stands as it is."""
    assert set(Reason) <= set(REASONS)
    assert explained("quiet_hours") == REASONS[Reason.QUIET_HOURS]
    assert explained("of_tomorrow") == "of_tomorrow"


def test_every_gate_tells_its_facts() -> None:
    """A new gate of the policy cannot come without them."""
    assert list(FACTS) == list(GATES)


def _capped(shop: Asked) -> None:
    shop.launch("yesterday")
    shop.sender().drain()
    shop.pass_time(hours=1)
    shop.write("config.yaml", f"{CONFIG}pressure: [{{at_most: 1, within: 7 days}}]\n")


def _late(shop: Asked) -> None:
    shop.write("rules/news.yaml", f"{NEWS}not_later_than: 1 hour\n")
    shop.launch()
    shop.pass_time(hours=2)


def _suppressed(shop: Asked) -> None:
    with shop.database.writing() as connection:
        suppress_contact_point(
            connection,
            shop.database,
            Channel.EMAIL,
            ADDRESS,
            SuppressionReason.BOUNCED,
            at=shop.clock.now(),
            source="provider",
        )


def _quiet(shop: Asked) -> None:
    shop.write("config.yaml", f'{CONFIG}quiet_hours: {{email: {{from: "13:00", to: "16:00"}}}}\n')


def _asking(shop: Asked) -> None:
    with shop.database.writing() as connection:
        hashed = shop.database.address_hash(ADDRESS)
        keep(connection, Channel.EMAIL, hashed, customer_id=1, text="when does it end?", at=shop.clock.now())


def _held_out(shop: Asked) -> None:
    shop.write("rules/news.yaml", f"{NEWS}holdout: 99.99 %\n")


def _nothing(_shop: Asked) -> None:
    pass


@pytest.mark.parametrize(
    ("row", "arrange", "reason", "fact"),
    [
        ({"email": "", "consent.email.offers": ""}, _nothing, Reason.NO_CONTACT_POINT, "no email address is known"),
        ({"consent.email.offers": ""}, _nothing, Reason.NO_CONSENT, "neither yes nor no is recorded"),
        ({"consent.email.offers": "no"}, _nothing, Reason.OPTED_OUT, "opted out on 2026-03-02 14:00 (import: asked at the till)"),
        ({}, _suppressed, Reason.SUPPRESSED, "bounced on 2026-03-02 14:00 (provider)"),
        ({}, _capped, Reason.FREQUENCY_CAP, "1 of 1 within 7 days, free again 2026-03-09 14:00"),
        ({}, _quiet, Reason.QUIET_HOURS, "14:00 where the customer is (Europe/Helsinki); quiet 13:00 to 16:00"),
        ({}, _asking, Reason.REPLY_WAITS, "a reply waits to be read"),
        ({}, _held_out, Reason.HOLDOUT, "those below 99.99 (99.99 %) are held out"),
        ({}, _late, Reason.NOT_LATER_THAN, "may leave until 2026-03-02 15:00"),
    ],
)  # fmt: skip
def test_what_is_said_before_is_what_the_ledger_says_after(
    shop_of: Callable[..., Asked], row: dict[str, str], arrange: Callable[[Asked], None], reason: Reason, fact: str
) -> None:
    """For each reason a decision can give: the deciding gate names it with its facts, and the run ends with it."""
    shop = shop_of(**row)
    arrange(shop)
    (deciding,) = (gate for gate in shop.why().gates if gate.decides)
    assert (deciding.reason, deciding.why) == (reason, REASONS[reason])
    assert fact in deciding.facts
    if arrange is not _late:
        shop.launch()
    shop.sender().drain()
    after = shop.why().messages[-1]
    assert (after.reason, after.why) == (reason, REASONS[reason])
    if deciding.says is Says.HOLDS:
        assert (after.state, after.due_at) == (State.PENDING, deciding.until)
    else:
        assert after.state in (State.SKIPPED, State.EXPIRED)


def test_the_reasons_of_all_gates_are_tried_above() -> None:
    """The gates' files name the reasons that a decision can give; none is left out of the test before this one."""
    policy = Path(shipped.__file__).parent / "policy"
    named = {name for file in policy.glob("*.py") for name in re.findall(r"Reason\.([A-Z_]+)\)?,?", file.read_text())}
    tried = {case[2].name for case in _cases()}
    assert {name for name in named if name in Reason.__members__} == tried


def _cases() -> list[Any]:
    mark = test_what_is_said_before_is_what_the_ledger_says_after.pytestmark[0]  # type: ignore[attr-defined]
    return list(mark.args[1])


@pytest.mark.parametrize(
    ("schedule", "start"),
    [
        ('cron: "0 12 * * *"', datetime(2027, 3, 2, 10, tzinfo=UTC)),
        ('cron: "0 12 * * TUE"', datetime(2027, 3, 2, 10, tzinfo=UTC)),
        ('cron: "0 12 * * WED"', None),  # not in the years that can be foreseen
    ],
)
def test_who_comes_back_is_found_at_a_start_of_then(
    shop_of: Callable[..., Asked], now: datetime, schedule: str, start: datetime | None
) -> None:
    """In the audience today, after today's start, and on one day of each year: the start that has them is told, a year away."""
    assert now == datetime(2026, 3, 2, 12, tzinfo=UTC)
    shop = shop_of(created_at="2025-03-02T10:00")
    news = NEWS.replace("{id: {present: true}}", "{created_at: {anniversary_in: 0 days}}")
    shop.write("rules/news.yaml", news.replace('cron: "0 12 * * *"', schedule))
    found = shop.why()
    assert found.ahead is not None and (found.ahead.eligible_at, found.ahead.start_at) == (now, start)
    sight = "The campaign has no start in sight at which the customer is in the audience."
    assert (sight in found.answer) is (start is None)


def test_with_nothing_against_it_the_next_start_is_told(shop: Asked) -> None:
    """In the audience now; tomorrow at noon is the next start, and the message leaves then."""
    found = shop.why()
    noon = datetime(2026, 3, 3, 10, tzinfo=UTC)
    assert found.ahead is not None
    assert (found.ahead.eligible_at, found.ahead.start_at, found.ahead.leaves_at) == (found.as_of, noon, noon)
    assert not [gate for gate in found.gates if gate.says is not Says.PASSES]
    assert found.answer == (
        "The customer is in the audience now.",
        "Next start with this customer: 2026-03-03 12:00 (in 22 hours). The message would leave at once.",
    )


def test_quiet_hours_at_the_next_start_are_foreseen(shop: Asked) -> None:
    """The start lies in the night of the customer: the message leaves when it is over."""
    shop.write("config.yaml", f'{CONFIG}quiet_hours: {{email: {{from: "11:00", to: "12:30"}}}}\n')
    ahead = shop.why().ahead
    assert ahead is not None
    assert ahead.leaves_at == datetime(2026, 3, 3, 10, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("rule", "keeps_out", "days"), [("never", True, None), ("always", False, 0), ("{after: 180 days}", True, 180)]
)
def test_reentry_tells_until_when(shop: Asked, rule: str, keeps_out: bool, days: int | None) -> None:
    """After one message: out for good, in again at once, or in from the very instant on that the rule gives."""
    shop.write("rules/news.yaml", NEWS.replace("reentry: always", f"reentry: {rule}"))
    owed = shop.clock.now()
    shop.launch()
    shop.pass_time(hours=1)
    found = shop.why()
    assert found.reentry is not None and found.ahead is not None
    assert (found.reentry.keeps_out, found.reentry.last_owed_at) == (keeps_out, owed)
    if days is None:
        assert found.reentry.for_ever and found.ahead.eligible_at is None
        assert any("kept out for good" in line for line in found.answer)
    elif days:
        assert found.reentry.until == found.ahead.eligible_at == owed + timedelta(days=days)
    else:
        assert found.ahead.eligible_at == found.as_of


def test_a_message_that_waits_says_why_and_until_when(shop: Asked) -> None:
    """The first sentence is about the message that is on its way."""
    _quiet(shop)
    shop.launch()
    shop.sender().drain()
    assert shop.why().answer[0] == (
        f"Message {shop.why().messages[0].id} is pending: {REASONS[Reason.QUIET_HOURS]}; "
        "next looked at 2026-03-02 16:00 (in 2 hours)."
    )


def test_a_message_in_doubt_says_so_and_promises_no_time(shop: Asked) -> None:
    """No answer came: it is in doubt, and not simply on its way."""
    shop.provider.answer = lambda outgoing: Ambiguous(code="timeout")
    shop.launch()
    shop.sender().drain()
    assert shop.why().answer[0] == f"Message {shop.why().messages[0].id} is in doubt: {REASONS[Reason.NO_ANSWER]}."


def test_every_attempt_is_told_with_the_providers_words(shop: Asked) -> None:
    """A refusal for now, then a yes, then the delivery: in order, with the versions and values that made the message."""
    answers = iter([NotSent(code="451", detail=f"try {ADDRESS} later"), Accepted(provider_message_id="Q1")])
    shop.provider.answer = lambda outgoing: next(answers)
    shop.launch()
    shop.sender().drain()
    shop.pass_time(hours=2)
    shop.sender().drain()
    delivered = ProviderEvent(
        name=EventName.DELIVERED, at=shop.clock.now(), dedupe="d", message_key=shop.provider.taken[0].key
    )
    record_events(shop.database, [delivered], provider="scripted", now=shop.clock.now())
    (message,) = shop.why().messages
    assert [(tried.number, tried.outcome, tried.code) for tried in message.attempts] == [
        (1, "not_sent", "451"),
        (2, "accepted", "Q1"),
    ]
    assert [event.name for event in message.events] == ["delivered"]
    assert message.times["delivered_at"] == shop.clock.now()
    assert message.template == "news" and len(message.template_hash) > 20 and message.definition_hash
    assert message.values is not None
    assert message.values["customer"]["first_name"] == "Ana"  # type: ignore[index, call-overload]


def test_a_look_up_that_ended_a_doubt_is_told(shop: Asked) -> None:
    """Between the hand-over without an answer and the word accepted: when the vendor was asked, and what it said."""

    class Askable(Scripted):
        def look_up(self, outgoing: Outgoing, *, deadline: float) -> Accepted:
            return Accepted(provider_message_id="7", detail=f"to {ADDRESS}")

    shop.provider = Askable(lambda outgoing: Ambiguous(code="no_answer"), settle_time=timedelta(minutes=15))
    shop.launch()
    shop.sender().drain()
    assert shop.why().messages[0].looked_up is None
    shop.pass_time(seconds=20)
    shop.sender().drain()
    (message,) = shop.why().messages
    assert message.state is State.ACCEPTED
    assert message.looked_up == LookedUp(
        attempt=1, at=shop.clock.now(), finding="accepted", detail="to (address)", looks=1
    )
    page = Console(width=200, record=True, file=io.StringIO())
    why_page(page, shop.why())
    lines = [line.strip() for line in page.export_text().splitlines()]
    (tried,) = [number for number, line in enumerate(lines) if "ambiguous no_answer" in line]
    assert re.fullmatch(r"looked up 2026-03-02 \d\d:\d\d: the vendor has it \(to \(address\)\)", lines[tried + 1])


def test_the_page_says_that_rules_were_not_committed(shop: Asked) -> None:
    """A commit that has other rules than those by which the message was owed would send whoever looks it up astray."""
    shop.workspace = dataclasses.replace(shop.workspace, commit="0123456789abcdef", changed=True)
    shop.launch()
    page = Console(width=200, record=True, file=io.StringIO())
    why_page(page, shop.why())
    assert "rules at commit 0123456789ab, with uncommitted changes, campaign " in page.export_text()
    assert plan_file(shop.workspace, [], now=shop.clock.now()).commit == "0123456789abcdef, with uncommitted changes"


def test_no_address_is_shown_unless_asked_for(shop: Asked) -> None:
    """Neither the column, nor the vendor's words, nor the personal links; with the option, all of them."""
    shop.provider.answer = lambda outgoing: NotSent(code="450", detail=f"<{ADDRESS.upper()}> is busy")
    shop.launch()
    shop.sender().drain()
    hidden, shown = (json.dumps(plain(shop.why(addresses=wanted))) for wanted in (False, True))
    assert "customers.example" not in hidden.lower() and "unsubscribe" not in hidden
    assert ADDRESS in shown and ADDRESS.upper() in shown and "unsubscribe" in shown


def test_a_triggered_campaign_tells_what_a_call_would_do(shop: Asked) -> None:
    """It has no audience and no start; the gates are what there is to say."""
    found = shop.why("receipt")
    assert (found.audience, found.reentry, found.ahead) == (None, None, None)
    assert found.answer == ("This campaign is started by a call. Called now, its message would leave at once.",)


def test_an_unknown_customer_or_campaign_is_answered_with_the_nearest(shop: Asked) -> None:
    """A misspelt name gets a suggestion; a customer far from all others is not answered with other customers' ids."""
    with pytest.raises(UnknownName, match='Did you mean "news"'):
        shop.why("newz")
    with pytest.raises(UnknownName, match='Did you mean "c1"'):
        why(shop.workspace, shop.database, "c11", "news", now=shop.clock.now())
    with pytest.raises(UnknownName) as refused:
        why(shop.workspace, shop.database, "somebody else", "news", now=shop.clock.now())
    assert "c1" not in str(refused.value)


def test_on_the_terminal_it_fits_80_columns_and_as_json_it_is_whole(
    shop: Asked, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command prints both, and ends with status 0."""
    shop.write("config.yaml", f"{CONFIG}database: {database_url}\n")
    shop.launch()
    shop.sender().drain()
    monkeypatch.setenv("COLUMNS", "80")
    asked = ["why", "c1", "news", "-w", str(shop.folder), "--now", "2026-03-02T13:00Z"]
    page, data = (CliRunner().invoke(app, [*asked, *more]) for more in ([], ["--json"]))
    assert (page.exit_code, data.exit_code) == (0, 0), page.output
    assert max(map(len, page.output.splitlines())) <= 80
    assert ADDRESS not in page.output
    told = json.loads(data.output)
    assert told["messages"][0]["state"] == "accepted" and told["audience"]["verdict"] is True


# ---------------------------------------------------------------- what is foretold, on real purchases

MARCH = datetime(1998, 3, 2, 12, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)


@pytest.fixture
def records(database: Database, monkeypatch: pytest.MonkeyPatch) -> tuple[Database, Workspace]:
    """The starter workspace with CDNOW customers and what they had bought by March 1998."""
    monkeypatch.setenv("REGULARS_API_KEYS", "a key for tests, long enough")
    workspace = load_workspace(shipped.starter())
    bought = [
        one for one in read_purchases(shipped.cdnow() / "CDNOW_sample.txt") if one.customer % 8 == 0 and one.at <= MARCH
    ]
    with database.writing() as connection:
        everybody = [{"id": str(number)} for number in sorted({one.customer for one in bought})]
        take_customers(connection, database, workspace.settings, everybody, now=MARCH)
        take_events(connection, database, workspace.settings, list(event_rows(bought)), now=MARCH)
    return database, workspace


def test_the_foretold_instant_is_the_one_that_arithmetic_gives(records: tuple[Database, Workspace]) -> None:
    """Lapsing comes 90 days after the last of two or more purchases; bought-once, right after 30 days from the only one."""
    database, workspace = records
    bought: dict[str, list[datetime]] = {}
    for one in read_purchases(shipped.cdnow() / "CDNOW_sample.txt"):
        if one.customer % 8 == 0 and one.at <= MARCH:
            bought.setdefault(str(one.customer), []).append(one.at)
    foretold = 0
    for name in random.Random(1998).sample(sorted(bought), 24):
        times = sorted(bought[name])
        lapsing = max(MARCH, times[-1] + timedelta(days=90)) if len(times) > 1 else None
        once = max(MARCH, times[-1] + timedelta(days=30) + INSTANT) if len(times) == 1 else None
        for campaign, expected in (("win-back", lapsing), ("second-purchase", once)):
            found = why(workspace, database, name, campaign, now=MARCH)
            assert found.ahead is not None
            assert found.ahead.eligible_at == expected, (name, campaign)
            foretold += expected is not None and expected > MARCH
            if expected is not None and expected > MARCH:
                assert found.ahead.changes
                assert not _in(database, workspace, campaign, name, expected - INSTANT)
                assert _in(database, workspace, campaign, name, expected)
                assert found.ahead.start_at is not None and found.ahead.start_at >= expected
                assert _in(database, workspace, campaign, name, found.ahead.start_at)
    assert foretold > 2


def _in(database: Database, workspace: Workspace, campaign: str, name: str, at: datetime) -> bool:
    chosen = audience(workspace, workspace.campaigns[campaign], now=at, dialect=database.dialect)
    assert chosen is not None
    with database.reading() as connection:
        return connection.execute(chosen.where(customers.c.external_id == name)).first() is not None


def test_the_guide_has_every_reason() -> None:
    """docs/why.md tells what each reason means, in the words of `why` itself."""
    page = (Path(__file__).parents[2] / "docs" / "why.md").read_text(encoding="utf-8")
    for reason, words in REASONS.items():
        assert f"| `{reason}` | {words} |" in page
