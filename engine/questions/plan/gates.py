"""What the gates would say to a whole audience, and what each of it would read.

No fate is guessed at. The audience comes by once, in chunks. Those who are alike in everything that a gate looks at are of one
kind: the first of them is asked about as a sender asks, by `gather` and `decide`, and the others are counted with it. What is
sent is written out for everybody of an audience of thousands, and for an even draw of a larger one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from heapq import nlargest
from itertools import chain
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Select, func, literal

from engine.addresses import country_of
from engine.campaigns.launch import STEP
from engine.campaigns.planned import CHUNK, Tally
from engine.model import Channel, Claim, Message, Reason
from engine.policy import Facts, Hold, Send, Withhold, decide, gather
from engine.policy.facts import Terms, recipients, terms_of
from engine.questions.plan.draw import Draw, spread
from engine.questions.plan.posting import Posting, posting, publishers
from engine.questions.plan.writing import Writing, Written
from engine.rules.campaign import Campaign
from engine.sending.runs import runs_before
from engine.settings import Settings
from engine.store.tables import contact_points, customers

MOST_HOLDS = 10
MOST_SHOWN = 5
"""So many of those with the longest values are written out in any case."""
FIRST, OTHERS = "the first", ("another", "one more")
"""Whose messages are shown where none is worse."""
PREFIX = 4
"""So much of a number tells countries apart, for the most part: + and a country's code."""
_End = tuple[str, int] | None
"""A message that can be written, for a number's country in so many parts; None for one that cannot."""
KIND = ("time_zone", "reached", "consent", "suppressed", "reply_waits")
"""What gates look at, beside what is counted under caps: customers alike in all of it meet the same fate."""


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
    variants: of a campaign that has some, how many are sent each. picks: customers worth showing, by why. posts: of a post to everybody, what each who publishes it would publish. read: how many messages were written out, where that was a draw from more; else None.
    """

    tally: Tally = field(default_factory=Tally)
    hours: Counter[str] = field(default_factory=Counter)
    held: Counter[Reason] = field(default_factory=Counter)
    withheld: Counter[Reason] = field(default_factory=Counter)
    texts: Counter[tuple[str, int]] = field(default_factory=Counter)
    flags: Counter[str] = field(default_factory=Counter)
    variants: Counter[str] = field(default_factory=Counter)
    picks: dict[str, int | None] = field(default_factory=dict)
    posts: list[Posting] = field(default_factory=list)
    read: int | None = None

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
        return terms_of(self.campaign)

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
    connection: Connection,
    asked: Asked,
    chosen: Select[tuple[int]] | None,
    flags: Mapping[str, ColumnElement[bool]],
    noted: FromClause | None = None,
) -> Outlook:
    """Ask about everybody in an audience, or, where there is none, about a post to everybody. `flags` are extra questions.
    noted: of whom alone gates know more than contact and consent; None where each is looked up.
    """
    stream = _Stream(connection, asked, flags)
    if chosen is None:
        stream.post()
        return stream.seen
    query = recipients(chosen, asked.terms, asked.settings, ("id", *KIND), now=asked.at, noted=noted)
    query = query.add_columns(*stream.columns, *flags.values()).order_by(customers.c.id)
    for part in connection.execute(query, execution_options={"yield_per": CHUNK}).partitions():
        stream.take(part)
    stream.read()
    return stream.seen


class _Stream:
    """An audience as it comes by, chunk after chunk. Memory stays the same, however many there are."""

    def __init__(self, connection: Connection, asked: Asked, flags: Iterable[str]) -> None:
        self.seen = Outlook()
        self._connection, self._asked, self._flags = connection, asked, tuple(flags)
        self._writing = asked.writing
        self._sms = asked.campaign.channel is Channel.SMS
        shape, size = self._writing.looks(connection.dialect.name) if self._writing else ((), literal(0))
        prefix = (func.substr(contact_points.c.address, 1, PREFIX),) if self._sms and self._writing else ()
        name = (customers.c.external_id,) if asked.campaign.has_arms else ()
        self.columns = (*shape, *prefix, *name, size)
        self._gates = len(KIND) + 2  # whether held out, what is the same for many, what is counted
        self._met: dict[Any, Fate] = {}  # by what gates look at
        self._fates: dict[Any, Fate] = {}  # by that, and what tells wordings apart
        self._draw: Draw[Any] = Draw()
        self._largest: list[tuple[int, int]] = []
        self._worst = {"longest": 0, "most values missing": 0}

    def take(self, rows: Sequence[Any]) -> None:
        ids = [row[0] for row in rows]
        hashes = self.seen.tally.add(ids)
        for place, name in enumerate(self._flags, start=-len(self._flags)):
            self.seen.flags[name] += sum(bool(row[place]) for row in rows)
        size = -1 - len(self._flags)
        kinds = [self._kind(row, size) for row in rows]
        self._learn_fates(dict(zip(reversed(kinds), reversed(ids), strict=True)))
        self._draw.add(kinds, hashes, ids)
        sent = {kind for kind in set(kinds) if self._is_sent(kind)}
        sizes = [(row[size], -one) for row, one, kind in zip(rows, ids, kinds, strict=True) if kind in sent]
        self._largest = nlargest(MOST_SHOWN, chain(self._largest, sizes))

    def _kind(self, row: Any, size: int) -> tuple[Any, ...]:
        """Whether held out, what gates and the template look at, the variant."""
        campaign = self._asked.campaign
        if not campaign.has_arms:
            return (False, *row[1:size], "")
        name = row[size - 1]
        return (campaign.holds_out(name), *row[1 : size - 1], campaign.reads(name))

    def read(self) -> None:
        """Write out the messages of those who were drawn, and tell from them what all are like."""
        drawn = self._draw.drawn()
        sent = [one for kind, some in drawn.items() for one in some if self._is_sent(kind)]
        written = self._write({*sent, *(-one for _, one in self._largest)})
        for kind, count in self._draw.of.items():
            fate = self._fates[kind]
            if not self._is_sent(kind):
                self.seen.count(fate, count)
                continue
            ends = Counter(written[one] for one in drawn[kind])
            for end, times in spread(ends, count).items():
                self._account(fate, kind[-1], end, times)
        if len(sent) < sum(count for kind, count in self._draw.of.items() if self._is_sent(kind)):
            self.seen.read = len(sent)

    def post(self) -> None:
        """A public post: a message for each who publishes it, without a customer."""
        asked, writing = self._asked, self._writing
        fate = asked.fate(asked.facts(self._connection, [None])[None])
        earlier = runs_before(self._connection, asked.campaign.campaign) if asked.campaign.variants else 0
        for name in publishers(asked.settings, asked.campaign) or ("",):
            if writing is None or fate.hour is None:
                self.seen.count(fate)
                continue
            post = posting(asked.settings, asked.folder, asked.campaign, writing, name, asked.at, earlier=earlier)
            self.seen.posts.append(post)
            withheld = Reason.TEMPLATE_ERROR if post.problem else Reason.REFUSED if post.refusal else None
            self.seen.count(Fate(withheld=withheld) if withheld else fate)

    def _is_sent(self, kind: Any) -> bool:
        return self._writing is not None and self._fates[kind].hour is not None

    def _learn_fates(self, firsts: Mapping[Any, int]) -> None:
        """The fates of new kinds, by the first customer of each."""
        new = {kind: first for kind, first in firsts.items() if kind not in self._fates}
        ahead = {kind[: self._gates]: first for kind, first in new.items() if kind[: self._gates] not in self._met}
        if ahead:
            facts = self._asked.facts(self._connection, list(ahead.values()))
            self._met |= {gates: self._asked.fate(facts[first]) for gates, first in ahead.items()}
        self._fates |= {kind: self._met[kind[: self._gates]] for kind in new}

    def _write(self, some: Collection[int]) -> dict[int, _End]:
        """What becomes of the messages of some customers, in the order of their ids."""
        found: dict[int, _End] = {}
        if self._writing is None:
            return found
        everyone, reads = sorted(some), self._asked.campaign.reads
        for part in (everyone[start : start + CHUNK] for start in range(0, len(everyone), CHUNK)):
            facts = self._asked.facts(self._connection, part)
            for one in part:
                customer = facts[one].customer
                written = self._writing.write(customer, reads(str(customer["id"])) if customer else "")
                found[one] = self._end(self._wrote(one, written), facts[one].address)
        return found

    def _end(self, written: Written, address: str | None) -> _End:
        if written.problem:
            return None
        return (country_of(address) if self._sms and address else "", written.parts)

    def _account(self, fate: Fate, variant: str, end: _End, times: int) -> None:
        if end is None:
            self.seen.count(Fate(withheld=Reason.TEMPLATE_ERROR), times)
            return
        self.seen.count(fate, times)
        if variant:
            self.seen.variants[variant] += times
        if self._sms:
            self.seen.texts[end] += times

    def _wrote(self, customer: int | None, written: Written) -> Written:
        """Remember who is worth showing: the first, the longest, one that cannot be written, or lacks the most; and two others, for
        one customer may be several of these.
        """
        picks = self.seen.picks
        if written.problem:
            picks.setdefault("cannot be written", customer)
            return written
        free = next((why for why in (FIRST, *OTHERS) if why not in picks), None)
        if free is not None:
            picks[free] = customer
        for why, size in (("longest", written.size), ("most values missing", written.missing)):
            if size > self._worst[why]:
                self._worst[why] = size
                picks[why] = customer
        return written
