"""Who is held out gets nothing of a campaign. Asked first: an arm is the whole draw, whatever other gates say of those in it."""

from __future__ import annotations

from datetime import datetime

from engine.model import Reason
from engine.policy.facts import Facts
from engine.policy.verdict import Verdict, Withhold
from engine.settings import Settings


def gate(facts: Facts, _settings: Settings, _now: datetime) -> Verdict | None:
    return Withhold(reason=Reason.HOLDOUT) if facts.held_out else None
