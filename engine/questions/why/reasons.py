"""Every reason in words, for whoever asks why: what it means, and what changes it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

REASONS: Mapping[str, str] = MappingProxyType(
    {
        "holdout": "the customer is in the campaign's holdout: it sends them nothing, to see what it does to the others",
        "no_contact_point": "the customer has no address on this channel",
        "no_consent": "the purpose needs a yes, and the customer has not given one",
        "opted_out": "the customer said no to this purpose",
        "suppressed": "the address must not be written to any more",
        "quiet_hours": "it is quiet time where the customer is; the message waits until it is over",
        "frequency_cap": "the customer has had as many commercial messages as config.yaml allows",
        "reply_waits": "the customer wrote something that may be a no; it waits until somebody has read it (`regulars replies`)",
        "template_error": "the template could not be rendered for this customer",
        "not_later_than": "the campaign's time to be of use was over",
        "outside_window": "the medium takes free text only for a day after the customer wrote, and they did not; an approved template reaches everybody",
        "refused": "the provider refused it for good",
        "no_answer": "the message left and the provider did not answer: it may or may not have arrived",
        "sender_died": "the sender was stopped in the middle of the hand-over: it may or may not have arrived",
        "no_evidence": "nothing showed in time whether it arrived, and sending again could double it",
        "provider_down": "the provider does not work at present; it is tried again, or another one is",
        "no_access": "the provider refuses our credentials or our account: put that right (`regulars doctor`), and it leaves",
        "not_ready": "its image cannot be had yet, or the vendor still reads it; it is tried again, and holds up no other message",
        "rate_limited": "a rate is used up, or the provider asked to wait; it leaves when its place comes",
        "attempts_exhausted": "every attempt failed, and the time or number of attempts is used up",
        "paused": "the campaign is paused; it goes on when somebody resumes it",
        "sender_stopped": "the sender stopped before the hand-over; it is taken up again",
        "contact_changed": "what may be sent to the customer changed meanwhile; it is decided again",
        "lease_over": "the sender was too slow to begin under its lease; it is taken up again",
        "cancelled": "an operator stopped the run",
        "key_forgotten": "the provider no longer tells a second hand-over from the first, so that sending again could double it",
        "content_changed": "a setting that every message carries was changed, so that it cannot be handed over again as it was",
        "never_arrived": "the provider was asked twice and has never had it; it is handed over anew while there is time",
        "canary": "it waits until a first part of its run has left and gone well",
        "settled_by_hand": "somebody decided by hand what became of it; `regulars doubts settled` says who, and why",
        "fault": "a fault in Regulars or in a provider's code; the log has it",
        "run_spent": "its run has cost what it may (guards.spend.a_run); the campaign is paused",
        "day_spent": "the day's money is spent (guards.spend.a_day); it leaves tomorrow",
        "restored": "it may have left before the database was restored from a backup; nobody knows yet",
    }
)
"""By the ledger's word. A test holds this against `engine.model.Reason`: none is missing."""


def explained(reason: str | None) -> str:
    """A reason of the ledger in words; one that this version does not know stands as it is."""
    return REASONS.get(reason, reason) if reason else ""
