"""A holdout gets nothing and variants are drawn once and for all: the same before, while and after messages are sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from sqlalchemy import select

from engine.cli.pages import report_page
from engine.cli.plan import plan_page
from engine.cli.why import why_page
from engine.clock import SteppedClock
from engine.errors import UnknownName
from engine.intake import take_customers, take_events
from engine.measure.report import Line, report
from engine.model import Reason, State
from engine.provider import Accepted, Ambiguous, EmailContent, NotSent, Outcome, Outgoing, Rejected
from engine.questions.check import check
from engine.questions.examples.compare import run_tests
from engine.questions.examples.read import read_examples
from engine.questions.plan import Planned, plan
from engine.questions.preview import preview
from engine.questions.why import Says, why
from engine.rules import arms
from engine.rules.workspace import load_workspace
from engine.store import Database
from engine.store.tables import customers, messages
from tests.sending.shop import CONFIG, NEWS, Shop

EVERYBODY = [str(number) for number in range(1, 10_001)]
PEOPLE = 120
TRIED = NEWS + "holdout: 20 %\nvariants: [plain, warm]\n"
WARM = "{% if variant == 'warm' %}Dear {% endif %}{{ customer.first_name }}: {{ links.unsubscribe }}"


# ---------------------------------------------------------------- the lot


def share_of(campaign: str, share: str) -> set[str]:
    return {one for one in EVERYBODY if arms.held_out(campaign, Decimal(share), one)}


@pytest.mark.parametrize("share", ["0.01", "0.1", "0.5"])
def test_so_many_are_held_out(share: str) -> None:
    """Within four standard deviations of what was asked for."""
    mean = float(share) * len(EVERYBODY)
    assert abs(len(share_of("news", share)) - mean) < 4 * (mean * (1 - float(share))) ** 0.5


def test_a_holdout_that_grows_keeps_who_was_in_it_and_campaigns_draw_apart() -> None:
    """Nobody is let in by a larger share; and of two campaigns' holdouts of a tenth about a hundredth is in both."""
    assert share_of("news", "0.05") < share_of("news", "0.1")
    both = share_of("news", "0.1") & share_of("winback", "0.1")
    assert 60 < len(both) < 140
    assert not share_of("news", "0")


def read(*variants: str) -> dict[str, str]:
    return {one: arms.variant_of("news", variants, one) for one in EVERYBODY}


def test_variants_share_evenly_and_one_more_moves_nobody_between_the_others() -> None:
    """A third each; whoever changes when a third is added now reads that one; the order in the file says nothing."""
    two, three = read("plain", "warm"), read("plain", "warm", "short")
    assert two == read("warm", "plain")
    assert all(abs(count - 5_000) < 200 for count in Counter(two.values()).values())
    assert all(abs(count - 3_333) < 200 for count in Counter(three.values()).values())
    assert {three[one] for one in EVERYBODY if three[one] != two[one]} == {"short"}
    held = share_of("news", "0.1")
    assert 400 < Counter(two[one] for one in held)["plain"] < 600  # who is held out has drawn no variant by it


# ---------------------------------------------------------------- a campaign with arms


@pytest.fixture
def shop(tmp_path: Path, database: Database, now: Any) -> Shop:
    """120 customers; a fifth is held out, the others read one of two texts."""
    made = Shop(tmp_path, database, SteppedClock(now), customers=PEOPLE)
    write(made, "templates/news/email.txt", WARM)
    write(made, "rules/news.yaml", TRIED)
    return made


def write(made: Shop, name: str, text: str) -> None:
    (made.folder / name).parent.mkdir(parents=True, exist_ok=True)
    (made.folder / name).write_text(text, encoding="utf-8")
    made.workspace = load_workspace(made.folder)


def drawn(made: Shop) -> dict[str, str]:
    """Each customer's arm."""
    with made.database.reading() as connection:
        people = connection.execute(select(customers.c.external_id)).scalars().all()
    read = ("plain", "warm")
    held = Decimal("0.2")
    return {
        one: arms.HOLDOUT if arms.held_out("news", held, one) else arms.variant_of("news", read, one) for one in people
    }


