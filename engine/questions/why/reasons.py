"""Every reason in words, for whoever asks why: what it means, and what changes it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from engine.model import Reason

REASONS: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.NO_CONTACT_POINT: "the customer has no address on this channel",
        Reason.NO_CONSENT: "the purpose needs a yes, and the customer has not given one",
        Reason.OPTED_OUT: "the customer said no to this purpose",
        Reason.SUPPRESSED: "the address must not be written to any more",
        Reason.QUIET_HOURS: "it is quiet time where the customer is; the message waits until it is over",
        Reason.FREQUENCY_CAP: "the customer has had as many commercial messages as config.yaml allows",
        Reason.TEMPLATE_ERROR: "the template could not be rendered for this customer",
        Reason.NOT_LATER_THAN: "the campaign's time to be of use was over",
        Reason.REFUSED: "the provider refused it for good",
        Reason.NO_ANSWER: "the message left and the provider did not answer: it may or may not have arrived",
        Reason.SENDER_DIED: "the sender was stopped in the middle of the hand-over: it may or may not have arrived",
        Reason.NO_EVIDENCE: "nothing showed in time whether it arrived, and sending again could double it",
        Reason.PROVIDER_DOWN: "the provider could not be reached; it is tried again",
        Reason.RATE_LIMITED: "the provider asked to wait; it is tried again",
        Reason.ATTEMPTS_EXHAUSTED: "every attempt failed, and the time or number of attempts is used up",
        Reason.SENDER_STOPPED: "the sender stopped before the hand-over; it is taken up again",
        Reason.CONTACT_CHANGED: "what may be sent to the customer changed meanwhile; it is decided again",
        Reason.FAULT: "a fault in Regulars or in a provider's code; the log has it",
    }
)
"""A test holds this against `engine.model.Reason`: none is missing."""


def explained(reason: str | None) -> str:
    """A reason of the ledger in words; one that this version does not know stands as it is."""
    if reason is None:
        return ""
    return REASONS[Reason(reason)] if reason in frozenset(Reason) else reason
