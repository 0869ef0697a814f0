"""Consent of a contact point for a purpose. A commercial text to somebody's phone always needs a yes, whatever the purpose says."""

from __future__ import annotations

from datetime import datetime

from engine.model import Channel, ConsentRule, ConsentStatus, MessageClass, Reason
from engine.policy.facts import Facts
from engine.policy.verdict import Verdict, Withhold
from engine.settings import Settings

NEEDS_A_YES = frozenset({Channel.SMS, Channel.WHATSAPP, Channel.MESSENGER, Channel.TELEGRAM})


def gate(facts: Facts, _settings: Settings, _now: datetime) -> Verdict | None:
    if facts.customer is None:
        return None
    commercial = facts.message_class is MessageClass.COMMERCIAL
    strict = facts.consent_rule is ConsentRule.OPT_IN or (commercial and facts.channel in NEEDS_A_YES)
    if facts.consent is ConsentStatus.OPTED_OUT and (commercial or facts.consent_rule is not ConsentRule.NONE):
        return Withhold(reason=Reason.OPTED_OUT)
    if strict and facts.consent is None:
        return Withhold(reason=Reason.NO_CONSENT)
    return None
