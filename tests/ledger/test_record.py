"""What providers report: stored once, in any order, and states only move forward."""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, insert, select, text, update

from engine.addresses import normalise
from engine.ledger.claim import recover
from engine.ledger.consent import give, newest
from engine.ledger.doubts import DoubtRules, resolve
from engine.ledger.proofs import NEVER_ARRIVED
from engine.ledger.record import record_engagement, record_events
from engine.model import Channel, ConsentStatus, DeliveryClass, EventName, State, SuppressionReason
from engine.provider import Accepted, Ambiguous, Capabilities, NotSent, Outcome, ProviderEvent
from engine.store import Database
from engine.store.tables import attempts, contact_points, customers, events, messages, replies, suppressions
from tests.conftest import NOW
from tests.ledger.books import LEASE, add_customers, begin, end, owe_all, state_of, take

HOUR = timedelta(hours=1)
BLIND = DoubtRules(promises=lambda name: None, patience=LEASE, resolve_window=72 * HOUR)


def one_sent(database: Database, now: datetime, delivery: DeliveryClass = DeliveryClass.AT_MOST_ONCE):  # type: ignore[no-untyped-def]
    """One message, begun and not settled."""
    add_customers(database, 1, now)
    owe_all(database, now, delivery=delivery)
    sent = begin(database, take(database, now)[0], now)
    assert sent is not None
    return sent


def reported(database: Database, message_id: int, name: EventName, at: datetime, **more: object) -> ProviderEvent:
    return ProviderEvent(name=name, at=at, dedupe=f"{name}{at}", message_key=database.message_key(message_id), **more)  # type: ignore[arg-type]


def row(database: Database, message_id: int):  # type: ignore[no-untyped-def]
    with database.reading() as connection:
        return connection.execute(select(messages).where(messages.c.id == message_id)).one()


def test_order_and_repetition_of_reports_change_nothing(database: Database, now: datetime) -> None:
    """All 24 orders of four reports, each told twice, end in one and the same state."""
    names = (EventName.DELIVERED, EventName.OPENED, EventName.CLICKED, EventName.COMPLAINED)
    add_customers(database, 1, now)
    ends = set()
    for number, order in enumerate(itertools.permutations(enumerate(names))):
        owe_all(database, now, occurrence=str(number))
        sent = begin(database, take(database, now)[0], now, revision=number)
        assert sent is not None
        end(database, sent, Accepted(), now)
        told = [reported(database, sent.id, name, now + (place + 1) * HOUR) for place, name in order]
        told = [
            ProviderEvent(**{**{f: getattr(e, f) for f in e.__dataclass_fields__}, "dedupe": f"{sent.id}{e.dedupe}"})
            for e in told
        ]
        for event in [*told, *told]:
            record_events(database, [event], provider="relay", now=now)
        kept = row(database, sent.id)
        ends.add((kept.state, kept.delivered_at, kept.opened_at, kept.clicked_at, kept.complained_at))
    assert ends == {("accepted", now + HOUR, now + 2 * HOUR, now + 3 * HOUR, now + 4 * HOUR)}
    with database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(events)).scalar() == 24 * 4


def test_a_report_ends_a_doubt_and_even_an_unknown(database: Database, now: datetime) -> None:
    """Delivered proves that the provider took it, whenever the proof comes."""
    sent = one_sent(database, now)
    end(database, sent, Ambiguous(code="timeout"), now)
    resolve(database, BLIND, now=now + 73 * HOUR)
    assert state_of(database, sent.id) is State.UNKNOWN
    record_events(
        database, [reported(database, sent.id, EventName.DELIVERED, now + HOUR)], provider="relay", now=now + 80 * HOUR
    )
    assert state_of(database, sent.id) is State.ACCEPTED


def test_a_report_may_be_faster_than_our_own_commit(database: Database, now: datetime) -> None:
    """The webhook arrives while the message is still `sending`; the answer after it finds nothing to do."""
    sent = one_sent(database, now)
    record_events(database, [reported(database, sent.id, EventName.DELIVERED, now)], provider="relay", now=now)
    assert state_of(database, sent.id) is State.ACCEPTED
    assert not end(database, sent, Ambiguous(code="timeout"), now)
    assert state_of(database, sent.id) is State.ACCEPTED


