"""When a message that was surely not taken is tried again: exponential back-off with full jitter, or as the vendor says."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from engine.ledger.settle import Retry
from engine.model import Message
from engine.provider import NotSent, Outcome
from engine.settings import Sending

FIRST_WAIT = timedelta(seconds=2)
LONGEST_WAIT = timedelta(hours=1)


def retry(message: Message, outcome: Outcome, sending: Sending, *, now: datetime, jitter: random.Random) -> Retry:
    """The next wait after `message.attempts` attempts, and whether another one is worth it (attempts and time are left)."""
    asked = outcome.retry_after if isinstance(outcome, NotSent) else None
    ceiling = min(FIRST_WAIT * 2 ** min(message.attempts, 20), LONGEST_WAIT)
    wait = asked if asked is not None else ceiling * jitter.random()
    last = message.owed_at + sending.retry_for
    if message.not_after is not None:
        last = min(last, message.not_after)
    return Retry(wait=wait, worthwhile=message.attempts < sending.max_attempts and now + wait <= last)
