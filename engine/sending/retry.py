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
    """The next wait after `message.attempts` attempts, and whether another one is worth it: attempts and time are left.

    A vendor that asks to wait is obeyed, up to `LONGEST_WAIT`; that is no failure, and uses up time alone. A vendor that refuses us
    uses up neither: only what is too late to be of use (`not_after`) ends by that.
    """
    asked = outcome.retry_after if isinstance(outcome, NotSent) else None
    refused = isinstance(outcome, NotSent) and outcome.no_access
    ceiling = min(FIRST_WAIT * 2 ** min(message.attempts, 20), LONGEST_WAIT)
    wait = ceiling * jitter.random()
    if asked is not None:
        wait = min(max(asked, wait), LONGEST_WAIT)
    ends = [message.not_after] if message.not_after is not None else []
    if not refused:
        ends.append(message.owed_at + sending.retry_for)
    left = refused or asked is not None or message.attempts < sending.max_attempts
    return Retry(wait=wait, worthwhile=left and all(now + wait <= end for end in ends))
