"""Suppressions on the command line: listed, and lifted by hand; what a person asked for only by their new yes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from engine.cli.app import app
from engine.clock import SteppedClock
from engine.errors import RegularsError
from engine.intake import take_customers
from engine.ledger import consent
from engine.model import Channel, ConsentStatus, SuppressionReason
from engine.rules.workspace import load_workspace
from engine.store import Database
from engine.store.tables import consents, customers
from tests.sending.shop import CONFIG, Shop

_R = SuppressionReason
C1 = "c1@customers.example"


@pytest.fixture
def shop(tmp_path: Path, database: Database, database_url: str, now: datetime) -> Shop:
    """Three customers who agreed to offers; there are other purposes, too."""
    shop = Shop(tmp_path, database, SteppedClock(now), customers=3)
    config = CONFIG.replace("  service:", "  tips: {title: Tips, consent: opt_out}\n  service:")
    (tmp_path / "config.yaml").write_text(config + f"database: {database_url}\n", encoding="utf-8")
    shop.workspace = load_workspace(tmp_path)
    return shop


def suppress(shop: Shop, reason: SuppressionReason, address: str = C1, *, hours: int = 0) -> None:
    at = shop.clock.now() + timedelta(hours=hours)
    with shop.database.writing() as connection:
        consent.suppress_contact_point(connection, shop.database, Channel.EMAIL, address, reason, at=at, source="relay")


def run(shop: Shop, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["suppressions", *words, "-w", str(shop.folder)], catch_exceptions=False)
    return done.exit_code, done.stdout


def asked(shop: Shop, *words: str) -> Any:
    return json.loads(run(shop, *words, "--json")[1])


def lift(shop: Shop, *words: str) -> Any:
    return asked(shop, "lift", *words, "--by", "Eva", "--why", "he called us")


def number(shop: Shop, reason: SuppressionReason) -> str:
    return str(next(one["id"] for one in asked(shop) if one["reason"] == reason))


def sent_to(shop: Shop, key: str) -> set[str]:
    """Whom the news reaches when it is sent now."""
    before = len(shop.provider.taken)
    shop.pass_time(days=1)
    shop.launch(key)
    shop.sender().drain()
    return {one.to.partition("@")[0] for one in shop.provider.taken[before:] if one.to}


def words(shop: Shop) -> dict[str, list[tuple[str, str, str]]]:
    """What c1 said on each purpose, as it counts: status, source and proof, the oldest first."""
    said: dict[str, list[tuple[str, str, str]]] = {}
    with shop.database.reading() as connection:
        for row in connection.execute(select(consents).order_by(consents.c.at, consents.c.id)):
            if row.contact_point_id == 1:
                said.setdefault(row.purpose, []).append((row.status, row.source, row.proof))
    return said


def test_a_failure_is_lifted_and_the_next_message_leaves(shop: Shop) -> None:
    """Soft bounces in a row, a bounce, the vendor's list: who lifts them says who he is and why, and it is on record."""
    for reason in (_R.SOFT_BOUNCED, _R.BOUNCED, _R.PROVIDER):
        suppress(shop, reason)
        assert sent_to(shop, f"before {reason}") == {"c2", "c3"}
        [done] = lift(shop, number(shop, reason))
        assert (done["refused"], done["customers"], done["remaining"]) == ("", ["c1"], [])
        assert sent_to(shop, f"after {reason}") == {"c1", "c2", "c3"}
        newest = asked(shop, "lifted")[0]
        assert (newest["reason"], newest["by"], newest["why"]) == (reason, "Eva", "he called us")
        assert datetime.now(UTC) - datetime.fromisoformat(newest["lifted_at"]) < timedelta(minutes=5)
    assert asked(shop) == [] and words(shop) == {"offers": [("opted_in", "import", "asked at the till")]}


def test_a_bounce_hides_no_stop(shop: Shop) -> None:
    """Each reason stands for itself, in whatever order they come: lifting the failure leaves the person's own word."""
    suppress(shop, _R.BOUNCED)
    suppress(shop, _R.OPTED_OUT)
    suppress(shop, _R.COMPLAINED)
    [done] = lift(shop, number(shop, _R.BOUNCED))
    assert done["remaining"] == ["complained", "opted_out"]
    assert "still suppressed" in run(shop, "lift", number(shop, _R.OPTED_OUT), *YES, "--by", "Eva", "--why", "x")[1]
    assert sent_to(shop, "still") == {"c2", "c3"}


