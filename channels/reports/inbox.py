"""Which mailbox an operator's settings are about."""

from __future__ import annotations

from channels.reports.imap import Imap
from channels.reports.maildir import Maildir
from channels.reports.settings import ImapSettings, MaildirSettings
from engine.provider import Inbox


def opened(settings: MaildirSettings | ImapSettings) -> Inbox:
    """The mailbox that these settings are about; nothing is opened yet."""
    match settings:
        case MaildirSettings():
            return Maildir(settings)
        case ImapSettings():
            return Imap(settings)