def test_a_drop_reported_late_does_not_undo_an_acceptance(database: Database, now: datetime) -> None:
    """States only move forward: the drop is stamped beside the state."""
    sent = one_sent(database, now)
    end(database, sent, Accepted(), now)
    record_events(database, [reported(database, sent.id, EventName.REJECTED, now)], provider="relay", now=now)
    assert (row(database, sent.id).state, row(database, sent.id).bounced_at) == ("accepted", now)


def test_a_machine_open_is_kept_but_is_nobodys_opening(database: Database, now: datetime) -> None:
    """Privacy proxies and scanners are recorded raw and never stamp the message."""
    sent = one_sent(database, now)
    end(database, sent, Accepted(), now)
    assert record_engagement(database, sent.id, EventName.OPENED, at=now, now=now, machine=True)
    assert row(database, sent.id).opened_at is None
    assert record_engagement(database, sent.id, EventName.OPENED, at=now + HOUR, now=now)
    assert row(database, sent.id).opened_at == now + HOUR


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_who_gives_way_in_a_deadlock_records_all_the_same(database: Database, now: datetime) -> None:
    """Another webhook holds the second of two reports and asks for the first: this one gives way, and is written a moment later."""
    first, second = (ProviderEvent(name=EventName.OTHER, at=now, dedupe=name) for name in ("a", "b"))
    here = "pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())"
    waiting = text(f"SELECT count(*) FROM pg_locks WHERE NOT granted AND {here}")

    def row(event: ProviderEvent) -> dict[str, object]:
        return {"external_id": f"relay:{event.dedupe}", "name": event.name.value, "at": now, "received_at": now}

    with ThreadPoolExecutor(1) as others, database.pool.connect() as other:
        other.execute(text("SET deadlock_timeout = '20s'"))  # it is this one's turn to look for deadlocks
        other.execute(insert(events).values(row(second)))
        recording = others.submit(record_events, database, [first, second], provider="relay", now=now)
        while not other.execute(waiting).scalar():
            time.sleep(0.01)
        other.execute(insert(events).values(row(first)))
        other.rollback()
        assert recording.result().new == 2


@pytest.mark.parametrize("outcome", [NotSent(code="http_429"), Ambiguous(code="no_answer"), Accepted()])
@pytest.mark.parametrize(
    "named",
    [
        ProviderEvent(name=EventName.OTHER, at=NOW, dedupe="x", provider_message_id="another's"),
        ProviderEvent(name=EventName.OTHER, at=NOW, dedupe="x", message_key="order-4711"),
    ],
)
def test_another_programs_message_to_the_same_person_proves_nothing_about_ours(
    database: Database, now: datetime, outcome: Outcome, named: ProviderEvent
) -> None:
    """A shop's own software shares the vendor's account: of what it sent only that the address is dead concerns us."""
    sent = one_sent(database, now)
    end(database, sent, outcome, now)
    before = row(database, sent.id)
    for name in (EventName.DELIVERED, EventName.OPENED, EventName.CLICKED, EventName.BOUNCED, EventName.REJECTED):
        event = replace(named, name=name, at=now + HOUR, dedupe=name, address="c1@customers.example")
        assert record_events(database, [event], provider="relay", now=now + HOUR).unmatched == 0
    assert row(database, sent.id) == before
    dead = replace(
        named,
        name=EventName.BOUNCED,
        at=now + HOUR,
        dedupe="dead",
        address="c1@customers.example",
        suppress=SuppressionReason.BOUNCED,
    )
    record_events(database, [dead], provider="relay", now=now + HOUR, channel=Channel.EMAIL)
    with database.reading() as connection:
        assert connection.execute(select(suppressions.c.reason)).scalars().all() == ["bounced"]


def test_a_report_that_names_nothing_is_no_proof_of_what_surely_is_not_there(database: Database, now: datetime) -> None:
    """The newest message to an address is guessed from those that the vendor may have."""
    sent = one_sent(database, now)
    end(database, sent, NotSent(code="http_429"), now)
    told = ProviderEvent(name=EventName.DELIVERED, at=now + HOUR, dedupe="x", address="c1@customers.example")
    record_events(database, [told], provider="relay", now=now + HOUR)
    assert state_of(database, sent.id) is State.PENDING


