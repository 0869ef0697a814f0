"""Many emails as one v3 mail/send request: what they share is written once, what differs stands at each recipient.

https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sendgrid.helpers.mail import (
    Category,
    ClickTracking,
    Content,
    Email,
    From,
    Mail,
    MailSettings,
    OpenTracking,
    Personalization,
    SandBoxMode,
    SubscriptionTracking,
    To,
    TrackingSettings,
)
from sendgrid.helpers.mail.exceptions import ApiKeyIncludedException
from sendgrid.helpers.mail.validators import ValidateApiKey

from channels import mime
from channels.sendgrid.substitution import Common, common, form, word_for
from engine.errors import ContentError
from engine.provider import EmailContent, Outgoing, safe_header, storable

OUR_KEY = "regulars_message"  # the custom argument that comes back, as a top-level key, on every event
MOST = 1000  # personalizations in a request
LONGEST = 10_000  # bytes of all substitutions of one personalization, tags and values
KINDS = ("text/plain", "text/html")
_api_key = ValidateApiKey()


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """One email, checked and ready for a request. `parts` are its text and, where it has one, its HTML."""

    outgoing: Outgoing
    sender: mime.Mailbox
    to: str
    subject: str
    headers: Mapping[str, str]
    parts: tuple[str, ...]

    @property
    def form(self) -> tuple[object, ...]:
        """Letters of one form may share a request. One that lacks something is alone: SendGrid shall refuse no other for it."""
        whole = all((self.subject, *self.parts))
        return self.sender, self.outgoing.campaign, *map(form, self.parts), None if whole else self.outgoing.key


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """Letters of one form, and what they have in common."""

    letters: Sequence[Letter]
    shared: Common

    def too_long(self) -> list[Letter]:
        """Those whose own values are more than SendGrid takes in substitutions."""
        tags = len("".join(self.shared.tags))
        sizes = (tags + len("".join(values).encode()) for values in self.shared.values)
        return [letter for letter, size in zip(self.letters, sizes, strict=True) if size > LONGEST]

    def body(self, *, tracking: bool, sandbox: bool) -> bytes:
        """The request's JSON."""
        first = self.letters[0]
        mail = Mail(from_email=_named(From(), first.sender.address, first.sender.name))
        for kind, text in zip(KINDS, self.shared.parts, strict=False):
            mail.add_content(Content(kind, text))
        for number, (letter, values) in enumerate(zip(self.letters, self.shared.values, strict=True)):
            mail.add_personalization(_personalization(letter, dict(zip(self.shared.tags, values, strict=True))), number)
        mail.add_category(Category(first.outgoing.campaign[:255]))
        mail.tracking_settings = TrackingSettings(
            click_tracking=ClickTracking(enable=tracking, enable_text=False),
            open_tracking=OpenTracking(enable=tracking),
            subscription_tracking=SubscriptionTracking(enable=False),
        )
        if sandbox:
            mail.mail_settings = MailSettings(sandbox_mode=SandBoxMode(enable=True))
        return json.dumps(mail.get()).encode()


def letter(outgoing: Outgoing) -> Letter:
    """Raises ContentError where this cannot be sent as an email."""
    content = outgoing.content
    if not isinstance(content, EmailContent):
        raise ContentError("an email needs a subject and a text")
    parts = (storable(content.text),) if content.html is None else (storable(content.text), storable(content.html))
    try:
        for part in parts:
            _api_key.validate_message_dict(part)
    except ApiKeyIncludedException as error:
        raise ContentError("the content begins with an API key") from error
    return Letter(
        outgoing=outgoing,
        sender=mime.sender(outgoing.sender),
        to=mime.address(outgoing.to or ""),
        subject=safe_header(content.subject),
        headers={**mime.custom_headers(content), "X-Regulars-Message": outgoing.key},
        parts=parts,
    )


def bundle(letters: Sequence[Letter]) -> Bundle:
    """Letters of one form, and what they have in common: all, where it is one letter."""
    messages = [letter.parts for letter in letters]
    if len(letters) == 1:
        return Bundle(letters=letters, shared=Common(parts=messages[0], tags=(), values=[()]))
    word = word_for(text for letter in letters for text in (letter.subject, *letter.parts))
    return Bundle(letters=letters, shared=common(messages, word=word))


def _personalization(letter: Letter, substitutions: Mapping[str, str]) -> Personalization:
    one = Personalization()
    one.add_to(_named(To(), letter.to, ""))
    one.subject = letter.subject
    one.headers = [letter.headers]
    one.custom_args = [{OUR_KEY: letter.outgoing.key}]
    one.substitutions = [substitutions] if substitutions else []
    return one


def _named(box: Any, address: str, name: str) -> Email:
    """Set both by hand: given only an address, the package's constructor would parse it."""
    box.email, box.name = address, name or None
    return box