def got(made: Shop) -> dict[str, str]:
    """What each customer was handed, by the provider's own record."""
    found = {}
    for outgoing in made.provider.taken:
        assert outgoing.to is not None and isinstance(outgoing.content, EmailContent)
        found[outgoing.to.partition("@")[0]] = "warm" if outgoing.content.text.startswith("Dear ") else "plain"
    return found


def told(made: Shop) -> Planned:
    (one,) = plan(made.workspace, made.database, now=made.clock.now(), campaign="news").campaigns
    return one


def test_the_holdout_gets_nothing_and_the_others_their_own_variant(shop: Shop) -> None:
    """As planned, in every run, and the same when a message has to be tried again; what was withheld has its reason."""
    mine, before = drawn(shop), told(shop)
    counts = Counter(mine.values())
    tried: set[str] = set()

    def answer(outgoing: Outgoing) -> Outcome:
        first = outgoing.key not in tried
        tried.add(outgoing.key)
        return NotSent(code="busy", detail="", alone=True) if first else Accepted()

    shop.provider.answer = answer
    for key in ("first", "second"):
        shop.provider.taken.clear()
        assert shop.launch(key) == PEOPLE
        for _ in range(3):
            shop.sender().drain()
            shop.pass_time(hours=2)
        assert got(shop) == {who: arm for who, arm in mine.items() if arm != arms.HOLDOUT}
    states = Counter((row.state, row.reason) for row in shop.rows())
    assert states == {
        (State.ACCEPTED, None): 2 * (PEOPLE - counts[arms.HOLDOUT]),
        (State.SKIPPED, Reason.HOLDOUT): 2 * counts[arms.HOLDOUT],
    }
    assert before.withheld == {Reason.HOLDOUT: counts[arms.HOLDOUT]}
    assert before.variants == {name: counts[name] for name in ("plain", "warm")}
    assert before.sent == sum(before.variants.values())


def test_the_plans_page_counts_variants_and_shows_whose_is_which(shop: Shop) -> None:
    """And each message that is shown is what its customer reads."""
    found = plan(shop.workspace, shop.database, now=shop.clock.now(), campaign="news")
    page = Console(width=80, file=(shown := StringIO()))
    plan_page(page, found, samples=True)
    text = shown.getvalue()
    assert "sent, by variant: plain " in text
    mine = drawn(shop)
    for sample in found.campaigns[0].samples:
        assert sample.customer is not None and sample.variant == mine[sample.customer]
        assert sample.text.startswith("Dear ") == (sample.variant == "warm")
        assert f"customer {sample.customer} (news), variant {sample.variant}" in text


def test_the_plan_reads_each_variant(shop: Shop) -> None:
    """What cannot be written in one of them is counted for its readers, and no other's; of what is never launched again nothing is."""
    write(shop, "templates/news/email.subject.txt", "News")
    write(
        shop,
        "templates/news/email.txt",
        WARM.replace("Dear ", "{{ data.nothing }}").replace("{{ customer.first_name }}", ""),
    )
    counts = Counter(drawn(shop).values())
    assert told(shop).withheld == {Reason.HOLDOUT: counts["holdout"], Reason.TEMPLATE_ERROR: counts["warm"]}
    assert told(shop).variants == {"plain": counts["plain"], "warm": 0}
    write(shop, "rules/news.yaml", TRIED.replace('{cron: "0 12 * * *"}', "{at: 2020-01-01T10:00}"))
    assert (told(shop).variants, told(shop).withheld) == ({}, {})