def test_a_wish_without_a_message_proves_nothing_about_the_newest(database: Database, now: datetime) -> None:
    """The vendor says that somebody opted out: what he answered may be an older message than the one in doubt."""
    sent = one_sent(database, now)
    end(database, sent, Ambiguous(code="no_answer"), now)
    wish = ProviderEvent(name=EventName.OPTED_OUT, at=now + HOUR, dedupe="x", address="c1@customers.example")
    record_events(database, [wish], provider="relay", now=now + HOUR, channel=Channel.EMAIL)
    assert state_of(database, sent.id) is State.IN_DOUBT


def test_a_stop_that_the_vendor_reads_too_is_one_wish(database: Database, now: datetime) -> None:
    """The text, and what the vendor made of it: one `opted_out`, and the words beside it."""
    sent = one_sent(database, now)
    end(database, sent, Accepted(), now)
    text = ProviderEvent(
        name=EventName.REPLIED, at=now + HOUR, dedupe="1", address="c1@customers.example", text="STOP", answered=True
    )
    told = [text, replace(text, name=EventName.OPTED_OUT, dedupe="2", text="", answered=False)]
    record_events(database, told, provider="relay", now=now + HOUR, channel=Channel.EMAIL)
    with database.reading() as connection:
        assert sorted(connection.execute(select(events.c.name)).scalars()) == ["opted_out", "other"]


def test_a_stop_counts_for_the_address_that_wrote_it(database: Database, now: datetime) -> None:
    """The customer has moved since the last message: the new address wrote, and it is the new one that gets no more."""
    sent = one_sent(database, now)
    end(database, sent, Accepted(), now)
    moved = database.address_hash("new@customers.example")
    with database.writing() as connection:
        connection.execute(update(contact_points).values(address="new@customers.example", address_hash=moved))
    stop = ProviderEvent(
        name=EventName.REPLIED, at=now + HOUR, dedupe="x", address="new@customers.example", text="STOP"
    )
    record_events(database, [stop], provider="relay", now=now + HOUR, channel=Channel.EMAIL)
    with database.reading() as connection:
        assert connection.execute(select(suppressions.c.address_hash)).scalars().all() == [moved]


def test_a_report_about_nobody_is_kept(database: Database, now: datetime) -> None:
    """Another ledger's key, an unknown id: stored, counted as unmatched, and nothing else happens."""
    one_sent(database, now)
    stray = ProviderEvent(name=EventName.DELIVERED, at=now, dedupe="x", message_key="00000000-1")
    assert record_events(database, [stray], provider="relay", now=now).unmatched == 1


def test_stop_by_text_suppresses_and_start_lifts_it_but_never_a_bounce(database: Database, now: datetime) -> None:
    """An inbound STOP ends our right to write on that channel; START gives it back; a dead address stays dead."""
    sent = one_sent(database, now)
    end(database, sent, Accepted(), now)

    def text(words: str, at: datetime) -> None:
        record_events(
            database, [reported(database, sent.id, EventName.REPLIED, at, text=words)], provider="relay", now=at
        )

    def reasons() -> list[str]:
        with database.reading() as connection:
            return list(
                connection.execute(select(suppressions.c.reason).where(suppressions.c.lifted_at.is_(None))).scalars()
            )

    sent_row = row(database, sent.id)
    assert sent_row.sent_to == "c1@customers.example"
    text("STOP please", now + HOUR)
    assert reasons() == ["opted_out"]
    text("START", now + 2 * HOUR)
    assert reasons() == []
    record_events(
        database, [reported(database, sent.id, EventName.COMPLAINED, now + 3 * HOUR)], provider="relay", now=now
    )
    text("start", now + 4 * HOUR)
    assert reasons() == ["complained"]


