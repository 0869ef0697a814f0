"""The plan says what then happens: it is held against the real launch, the real gates and the real sender."""

from __future__ import annotations

import json
import random
import uuid
from collections import Counter
from dataclasses import fields, replace
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console
from sqlalchemy import Connection, func, select

from engine.campaigns.launch import launch_due
from engine.cli.plan import plan_page
from engine.clock import SteppedClock
from engine.model import Reason, State
from engine.policy import Facts
from engine.questions.plan import Planned, noted, plan
from engine.questions.plan.change import Change
from engine.questions.plan.gates import KIND, Asked
from engine.questions.plan.gates import outlook as ask_outlook
from engine.rules.compile import audience
from engine.scalars import zone
from engine.store import Database
from engine.store.tables import customers, messages, metadata, runs
from tests.questions import crowd
from tests.questions.crowd import NOW
from tests.rules.rules import Rule, rules
from tests.rules.shop import SEGMENTS, SETTINGS, load, people
from tests.sending.shop import CONFIG, NEWS, Shop


def planned(shop: Shop, campaign: str = "news") -> Planned:
    (one,) = plan(shop.workspace, shop.database, now=shop.clock.now(), campaign=campaign).campaigns
    return one


def send(shop: Shop, *, until: int = 30) -> None:
    """The hours pass, with a pass of the sender in each."""
    sender = shop.sender()
    for _ in range(until):
        sender.drain()
        shop.pass_time(hours=1)


def happened(shop: Shop, run: int) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """What became of a run: sendings by the recipients' clocks, reasons of what was withheld, of what waited and was sent."""
    m = messages.c
    query = select(m.state, m.reason, m.held_by, m.first_sent_at, customers.c.time_zone).join_from(messages, customers)
    with shop.database.reading() as connection:
        rows = connection.execute(query.where(m.run_id == run)).all()
    sent = [row for row in rows if row.state == State.ACCEPTED]
    hours = Counter(
        f"{row.first_sent_at.astimezone(zone(row.time_zone or 'Europe/Helsinki')):%Y-%m-%dT%H}" for row in sent
    )
    withheld = Counter(row.reason for row in rows if row.state in (State.SKIPPED, State.EXPIRED))
    assert len(sent) + withheld.total() == len(rows), Counter(row.state for row in rows)
    return hours, withheld, Counter(row.held_by for row in sent if row.held_by)


