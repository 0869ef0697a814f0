"""When a message that was surely not taken is tried again: exponential back-off with full jitter, or as the vendor says."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from engine.ledger import outages
from engine.ledger.outages import NOTHING, Spared
from engine.ledger.settle import Retry
from engine.model import Message
from engine.provider import NotSent, Outcome
from engine.sending.breaker import LONGEST_PAUSE
from engine.sending.under import provider_key
from engine.settings import Sending
from engine.store import Database

FIRST_WAIT = timedelta(seconds=2)
LONGEST_WAIT, LONGEST_WHILE_DOWN = timedelta(hours=1), LONGEST_PAUSE


def retry(
    message: Message,
    outcome: Outcome,
    sending: Sending,
    *,
    now: datetime,
    jitter: random.Random,
    spared: Spared = NOTHING,
) -> Retry:
    """The next wait after `message.attempts` attempts, and whether another one is worth it: attempts and time are left.

    A vendor that asks to wait is obeyed, up to `LONGEST_WAIT`; that is no failure, and uses up time alone. A vendor that is not there
    uses up no attempts either, and is tried again as often as its breaker lets somebody; a vendor that refuses us uses up neither: only what
    is too late to be of use (`not_after`) ends by that. Nor does what is `spared`, nor does it make the wait longer.
    """
    asked = outcome.retry_after if isinstance(outcome, NotSent) else None
    refused = isinstance(outcome, NotSent) and outcome.no_access
    down = isinstance(outcome, NotSent) and outcome.down
    counted = message.attempts - spared.attempts.get(message.id, 0)
    free = refused or down or asked is not None
    tries, longest = message.attempts if refused or down else counted, LONGEST_WHILE_DOWN if down else LONGEST_WAIT
    ceiling = min(FIRST_WAIT * 2 ** min(tries, 20), longest)
    wait = ceiling * jitter.random()
    if asked is not None:
        wait = min(max(asked, wait), LONGEST_WAIT)
    ends = [message.not_after] if message.not_after is not None else []
    if not refused:
        ends.append(max(message.owed_at, spared.until) + sending.retry_for)
    left = free or counted < sending.max_attempts
    return Retry(wait=wait, worthwhile=left and all(now + wait <= end for end in ends))


def spared(
    database: Database, providers: Iterable[str], messages: Sequence[Message], sending: Sending, *, now: datetime
) -> Spared:
    """What does not count against messages about to be handed over to one of these providers: asked for those alone whose time
    or attempts may be over when the answer comes, which is within the lease.
    """
    soon = now + sending.lease + LONGEST_WAIT
    worn = [
        message.id
        for message in messages
        if message.attempts + 1 >= sending.max_attempts or message.owed_at + sending.retry_for < soon
    ]
    return outages.spared(database, [*map(provider_key, providers)], worn) if worn else NOTHING
