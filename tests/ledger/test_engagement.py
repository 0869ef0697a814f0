"""Opens and clicks: people's count, machines' are kept; verdicts follow from all that is known, whatever came first."""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update

from engine.ledger.engagement import catch_up, use_scanners
from engine.ledger.machines import RULE, hit, judge
from engine.ledger.record import record_events
from engine.model import Channel, EventName
from engine.provider import Accepted, ProviderEvent
from engine.store import Database
from engine.store.tables import events, messages
from tests.ledger.books import add_customers, begin, end, owe_all, take

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
SECOND = timedelta(seconds=1)


@pytest.fixture
def sent(database: Database, now: datetime) -> int:
    """A letter that was accepted an hour ago."""
    add_customers(database, 1, now)
    owe_all(database, now)
    message = begin(database, take(database, now)[0], now)
    assert message is not None
    end(database, message, Accepted(), now)
    return message.id


def click(database: Database, message: int, at: datetime, link: int, agent: str = BROWSER) -> ProviderEvent:
    return ProviderEvent(
        name=EventName.CLICKED,
        at=at,
        dedupe=f"{message} {at} {link} {agent}",
        message_key=database.message_key(message),
        detail={"link": link, "agent": agent},
    )


def tell(database: Database, *told: ProviderEvent, channel: Channel | None = None) -> None:
    record_events(database, told, provider="link", now=told[0].at, channel=channel, origins=True)


def clicked_at(database: Database, message: int) -> datetime | None:
    with database.reading() as connection:
        return connection.execute(select(messages.c.clicked_at).where(messages.c.id == message)).scalar_one()


def verdicts(database: Database) -> list[tuple[Any, Any]]:
    with database.reading() as connection:
        rows = connection.execute(select(events).order_by(events.c.at, events.c.external_id)).all()
    return [(row.properties.get("rule"), row.properties.get("because")) for row in rows]


def test_a_gateway_that_tries_every_link_takes_back_its_first_click(
    database: Database, now: datetime, sent: int
) -> None:
    """The first looks like a person's until two others follow within three seconds; then none of them counts."""
    later = now + timedelta(hours=1)
    tell(database, click(database, sent, later, 1))
    assert clicked_at(database, sent) == later
    tell(database, click(database, sent, later + SECOND, 2))
    assert clicked_at(database, sent) == later  # two links may be a person's
    tell(database, click(database, sent, later + 2 * SECOND, 3))
    assert clicked_at(database, sent) is None
    assert verdicts(database) == [(RULE, "every_link")] * 3
    person = later + timedelta(minutes=5)
    tell(database, click(database, sent, person, 1))
    assert clicked_at(database, sent) == person


def test_a_click_taken_back_gives_way_to_one_long_after_it(database: Database, now: datetime, sent: int) -> None:
    """Also where the person's click is stored already when the rest of the burst is reported."""
    later, person = now + timedelta(hours=1), now + timedelta(hours=5)
    tell(database, click(database, sent, later, 1), click(database, sent, person, 1))
    tell(database, click(database, sent, later + SECOND, 2), click(database, sent, later + SECOND, 3))
    assert clicked_at(database, sent) == person


def test_order_and_grouping_of_clicks_change_nothing(database: Database, now: datetime) -> None:
    """Each order of a burst, a program's click and a person's, one by one and all at once: one and the same end."""
    base, ends = now + timedelta(hours=1), set()
    add_customers(database, 1, now)
    for number, order in enumerate(itertools.permutations(range(5))):
        if number % 7:  # every seventh of 120: enough to meet each at each place
            continue
        owe_all(database, now, occurrence=str(number))
        message = begin(database, take(database, now)[0], now)
        assert message is not None
        end(database, message, Accepted(), now)
        whole = [click(database, message.id, base + n * SECOND, n) for n in range(3)]
        whole.append(click(database, message.id, base - timedelta(minutes=1), 1, "python-requests/2.32"))
        whole.append(click(database, message.id, base + timedelta(minutes=2), 1))
        groups = [whole[place : place + 1] for place in order] if number % 2 else [[whole[place] for place in order]]
        for group in groups:
            tell(database, *group, *group)
        with database.reading() as connection:
            mine = select(events.c.at, events.c.properties).where(events.c.message_id == message.id)
            kept = connection.execute(mine.order_by(events.c.at)).all()
        ends.add((clicked_at(database, message.id), tuple(row.properties.get("because") for row in kept)))
    assert ends == {(base + timedelta(minutes=2), ("program", *["every_link"] * 3, None))}