@pytest.mark.parametrize(
    ("words", "name", "stamped"),
    [
        ("STOP please", EventName.OPTED_OUT, "opted_out_at"),
        ("start", EventName.OPTED_IN, None),
        ("Help!", EventName.OTHER, None),
        ("YES", EventName.REPLIED, "replied_at"),
        ("when does it end?", EventName.REPLIED, "replied_at"),
    ],
)
def test_a_word_of_command_is_no_reply(
    database: Database, now: datetime, words: str, name: EventName, stamped: str | None
) -> None:
    """Who writes STOP has not replied to a campaign, for rules and reports alike; the words are kept. A question has."""
    sent = one_sent(database, now)
    end(database, sent, Accepted(), now)
    told = reported(database, sent.id, EventName.REPLIED, now + HOUR, text=words)
    for _ in range(2):
        record_events(database, [told], provider="relay", now=now + HOUR)
    with database.reading() as connection:
        kept = connection.execute(select(events.c.name, events.c.properties["text"].as_string())).all()
    assert [tuple(each) for each in kept] == [(name, words)]
    stamps = row(database, sent.id)._mapping
    assert {each for each in ("replied_at", "opted_out_at") if stamps[each]} == ({stamped} if stamped else set())


def test_who_leaves_one_medium_has_not_left_another(database: Database, now: datetime) -> None:
    """A number is an address of SMS and of WhatsApp: a STOP, and a START, count on the channel of the provider that brought it."""
    number = "+358401234567"

    def text(words: str, channel: Channel) -> None:
        event = ProviderEvent(name=EventName.REPLIED, at=now, dedupe=f"{words}{channel}", address=number, text=words)
        record_events(database, [event], provider="texts", now=now, channel=channel)

    def stopped() -> set[str]:
        with database.reading() as connection:
            return set(
                connection.execute(select(suppressions.c.channel).where(suppressions.c.lifted_at.is_(None))).scalars()
            )

    text("STOP", Channel.WHATSAPP)
    assert stopped() == {"whatsapp"}
    text("STOP", Channel.SMS)
    assert stopped() == {"whatsapp", "sms"}
    text("START", Channel.SMS)
    assert stopped() == {"whatsapp"}


def test_a_chat_that_comes_in_where_texts_do_is_about_no_text(database: Database, now: datetime) -> None:
    """An event that names its channel is not about the newest message of another channel, though one provider brought both."""
    sent = one_sent(database, now)
    end(database, sent, Accepted(), now)
    number = "+358401234567"
    point = {"channel": "whatsapp", "address": number, "address_hash": database.address_hash(number)}
    with database.writing() as connection:
        connection.execute(insert(contact_points).values(customer_id=1, created_at=now, **point))
    chat = ProviderEvent(
        name=EventName.REPLIED, at=now + HOUR, dedupe="1", address=number, text="STOP", channel=Channel.WHATSAPP
    )
    record_events(database, [chat], provider="relay", now=now + HOUR, channel=Channel.EMAIL)
    with database.reading() as connection:
        assert connection.execute(select(suppressions.c.channel)).scalars().all() == ["whatsapp"]
    assert row(database, sent.id).opted_out_at is None


def test_a_part_of_a_text_is_a_reply_that_a_person_reads(database: Database, now: datetime) -> None:
    """A long text that comes in parts: STOP in one of them ends nothing by itself, and lets nothing commercial go meanwhile."""
    sent = one_sent(database, now)
    end(database, sent, Accepted(), now)
    told = reported(database, sent.id, EventName.REPLIED, now + HOUR, text="STOP", part=True, detail={"part": "2/2"})
    record_events(database, [told], provider="relay", now=now + HOUR)
    with database.reading() as connection:
        assert not connection.execute(select(suppressions)).all()
        assert connection.execute(select(replies.c.text, replies.c.settled_at)).all() == [("STOP", None)]
        kept = connection.execute(select(events.c.name, events.c.properties)).one()
    assert kept.name == EventName.REPLIED and kept.properties["part"] == "2/2"
    assert row(database, sent.id).replied_at == now + HOUR


def test_a_no_stands_even_where_its_report_comes_late(database: Database, now: datetime) -> None:
    """An opt-out of ten o'clock that is reported after an import's yes of eleven still ends our right to write."""
    sent = one_sent(database, now)
    end(database, sent, Accepted(), now)
    with database.writing() as connection:
        give(connection, 1, "offers", ConsentStatus.OPTED_IN, at=now + HOUR, source="import", proof="a stale file")
    told = reported(database, sent.id, EventName.OPTED_OUT, now)
    record_events(database, [told], provider="relay", now=now + 2 * HOUR)
    with database.reading() as connection:
        assert newest(connection, 1, "offers") == (ConsentStatus.OPTED_OUT, now + HOUR)


