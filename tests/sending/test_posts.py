"""Posts to everybody: asked about while they are young, counted as events, shown in the report, never asked about twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from typer.testing import CliRunner

from channels.bluesky import Bluesky, BlueskySettings
from engine.campaigns.launch import launch
from engine.campaigns.schedules import Occurrence
from engine.cli.app import app
from engine.clock import SteppedClock
from engine.content.links import Links
from engine.errors import Severity
from engine.ledger import posts
from engine.ledger.record import record_events
from engine.measure.report import Fared, report
from engine.model import Channel, EventName, State
from engine.provider import Accepted, Capabilities, Http, NotSent, ProviderEvent
from engine.questions.check import check
from engine.questions.plan import plan
from engine.rules.workspace import load_workspace
from engine.sending.prepare import Setup
from engine.sending.sender import Sender
from engine.store import Database
from engine.store.tables import events, messages
from engine.testing.vendors.bluesky import HANDLE, BlueskyVendor
from engine.testing.vendors.server import Reply, Reset
from tests.sending.shop import POST, Scripted, Shop


@pytest.fixture
def vendor() -> Iterator[BlueskyVendor]:
    with BlueskyVendor() as vendor:
        yield vendor


@pytest.fixture
def shop(
    tmp_path: Path, database: Database, now: Any, vendor: BlueskyVendor, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shop]:
    """A shop with two posts on Bluesky, of today and of yesterday."""
    monkeypatch.setenv("T_PASSWORD", "token-for-tests")
    shop = Shop(tmp_path, database, SteppedClock(now - timedelta(days=1)), customers=1)
    config = (tmp_path / "config.yaml").read_text(encoding="utf-8")
    named = 'channels:\n  social: {commercial: {provider: bluesky, from: "@shop"}}\n'
    one = (
        f'  bluesky: {{use: bluesky, handle: {HANDLE}, app_password: "${{env:T_PASSWORD}}", server: "{vendor.url}"}}\n'
    )
    (tmp_path / "config.yaml").write_text(config.replace("channels:\n", one + named), encoding="utf-8")
    (tmp_path / "rules/post.yaml").write_text(POST, encoding="utf-8")
    (tmp_path / "templates/post").mkdir()
    (tmp_path / "templates/post/social.txt").write_text("New records, {{ today }}", encoding="utf-8")
    shop.workspace = load_workspace(tmp_path)
    settings = shop.workspace.settings.providers["bluesky"]
    given = {name: value for name, value in settings.items() if name != "use"}
    shop.provider = Bluesky(BlueskySettings.model_validate(given), http=Http())  # type: ignore[assignment]
    campaign = shop.workspace.campaigns["post"]
    for day in ("yesterday", "today"):
        at = shop.clock.now()
        launch(shop.workspace, database, campaign, Occurrence(key=day, nominal_at=at), now=at)
        assert shop.sender("bluesky").drain() == {"accepted": 1}
        shop.pass_time(days=day == "yesterday")
    yield shop
    shop.provider.close()


def counted(shop: Shop) -> list[tuple[Any, ...]]:
    """The events of counting, in order: the message, the counts."""
    with shop.database.reading() as connection:
        query = select(events.c.message_id, events.c.properties).where(events.c.name == "counted").order_by(events.c.id)
        return [(row.message_id, row.properties) for row in connection.execute(query)]


def fared(shop: Shop) -> Fared:
    (line,) = report(shop.database, now=shop.clock.now(), campaign="post").lines
    (found,) = line.fared
    return found


def test_posts_are_counted_and_reported(shop: Shop, vendor: BlueskyVendor) -> None:
    """One question for both; each change is an event and shows in the report; what did not change is no event."""
    first, second = (one.provider_message_id for one in vendor.accepted)
    vendor.fared = {first: {"likeCount": 7, "repostCount": 1, "replyCount": 0}, second: {"likeCount": 2}}
    assert fared(shop) == Fared(
        provider="bluesky",
        posts=1,
        gone=0,
        as_of=shop.clock.now(),
        likes=None,
        shares=None,
        replies=None,
        clicks=None,
        views=None,
    )  # yesterday's was asked about, with today's hand-over, before anybody had seen it
    shop.pass_time(minutes=10)
    asked = vendor.requests
    assert shop.sender("bluesky").count_posts() == 1  # yesterday's was asked about a moment ago
    assert vendor.requests == asked + 1
    shop.pass_time(hours=8)
    assert shop.sender("bluesky").count_posts() == 1
    expected = Fared(
        provider="bluesky", posts=2, gone=0, as_of=shop.clock.now() - timedelta(hours=8), likes=9, shares=1, replies=0, clicks=None, views=None
    )  # fmt: skip
    assert fared(shop) == expected
    told = counted(shop)
    assert [properties.get("likes") for _, properties in told] == [None, 2, 7]
    assert all(properties["provider"] == "bluesky" for _, properties in told)
    shop.pass_time(days=1)
    assert shop.sender("bluesky").count_posts() == 0 and len(counted(shop)) == 3


def test_a_vendor_that_does_not_answer_is_asked_again_later(shop: Shop, vendor: BlueskyVendor) -> None:
    """Nothing is counted and nothing is lost; for ten minutes nobody asks again."""
    shop.pass_time(hours=9)
    for fault in (Reply(status=503), Reset()):
        vendor.fail_next(fault)
        asked = vendor.requests
        assert shop.sender("bluesky").count_posts() == 0 and vendor.requests == asked + 1
        assert shop.sender("bluesky").count_posts() == 0 and vendor.requests == asked + 1
        shop.pass_time(minutes=10)
    before = len(counted(shop))
    assert shop.sender("bluesky").count_posts() == 1 and len(counted(shop)) == before + 1


def test_a_post_that_was_taken_away_is_gone(shop: Shop, vendor: BlueskyVendor) -> None:
    """It keeps the counts it had, and nobody asks any more; one that its vendor never showed is asked about again."""
    shop.pass_time(hours=9)
    vendor.fared = {one.provider_message_id: {"likeCount": 3} for one in vendor.accepted}
    shop.sender("bluesky").count_posts()
    vendor.delete(vendor.accepted[0].provider_message_id)
    shop.pass_time(days=1)
    shop.sender("bluesky").count_posts()
    found = fared(shop)
    assert (found.posts, found.gone, found.likes) == (2, 1, 6)
    for _ in range(40):
        shop.pass_time(days=1)
        shop.sender("bluesky").count_posts()
    asked = vendor.requests
    shop.pass_time(days=1)
    shop.sender("bluesky").count_posts()
    assert vendor.requests == asked  # after a month nobody asks about the other one, either


class Interrupted:
    """A database where something else happens right after the first thing was read."""

    def __init__(self, database: Database, meanwhile: Any) -> None:
        self._database, self._meanwhile = database, meanwhile

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    @contextmanager
    def reading(self) -> Iterator[Any]:
        with self._database.reading() as connection:
            yield connection
        self._meanwhile()


def test_two_askers_ask_once(shop: Shop) -> None:
    """Both have seen that the posts are due: one gets them, the other nothing, until the lease is over."""
    shop.pass_time(hours=9)
    now, lease, others = shop.clock.now(), timedelta(minutes=10), []

    def take(database: Any, at: Any = now) -> list[posts.Post]:
        return posts.take(database, ["bluesky"], limit=100, lease=lease, now=at)

    assert take(Interrupted(shop.database, lambda: others.extend(take(shop.database)))) == []
    assert len(others) == 2 and take(shop.database) == []
    assert len(take(shop.database, now + lease)) == 2


def test_counts_that_come_late_change_nothing(shop: Shop, vendor: BlueskyVendor, now: Any) -> None:
    """A report by webhook is a report: stored once, in any order; older counts never replace newer ones."""
    name = vendor.accepted[1].provider_message_id
    told = [
        ProviderEvent(name=EventName.COUNTED, at=now + timedelta(hours=hour), dedupe=f"{hour}", provider_message_id=name,
                      detail={"likes": likes, "views": 100 * likes})
        for hour, likes in ((3, 6), (2, 5), (1, 4), (2, 5))
    ]  # fmt: skip
    recorded = record_events(shop.database, told, provider="bluesky", now=now + timedelta(hours=4))
    assert (recorded.new, recorded.repeated, recorded.unmatched) == (3, 1, 0)
    found = fared(shop)
    assert (found.likes, found.views) == (6, 600)


@pytest.mark.parametrize(
    ("age", "minutes"),
    [(timedelta(), 10), (timedelta(hours=3), 60), (timedelta(days=2), 960), (timedelta(days=9), 1440)],
)
def test_the_older_the_rarer(age: timedelta, minutes: int) -> None:
    """Every ten minutes at first, once a day in the end."""
    assert posts.wait(age) == timedelta(minutes=minutes)


SEVERAL = """
campaign: post
audience: public
schedule: {cron: "0 12 * * *"}
channel: social
providers: [two, one]
class: commercial
purpose: offers
goal: {event: purchase, within: 14 days}
"""


def test_a_post_by_several_is_a_message_each(tmp_path: Path, database: Database, now: Any) -> None:
    """Each in words of its own, once, however often it is launched; one that fails waits, and nobody publishes in its place."""
    shop = Shop(tmp_path, database, SteppedClock(now), customers=1)
    config = (tmp_path / "config.yaml").read_text(encoding="utf-8")
    named = "".join(f"  {name}: {{use: console, channel: social}}\n" for name in ("one", "two", "three"))
    route = named + "channels:\n  social: {commercial: {providers: [one, two, three], from: Shop}}\n"
    (tmp_path / "config.yaml").write_text(config.replace("channels:\n", route), encoding="utf-8")
    (tmp_path / "rules/post.yaml").write_text(SEVERAL, encoding="utf-8")
    (tmp_path / "templates/post").mkdir()
    (tmp_path / "templates/post/social.txt").write_text("New, says {{ provider }}", encoding="utf-8")
    shop.workspace = load_workspace(tmp_path)
    answers: dict[str, list[Any]] = {"one": [NotSent(code="503")] * 2 + [Accepted()], "two": [Accepted()], "three": []}
    providers = {name: Scripted(lambda _, name=name: answers[name].pop(0)) for name in answers}  # type: ignore[misc]
    for provider in providers.values():
        provider.capabilities = Capabilities(channel=Channel.SOCIAL, posts=True)
    setup = Setup(workspace=shop.workspace, providers=providers, links=Links("s", "https://shop.example"))
    sender = Sender(setup=lambda: setup, database=database, clock=shop.clock)
    for _ in range(2):
        occurrence = Occurrence(key="today", nominal_at=now)
        launched = launch(shop.workspace, database, shop.workspace.campaigns["post"], occurrence, now=now)
        assert launched.owed == (2 if launched.new else 0)
    for _ in range(8):
        sender.drain()
        shop.pass_time(hours=1)
    said = {name: {one.content.text for one in provider.taken} for name, provider in providers.items()}  # type: ignore[union-attr]
    assert said == {"one": {"New, says one"}, "two": {"New, says two"}, "three": set()}
    assert (len(providers["two"].taken), shop.states()) == (1, [State.ACCEPTED] * 2)
    (line,) = report(database, now=shop.clock.now(), campaign="post").lines
    assert (line.owed, line.sent, line.balanced) == (2, 2, True)


VARIED = SEVERAL.replace("class:", "variants: [plain, question]\nclass:").rpartition("goal")[0]


def test_variants_take_turns_and_fare_apart(tmp_path: Path, database: Database, now: Any) -> None:
    """Each network begins with another, and each run goes on; what was said stays the message's, and the report tells them apart."""
    shop = Shop(tmp_path, database, SteppedClock(now), customers=1)
    config = (tmp_path / "config.yaml").read_text(encoding="utf-8")
    named = "".join(f"  {name}: {{use: console, channel: social}}\n" for name in ("one", "two"))
    route = named + "channels:\n  social: {commercial: {providers: [one, two], from: Shop}}\n"
    (tmp_path / "config.yaml").write_text(config.replace("channels:\n", route), encoding="utf-8")
    (tmp_path / "rules/post.yaml").write_text(VARIED, encoding="utf-8")
    (tmp_path / "templates/post").mkdir()
    text = '{{ provider }}: {% if variant == "question" %}New?{% else %}New.{% endif %}'
    (tmp_path / "templates/post/social.txt").write_text(text, encoding="utf-8")
    assert not [one for one in check(tmp_path) if "post" in str(one.at)]
    shop.workspace = load_workspace(tmp_path)
    ids = iter(range(10))
    providers = {name: Scripted(lambda _: Accepted(provider_message_id=f"p{next(ids)}")) for name in ("one", "two")}
    for provider in providers.values():
        provider.capabilities = Capabilities(channel=Channel.SOCIAL, posts=True, engagement=True)
    setup = Setup(workspace=shop.workspace, providers=providers, links=Links("s", "https://shop.example"))
    sender = Sender(setup=lambda: setup, database=database, clock=shop.clock)
    planned: list[set[str]] = []
    for day in ("first", "second"):
        found = plan(shop.workspace, database, now=now).campaigns
        planned.append({sample.text for one in found if one.campaign == "post" for sample in one.samples})
        launch(shop.workspace, database, shop.workspace.campaigns["post"], Occurrence(key=day, nominal_at=now), now=now)
        sender.drain()
    said = {
        name: [one.content.text for one in provider.taken if one.content is not None]
        for name, provider in providers.items()
    }
    assert said == {"two": ["two: New.", "two: New?"], "one": ["one: New?", "one: New."]}
    assert planned == [{"two: New.", "one: New?"}, {"two: New?", "one: New."}]
    with database.reading() as connection:
        sent = connection.execute(select(messages.c.id, messages.c.provider, messages.c["values"])).all()
    for number, provider, values in sent:
        told = {"likes": 3 if values["variant"] == "question" else 1}
        report_of = ProviderEvent(
            name=EventName.COUNTED, at=now, dedupe=f"c{number}", message_key=database.message_key(number), detail=told
        )
        record_events(database, [report_of], provider=provider, now=now)
    (line,) = report(database, now=now, campaign="post").lines
    fared = [(one.provider, one.variant, one.posts, one.likes) for one in line.fared]
    assert fared == [(name, *rest) for name in ("one", "two") for rest in (("plain", 1, 1), ("question", 1, 3))]


