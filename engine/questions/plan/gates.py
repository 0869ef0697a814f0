"""What the gates would say to a whole audience, and what each of it would read.

Nobody is guessed at. The audience comes by once, in chunks. Those who are alike in everything that a gate looks at are of
one kind: the first of them is asked about as a sender asks, by `gather` and `decide`, and the others are counted with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select

from engine.addresses import country_of
from engine.campaigns.launch import STEP
from engine.campaigns.planned import CHUNK, Tally
from engine.model import Channel, Claim, Message, Reason
from engine.policy import Facts, Hold, Send, Withhold, decide, gather
from engine.policy.facts import Terms, recipients
from engine.questions.plan.posting import Posting, posting, publishers
from engine.questions.plan.writing import Writing, Written
from engine.rules.campaign import Campaign
from engine.settings import Settings
from engine.store.tables import customers

MOST_HOLDS = 10
KIND = ("time_zone", "contact_point_id", "consent", "suppressed", "reply_waits")
"""What gates look at, beside the counts under each cap: customers alike in all of it meet the same fate."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fate:
    """What becomes of a message: sent in an hour of the recipient's own clock (`2026-03-02T10`), after waits, or not at all."""

    hour: str | None = None
    held: tuple[Reason, ...] = ()
    withheld: Reason | None = None


