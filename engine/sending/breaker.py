"""A breaker for each provider: where most hand-overs fail, the others wait, and one after a while tries whether it works again.

Kept for each process alone: it protects messages from a provider that is down, and every process finds that out in a
second. What a vendor *says* about its limits is shared over the database, see `limits`.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from engine.model import Reason
from engine.provider import Ambiguous, NotSent, Outcome

log = structlog.get_logger()

IN_A_ROW = 5
"""So many one after the other that could not even begin, as there was no connection or we are refused, open it."""

LOOKED_AT, FAILING_SHARE, WITHIN = 20, 0.5, timedelta(minutes=1)
"""Of the last so many, within so long: more than this share without a yes or a no for the message itself opens it."""

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(minutes=5)
A_STEP = timedelta(seconds=2)
"""By no more than this do threads, and a clock that is corrected, differ about what time it is."""
PROBE_PATIENCE = timedelta(minutes=1)
"""A trial whose end nobody hears of holds up the next one for so long."""


@dataclass(kw_only=True, slots=True)
class _State:
    """One provider's. `pause` is None while it is closed; `opens_at`: when it may be tried; `trial`: since when it is.

    reason: what its messages wait for: that it works again, or that it lets us in again.
    """

    in_a_row: int = 0
    recent: deque[tuple[datetime, bool]] = field(default_factory=lambda: deque(maxlen=LOOKED_AT))
    pause: timedelta | None = None
    opens_at: datetime | None = None
    trial: datetime | None = None
    reason: Reason = Reason.PROVIDER_DOWN

    def tried_at(self, now: datetime) -> bool:
        """Whether a trial is under way; one of which nobody hears is over after a while, or when the clock is set back."""
        return self.trial is not None and self.trial - A_STEP <= now < self.trial + PROBE_PATIENCE

    def pauses_at(self, now: datetime) -> bool:
        """Whether the pause lasts; where more than all of it is left, the clock was set back, and it is over."""
        left = self.opens_at - now if self.opens_at is not None else timedelta()
        return timedelta() < left <= (self.pause or timedelta()) + A_STEP


class Breakers:
    """The breakers of all providers, shared by the senders of a process. Times are UTC."""

    def __init__(self) -> None:
        self._states: dict[str, _State] = {}
        self._lock = threading.Lock()

    def waits_until(self, provider: str, now: datetime) -> datetime | None:
        """Until when nothing goes to this provider: the pause, or a trial that has not ended. None where something may."""
        state = self._states.get(provider)
        if state is None or state.opens_at is None:
            return None
        if state.tried_at(now):
            return now + FIRST_PAUSE
        return state.opens_at if state.pauses_at(now) else None

    def reason(self, provider: str) -> Reason:
        """What the messages of a provider wait for."""
        state = self._states.get(provider)
        return state.reason if state is not None else Reason.PROVIDER_DOWN

    def tries(self, provider: str) -> bool:
        """Whether the next message to this provider is a trial."""
        state = self._states.get(provider)
        return state is not None and state.pause is not None

    def admit(self, provider: str, count: int, now: datetime) -> int:
        """How many of so many may leave now. After a pause it is one: the trial."""
        with self._lock:
            state = self._states.get(provider)
            if state is None or state.opens_at is None:
                return count
            if count == 0 or state.tried_at(now) or state.pauses_at(now):
                return 0
            state.trial = now
            return 1

    def not_tried(self, provider: str, since: datetime) -> None:
        """What was let in then did not leave: if it was a trial, the next one may try."""
        with self._lock:
            if (state := self._states.get(provider)) is not None and state.trial == since:
                state.trial = None

    def heard(self, provider: str, outcomes: Iterable[Outcome], now: datetime) -> None:
        """How hand-overs to this provider ended."""
        with self._lock:
            state = self._states.setdefault(provider, _State())
            for outcome in outcomes:
                _hear(state, provider, outcome, now)


def tells_nothing(outcome: Outcome) -> bool:
    """Whether it is no news about the provider: it works and asks to wait, a limit and no fault; or it is the message's own matter."""
    return isinstance(outcome, NotSent) and (outcome.retry_after is not None or outcome.alone)


def _hear(state: _State, provider: str, outcome: Outcome, now: datetime) -> None:
    if tells_nothing(outcome):
        state.trial = None
        return
    failed = isinstance(outcome, NotSent | Ambiguous)
    not_begun = isinstance(outcome, NotSent) and not outcome.begun
    if failed:
        refused = isinstance(outcome, NotSent) and outcome.no_access
        state.reason = Reason.NO_ACCESS if refused else Reason.PROVIDER_DOWN
    state.in_a_row = state.in_a_row + 1 if not_begun else 0
    state.recent.append((now, failed))
    if state.pause is not None:
        if state.trial is not None:  # else it is the answer to a hand-over from before the pause
            _end_trial(state, provider, failed, state.pause, now)
    elif _should_open(state, now):
        _open(state, provider, FIRST_PAUSE, now)


def _should_open(state: _State, now: datetime) -> bool:
    if state.in_a_row >= IN_A_ROW:
        return True
    recent = [failed for at, failed in state.recent if at > now - WITHIN]
    return len(recent) == LOOKED_AT and sum(recent) > FAILING_SHARE * LOOKED_AT


def _end_trial(state: _State, provider: str, failed: bool, pause: timedelta, now: datetime) -> None:
    if failed:
        _open(state, provider, min(pause * 2, LONGEST_PAUSE), now)
    else:
        log.info("the provider works again", provider=provider)
        state.pause = state.opens_at = state.trial = None
        state.recent.clear()
        state.in_a_row = 0


def _open(state: _State, provider: str, pause: timedelta, now: datetime) -> None:
    state.pause, state.opens_at, state.trial = pause, now + pause, None
    log.warning(_SAID[state.reason], provider=provider, seconds=int(pause.total_seconds()))


_SAID = {
    Reason.PROVIDER_DOWN: "the provider fails: its messages wait",
    Reason.NO_ACCESS: "the provider refuses our credentials or our account: its messages wait; `regulars doctor` says more",
}