def test_why_and_preview_say_the_same_of_each_customer(shop: Shop) -> None:
    """Before anything is sent: the holdout's gate decides, and tells the lot; the variant is named, and can be asked for."""
    for who, arm in list(drawn(shop).items())[:30]:
        found = why(shop.workspace, shop.database, who, "news", now=shop.clock.now())
        first = next(gate for gate in found.gates if gate.name == "holdout")
        assert found.gates.index(first) < [gate.name for gate in found.gates].index("expiry")
        assert "those below 20.00 (20 %) are held out" in first.facts
        assert (first.says, first.decides) == ((Says.WITHHOLDS, True) if arm == arms.HOLDOUT else (Says.PASSES, False))
        shown = preview(shop.workspace, shop.database, "news", now=shop.clock.now(), customer=who)
        assert shown.sent == (arm != arms.HOLDOUT)
        assert found.variant == ("" if arm == arms.HOLDOUT else arm)
        assert shown.messages[0].variant == (found.variant or arms.variant_of("news", ("plain", "warm"), who))
        for variant in ("plain", "warm"):
            other = preview(shop.workspace, shop.database, "news", now=shop.clock.now(), customer=who, variant=variant)
            content = other.messages[0].content
            assert content is not None and content.text.startswith("Dear ") == (variant == "warm")
    with pytest.raises(UnknownName, match="no variant"):
        preview(shop.workspace, shop.database, "news", now=shop.clock.now(), customer="c1", variant="wram")


def test_whys_page_has_the_variant_and_what_was_sent(shop: Shop) -> None:
    """The message keeps the variant that it was written in."""
    shop.launch()
    shop.sender().drain()
    who = next(who for who, arm in drawn(shop).items() if arm == "warm")
    found = why(shop.workspace, shop.database, who, "news", now=shop.clock.now())
    assert found.messages[0].variant == found.variant == "warm"
    page = Console(width=80, file=(shown := StringIO()))
    why_page(page, found)
    text = shown.getvalue()
    assert "warm: drawn by lot" in text and "variant warm" in text
    held = next(who for who, arm in drawn(shop).items() if arm == arms.HOLDOUT)
    nothing = why(shop.workspace, shop.database, held, "news", now=shop.clock.now())
    assert (nothing.variant, nothing.messages[0].variant) == ("", "")


# ---------------------------------------------------------------- what they did


def buy(made: Shop, who: list[str], *, days: int, number: str = "") -> None:
    at = made.clock.now() + timedelta(days=days)
    rows = [
        {"id": f"{one}-{days}{number}", "customer": one, "name": "purchase", "at": at.isoformat(), "amount": 10}
        for one in who
    ]
    with made.database.writing() as connection:
        taken = take_events(connection, made.database, made.workspace.settings, rows, now=at)
    assert not [one.reason for one in taken if one.reason]


def line(made: Shop, *, days: int = 30) -> Line:
    (found,) = report(made.database, now=made.clock.now() + timedelta(days=days), campaign="news").lines
    return found


def counted(made: Shop, mine: Mapping[str, str], buyers: set[str]) -> dict[str, tuple[int, int]]:
    others = {who for who, arm in mine.items() if arm != arms.HOLDOUT}
    groups = {"holdout": mine.keys() - others, "all others": others}
    groups |= {name: {who for who, arm in mine.items() if arm == name} for name in ("plain", "warm")}
    return {name: (len(group), len(group & buyers)) for name, group in groups.items()}


def test_the_report_sets_the_arms_beside_each_other(shop: Shop) -> None:
    """Customers of each arm, and who of them bought within the goal's span since they were owed the message, each once."""
    mine = drawn(shop)
    shop.launch()
    shop.sender().drain()
    held = [who for who, arm in mine.items() if arm == arms.HOLDOUT]
    warm = [who for who, arm in mine.items() if arm == "warm"]
    plain = [who for who, arm in mine.items() if arm == "plain"]
    buyers = {*held[:2], *warm[:30], *plain[:9]}
    buy(shop, sorted(buyers), days=3)
    buy(shop, warm[:5], days=4)  # the same ones again
    buy(shop, held[2:9], days=15)  # too late
    found = line(shop).arms
    assert found is not None and not found.alarming
    rows = {one.name: one for one in (*found.holdout, *found.variants)}
    assert {name: (one.customers, one.reached) for name, one in rows.items()} == counted(shop, mine, buyers)
    assert (rows["holdout"].sent, rows["all others"].sent) == (0, PEOPLE - len(held))
    assert rows["warm"].revenue == 350 and rows["holdout"].revenue == 20
    assert found.lift is not None
    expected = 39 / (PEOPLE - len(held)) - 2 / len(held)
    assert found.lift.difference == pytest.approx(expected)
    page = Console(width=80, file=(shown := StringIO()))
    report_page(
        page,
        report(shop.database, now=shop.clock.now() + timedelta(days=30)),
        currency="EUR",
        time_zone="Europe/Helsinki",
    )
    text = shown.getvalue()
    assert "Arms beside each other" in text and "all others" in text and "because of it" in text


