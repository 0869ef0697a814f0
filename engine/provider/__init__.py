"""What a provider is: the whole reading list of somebody who adds one.

A provider does three things: it builds the vendor's request, reads the vendor's answer, and reads the vendor's
webhooks. It never retries, never stores, never decides whether to send. Whatever happens, `send` *returns* one of four
outcomes; the difference between `NotSent` and `Ambiguous` is the difference between a retry and a doubled message, so
everything that is not surely "not sent" is `Ambiguous`.

A vendor that takes many messages in one request, or many connections at once, does better than one call a message:
`send_many`. A vendor that can be asked what it has tells what became of a message whose answer was lost: `look_up`.

To add one: subclass `Provider`, name it in the entry points `regulars.providers`, and let it pass `engine.testing.contract`.
Everything is imported from here. To be read in this order:

    outgoing      the message, as it is handed over
    outcome       how that ended
    base          Provider, with what may be overridden
    capabilities  what it promises; promises: what is refused because it does not
    settings      its block in config.yaml, and its secrets
    http          the client that it is given, and what a status proves
    reports       webhooks, and lists that are fetched
    look_up       after a lost answer
    texts         what comes from outside, made fit for headers, databases and logs
"""

from engine.images import GIF, JPEG, PNG, WEBP, ImageLimits, Picture
from engine.provider.base import HEARTBEAT_SECONDS, Provider
from engine.provider.capabilities import Capabilities
from engine.provider.http import (
    A_MOMENT,
    USUAL_WAIT,
    Http,
    outcome_of_status,
    prepared,
    retry_after,
    surely_not,
    told_to_wait,
    until_reset,
    verified,
)
from engine.provider.look_up import Remembered, found_out, taken_at, taken_then, which
from engine.provider.outcome import (
    NO_ACCESS,
    NOT_CONNECTED,
    Accepted,
    Ambiguous,
    Engagement,
    Finding,
    MailRecords,
    NotFound,
    NotSent,
    Outcome,
    Rejected,
    Verified,
    counted,
)
from engine.provider.outgoing import ApprovedTemplate, Content, EmailContent, Outgoing, TextContent, alt_of, text_of
from engine.provider.promises import refuse_what_is_not_promised, too_long
from engine.provider.reports import Fetched, Inbox, KeyOf, Polled, ProviderEvent, Webhook
from engine.provider.settings import ProviderSettings, Secret, SecretRef, TextOrSecret, reveal
from engine.provider.texts import safe_header, storable, without_personal
from engine.wire import Answer, DeadlineReader, time_left

__all__ = [
    "A_MOMENT",
    "GIF",
    "HEARTBEAT_SECONDS",
    "JPEG",
    "NOT_CONNECTED",
    "NO_ACCESS",
    "PNG",
    "USUAL_WAIT",
    "WEBP",
    "Accepted",
    "Ambiguous",
    "Answer",
    "ApprovedTemplate",
    "Capabilities",
    "Content",
    "DeadlineReader",
    "EmailContent",
    "Engagement",
    "Fetched",
    "Finding",
    "Http",
    "ImageLimits",
    "Inbox",
    "KeyOf",
    "MailRecords",
    "NotFound",
    "NotSent",
    "Outcome",
    "Outgoing",
    "Picture",
    "Polled",
    "Provider",
    "ProviderEvent",
    "ProviderSettings",
    "Rejected",
    "Remembered",
    "Secret",
    "SecretRef",
    "TextContent",
    "TextOrSecret",
    "Verified",
    "Webhook",
    "alt_of",
    "counted",
    "found_out",
    "outcome_of_status",
    "prepared",
    "refuse_what_is_not_promised",
    "retry_after",
    "reveal",
    "safe_header",
    "storable",
    "surely_not",
    "taken_at",
    "taken_then",
    "text_of",
    "time_left",
    "told_to_wait",
    "too_long",
    "until_reset",
    "verified",
    "which",
    "without_personal",
]
