"""The vendors' local stand-ins, each on a socket of its own, opened and closed together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from engine.demo.people import GONE_DOMAIN
from engine.testing.vendors.mastodon import MastodonVendor
from engine.testing.vendors.sendgrid import SendGridVendor
from engine.testing.vendors.smtp import SmtpVendor
from engine.testing.vendors.twilio import TwilioVendor


@dataclass(frozen=True, kw_only=True, slots=True)
class Vendors:
    """What the demo's messages are handed to; each keeps a record of what it took."""

    smtp: SmtpVendor
    sendgrid: SendGridVendor
    twilio: TwilioVendor
    mastodon: MastodonVendor


@contextmanager
def opened_vendors(secrets: Mapping[str, str]) -> Iterator[Vendors]:
    """All four, listening inside the `with`."""
    with ExitStack() as stack:
        yield Vendors(
            smtp=stack.enter_context(SmtpVendor(refuse=_refuse)),
            sendgrid=stack.enter_context(SendGridVendor(api_key=secrets["DEMO_SENDGRID_KEY"])),
            twilio=stack.enter_context(TwilioVendor(auth_token=secrets["DEMO_TWILIO_TOKEN"])),
            mastodon=stack.enter_context(MastodonVendor(access_token=secrets["DEMO_MASTODON_TOKEN"])),
        )


def _refuse(address: str) -> str | None:
    return "550 5.1.1 No such user here" if address.endswith(f"@{GONE_DOMAIN}") else None
