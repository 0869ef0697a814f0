"""An address we must not write to: bounced, complained, opted out, or on the provider's own list. No class is exempt; only what
answers a STOP or HELP goes to who has opted out (`facts` leaves that out).
"""

from __future__ import annotations

from datetime import datetime

from engine.model import Reason
from engine.policy.facts import Facts
from engine.policy.verdict import Verdict, Withhold
from engine.settings import Settings


def gate(facts: Facts, _settings: Settings, _now: datetime) -> Verdict | None:
    if facts.suppressed is not None:
        return Withhold(reason=Reason.SUPPRESSED, detail=facts.suppressed.value)
    return None