@pytest.mark.parametrize("many", [noted.MANY, 1], ids=["each looked up", "as a large audience"])
@pytest.mark.parametrize("seed", range(4))
def test_what_was_planned_is_what_happens(
    seed: int, many: int, tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Audience, sendings hour by hour on the recipients' clocks, holds and every reason: as the real sender then does it."""
    monkeypatch.setattr(noted, "MANY", many)
    chance = random.Random(seed)
    first = crowd.rows(chance, 60)
    shop = crowd.shop(tmp_path, database, first, now=NOW - timedelta(days=2, hours=chance.randrange(12)))
    arms = "holdout: 20 %\nvariants: [plain, warm]\n" if seed % 2 else ""
    late = f"not_later_than: {chance.choice((2, 6, 12))} hours\n" if chance.random() < 0.5 else ""
    crowd.rewrite(shop, "rules/news.yaml", NEWS + late + arms)
    shop.launch("first")
    send(shop)
    crowd.add(shop, crowd.rows(chance, 60, prefix="new"))
    crowd.suppress(shop, [row["email"] for row in first[:20] if "email" in row])
    shop.clock.set(NOW.replace(hour=chance.randrange(12)) + timedelta(days=1))

    launched_now(shop)
    told = planned(shop)
    assert told.sends_at == shop.clock.now()
    owed = shop.launch("second")
    assert told.audience == owed > 80
    send(shop)
    hours, withheld, held = happened(shop, run=newest_run(shop))
    assert dict(told.hours) == dict(hours)
    assert {reason.value: count for reason, count in told.withheld.items()} == withheld
    assert {reason.value: count for reason, count in told.held.items()} == held
    assert told.audience == told.sent + sum(told.withheld.values())
    assert {"no_consent", "opted_out", "no_contact_point", "suppressed", "template_error"} <= set(withheld)
    assert ("holdout" in withheld) == bool(arms)
    assert told.variants == read_by(shop, run=newest_run(shop))


def read_by(shop: Shop, run: int) -> Counter[str]:
    """How many were sent each variant."""
    m = messages.c
    with shop.database.reading() as connection:
        sent = connection.execute(select(m["values"]).where(m.run_id == run, m.state == State.ACCEPTED.value)).scalars()
        return Counter(str(values["variant"]) for values in sent if "variant" in values)


def launched_now(shop: Shop) -> None:
    """The campaign's one time is the present."""
    text = (shop.folder / "rules/news.yaml").read_text(encoding="utf-8")
    once = f"{{at: {shop.clock.now():%Y-%m-%dT%H:%M}, time_zone: UTC}}"
    crowd.rewrite(shop, "rules/news.yaml", text.replace('{cron: "0 12 * * *"}', once))


def newest_run(shop: Shop) -> int:
    with shop.database.reading() as connection:
        return int(connection.execute(select(func.max(runs.c.id))).scalar_one())


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rule=rules(), reentry=st.sampled_from(["always", "never", "on_rematch", {"after": "90 days"}]))
def test_plan_and_run_are_one_query(shop_of_rules: Shop, rule: Rule, reentry: object) -> None:
    """Whatever the rule: the plan counts whom the launch then owes; with re-entry, whom it keeps out is the rest."""
    shop, text = shop_of_rules, f"audience: {json.dumps(rule, ensure_ascii=False)}\nreentry: {json.dumps(reentry)}\n"
    lines = [line for line in NEWS.splitlines() if not line.startswith(("audience", "reentry"))]
    crowd.rewrite(shop, "rules/news.yaml", "\n".join([*lines, text]))
    told = planned(shop)
    campaign = shop.workspace.campaigns["news"].model_copy(update={"reentry": "always"})
    everybody = audience(shop.workspace, campaign, now=NOW, dialect=shop.database.dialect)
    assert everybody is not None
    with shop.database.reading() as connection:
        fitting = len(connection.execute(everybody).all())
    owed = shop.launch(f"run {uuid.uuid4()}")
    assert (told.audience, told.kept_out) == (owed, fitting - owed)


@pytest.fixture
def shop_of_rules(tmp_path: Path, database: Database) -> Shop:
    """The rules' own tests' customers and events, in a workspace with one campaign."""
    vocabulary = {name: {key: kind.value for key, kind in kinds.items()} for name, kinds in SETTINGS.events.items()}
    facts = {"attributes": {**{key: kind.value for key, kind in SETTINGS.attributes.items()}, "first_name": "text"}}
    segments = {name: {"description": name, "who": who} for name, who in SEGMENTS.items()}
    made = Shop(tmp_path, database, SteppedClock(NOW), rows=[{"id": "somebody"}])
    own = [line for line in CONFIG.splitlines() if not line.startswith(("attributes", "events"))]
    (tmp_path / "config.yaml").write_text(
        "\n".join([*own, yaml.safe_dump(facts | {"events": vocabulary})]), encoding="utf-8"
    )
    (tmp_path / "rules/segments.yaml").write_text(yaml.safe_dump({"segments": segments}), encoding="utf-8")
    load(database, people(60))
    return made


@pytest.mark.parametrize("large", [False, True], ids=["each looked up", "as a large audience"])
def test_kinds_are_counted_as_each_for_himself(large: bool, tmp_path: Path, database: Database) -> None:
    """Everybody asked alone, by `gather` and `decide`, adds up to what the audience is told together."""
    people = crowd.rows(random.Random(9), 150)
    shop = crowd.shop(tmp_path, database, people, now=NOW - timedelta(hours=6))
    addresses = [row["email"] for row in people if "email" in row and row.get("consent.email.offers") == "yes"]
    crowd.suppress(shop, addresses[:9])
    shop.launch("earlier")
    shop.sender().drain()
    crowd.reply(shop, addresses[9:15])
    shop.clock.set(NOW.replace(hour=22))
    campaign = shop.workspace.campaigns["news"]
    asked = Asked(
        campaign=campaign, settings=shop.workspace.settings, at=shop.clock.now(), writing=None, folder=shop.folder
    )
    chosen = audience(shop.workspace, campaign, now=shop.clock.now(), dialect=database.dialect)
    assert chosen is not None
    with database.reading() as connection:
        with noted.noting(connection, asked.settings, now=NOW) as noting:
            known = noting.among(noted.MANY, asked.terms) if large else None
            together = ask_outlook(connection, asked, chosen, {}, known)
        alone = [asked.fate(facts) for facts in asked.facts(connection, list(connection.scalars(chosen))).values()]
    assert together.hours == Counter(fate.hour for fate in alone if fate.hour)
    assert together.withheld == Counter(fate.withheld for fate in alone if fate.withheld)
    assert together.held == Counter(reason for fate in alone if fate.hour for reason in set(fate.held))
    assert together.held[Reason.QUIET_HOURS] and len(together.hours) > 2
    assert together.held[Reason.REPLY_WAITS] and together.withheld[Reason.SUPPRESSED]
    assert together.withheld[Reason.FREQUENCY_CAP] > 5