@pytest.mark.parametrize(
    ("parts", "equal"),
    [
        ({"social.txt": "New."}, True),
        ({"social.txt": '{% set variant = "plain" %}{{ variant }}'}, True),
        (
            {"social.txt": "New: {{ provider }}", "fi/social.txt": "{{ variant }}"},
            True,
        ),  # the shop's language is English
        ({"social.txt": '{% extends "_shop/post.txt" %}{% block words %}New{% endblock %}'}, True),
        ({"social.txt": "{{ variant }}"}, False),
        ({"social.txt": '{% include "_shop/words.txt" %}'}, False),
        ({"social.txt": "New.", "social.image.txt": "https://shop.example/{{ variant }}.png"}, False),
        ({"social.txt": "{{ variant"}, False),  # broken, which is told: whether it asks, nobody knows
    ],
)
def test_variants_that_say_the_same_are_warned_of(
    tmp_path: Path, database: Database, now: Any, parts: dict[str, str], equal: bool
) -> None:
    """At the campaign's `variants`, with what to write; however the template asks, it asks, and where it is broken nobody knows."""
    Shop(tmp_path, database, SteppedClock(now), customers=1)
    (tmp_path / "rules/post.yaml").write_text(VARIED, encoding="utf-8")
    shared = {"_shop/words.txt": "{{ variant }}", "_shop/post.txt": "{% block words %}{{ variant }}{% endblock %}"}
    for name, text in ({f"post/{part}": text for part, text in parts.items()} | shared).items():
        (tmp_path / "templates" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "templates" / name).write_text(text, encoding="utf-8")
    told = [problem for problem in check(tmp_path) if "every variant" in problem.what]
    assert [(str(one.at), one.severity) for one in told] == (
        [("rules/post.yaml:7:1", Severity.WARNING)] if equal else []
    )
    assert all('if variant == "question"' in one.remedy and "templates/post/" in one.what for one in told)


