"""Why a customer gets a campaign, or does not, and when: the rule (`trace`), re-entry, the gates, the ledger, what comes next."""

from engine.questions.why.ahead import Change
from engine.questions.why.answer import Ahead, Why
from engine.questions.why.gates import Gate, Says
from engine.questions.why.history import LookedUp, Reported, Told, Tried
from engine.questions.why.question import why
from engine.questions.why.reasons import REASONS, explained
from engine.questions.why.reentry import Reentry

__all__ = [
    "REASONS", "Ahead", "Change", "Gate", "LookedUp", "Reentry", "Reported", "Says", "Told", "Tried", "Why", "explained", "why",
]  # fmt: skip
