"""The answer as values, and in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from engine.model import OPEN, Channel, MessageClass, Reason, State
from engine.questions.shown import distance
from engine.questions.trace import Node
from engine.questions.why.ahead import Change
from engine.questions.why.gates import Gate, Says
from engine.questions.why.history import Told
from engine.questions.why.reentry import Reentry
from engine.scalars import clock_time


@dataclass(frozen=True, kw_only=True, slots=True)
class Ahead:
    """What comes next, as long as the customer does nothing.

    eligible_at: from when the customer is in the audience, `as_of` where they are now; None where time alone does not
    bring it about. changes: what is different by then. start_at: the schedule's first start at which they are in the
    audience. gates: what the policy would say there, as things stand. leaves_at: when the message would leave; None
    where it would be withheld, or waits until somebody lets it go.
    """

    eligible_at: datetime | None
    changes: tuple[Change, ...]
    start_at: datetime | None
    gates: tuple[Gate, ...]
    leaves_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Why:
    """The answer about one customer (external id) and one campaign.

    time_zone: the shop's, by whose clocks words tell times. answer: the decision in sentences, the most important first.
    started_by: "schedule", "trigger", or "public" for a post to everybody, which nobody is chosen for. audience: the rule
    held against the customer; None where the campaign has none. variant: which of its texts the customer reads; empty where
    it has one, or holds the customer out. gates: what a pause, a launch that is held, a canary and
    the policy say to a message now; to a public post, the first two alone.
    """

    customer: str
    campaign: str
    description: str
    channel: Channel
    message_class: MessageClass
    as_of: datetime
    time_zone: str
    started_by: str
    answer: tuple[str, ...]
    audience: Node | None
    reentry: Reentry | None
    variant: str
    gates: tuple[Gate, ...]
    ahead: Ahead | None
    messages: tuple[Told, ...]

    @property
    def waiting(self) -> Told | None:
        """The newest message that has not ended yet."""
        return next((message for message in reversed(self.messages) if message.state in OPEN), None)


def answer(found: Why) -> Iterator[str]:
    """What was decided, and what comes next, in sentences."""
    yield from _stopped(found)
    if found.started_by == "public":
        yield "This campaign is a public post: it goes to everybody who follows, and chooses no customers."
        return
    newest = found.waiting or next(iter(found.messages[-1:]), None)
    if newest is not None and newest.state in (*OPEN, State.CANCELLED):
        yield _stands(found, newest)
    if found.started_by == "trigger":
        yield f"This campaign is started by a call. Called now, its message {_fate(found, found.gates)}."
    elif found.audience is not None and found.reentry is not None and found.ahead is not None:
        yield _standing(found, found.audience, found.reentry)
        yield from _next(found, found.ahead)


def _stopped(found: Why) -> Iterator[str]:
    """What somebody has to let go, and how."""
    for gate in found.gates:
        if gate.remedy:
            then = "" if gate.remedy in gate.facts else f" It goes on after {gate.remedy}."
            yield f"{gate.facts[:1].upper()}{gate.facts[1:]}.{then}"


def _stands(found: Why, message: Told) -> str:
    reason = f": {message.why}" if message.why else ""
    stopped = any(gate.decides and (gate.remedy or gate.reason is Reason.CANARY) for gate in found.gates)
    then = f"; next looked at {_at(found, message.due_at)}" if message.state is State.PENDING and not stopped else ""
    return f"Message {message.id} is {message.state.replace('_', ' ')}{reason}{then}."


def _standing(found: Why, audience: Node, kept: Reentry) -> str:
    if not audience.verdict:
        return "The customer is not in the audience now: see what does not hold below."
    if not kept.keeps_out:
        return "The customer is in the audience now."
    last = f" {_at(found, kept.last_owed_at)}" if kept.last_owed_at else ""
    out = f"until {_at(found, kept.until)}" if kept.until else kept.lasts
    return f"The rule holds, but the customer was owed this campaign already{last}: kept out {out}."


def _next(found: Why, ahead: Ahead) -> Iterator[str]:
    if ahead.eligible_at is None:
        if found.reentry is None or not found.reentry.for_ever:
            yield "Time alone does not change that, as far as can be told from what is recorded."
        if any(gate.decides and gate.says is Says.WITHHOLDS for gate in found.gates):
            yield f"Besides, the message {_fate(found, found.gates)}."
        return
    if ahead.eligible_at > found.as_of and (ahead.changes or ahead.eligible_at != _until(found)):
        yield f"Not yet: in the audience from {_at(found, ahead.eligible_at)} on, if nothing else happens.{_because(ahead)}"
    if ahead.start_at is None:
        yield "The campaign has no start in sight at which the customer is in the audience."
    else:
        yield f"Next start with this customer: {_at(found, ahead.start_at)}. The message {_fate(found, ahead.gates)}."


def _until(found: Why) -> datetime | None:
    return found.reentry.until if found.reentry else None


def _because(ahead: Ahead) -> str:
    """What is different by then."""
    told = [f'"{change.sentence}" {"holds" if change.verdict else "no longer holds"}' for change in ahead.changes]
    return f" By then {', and '.join(told)}." if told else ""


def _fate(found: Why, gates: tuple[Gate, ...]) -> str:
    return fate(gates, now=found.as_of, zone=ZoneInfo(found.time_zone))


def fate(gates: tuple[Gate, ...], *, now: datetime, zone: ZoneInfo) -> str:
    """What becomes of a message at the gates, to be said after "it": `would be withheld: …`. Times by the clocks of `zone`."""
    deciding = next((gate for gate in gates if gate.decides), None)
    if deciding is None:
        return "would leave at once"
    if deciding.until is not None:
        until = f"{clock_time(deciding.until, zone)} ({distance(deciding.until, now=now)})"
        return f"would wait until {until}: {deciding.why}"
    return f"would {'wait' if deciding.says is Says.HOLDS else 'be withheld'}: {deciding.why}"


def _at(found: Why, at: datetime) -> str:
    return f"{clock_time(at, ZoneInfo(found.time_zone))} ({distance(at, now=found.as_of)})"