def test_a_new_fact_must_be_thought_about_here() -> None:
    """Whatever gates are told is the same for a whole campaign, or told apart by the plan. Add a new fact to KIND or here."""
    of_a_campaign = {"channel", "message_class", "consent_rule", "not_after"}
    for_sending_alone = {"customer", "revision", "address"}  # gates ask whether there is a customer and an address
    by_kind = {"zone", "contact_point_id", "consent", "suppressed", "reply_waits", "counted"}
    by_lot = {"held_out"}  # drawn from the customer's id, which the plan does, too
    assert {field.name for field in fields(Facts)} == of_a_campaign | for_sending_alone | by_kind | by_lot
    assert set(KIND) == {"time_zone", "reached", *(by_kind - {"zone", "contact_point_id", "counted"})}


def test_asking_changes_nothing(tmp_path: Path, database: Database) -> None:
    """A campaign does not even become known to the schedule's keeper by being planned."""
    shop = crowd.shop(tmp_path, database, crowd.rows(random.Random(1), 20))
    with database.reading() as connection:
        before = tables(connection)
    planned(shop)
    with database.reading() as connection:
        assert tables(connection) == before


def tables(connection: Connection) -> dict[str, object]:
    return {name: connection.execute(select(table)).all() for name, table in metadata.tables.items()}


def test_who_came_and_went_since_the_last_run(tmp_path: Path, database: Database) -> None:
    """Entered: in the audience and not in the last run. Left: in the last run, and the rule does not fit any more."""
    shop = crowd.shop(tmp_path, database, crowd.rows(random.Random(2), 10))
    crowd.rewrite(shop, "rules/news.yaml", NEWS.replace("{id: {present: true}}", "{first_name: {is_not: Gone}}"))
    named = [{"id": f"n{number}", "first_name": "Ana"} for number in range(8)]
    crowd.add(shop, named)
    assert planned(shop).since_run is None
    before = shop.launch("first")
    crowd.add(
        shop, [{"id": "n1", "first_name": "Gone"}, {"id": "n2", "first_name": "Gone"}, {"id": "x", "first_name": "Eva"}]
    )
    told = planned(shop)
    assert told.since_run is not None
    assert (told.since_run.before, told.since_run.entered, told.since_run.left) == (before, 1, 2)
    assert told.audience == before + 1 - 2

    crowd.rewrite(shop, "rules/news.yaml", (shop.folder / "rules/news.yaml").read_text().replace("always", "never"))
    told = planned(shop)
    assert (told.audience, told.kept_out) == (1, before - 2)
    assert told.since_run is not None
    assert (told.since_run.entered, told.since_run.left) == (1, 2)


def test_a_jump_is_warned_of(tmp_path: Path, database: Database) -> None:
    """More than the guard's share came since the last run; a little more is no warning."""
    shop = crowd.shop(tmp_path, database, crowd.rows(random.Random(3), 20))
    shop.launch("first")
    crowd.add(shop, crowd.rows(random.Random(4), 10, prefix="new"))
    assert not [warning for warning in planned(shop).warnings if "audience" in warning]
    crowd.add(shop, [{"id": "one-too-many"}])
    assert "The audience went from 20 in the last run to 31: guards.audience_jump is 50%." in planned(shop).warnings