def test_whom_another_gate_keeps_from_it_stays_in_his_arm(shop: Shop) -> None:
    """An arm is whom the lot chose: without consent one is with all others, and counts when he buys."""
    mine = drawn(shop)
    silent = next(who for who, arm in mine.items() if arm == "warm")
    held = next(who for who, arm in mine.items() if arm == arms.HOLDOUT)
    with shop.database.writing() as connection:
        rows = [{"id": who, "consent.email.offers": "no"} for who in (silent, held)]
        take_customers(connection, shop.database, shop.workspace.settings, rows, now=shop.clock.now(), proof="said so")
    shop.launch()
    shop.sender().drain()
    buy(shop, [silent, held], days=1)
    found = line(shop).arms
    assert found is not None
    by_name = {one.name: one for one in (*found.holdout, *found.variants)}
    assert by_name["holdout"].reached == 1 and by_name["all others"].reached == 1
    assert by_name["warm"].reached == 0  # he was not written to


def both(made: Shop) -> tuple[Any, Any]:
    found = line(made).arms
    assert found is not None
    held, others = found.holdout
    return held, others


def test_of_whom_no_gate_has_spoken_yet_is_in_no_arm(shop: Shop) -> None:
    """A run that has just been launched has all of its holdout among those who wait; so has one that was cancelled, or expired."""
    write(shop, "rules/news.yaml", TRIED + "not_later_than: 1 hour\n")
    shop.launch()
    assert line(shop).arms is None
    with shop.database.writing() as connection:
        m = messages.c
        later = shop.clock.now() + timedelta(days=1)
        connection.execute(messages.update().where(m.id % 2 == 0).values(due_at=later))
    shop.sender().drain()
    assert sum(arm.customers for arm in both(shop)) == PEOPLE // 2
    shop.pass_time(hours=2)
    shop.sender().drain()
    assert Counter(row.state for row in shop.rows())[State.EXPIRED] == PEOPLE // 2
    assert sum(arm.customers for arm in both(shop)) == PEOPLE // 2


def test_who_waited_at_a_gate_is_in_an_arm(shop: Shop) -> None:
    """In quiet hours the holdout's gate has spoken already: those it let through wait, and are all others."""
    quiet = CONFIG + 'quiet_hours: {email: {from: "13:00", to: "16:00"}}\n'
    write(shop, "config.yaml", quiet)
    shop.launch()
    shop.sender().drain()
    assert {row.state for row in shop.rows() if row.reason != Reason.HOLDOUT} == {State.PENDING}
    assert sum(arm.customers for arm in both(shop)) == PEOPLE


def test_a_canarys_rest_and_what_cannot_be_prepared_are_in_no_arm(shop: Shop) -> None:
    """They wait, and nobody has drawn for them yet."""
    write(shop, "rules/news.yaml", TRIED + "guards: {canary: {share: 30 %, smallest: 1}}\n")
    shop.launch()
    shop.sender().drain()
    left = sum(row.state in (State.ACCEPTED, State.SKIPPED) for row in shop.rows())
    assert 0 < left < PEOPLE
    assert sum(arm.customers for arm in both(shop)) == left
    with shop.database.writing() as connection:
        waits = messages.c.held_by == Reason.CANARY.value
        connection.execute(messages.update().where(waits).values(held_by=Reason.FAULT.value))
    assert sum(arm.customers for arm in both(shop)) == left