def test_a_lifted_address_is_reached_by_rules_too(shop: Shop) -> None:
    """`reachable_by` counts who can be written to; every decision about them is made anew."""

    def reachable() -> int:
        words_ = ["audience", "reachable", "--json", "-w", str(shop.folder)]
        done = CliRunner().invoke(app, words_, catch_exceptions=False)
        return int(json.loads(done.stdout)["count"])

    def revision() -> int:
        with shop.database.reading() as connection:
            query = select(customers.c.revision).where(customers.c.external_id == "c1")
            return int(connection.execute(query).scalar_one())

    who = "segments: {reachable: {description: Reachable, who: {reachable_by: email}}}"
    (shop.folder / "rules/reachable.yaml").write_text(who, encoding="utf-8")
    suppress(shop, _R.BOUNCED)
    before = reachable(), revision()
    lift(shop, number(shop, _R.BOUNCED))
    assert (before[0], reachable(), revision()) == (2, 3, before[1] + 1)


YES = ("--consent", "offers", "--proof", "signed form 17")


@pytest.mark.parametrize("reason", [_R.OPTED_OUT, _R.COMPLAINED])
def test_what_a_person_asked_for_is_not_lifted_without_a_new_yes(shop: Shop, reason: SuppressionReason) -> None:
    """None, one that is older than the no: refused, exit status 1, and nothing is changed."""
    suppress(shop, reason)
    this = number(shop, reason)
    status, page = run(shop, "lift", this, "--by", "Eva", "--why", "he is nice")
    assert status == 1 and "not lifted" in page and "only their new yes ends it" in page.replace("\n", " ")
    earlier = (shop.clock.now() - timedelta(hours=1)).isoformat()
    assert "older than the no" in lift(shop, this, *YES, "--agreed", earlier)[0]["refused"]
    assert asked(shop, "lifted") == [] and len(words(shop)["offers"]) == 1
    assert sent_to(shop, "still") == {"c2", "c3"}


@pytest.mark.parametrize("reason", [_R.OPTED_OUT, _R.COMPLAINED])
def test_a_new_yes_opens_what_it_names_and_nothing_else(shop: Shop, reason: SuppressionReason) -> None:
    """The yes is kept with its proof; purposes for which silence, or an old yes, would speak are put down as a no."""
    suppress(shop, reason)
    agreed = (shop.clock.now() + timedelta(hours=1)).isoformat()
    [done] = lift(shop, number(shop, reason), "--consent", "tips", "--proof", "signed form 17", "--agreed", agreed)
    assert (done["opened"], done["closed"]) == (["tips"], ["offers", "service"])
    assert words(shop)["tips"] == [("opted_in", "hand", "signed form 17")]
    assert [word[0] for word in words(shop)["offers"]] == ["opted_in", "opted_out"]
    assert sent_to(shop, "offers") == {"c2", "c3"}


def test_a_yes_to_the_same_purpose_counts_from_now(shop: Shop) -> None:
    """He agreed before, said STOP, and agrees again: the new yes is on record, and offers reach him."""
    suppress(shop, _R.OPTED_OUT)
    agreed = (shop.clock.now() + timedelta(hours=1)).isoformat()
    assert lift(shop, number(shop, _R.OPTED_OUT), *YES, "--agreed", agreed)[0]["opened"] == ["offers"]
    assert words(shop)["offers"] == [
        ("opted_in", "import", "asked at the till"),
        ("opted_in", "hand", "signed form 17"),
    ]
    assert sent_to(shop, "again") == {"c1", "c2", "c3"}


def test_a_yes_that_was_imported_since_is_enough(shop: Shop) -> None:
    """With its proof, and newer than the no."""
    suppress(shop, _R.OPTED_OUT)
    with shop.database.writing() as connection:
        row = {"id": "c1", "consent.email.tips": "yes"}
        later = shop.clock.now() + timedelta(hours=1)
        take_customers(connection, shop.database, shop.workspace.settings, [row], now=later, proof="the account page")
    [done] = lift(shop, number(shop, _R.OPTED_OUT))
    assert (done["opened"], done["closed"]) == (["tips"], ["offers", "service"])


def test_a_no_after_the_yes_stands(shop: Shop) -> None:
    """Who signed the form, and clicked the unsubscribe link afterwards, is not opened by the form."""
    suppress(shop, _R.COMPLAINED)
    with shop.database.writing() as connection:
        later = shop.clock.now() + timedelta(hours=2)
        consent.give(connection, 1, "offers", ConsentStatus.OPTED_OUT, at=later, source="link", proof="one click")
    agreed = (shop.clock.now() + timedelta(hours=1)).isoformat()
    assert "refused again" in lift(shop, number(shop, _R.COMPLAINED), *YES, "--agreed", agreed)[0]["refused"]