@pytest.mark.parametrize("name", ["second-purchase", "thank-the-best-again"])
def test_the_table_fits_a_terminal_of_eighty_columns(tmp_path: Path, database: Database, name: str) -> None:
    """With every column there is, no campaign's name, time or sum is broken; with names of usual length, nothing is."""
    shop = crowd.shop(tmp_path, database, [{"id": "one"}])
    change = Change(before=900, entered=69, left=0)
    priced = replace(planned(shop), campaign=name, since_head=change, since_run=change)
    priced = replace(priced, cost=replace(priced.cost, amount=Decimal("1234.56")))
    page = StringIO()
    whole = plan(shop.workspace, shop.database, now=shop.clock.now(), campaign="news")
    plan_page(Console(file=page, width=80), replace(whole, campaigns=(priced,)))
    line = next(line for line in page.getvalue().splitlines() if line.startswith(f"{name} email"))
    assert len(line) <= 80 and line.endswith("1,234.56") and "03 Mar 12:00" in line, page.getvalue()
    assert "+69 / −0" in line or len(name) > 15
    assert "by the change since git HEAD: +69 / −0" in page.getvalue()


def test_a_campaign_that_comes_too_late_is_warned_of(tmp_path: Path, database: Database) -> None:
    """Its only start is over and nobody launched it: a slip of the pen, most often. After a run it is as it should be."""
    shop = crowd.shop(tmp_path, database, crowd.rows(random.Random(3), 5))
    text = (shop.folder / "rules/news.yaml").read_text()
    line = next(line for line in text.splitlines() if line.startswith("schedule"))
    crowd.rewrite(shop, "rules/news.yaml", text.replace(line, "schedule: {at: 2026-02-01T09:00}"))
    assert planned(shop).warnings[0] == "It never ran, and its schedule has no start to come: nothing will be sent."
    shop.launch("then")
    assert not [warning for warning in planned(shop).warnings if "never ran" in warning]


def test_times_are_told_by_the_shops_clock(tmp_path: Path, database: Database) -> None:
    """The moment of the plan and the next start, as the schedule has them in its file."""
    shop = crowd.shop(tmp_path, database, [{"id": "one"}])
    page = StringIO()
    whole = plan(shop.workspace, shop.database, now=NOW, campaign="news")
    (one,) = whole.campaigns
    plan_page(Console(file=page, width=80), whole)
    assert one.sends_at is not None
    there = one.sends_at.astimezone(zone("Europe/Helsinki"))
    assert page.getvalue().startswith("Plan as of 2026-03-02 14:00 (Europe/Helsinki)")
    assert f" {there:%d %b %H:%M} " in page.getvalue()


def test_the_worst_messages_are_shown(tmp_path: Path, database: Database) -> None:
    """One that cannot be written, the longest, and an ordinary one, each as it would be sent."""
    four = [
        {"id": str(number), "first_name": name, "email": f"{number}@customers.example", "consent.email.offers": "yes"}
        for number, name in enumerate(("Ana", "", "Maximilian-Leopold", "Eva"))
    ]
    shop = crowd.shop(tmp_path, database, [{key: value for key, value in row.items() if value} for row in four])
    broken, longest, first = planned(shop).samples
    assert (broken.why, broken.customer) == ("cannot be written", "1")
    assert "customer.first_name is missing" in broken.problem
    assert (longest.why, longest.customer) == ("longest", "2")
    assert longest.subject == "News for Maximilian-Leopold"
    assert (first.why, first.customer) == ("the first", "0")
    assert "unsubscribe: http" in first.text


def test_three_are_shown_though_one_is_several(tmp_path: Path, database: Database) -> None:
    """The first of all is the longest, too: then two others are shown beside."""
    people = [
        {"id": str(number), "first_name": name} for number, name in enumerate(("Maximilian", "Ana", "Eva", "Ida"))
    ]
    known = [{**one, "email": f"{one['id']}@customers.example", "consent.email.offers": "yes"} for one in people]
    samples = planned(crowd.shop(tmp_path, database, known)).samples
    assert [(one.why, one.customer) for one in samples] == [("longest", "0"), ("another", "1"), ("one more", "2")]