def test_only_runs_that_held_out_as_many_are_compared(shop: Shop) -> None:
    """What was bought after runs without a holdout, or with another share, tells nothing about this one; each customer counts once."""
    everybody = list(drawn(shop))
    for number, text in enumerate((NEWS, NEWS, NEWS + "holdout: 50 %\n", TRIED, TRIED)):
        write(shop, "rules/news.yaml", text)
        shop.launch(f"run {number}")
        shop.sender().drain()
        if number < 3:
            buy(shop, everybody, days=1, number=f" {number}")
        shop.pass_time(days=20)
    held, others = both(shop)
    assert held.customers + others.customers == PEOPLE and (held.reached, others.reached) == (0, 0)
    assert (held.sent, others.sent) == (0, 2 * others.customers)
    write(shop, "rules/news.yaml", NEWS)
    shop.launch("without again")
    shop.sender().drain()
    assert both(shop) == (held, others)
    found = line(shop).arms
    assert found is not None and [one.name for one in found.variants] == ["plain", "warm"]


def test_the_holdout_is_watched_no_longer_than_the_others(shop: Shop) -> None:
    """Who has had the campaign leaves its audience, and who is held out stays: of purchases that it has no part in, both have alike."""
    again = "audience: {not: {was_sent: news}}"
    write(shop, "rules/news.yaml", TRIED.replace("audience: {id: {present: true}}", again))
    everybody = list(drawn(shop))
    for week in range(5):
        shop.launch(f"week {week}")
        shop.sender().drain()
        buy(shop, everybody[week * 20 : week * 20 + 20], days=1, number=f" {week}")
        shop.pass_time(days=14)
    held, others = both(shop)
    first = set(everybody[:20])
    mine = drawn(shop)
    assert held.reached == sum(mine[one] == arms.HOLDOUT for one in first)
    assert others.reached == sum(mine[one] != arms.HOLDOUT for one in first)


def test_who_is_held_out_is_so_after_a_restore(shop: Shop) -> None:
    """Of others nobody knows whether they were sent meanwhile; to those held out nothing ever leaves."""
    shop.launch()
    with shop.database.writing() as connection:
        suspected = {"doubt_since": shop.clock.now(), "reason": Reason.RESTORED.value}
        connection.execute(messages.update().values(suspected))
    shop.sender().drain()
    ends = Counter((row.state, row.reason) for row in shop.rows() if row.reason == Reason.HOLDOUT)
    held = Counter(drawn(shop).values())[arms.HOLDOUT]
    assert ends == {(State.SKIPPED, Reason.HOLDOUT): held}
    assert both(shop)[0].customers == held


def test_what_was_handed_over_stays_in_doubt_whatever_the_holdout_says(shop: Shop) -> None:
    """A customer that got another id since draws another lot; that a message may have reached them stays known."""
    shop.provider.answer = lambda outgoing: Ambiguous(code="timeout")
    write(shop, "rules/news.yaml", TRIED + "delivery: at_least_once\n")
    shop.launch()
    shop.sender().drain()
    held = next(one for one in map(str, range(10_000)) if arms.held_out("news", Decimal("0.2"), one))
    with shop.database.writing() as connection:
        one = connection.execute(select(messages.c.customer_id).where(messages.c.state == "in_doubt")).scalars().first()
        connection.execute(customers.update().where(customers.c.id == one).values(external_id=held))
    for _ in range(100):
        shop.pass_time(hours=1)
        shop.sender().drain()
    (row,) = (row for row in shop.rows() if row.customer_id == one)
    assert (row.state, row.reason) == (State.UNKNOWN, Reason.HOLDOUT) and row.doubt_since is not None


def test_of_a_holdout_that_nobody_drew_there_is_nothing_to_tell(shop: Shop) -> None:
    """So small a share, of so few customers, has nobody in it: no arm, and no alarm."""
    write(shop, "rules/news.yaml", NEWS + "holdout: 0.01 %\n")
    shop.launch()
    shop.sender().drain()
    assert set(shop.states()) == {State.ACCEPTED}
    assert line(shop).arms is None


