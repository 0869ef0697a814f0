"""Commercial messages wait while it is quiet time where the recipient is. The window is wall-clock time in that zone."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from engine.model import MessageClass, Reason
from engine.policy.facts import Facts
from engine.policy.verdict import Hold, Verdict
from engine.scalars import first_instant
from engine.settings import QuietHours, Settings


def gate(facts: Facts, settings: Settings, now: datetime) -> Verdict | None:
    window = settings.quiet_hours.get(facts.channel)
    if window is None or facts.customer is None or facts.message_class is not MessageClass.COMMERCIAL:
        return None
    local = now.astimezone(facts.zone)
    if not is_quiet(window, local.time()):
        return None
    return Hold(until=end_of_quiet(window, local, facts.zone), reason=Reason.QUIET_HOURS)


def is_quiet(window: QuietHours, at: time) -> bool:
    """Whether a time of day lies in [from, to), which may run over midnight."""
    if window.start <= window.end:
        return window.start <= at < window.end
    return at >= window.start or at < window.end


def end_of_quiet(window: QuietHours, local: datetime, zone: ZoneInfo) -> datetime:
    """The first instant (UTC) at which the wall clock shows the window's end; where a clock change skips it, the first after."""
    day = local.date() if local.time() < window.end else local.date() + timedelta(days=1)
    return first_instant(datetime.combine(day, window.end), zone)