def test_who_is_nobodys_customer_any_more_stays_suppressed(shop: Shop) -> None:
    """There is nobody whose consent could be kept; a mere failure may be lifted all the same."""
    for reason in (_R.COMPLAINED, _R.BOUNCED):
        suppress(shop, reason, "gone@customers.example")
    assert "nobody has this address" in lift(shop, number(shop, _R.COMPLAINED), *YES)[0]["refused"]
    assert lift(shop, number(shop, _R.BOUNCED))[0]["refused"] == ""


def test_suppressions_are_asked_for_by_whose_they_are(shop: Shop) -> None:
    """By customer, by address (which is never shown), by channel and reason; the newest first."""
    suppress(shop, _R.BOUNCED)
    suppress(shop, _R.OPTED_OUT, "c2@customers.example", hours=1)
    for words_, found in (
        ([], ["c2", "c1"]), (["--customer", "c1"], ["c1"]), (["--customer", "c9"], []), (["--reason", "bounced"], ["c1"]),
        (["--channel", "sms"], []), (["--channel", "email", "--address", "C2@Customers.example"], ["c2"]),
        (["--channel", "email", "--address", "c2@CUSTOMERS.example"], ["c2"]), (["--limit", "1"], ["c2"]),
    ):  # fmt: skip
        assert [one["customers"][0] for one in asked(shop, *words_)] == found, words_
    status, page = run(shop)
    assert status == 0 and "bounced" in page and "@" not in page


def test_a_new_report_after_lifting_is_a_new_suppression(shop: Shop) -> None:
    """Lifting twice is refused, whatever came since has a number of its own, and the record keeps the first."""
    suppress(shop, _R.BOUNCED)
    first = number(shop, _R.BOUNCED)
    lift(shop, first)
    suppress(shop, _R.BOUNCED, hours=5)
    assert number(shop, _R.BOUNCED) != first
    assert lift(shop, first)[0]["refused"] == "no such suppression stands"
    assert [one["id"] for one in asked(shop, "lifted")] == [int(first)]
    assert sent_to(shop, "since") == {"c2", "c3"}


def test_the_newest_report_is_what_a_yes_has_to_be_newer_than(shop: Shop) -> None:
    """A second complaint, after the form was signed, takes its word away."""
    suppress(shop, _R.COMPLAINED)
    suppress(shop, _R.COMPLAINED, hours=2)
    agreed = (shop.clock.now() + timedelta(hours=1)).isoformat()
    assert "older than the no" in lift(shop, number(shop, _R.COMPLAINED), *YES, "--agreed", agreed)[0]["refused"]


@pytest.mark.parametrize(
    ("words_", "said"),
    [
        (["--by", " ", "--why", "x"], "say who lifts this"),
        (["--by", "Eva", "--why", " "], "how the address is known"),
        (["--by", "Eva", "--why", "x", "--consent", "offers"], "a consent needs its proof"),
        (["--by", "Eva", "--why", "x", "--consent", "ofers", "--proof", "x"], 'there is no purpose "ofers"'),
        (["--by", "Eva", "--why", "x", "--proof", "x"], "say to what"),
        (["--by", "Eva", "--why", "x", *YES, "--agreed", "2999-01-01T00:00Z"], "in the future"),
    ],
)
def test_misuse_is_told_and_changes_nothing(shop: Shop, words_: list[str], said: str) -> None:
    suppress(shop, _R.OPTED_OUT)
    with pytest.raises(RegularsError, match=said):
        run(shop, "lift", number(shop, _R.OPTED_OUT), *words_)
    assert asked(shop, "lifted") == []


def test_a_failure_needs_no_consent(shop: Shop) -> None:
    """A consent is not put down in passing."""
    suppress(shop, _R.BOUNCED)
    assert "no consent is needed" in lift(shop, number(shop, _R.BOUNCED), *YES)[0]["refused"]


def test_an_address_without_a_channel_is_not_looked_for(shop: Shop) -> None:
    with pytest.raises(RegularsError, match="say on which channel"):
        run(shop, "--address", C1)
    with pytest.raises(RegularsError, match="not an email address"):
        run(shop, "--address", "nobody", "--channel", "email")