def test_a_receipt_in_doubt_is_handed_over_once_more_and_marked(database: Database, now: datetime) -> None:
    """at_least_once: exactly one marked re-send, and if that is in doubt too, unknown."""
    sent = one_sent(database, now, DeliveryClass.AT_LEAST_ONCE)
    end(database, sent, Ambiguous(code="timeout"), now)
    assert resolve(database, BLIND, now=now).resent == 0
    assert resolve(database, BLIND, now=now + LEASE).resent == 1
    again = take(database, now + LEASE)[0]
    assert again.possible_duplicate and again.first_sent_at == now
    second = begin(database, again, now + LEASE)
    assert second is not None
    end(database, second, Ambiguous(code="timeout"), now + LEASE)
    assert resolve(database, BLIND, now=now + 80 * HOUR).resent == 0
    assert state_of(database, sent.id) is State.UNKNOWN


def test_a_provider_that_knows_our_key_is_asked_again_within_its_window_only(database: Database, now: datetime) -> None:
    """The same key cannot double while the vendor remembers it; after that it could, so it is not used."""
    sent = one_sent(database, now)
    recover(database, now=now + LEASE)
    remembering = DoubtRules(
        promises=lambda name: Capabilities(channel=Channel.EMAIL, idempotency_window=HOUR),
        patience=LEASE,
        resolve_window=72 * HOUR,
    )
    assert resolve(database, remembering, now=now + HOUR).resent == 0
    assert resolve(database, remembering, now=now + LEASE).resent == 1
    assert not row(database, sent.id).possible_duplicate


def dropped(database: Database, message_id: int, now: datetime) -> State:
    record_events(database, [reported(database, message_id, EventName.REJECTED, now)], provider="relay", now=now)
    return state_of(database, message_id)


@pytest.mark.parametrize("end_of_it", [None, Ambiguous(code="timeout")])
def test_a_drop_that_is_reported_settles_the_one_hand_over_that_there_was(
    database: Database, now: datetime, end_of_it: Ambiguous | None
) -> None:
    """On its way, in doubt, or after a plain refusal: it can be about no other."""
    sent = one_sent(database, now)
    if end_of_it is not None:
        end(database, sent, NotSent(code="busy"), now)
        again = begin(database, take(database, now + HOUR)[0], now + HOUR)
        assert again is not None
        end(database, again, end_of_it, now + HOUR)
    assert dropped(database, sent.id, now + HOUR) is State.REJECTED


def test_a_drop_that_is_reported_settles_what_was_repeated_by_its_key(database: Database, now: datetime) -> None:
    """The vendor takes all of them for one message: but while one is on its way, its own answer says what became of it."""
    sent = one_sent(database, now)
    end(database, sent, Ambiguous(code="timeout"), now)
    remembering = replace(
        BLIND, promises=lambda name: Capabilities(channel=Channel.EMAIL, idempotency_window=24 * HOUR)
    )
    assert resolve(database, remembering, now=now + LEASE).resent == 1
    again = begin(database, take(database, now + LEASE)[0], now + LEASE)
    assert again is not None
    assert dropped(database, sent.id, now + LEASE) is State.SENDING
    end(database, again, Ambiguous(code="timeout"), now + LEASE)
    assert dropped(database, sent.id, now + HOUR) is State.REJECTED


@pytest.mark.parametrize("stands", [State.PENDING, State.CLAIMED, State.SENDING, State.IN_DOUBT, State.UNKNOWN])
def test_a_drop_that_is_reported_denies_no_other_hand_over(database: Database, now: datetime, stands: State) -> None:
    """Handed over once more and marked: nobody knows which of the two the vendor means, and the answer to the second counts."""
    sent = one_sent(database, now, DeliveryClass.AT_LEAST_ONCE)
    end(database, sent, Ambiguous(code="timeout"), now)
    assert resolve(database, BLIND, now=now + LEASE).resent == 1
    second = sent
    if stands is not State.PENDING:
        claimed = take(database, now + LEASE)[0]
        begun = begin(database, claimed, now + LEASE) if stands is not State.CLAIMED else None
        second = begun or second
    if stands in (State.IN_DOUBT, State.UNKNOWN):
        end(database, second, Ambiguous(code="timeout"), now + LEASE)
    if stands is State.UNKNOWN:
        assert resolve(database, BLIND, now=now + 80 * HOUR).given_up == 1
    assert state_of(database, sent.id) is stands
    assert dropped(database, sent.id, now + HOUR) is stands
    assert row(database, sent.id).bounced_at == now + HOUR
    if stands is State.SENDING:
        assert end(database, second, Accepted(), now + HOUR)
        assert state_of(database, sent.id) is State.ACCEPTED