def test_a_public_post_and_a_trigger_have_a_plan_too(tmp_path: Path, database: Database) -> None:
    """A post is one message to everybody, rendered; of a trigger nobody knows when."""
    shop = crowd.shop(tmp_path, database, [])
    text = (
        (shop.folder / "config.yaml")
        .read_text()
        .replace(
            "channels:\n",
            "  wall: {use: file, channel: social, folder: wall}\nchannels:\n  social: {commercial: {provider: wall, from: '@s@shop.example'}}\n",
        )
    )
    shop.folder.joinpath("templates/post").mkdir()
    shop.folder.joinpath("templates/post/social.txt").write_text("New this week, {{ today }}.", encoding="utf-8")
    shop.folder.joinpath("config.yaml").write_text(text, encoding="utf-8")
    crowd.rewrite(
        shop,
        "rules/post.yaml",
        NEWS.replace("campaign: news", "campaign: post")
        .replace("{id: {present: true}}", "public")
        .replace("email", "social")
        .replace("reentry: always", ""),
    )
    post, receipt = planned(shop, "post"), planned(shop, "receipt")
    assert (post.audience, post.sent, len(post.samples)) == (None, 1, 1)
    assert post.samples[0].text == f"New this week, {post.sends_at:%Y-%m-%d}."
    assert (receipt.audience, receipt.sent, receipt.sends_at) == (None, 0, None)


def test_a_post_by_several_is_planned_for_each(tmp_path: Path, database: Database) -> None:
    """What each would publish, and why one of them would not: too long a text, no image."""
    shop = crowd.shop(tmp_path, database, [])
    more = """
  bluesky: {use: bluesky, handle: records.bsky.social, app_password: "${env:B}"}
  insta: {use: instagram, account_id: "1", access_token: "${env:I}"}
  page: {use: facebook, page_id: "1", access_token: "${env:F}"}
channels:
  social: {commercial: {providers: [bluesky, insta, page], from: Records}}
"""
    text = (shop.folder / "config.yaml").read_text().replace("channels:\n", more.lstrip("\n"))
    shop.folder.joinpath("config.yaml").write_text(text, encoding="utf-8")
    shop.folder.joinpath("templates/post").mkdir()
    post = "{% if provider == 'page' %}Long: {% endif %}" + "New records! " * 20
    shop.folder.joinpath("templates/post/social.txt").write_text(post, encoding="utf-8")
    campaign = NEWS.replace("campaign: news", "campaign: post").replace("{id: {present: true}}", "public")
    campaign = campaign.replace("email", "social").replace("reentry: always", "providers: [page, bluesky, insta]")
    crowd.rewrite(shop, "rules/post.yaml", campaign)
    found = planned(shop, "post")
    assert (found.sent, dict(found.withheld)) == (2, {Reason.REFUSED: 1})
    assert [(one.why, one.text[:5], bool(one.problem)) for one in found.samples] == [
        ("by page", "Long:", False),
        ("by bluesky", "New r", False),
        ("by insta", "New r", True),
    ]
    assert found.warnings == ("insta will not publish it: Instagram publishes no text without an image.",)
    shop.folder.joinpath("templates/post/social.txt").write_text("x" * 301, encoding="utf-8")
    assert "bluesky will not publish it: Bluesky takes texts of at most 300 letters." in planned(shop, "post").warnings


def test_a_campaign_without_its_template_says_so(tmp_path: Path, database: Database) -> None:
    """The others have their plan all the same."""
    shop = crowd.shop(tmp_path, database, crowd.rows(random.Random(5), 5))
    crowd.rewrite(shop, "rules/lost.yaml", NEWS.replace("campaign: news", "campaign: lost"))
    told = plan(shop.workspace, database, now=NOW)
    assert {one.campaign for one in told.campaigns if one.warnings and "cannot be launched" in one.warnings[0]} == {
        "lost"
    }
    assert told.warned


def test_what_is_due_and_not_launched_is_planned_for_now(tmp_path: Path, database: Database) -> None:
    """A minute after noon the noon's occurrence is still to come; launched, the next day's is next."""
    shop = crowd.shop(tmp_path, database, crowd.rows(random.Random(6), 5), now=NOW.replace(hour=10))
    assert planned(shop).sends_at == NOW.replace(hour=10)  # 12:00 in Helsinki is 10:00 in UTC
    assert [launch.occurrence for launch in launch_due(shop.workspace, database, now=shop.clock.now())] == [
        "2026-03-02T12:00"
    ]
    assert planned(shop).sends_at == NOW.replace(hour=10) + timedelta(days=1)