def test_variants_have_names_of_their_own_and_nobody_is_held_out_of_a_post(
    tmp_path: Path, database: Database, now: Any
) -> None:
    """At its place, with what to do."""
    Shop(tmp_path, database, SteppedClock(now), customers=1)
    for rule, wrong in (
        (VARIED.replace("plain, question", "plain, plain"), "each with a name of its own"),
        (VARIED.replace("plain, question", "plain"), "each with a name of its own"),
        (VARIED.replace("variants: [plain, question]", "holdout: 10 %"), "held out of a post to everybody"),
    ):
        (tmp_path / "rules/post.yaml").write_text(rule, encoding="utf-8")
        assert any(wrong in one.what and "post.yaml:7:" in str(one.at) for one in check(tmp_path)), rule


def test_what_a_network_cannot_publish_is_told_beforehand(tmp_path: Path, database: Database, now: Any) -> None:
    """An image that one cannot show, or not of this type, or of which nobody says what it shows; none where one needs it."""
    Shop(tmp_path, database, SteppedClock(now), customers=1)
    config = (tmp_path / "config.yaml").read_text(encoding="utf-8")
    more = """
  bluesky: {use: bluesky, handle: records.bsky.social, app_password: "${env:B}"}
  insta: {use: instagram, account_id: "1", access_token: "${env:I}"}
  discord: {use: apprise, url: "${env:D}"}
  x: {use: x, oauth2_token: "${env:X}"}
channels:
  social: {commercial: {providers: [bluesky, insta, discord, x], from: Shop}}
"""
    (tmp_path / "config.yaml").write_text(config.replace("channels:\n", more.lstrip("\n")), encoding="utf-8")
    (tmp_path / "rules/post.yaml").write_text(SEVERAL.replace("[two, one]", "[bluesky, insta]"), encoding="utf-8")
    (tmp_path / "templates/post").mkdir()
    (tmp_path / "templates/post/social.txt").write_text("New", encoding="utf-8")

    def told() -> list[str]:
        return [str(one) for one in check(tmp_path) if "provider" in one.what and "post.yaml" in str(one.at)]

    without = (
        'rules/post.yaml:6:12: error: the provider "insta" publishes no text without an image. Add social.image.txt.'
    )
    assert told() == [without]
    (tmp_path / "templates/post/social.image.txt").write_text("https://shop.example/new.jpg", encoding="utf-8")
    assert told() == []
    rule = SEVERAL.replace("[two, one]", "[bluesky, insta, x, discord]")
    (tmp_path / "rules/post.yaml").write_text(rule, encoding="utf-8")
    (found,) = told()
    assert found.startswith('rules/post.yaml:6:12: error: the provider "discord" cannot show an image.')
    (tmp_path / "rules/post.yaml").write_text(SEVERAL.replace("[two, one]", "[bluesky, insta, x]"), encoding="utf-8")
    place = "templates/post/social.image.txt:1:1"

    def of_the_image(written: str) -> list[str]:
        (tmp_path / "templates/post/social.image.txt").write_text(written, encoding="utf-8")
        return [str(one).removeprefix(f"{place}: warning: ") for one in check(tmp_path) if str(one.at) == place]

    (silent,) = of_the_image("https://shop.example/new.jpg")
    assert silent.startswith("nobody says what this image shows. Write it below the address")
    assert of_the_image("{# of May #}\nhttps://shop.example/new.jpg\n{% if provider == 'x' %}\n{% endif %}\n") == [
        silent
    ]
    assert of_the_image("https://shop.example/new.jpg\nA record.") == []
    assert of_the_image("https://shop.example/new.GIF?v=2\nA record.") == [
        'the provider "x" takes JPEG, PNG, WebP, and no GIF. Name another image.'
    ]
    (tmp_path / "rules/post.yaml").write_text(SEVERAL.replace("[two, one]", "[bluesky, insta]"), encoding="utf-8")
    (tmp_path / "templates/post/social.image.txt").write_text("https://shop.example/a.jpg\nA record.", encoding="utf-8")
    (post,) = [one for one in plan(load_workspace(tmp_path), database, now=now).campaigns if one.campaign == "post"]
    seen = {(sample.image, sample.image_alt, sample.problem) for sample in post.samples}
    assert seen == {("https://shop.example/a.jpg", "A record.", "")}
    image = "this is no image's address"
    (tmp_path / "templates/post/social.image.txt").write_text("new.jpg", encoding="utf-8")
    (post,) = [one for one in plan(load_workspace(tmp_path), database, now=now).campaigns if one.campaign == "post"]
    assert [image in sample.problem for sample in post.samples] == [True, True]


