"""The demo's report equals what plain Python reckons from the purchases and from the vendors' own records."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from engine import shipped
from engine.daemon import open_workspace_database
from engine.demo.perform import Played, perform
from engine.demo.workspace import SECRETS
from engine.measure.report import Line
from engine.rules.workspace import load_workspace
from engine.store.tables import customers, messages
from tests.demo import oracle
from tests.demo.oracle import RULES, Rule

EVERY = 5
"""Every fifth customer: 471 of 2,357, over the whole year and a half."""

MAILED = ("second-purchase", "win-back", "christmas")

Sent = set[tuple[int, datetime]]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    with pytest.MonkeyPatch.context() as environment:
        for name in SECRETS:  # the demo sets them for its own process; afterwards they are as they were
            environment.setenv(name, "")
        yield perform(tmp_path_factory.mktemp("demo") / "shop", every=EVERY)


@pytest.fixture(scope="module")
def histories() -> Mapping[int, oracle.History]:
    everything = oracle.histories(shipped.cdnow() / "CDNOW_sample.txt")
    return {number: history for number, history in everything.items() if number % EVERY == 0}


@pytest.fixture(scope="module")
def people(played: Played) -> Mapping[int, Mapping[str, str]]:
    """The customers as they were imported."""
    with (played.folder / "customers.csv").open(encoding="utf-8", newline="") as file:
        return {int(row["id"]): row for row in csv.DictReader(file)}


def line(played: Played, campaign: str) -> Line:
    return next(line for line in played.report.lines if line.campaign == campaign)


@pytest.mark.parametrize("name", RULES)
def test_everybody_was_owed_exactly_what_the_rules_say(
    name: str, played: Played, histories: Mapping[int, oracle.History]
) -> None:
    """Over 18 months, each campaign owed its message to the very customers, at the very instants, of a second reckoning."""
    expected = oracle.owed(RULES[name], histories)
    assert _owed(played, name) == expected
    assert line(played, name).owed == len(expected) > 20


def _owed(played: Played, campaign: str) -> Sent:
    query = select(customers.c.external_id, messages.c.owed_at).join(customers).where(messages.c.campaign == campaign)
    with (
        closing(open_workspace_database(load_workspace(played.folder))) as database,
        database.reading() as connection,
    ):
        return {(int(row.external_id), row.owed_at) for row in connection.execute(query)}


def test_posts_and_receipts_are_as_many_as_months_and_orders(
    played: Played, histories: Mapping[int, oracle.History]
) -> None:
    """A public post each month, a receipt for each order of June 1998."""
    orders = [at for history in histories.values() for at, _ in history if at >= oracle.shop_time(oracle.JUNE, 0)]
    assert line(played, "new-releases").owed == line(played, "new-releases").sent == oracle.POSTS
    assert line(played, "new-releases").afterwards is None, "what followed a public post, nobody can tell"
    assert line(played, "receipt").owed == len(orders) > 20


@pytest.mark.parametrize("name", MAILED)
def test_mails_bring_what_was_bought_after_them(
    name: str, played: Played, histories: Mapping[int, oracle.History]
) -> None:
    """Sent, purchases afterwards and revenue follow from the mail server's own record: recipients and dates."""
    sent = _mailed(played)[name]
    _assert_measured(line(played, name), RULES[name], sent, histories)


def test_texts_bring_what_was_bought_after_them_and_wait_for_the_morning(
    played: Played, histories: Mapping[int, oracle.History], people: Mapping[int, Mapping[str, str]]
) -> None:
    """A text owed in the recipient's night is sent at nine; what follows is counted from then."""
    by_phone = {row["sms"]: number for number, row in people.items() if row["sms"]}
    texted = {by_phone[received.to or ""] for received in played.vendors.twilio.accepted}
    due = {number: when for number, when in oracle.owed(RULES["thank-the-best"], histories) if number in texted}
    sent = {(number, oracle.not_at_night(when, ZoneInfo(people[number]["time_zone"]))) for number, when in due.items()}
    texts = line(played, "thank-the-best")
    _assert_measured(texts, RULES["thank-the-best"], sent, histories)
    assert texts.held == {"quiet_hours": len(sent - set(due.items()))}


def _assert_measured(found: Line, rule: Rule, sent: Sent, histories: Mapping[int, oracle.History]) -> None:
    count, dollars = oracle.afterwards(rule, histories, sent)
    assert found.sent == len(sent) > 0
    assert found.afterwards is not None
    assert found.afterwards.events == count > 0
    assert found.afterwards.revenue == pytest.approx(float(dollars), abs=0.005)


def _mailed(played: Played) -> dict[str, Sent]:
    """What the mail server took, by campaign: whom and when."""
    found: dict[str, Sent] = {name: set() for name in MAILED}
    for received in played.vendors.smtp.accepted:
        when = parsedate_to_datetime(received.headers["Date"]).astimezone(UTC)
        number = int((received.to or "").partition("@")[0].rpartition(".")[2])
        found[_campaign(received.text)].add((number, when))
    return found


def _campaign(text: str) -> str:
    """Each campaign's text links to a page of its own, in each language."""
    pages = {
        "second-purchase": ("/staff-picks", "/fi/valinnat", "/de/empfehlungen"),
        "win-back": ("/since-you-left",),
        "christmas": ("/christmas", "/fi/joulu", "/de/weihnachten"),
    }
    return next(name for name, links in pages.items() if any(link in text for link in links))


def test_nobody_got_an_offer_without_a_yes(played: Played, people: Mapping[int, Mapping[str, str]]) -> None:
    """Silence is no consent: the mail server never saw those who said no, nor those who were never asked."""
    asked = {number: row["consent.email.offers"] for number, row in people.items()}
    reached = {number for sent in _mailed(played).values() for number, _ in sent}
    assert {asked[number] for number in reached} == {"yes"}
    assert set(asked.values()) == {"yes", "no", ""}


def test_the_vendors_hold_what_the_ledger_says_and_nothing_twice(played: Played) -> None:
    """Each message's key is on exactly one vendor's record once, and there are as many as were sent."""
    vendors = played.vendors
    records: tuple[Any, ...] = (vendors.smtp, vendors.sendgrid, vendors.twilio, vendors.mastodon)
    keys = Counter(received.key for vendor in records for received in vendor.accepted)
    assert set(keys.values()) == {1}
    assert len(keys) == sum(line.sent for line in played.report.lines)


def test_the_books_balance_and_nothing_is_left_open(played: Played) -> None:
    """What was owed is sent, refused or withheld, each with its reason; nothing is unknown and nothing waits."""
    for found in played.report.lines:
        assert found.balanced
        assert found.open == 0
        assert found.sent + sum(found.withheld.values()) + sum(found.rejected.values()) == found.owed


def test_what_people_did_is_in_the_report(played: Played) -> None:
    """Opens, clicks and unsubscriptions came through our links; receipts' deliveries and opens through SendGrid's webhooks;
    texts' deliveries through Twilio's callbacks.
    """
    christmas, receipt, texts = (line(played, name) for name in ("christmas", "receipt", "thank-the-best"))
    assert christmas.sent > christmas.opened > christmas.clicked > 0
    assert receipt.sent - receipt.bounced == receipt.delivered > receipt.opened > 0
    assert 0.8 * texts.sent < texts.delivered <= texts.sent
    assert sum(found.opted_out for found in played.report.lines) > 0