def test_what_an_older_rule_judged_is_judged_anew(database: Database, now: datetime, sent: int) -> None:
    """From what was kept: an agent known as a program's now, a verdict of which only the word was kept, and a vendor's word."""
    at, properties = now + timedelta(hours=1), events.c.properties
    old: list[dict[str, Any]] = [
        {"rule": 1, "agent": "curl/8.0"},
        {"rule": 1, "machine": True, "because": "scanner"},
        {"machine": True},
        {"rule": 1, "machine": True, "because": "robot", "agent": BROWSER},
    ]
    rows = [
        {"external_id": str(n), "name": "clicked", "at": at + n * timedelta(hours=1), "properties": each,
         "message_id": sent, "received_at": at}
        for n, each in enumerate(old)
    ]  # fmt: skip
    rows[3]["properties"].pop("machine")
    with database.writing() as connection:
        connection.execute(insert(events), rows)
        connection.execute(update(messages).values(clicked_at=at))
    while catch_up(database):
        pass
    assert verdicts(database) == [(RULE, "program"), (RULE, "scanner"), (RULE, "vendor"), (RULE, None)]
    assert clicked_at(database, sent) == at + timedelta(hours=3)
    with database.writing() as connection:
        connection.execute(update(events).where(events.c.external_id == "0").values({properties: {"agent": "curl/8"}}))
    assert not catch_up(database)  # once a rule
    assert verdicts(database)[0] == (None, None)


@pytest.mark.parametrize(
    ("agent", "because"),
    [
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "robot"),
        ("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "robot"),
        ("TelegramBot (like TwitterBot)", "robot"),
        ("Mozilla/5.0 (Linux; Android 11; CUBOT X50 Build/RP1A) AppleWebKit/537.36 Chrome/120.0.0.0 Mobile", None),
        ("Mozilla/5.0 (Linux; Android 9; CUBOT_NOTE_S Build/PPR1) AppleWebKit/537.36 Chrome/120.0.0.0 Mobile", None),
        ("Mozilla/5.0 (Linux; Android 11; CUBOT X50; compatible; AdsBot-Google-Mobile)", "robot"),
        ("Mozilla/5.0 (Linux; Android 11) AppleWebKit/537.36 Bottom/1.0", None),
    ],
)
def test_a_robot_names_itself_and_a_telephone_is_none(now: datetime, agent: str, because: str | None) -> None:
    """The word ends in bot; a make of telephones that does so, too, is carried by people."""
    one = hit("1", "clicked", now, {"agent": agent, "link": "a"})
    assert judge([one], letter=True, sent_at=now - timedelta(hours=1))["1"] == (because or "")


def test_nothing_within_two_seconds_is_a_person_but_in_a_chat(database: Database, now: datetime, sent: int) -> None:
    """A letter's images are fetched when it arrives; a chat that is open is read at once."""

    def opened(at: datetime) -> ProviderEvent:
        key = database.message_key(sent)
        return ProviderEvent(name=EventName.OPENED, at=at, dedupe=str(at), message_key=key)

    tell(database, opened(now + SECOND))
    with database.writing() as connection:
        assert connection.execute(select(messages.c.opened_at)).scalar_one() is None
        connection.execute(update(messages).values(channel="whatsapp"))
    tell(database, opened(now + 1.5 * SECOND))
    with database.reading() as connection:
        assert connection.execute(select(messages.c.opened_at)).scalar_one() == now + SECOND


