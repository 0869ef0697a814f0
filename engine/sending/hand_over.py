"""Groups of messages handed over: hop 7. Their intents in one commit, all on their way at once, their answers in one commit."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from engine.errors import StoreError
from engine.ledger import hand_over as ledger
from engine.ledger.brakes import stop
from engine.ledger.outages import NOTHING, Spared
from engine.ledger.settle import OWN_FAULT, Ended, settle
from engine.ledger.spending import money
from engine.model import Message, Reason
from engine.policy import Facts
from engine.provider import Ambiguous, NotSent, Outcome, Outgoing, Provider
from engine.sending.prepare import Desk, Leaving, prepare
from engine.sending.retry import retry, spared
from engine.sending.runs import Launched

log = structlog.get_logger()

SETTLE_SECONDS = 0.05
"""An answer waits at most about so long for others to be written down with it."""
LAST_SECONDS = 10.0
"""For so long a sender that must stop tries to write answers down."""

FAULT_WAIT = timedelta(seconds=1)
"""What could not leave for a fault of ours comes again after so long, or longer the more often it did."""

LOOKED_UP = 8
"""After so many messages written, a sender looks at the clock, and whether it is to end; and before each group leaves."""

_KEPT_WORDS = {ledger.Held: "held", ledger.Withheld: "withheld", ledger.Doubted: "in_doubt"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Claimed:
    """A claimed message, with its run and what is known about its customer."""

    message: Message
    run: Launched
    facts: Facts


def hand_over_batch(desk: Desk, batch: Iterator[Claimed]) -> Iterator[str]:
    """Decide about claimed messages and hand over those that may leave, those of many runs beside each other. Yields a word
    for each.
    """
    kept: list[ledger.Kept] = []
    suspects: list[Leaving] = []
    groups: dict[str, list[Leaving]] = defaultdict(list)
    sizes: dict[str, int] = {}
    for place, claimed in enumerate(batch):
        message = claimed.message
        if place % LOOKED_UP == 0 and _too_late(desk):
            yield from _put_back(desk, [message, *(late.message for late in batch)])
            break
        prepared = prepare(desk, message, claimed.run, claimed.facts)
        if not isinstance(prepared, Leaving):
            kept.append(prepared)
            continue
        if message.suspect:
            suspects.append(prepared)
            continue
        name = prepared.intent.provider
        if name not in sizes:
            sizes[name] = _group_size(desk, prepared.provider)
        groups[name].append(prepared)
        if len(groups[name]) >= sizes[name]:
            yield from _leave(desk, groups.pop(name))
    ledger.keep(desk.database, kept, now=desk.now())
    yield from (_KEPT_WORDS[type(one)] for one in kept)
    yield from _doubted(desk, suspects)
    for group in groups.values():
        yield from _leave(desk, group)


def _group_size(desk: Desk, provider: Provider) -> int:
    """A fair share of what may be on its way: while one sender's group waits for its answers, another sender writes one."""
    slots = desk.slots.open_to(provider, bulk=desk.bulk)
    share = slots // (1 if provider.one_caller else desk.setup.workspace.settings.sending.threads)
    return max(1, min(provider.batch_limit, share))


def _leave(desk: Desk, group: Sequence[Leaving]) -> Iterator[str]:
    """Hand over a provider's group, as much at once as there are slots."""
    name, provider, rest = group[0].intent.provider, group[0].provider, group
    while rest:
        with desk.slots.of(name, provider, most=len(rest), bulk=desk.bulk, stopping=desk.stopping) as free:
            if _too_late(desk):
                yield from _put_back(desk, [late.message for late in rest])
                return
            yield from _hand_over(desk, provider, rest[:free])
            rest = rest[free:]


def _too_late(desk: Desk) -> bool:
    return desk.stopping() or desk.too_late


def _put_back(desk: Desk, unsent: Sequence[Message]) -> Iterator[str]:
    ledger.release(desk.database, [(message, Reason.SENDER_STOPPED) for message in unsent], now=desk.now())
    yield from ("released" for _ in unsent)


def _hand_over(desk: Desk, provider: Provider, group: Sequence[Leaving]) -> Iterator[str]:
    """The provider's call, between two commits. After the first one every way out of here settles every message."""
    admitted_at = desk.now()
    group, waiting = desk.limits.admit(group, desk.expected, bulk=desk.bulk, now=admitted_at)
    ledger.keep(desk.database, waiting, now=desk.now())
    yield from ("held" for _ in waiting)
    if not group:
        return
    name = group[0].intent.provider
    own = _spared(desk, name, group)
    refused = _begin(desk, group)
    yield from (why.value for why in refused.values())
    if len(refused) == len(group):
        desk.limits.breakers.not_tried(name, admitted_at)
    begun = {one.outgoing.key: one for one in group if one.message.id not in refused}
    answered: list[Ended] = []
    written_at = time.monotonic()
    for answer in _answers(desk, provider, [*begun.values()]):
        if answer is not None:
            outgoing, outcome = answer
            answered.append(_ended(desk, begun.pop(outgoing.key), outcome, own))
        if answered and (not begun or time.monotonic() - written_at > SETTLE_SECONDS):
            _settle_until_written(desk, answered)
            desk.limits.heard(name, [one.outcome for one in answered], desk.now())
            yield from (type(one.outcome).__name__.lower() for one in answered)
            answered, written_at = [], time.monotonic()