# ---------------------------------------------------------------- what known customers do with posts

LIKED = """
segments:
  fans:
    description: Liked or shared our posts lately, and did not only look
    who:
      any:
        - did: reacted
          within: 30 days
          where: {campaign: post}
        - did: shared
          within: 30 days
  talkers:
    description: Wrote something under a post
    who: {did: replied, times: {at_least: 1}}
"""


def test_rules_ask_for_what_people_did_with_posts(
    tmp_path: Path, database: Database, database_url: str, now: Any
) -> None:
    """Without declaring it: `reacted`, `shared`, `replied` of whoever is known by the handle; tests of the rules know them, too."""
    people = [{"id": name, "social": f"@{name}@social.example"} for name in ("ana", "ben", "eva", "leo")]
    shop = Shop(tmp_path, database, SteppedClock(now), rows=people)
    config = (tmp_path / "config.yaml").read_text(encoding="utf-8") + f"database: {database_url}\n"
    (tmp_path / "config.yaml").write_text(config, encoding="utf-8")
    (tmp_path / "rules/fans.yaml").write_text(LIKED, encoding="utf-8")
    (tmp_path / "rules/tests").mkdir()
    (tmp_path / "rules/tests/fans.yaml").write_text(TESTED, encoding="utf-8")
    told = [(EventName.REACTED, "ana"), (EventName.SHARED, "ben"), (EventName.REPLIED, "eva"), (EventName.OTHER, "leo")]
    record_events(
        database,
        [
            ProviderEvent(name=name, at=now, dedupe=who, address=f"@{who}@social.example", text="Nice")
            for name, who in told
        ],
        provider="masto",
        channel=Channel.SOCIAL,
        now=now,
    )
    assert [str(one) for one in check(tmp_path) if "fans" in str(one.at)] == []
    assert members(shop, "fans") == {"ben"} and members(shop, "talkers") == {"eva"}
    shop.launch()  # a like of a message of the campaign `news`
    post = LIKED.replace("campaign: post", "campaign: news")
    (tmp_path / "rules/fans.yaml").write_text(post, encoding="utf-8")
    with database.writing() as connection:
        number = connection.execute(select(messages.c.id)).scalars().first()
        as_post = update(messages).where(messages.c.id == number).values(customer_id=None, attempts=1)
        connection.execute(as_post)
    key = database.message_key(number or 0)
    like = ProviderEvent(name=EventName.REACTED, at=now, dedupe="like", message_key=key, address="@leo@social.example")
    record_events(database, [like], provider="masto", channel=Channel.SOCIAL, now=now)
    assert members(shop, "fans") == {"ben", "leo"}
    done = CliRunner().invoke(app, ["test", "-w", str(tmp_path)], catch_exceptions=False)
    assert done.exit_code == 0, done.stdout


TESTED = """
test: Who shares is a fan
now: 2026-03-02T12:00
customers: {ana: {}, ben: {}}
events: [{customer: ana, did: shared, at: 3 days ago, reaction: repost}]
expect: {segments: {fans: [ana]}}
"""


def members(shop: Shop, segment: str) -> set[str]:
    now = ("--now", shop.clock.now().isoformat())
    done = CliRunner().invoke(
        app, ["audience", segment, "--json", *now, "-w", str(shop.folder)], catch_exceptions=False
    )
    return set(json.loads(done.stdout)["sample"])