def test_a_variant_has_those_who_may_have_read_it(shop: Shop) -> None:
    """A message that no provider would take was written, too, and read by nobody."""
    shop.provider.answer = lambda outgoing: (
        Rejected(code="550") if outgoing.to == "c1@customers.example" else Accepted()
    )
    write(shop, "rules/news.yaml", NEWS + "variants: [plain, warm]\n")
    shop.launch()
    shop.sender().drain()
    found = line(shop).arms
    assert found is not None and not found.holdout
    assert sum(one.customers for one in found.variants) == PEOPLE - 1


def test_an_arm_that_the_lot_did_not_make_is_an_alarm(shop: Shop) -> None:
    """Where something else than the lot chose who is in the holdout, nothing is told of it, to a program either."""
    shop.launch()
    shop.sender().drain()
    with shop.database.writing() as connection:
        m = messages.c
        some = select(m.id).where(m.state == "accepted").limit(50)
        connection.execute(messages.update().where(m.id.in_(some)).values(state="skipped", reason="holdout"))
    found = line(shop).arms
    assert found is not None and found.alarming and found.lift is None
    page = Console(width=200, file=(shown := StringIO()))
    report_page(page, report(shop.database, now=shop.clock.now()), currency="EUR", time_zone="UTC")
    text = shown.getvalue()
    assert f"has {found.holdout[0].customers} of {PEOPLE} customers, and 20 % were to be drawn" in text
    assert "points" not in text


# ---------------------------------------------------------------- beforehand


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (TRIED.replace("20 %", "100 %"), "less than everybody"),
        (TRIED.replace("20 %", "20"), "percent sign"),
        (TRIED.replace("[plain, warm]", "[plain, holdout]"), 'no variant is called "holdout"'),
        (TRIED.replace("[plain, warm]", "[plain]"), "two or more"),
        (TRIED.replace("class: commercial", "class: transactional"), "owed to each customer"),
    ],
)
def test_what_cannot_be_tried_is_told(shop: Shop, text: str, wrong: str) -> None:
    """At its place in the file."""
    (shop.folder / "rules/news.yaml").write_text(text, encoding="utf-8")
    assert [one for one in check(shop.folder) if wrong in one.what and "rules/news.yaml" in str(one.at)]


def test_a_language_in_which_all_variants_say_the_same_is_told(shop: Shop) -> None:
    """Its readers would dilute the comparison; where each language asks, nothing is said."""
    write(shop, "templates/news/fi/email.txt", "Hei {{ links.unsubscribe }}")
    (told,) = (one for one in check(shop.folder) if "every variant" in one.what)
    assert "templates/news/fi/ never asks" in told.what
    write(shop, "templates/news/fi/email.txt", WARM.replace("Dear", "Hei"))
    assert not [one for one in check(shop.folder) if "every variant" in one.what]
    write(shop, "templates/news/email.txt", "Hello {{ links.unsubscribe }}")
    (told,) = (one for one in check(shop.folder) if "every variant" in one.what)
    assert "templates/news/ never asks" in told.what


def test_a_test_of_the_rules_holds_nobody_out(shop: Shop) -> None:
    """It says what the rules mean, whatever lot an invented customer would draw."""
    people = "".join(f"  p{n}: {{email: p{n}@customers.example, consents: {{email: offers}}}}\n" for n in range(20))
    sent = ", ".join(f"p{n}" for n in range(20))
    text = f"test: all of them\nnow: 2026-03-02T10:00\ncustomers:\n{people}expect:\n  campaigns:\n    news: {{sent: [{sent}]}}\n"
    write(shop, "rules/tests/news.yaml", text)
    write(shop, "templates/news/email.txt", "{{ variant }} {{ links.unsubscribe }}")
    examples, problems = read_examples(shop.workspace)
    (verdict,) = run_tests(shop.workspace, examples)
    assert not problems and not verdict.differences