@dataclass(kw_only=True)
class Outlook:
    """A whole audience's fates, added up. Everybody is sent to or withheld; who is held is one of those who are sent to.

    texts: an SMS campaign's messages by country and parts. flags: for how many each extra question was answered with yes.
    picks: customers worth showing, by why. posts: of a post to everybody, what each who publishes it would publish.
    """

    tally: Tally = field(default_factory=Tally)
    hours: Counter[str] = field(default_factory=Counter)
    held: Counter[Reason] = field(default_factory=Counter)
    withheld: Counter[Reason] = field(default_factory=Counter)
    texts: Counter[tuple[str, int]] = field(default_factory=Counter)
    flags: Counter[str] = field(default_factory=Counter)
    picks: dict[str, int | None] = field(default_factory=dict)
    posts: list[Posting] = field(default_factory=list)

    @property
    def sent(self) -> int:
        return self.hours.total()

    def forget_fates(self) -> None:
        """Of a campaign that nobody will launch: who is in it is all there is to know."""
        for counter in (self.hours, self.held, self.withheld):
            counter.clear()

    def count(self, fate: Fate, times: int = 1) -> None:
        if fate.withheld is not None:
            self.withheld[fate.withheld] += times
        elif fate.hour is not None:
            self.hours[fate.hour] += times
            for reason in set(fate.held):
                self.held[reason] += times


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What is asked about: a campaign, sent at an instant (UTC) by these settings. `writing` is None where it has no template."""

    campaign: Campaign
    settings: Settings
    at: datetime
    writing: Writing | None
    folder: Path

    @property
    def terms(self) -> Terms:
        one = self.campaign
        return Terms(channel=one.channel, message_class=one.message_class, purpose=one.purpose)

    def facts(self, connection: Connection, ids: Collection[int | None]) -> dict[int | None, Facts]:
        """As a sender reads them, by customer."""
        batch = {number: _message(self, number, customer) for number, customer in enumerate(ids)}
        read = gather(connection, list(batch.values()), self.terms, self.settings, now=self.at)
        return {message.customer_id: read[number] for number, message in batch.items()}

    def fate(self, facts: Facts) -> Fate:
        """Decide now and, while a gate only holds, again when it lets go."""
        held: list[Reason] = []
        moment = self.at
        for _ in range(MOST_HOLDS):
            match decide(facts, self.settings, now=moment):
                case Withhold(reason=reason):
                    return Fate(withheld=reason, held=tuple(held))
                case Hold(until=until, reason=reason):
                    held.append(reason)
                    moment = until
                case Send():
                    break
        if self.settings.route(self.campaign.channel, self.campaign.message_class) is None:
            return Fate(withheld=Reason.REFUSED)
        return Fate(hour=f"{moment.astimezone(facts.zone):%Y-%m-%dT%H}", held=tuple(held))


def _message(asked: Asked, number: int, customer: int | None) -> Message:
    """The message that a launch at this instant would owe."""
    span = asked.campaign.not_later_than
    return Message(
        id=number,
        claim=Claim(message_id=number, epoch=0, owner="", lease_until=asked.at),
        run_id=0,
        campaign=asked.campaign.campaign,
        step=STEP,
        customer_id=customer,
        channel=asked.campaign.channel,
        attempts=0,
        owed_at=asked.at,
        not_after=asked.at + span if span is not None else None,
        first_sent_at=None,
        possible_duplicate=False,
    )


# ---------------------------------------------------------------- everybody


def outlook(
    connection: Connection, asked: Asked, chosen: Select[tuple[int]] | None, flags: Mapping[str, ColumnElement[bool]]
) -> Outlook:
    """Ask about everybody in an audience, or, where there is none, about a post to everybody. `flags` are extra questions."""
    stream = _Stream(connection, asked, flags)
    if chosen is None:
        stream.post()
        return stream.seen
    query = recipients(chosen, asked.terms, asked.settings, stream.columns, now=asked.at).order_by(customers.c.id)
    query = query.add_columns(*(flag.label(f"flag_{name}") for name, flag in flags.items()))
    for part in connection.execute(query, execution_options={"yield_per": CHUNK}).partitions():
        stream.take(part)
    return stream.seen


class _Stream:
    """An audience as it comes by, chunk after chunk. Memory stays the same, however many there are."""

    def __init__(self, connection: Connection, asked: Asked, flags: Iterable[str]) -> None:
        self.seen = Outlook()
        self._connection, self._asked, self._flags = connection, asked, tuple(flags)
        self._writing = asked.writing
        self._sms = asked.campaign.channel is Channel.SMS
        words = self._writing.columns if self._writing else ()
        self.columns = ("id", *KIND, *words, *(("address",) if self._sms else ()))
        self._words = slice(1 + len(KIND), 1 + len(KIND) + len(words))
        self._address = self._words.stop
        self._counts = slice(len(self.columns), -len(self._flags) or None)
        self._fates: dict[Any, Fate] = {}
        self._worst = {"longest": 0, "most values missing": 0}

    def take(self, rows: Sequence[Any]) -> None:
        self.seen.tally.add([row[0] for row in rows])
        for place, name in enumerate(self._flags, start=-len(self._flags)):
            self.seen.flags[name] += sum(bool(row[place]) for row in rows)
        kinds = [(row[1], row[2] is not None, *row[3 : 1 + len(KIND)], *row[self._counts]) for row in rows]
        self._learn_fates(rows, kinds)
        reached = [(row, self._fates[kind]) for row, kind in zip(rows, kinds, strict=True)]
        if self._writing is None:
            for fate, times in Counter(fate for _, fate in reached).items():
                self.seen.count(fate, times)
            return
        self._read(self._writing, reached)

    def post(self) -> None:
        """A public post: a message for each who publishes it, without a customer."""
        asked, writing = self._asked, self._writing
        fate = asked.fate(asked.facts(self._connection, [None])[None])
        for name in publishers(asked.settings, asked.campaign) or ("",):
            if writing is None or fate.hour is None:
                self.seen.count(fate)
                continue
            post = posting(asked.settings, asked.folder, asked.campaign, writing, name, asked.at)
            self.seen.posts.append(post)
            withheld = Reason.TEMPLATE_ERROR if post.problem else Reason.REFUSED if post.refusal else None
            self.seen.count(Fate(withheld=withheld) if withheld else fate)

    def _learn_fates(self, rows: Sequence[Any], kinds: Sequence[Any]) -> None:
        firsts = {kind: row[0] for row, kind in zip(reversed(rows), reversed(kinds), strict=True)}
        new = {kind: first for kind, first in firsts.items() if kind not in self._fates}
        if new:
            facts = self._asked.facts(self._connection, list(new.values()))
            self._fates |= {kind: self._asked.fate(facts[first]) for kind, first in new.items()}

    def _read(self, writing: Writing, reached: Sequence[tuple[Any, Fate]]) -> None:
        """What each of those who are sent to would read."""
        keys: list[str | None] = [
            writing.key(tuple(row[self._words]), row[1]) if fate.hour is not None else None for row, fate in reached
        ]
        new = {
            key: row[0]
            for key, (row, _) in zip(keys, reached, strict=True)
            if key is not None and writing.known(key) is None
        }
        read = {key: known for key in set(keys) - new.keys() if key is not None and (known := writing.known(key))}
        facts = self._asked.facts(self._connection, list(new.values())) if new else {}
        for one, customer in new.items():
            read[one] = self._wrote(customer, writing.write(one, facts[customer].customer))
        for key, (row, fate) in zip(keys, reached, strict=True):
            if key is None:
                self.seen.count(fate)
            else:
                self._account(fate, read[key], row)

    def _account(self, fate: Fate, written: Written, row: Any) -> None:
        if written.problem:
            self.seen.count(Fate(withheld=Reason.TEMPLATE_ERROR))
            return
        self.seen.count(fate)
        if self._sms and row is not None:
            self.seen.texts[country_of(row[self._address]), written.parts] += 1

    def _wrote(self, customer: int | None, written: Written) -> Written:
        """Remember who is worth showing: the first, the longest, one that cannot be written, or lacks the most."""
        picks = self.seen.picks
        if written.problem:
            picks.setdefault("cannot be written", customer)
            return written
        picks.setdefault("the first", customer)
        for why, size in (("longest", written.size), ("most values missing", written.missing)):
            if size > self._worst[why]:
                self._worst[why] = size
                picks[why] = customer
        return written