# ---------------------------------------------------------------- scanners by their addresses


def came_from(database: Database, message: int, at: datetime, address: str, link: int = 1) -> ProviderEvent:
    event = click(database, message, at, link)
    return replace(event, dedupe=f"{event.dedupe} {address}", origin=address)


def judged(database: Database) -> None:
    while catch_up(database):
        pass


@pytest.mark.parametrize(
    ("address", "because"),
    [
        ("192.0.2.77", "scanner_address"),
        ("::ffff:192.0.2.77", "scanner_address"),
        ("2001:db8:7::1", "scanner_address"),
        ("192.0.3.1", None),
        ("2001:db9::1", None),
        ("nobody", None),
    ],
)
def test_what_comes_from_a_scanners_address_is_no_persons(
    database: Database, now: datetime, sent: int, address: str, because: str | None
) -> None:
    """Of either kind of address, whatever the agent says; what is no address is nobody's."""
    use_scanners(database, ["192.0.2.0/24", "2001:db8::/32"])
    tell(database, came_from(database, sent, now + timedelta(hours=1), address))
    assert verdicts(database) == [(RULE, because)]
    assert (clicked_at(database, sent) is None) is (because is not None)


def test_an_address_is_kept_with_opens_and_clicks_alone_and_as_it_is_always_written(
    database: Database, now: datetime, sent: int
) -> None:
    """Another event's is nobody's who read; what is no address is not kept; and none is where nobody asks for it."""
    one, later = came_from(database, sent, now + timedelta(hours=1), "2001:DB8:7:0::1"), now + timedelta(hours=2)
    others = [
        replace(one, dedupe="nobody", origin="ana@mail.example"),
        replace(one, dedupe="delivered", name=EventName.DELIVERED),
    ]
    tell(database, one, *others)
    record_events(database, [replace(one, dedupe="dropped", at=later)], provider="link", now=later)
    with database.reading() as connection:
        kept = connection.execute(select(events.c.properties)).scalars()
        assert sorted(row.get("from", "") for row in kept) == ["", "", "", "2001:db8:7::1"]


def test_other_addresses_judge_all_anew(database: Database, now: datetime, sent: int) -> None:
    """From what was kept: a person's click becomes a scanner's and back, and what the message shows with it."""
    first, second = now + timedelta(hours=1), now + timedelta(hours=2)
    tell(database, came_from(database, sent, first, "192.0.2.77"), came_from(database, sent, second, "198.51.100.9"))
    judged(database)
    assert clicked_at(database, sent) == first  # nobody is known for a scanner
    assert use_scanners(database, ["192.0.2.0/24"]) and not use_scanners(database, ["192.0.2.0/24"])
    judged(database)
    assert (verdicts(database), clicked_at(database, sent)) == ([(RULE, "scanner_address"), (RULE, None)], second)
    assert use_scanners(database, [])
    judged(database)
    assert (verdicts(database), clicked_at(database, sent)) == ([(RULE, None)] * 2, first)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_addresses_that_change_while_all_is_judged_judge_all_anew(database: Database, now: datetime, sent: int) -> None:
    """What one process judges by the old ones, it notes before another one begins anew, and not after it."""
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    tell(database, came_from(database, sent, now + timedelta(hours=1), "192.0.2.77"))
    judged(database)
    use_scanners(database, ["192.0.2.0/24"])
    with ThreadPoolExecutor(2) as others, database.pool.connect() as other:
        other.execute(select(events.c.id).with_for_update())
        judging = others.submit(catch_up, database)  # as far as its verdict, which cannot be written yet
        while not other.execute(waiting).scalar():
            time.sleep(0.01)
        changing = others.submit(use_scanners, database, [])
        while not changing.done() and (other.execute(waiting).scalar() or 0) < 2:
            time.sleep(0.01)
        other.rollback()
        assert judging.result() and changing.result()
    judged(database)
    assert verdicts(database) == [(RULE, None)]