def _begin(desk: Desk, group: Sequence[Leaving]) -> dict[int, Reason]:
    """The intents, on disk. Returns why some may not leave, which go back."""
    refused = ledger.begin(desk.database, [one.intent for one in group], now=desk.now())
    unsent = [(one.message, refused[one.message.id]) for one in group if one.message.id in refused]
    back = [(message, why) for message, why in unsent if why not in (Reason.CANCELLED, Reason.DAY_SPENT)]
    ledger.release(desk.database, back, now=desk.now())
    _hold_back(desk, [one for one in group if refused.get(one.message.id) in _SPENT], refused)
    return refused


_SPENT = (Reason.RUN_SPENT, Reason.DAY_SPENT)


def _hold_back(desk: Desk, dear: Sequence[Leaving], refused: Mapping[int, Reason]) -> None:
    """What does not fit under a cap: of a day, it waits for the next; of a run, its campaign is paused."""
    held, over = [], dict[int, Leaving]()
    for one in dear:
        message, why = one.message, refused[one.message.id]
        until = max((cap.ends for cap in one.intent.cost.caps if cap.reason is why and cap.ends), default=None)
        if until is not None:
            held.append(ledger.Held(message=message, until=until, reason=why))
            if desk.bulk:
                desk.limits.spent(message.run_id, until)
            continue
        over[message.run_id] = one
    ledger.keep(desk.database, held, now=desk.now())
    for run_id, one in over.items():
        most = next(cap.most for cap in one.intent.cost.caps if cap.reason is Reason.RUN_SPENT)
        allowed = f"{money(most):,.2f} {desk.setup.workspace.settings.currency}"
        why_paused = f"run {run_id} may cost {allowed} and would cost more (guards.spend.a_run)"
        stop(desk.database, one.message.campaign, why=why_paused, now=desk.now())


def _doubted(desk: Desk, suspects: Sequence[Leaving]) -> Iterator[str]:
    """Messages that may have left in a time of which a restored database knows nothing: written down as they would leave, and
    in doubt at once. Nothing is handed over; look-ups, reports and the class's rule go on from there.
    """
    if not suspects:
        return
    refused = _begin(desk, suspects)
    yield from (why.value for why in refused.values())
    doubt = Ambiguous(code=Reason.RESTORED.value, detail="it may have left before the database was restored")
    ended = [_ended(desk, one, doubt) for one in suspects if one.message.id not in refused]
    _settle_until_written(desk, ended)
    yield from ("in_doubt" for _ in ended)


def _answers(desk: Desk, provider: Provider, begun: Sequence[Leaving]) -> Iterator[tuple[Outgoing, Outcome] | None]:
    """How each hand-over ended, and None now and then meanwhile. What a provider that breaks its contract did, nobody knows."""
    batch = [one.outgoing for one in begun]
    if fault := _own_fault(desk, begun):
        yield from ((outgoing, fault) for outgoing in batch)
        return
    missing = {outgoing.key: outgoing for outgoing in batch}
    deadline = time.monotonic() + desk.setup.workspace.settings.sending.deadline.total_seconds()
    broken = "no outcome"
    try:
        for answer in provider.send_many(batch, deadline=deadline) if batch else ():
            if answer is None or missing.pop(answer[0].key, None) is not None:
                yield answer
    except Exception as error:  # a provider should return, never raise
        log.exception("the provider raised", provider=type(provider).__name__)
        broken = type(error).__name__
    yield from ((outgoing, Ambiguous(code="provider_error", detail=broken)) for outgoing in missing.values())


def _own_fault(desk: Desk, begun: Sequence[Leaving]) -> NotSent | None:
    """Why nothing of this may leave, though its intents are on disk: they took so long that somebody else may soon have the
    messages, or nobody would witness it. No vendor is to blame, and no message loses a try by it.
    """
    if desk.too_late:
        return NotSent(code=OWN_FAULT, detail="the database was too slow", alone=True, retry_after=FAULT_WAIT)
    try:
        if desk.witness and begun:
            desk.witness.note(begun[-1].message.id, begun[-1].message.attempts + 1)
    except OSError as error:
        why = f"the witness of what leaves cannot be written ({error.strerror})"
        log.error("nothing is sent", why=why)
        return NotSent(code=OWN_FAULT, detail=why, alone=True, retry_after=FAULT_WAIT)
    return None


def _spared(desk: Desk, name: str, group: Sequence[Leaving]) -> Spared:
    sending = desk.setup.workspace.settings.sending
    return spared(desk.database, [name], [one.message for one in group], sending, now=desk.now())


def _ended(desk: Desk, sent: Leaving, outcome: Outcome, own: Spared = NOTHING) -> Ended:
    message = replace(
        sent.message, attempts=sent.message.attempts + 1, sent_to=sent.outgoing.to, provider=sent.intent.provider
    )
    sending = desk.setup.workspace.settings.sending
    plan = retry(message, outcome, sending, now=desk.now(), jitter=desk.jitter, spared=own)
    return Ended(message=message, outcome=outcome, retry=plan, cost=sent.intent.cost)


def _settle_until_written(desk: Desk, ended: Sequence[Ended]) -> None:
    """Never go on before these answers are on disk, however long that takes: what is known to be taken shall not be in doubt. A
    sender that must stop gives them some time more, and then leaves them to the lease.
    """
    again, wait, last = False, 0.05, math.inf
    while True:
        try:
            settle(desk.database, ended, now=desk.now(), again=again)
        except (StoreError, SQLAlchemyError):
            if not again:
                log.exception("answers cannot be written yet", messages=len(ended))
            last = min(last, time.monotonic() + LAST_SECONDS) if desk.stopping() else last
            if time.monotonic() > last:
                raise
            time.sleep(wait)
            again, wait = True, min(wait * 2, 1.0)
        else:
            if again:
                log.info("answers are written after all", messages=len(ended))
            return