def test_a_drop_may_be_about_the_hand_over_that_was_thought_never_to_have_arrived(
    database: Database, now: datetime
) -> None:
    """Made anew because the vendor, asked twice, had none; now it tells of a drop, and there were two: nobody knows of which."""
    sent = one_sent(database, now)
    end(database, sent, Ambiguous(code="timeout"), now)
    anew = {"state": State.PENDING.value, "doubt_since": None, "due_at": now}
    with database.writing() as connection:
        connection.execute(update(attempts).values(outcome=NEVER_ARRIVED))
        connection.execute(update(messages).values(anew))
    again = begin(database, take(database, now + HOUR)[0], now + HOUR)
    assert again is not None
    end(database, again, Ambiguous(code="timeout"), now + HOUR)
    assert dropped(database, sent.id, now + 2 * HOUR) is State.IN_DOUBT


@pytest.mark.parametrize("name", [EventName.REACTED, EventName.SHARED])
def test_a_like_of_something_else_proves_nothing(database: Database, now: datetime, name: EventName) -> None:
    """The customer's own message is in doubt; what they liked is another's post: theirs, and about no message of ours."""
    sent = one_sent(database, now)
    end(database, sent, Ambiguous(code="no_answer"), now)
    liked = ProviderEvent(
        name=name, at=now, dedupe="like", provider_message_id="another", address="c1@customers.example"
    )
    record_events(database, [liked], provider="relay", now=now, channel=Channel.EMAIL)
    assert row(database, sent.id).state == State.IN_DOUBT
    with database.reading() as connection:
        kept = connection.execute(select(events.c.customer_id, events.c.message_id)).one()
    assert tuple(kept) == (1, None)


def on_whatsapp(database: Database, now: datetime, **numbers: str) -> None:
    """Customers with a WhatsApp number each, as an import keeps it."""
    with database.writing() as connection:
        for name, number in numbers.items():
            made = insert(customers).values(external_id=name, attributes={}, created_at=now).returning(customers.c.id)
            address = normalise(Channel.WHATSAPP, number)
            point = {
                "customer_id": connection.execute(made).scalar_one(),
                "channel": Channel.WHATSAPP.value,
                "address": address,
                "address_hash": database.address_hash(address),
                "created_at": now,
            }
            connection.execute(insert(contact_points).values(point))


def suppressed(database: Database, number: str) -> bool:
    with database.reading() as connection:
        hashes = connection.execute(select(suppressions.c.address_hash)).scalars().all()
    return database.address_hash(number) in hashes


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        ("+525512345678", "+5215512345678"),
        ("+5531987654321", "+553187654321"),
        ("+553187654321", "+5531987654321"),
    ],
)
def test_a_stop_is_heard_however_whatsapp_writes_the_number(
    database: Database, now: datetime, kept: str, told: str
) -> None:
    """With a Mexican 1 that is no more, or without a Brazilian 9: it is the customer's number that is suppressed, once."""
    on_whatsapp(database, now, ana=kept)
    stop = ProviderEvent(name=EventName.REPLIED, at=now, dedupe="1", address=told, text="STOP")
    record_events(database, [stop], provider="chat", now=now, channel=Channel.WHATSAPP)
    assert suppressed(database, kept)
    with database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(suppressions)).scalar() == 1


def test_whoever_has_the_very_number_wrote(database: Database, now: datetime) -> None:
    """Another form of it is looked for only where nobody has this one."""
    on_whatsapp(database, now, ana="+5531987654321", ben="+553187654321")
    stop = ProviderEvent(name=EventName.REPLIED, at=now, dedupe="1", address="+553187654321", text="STOP")
    record_events(database, [stop], provider="chat", now=now, channel=Channel.WHATSAPP)
    assert suppressed(database, "+553187654321") and not suppressed(database, "+5531987654321")
