"""What an operator says about a mailbox for reports. It is Regulars' own: every mail in it is taken out or put aside."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

from channels.security import InWorkspace, Security, no_password_in_clear
from engine.provider import SecretRef, TextOrSecret

TAKEN, ASIDE = "regulars-taken", "regulars-aside"
"""The folders beside the inbox: what was read and stored, and what could not be."""

MOST_OCTETS = 1 << 20
"""So much of a mail is read: what it reports stands before the message that it returns."""

_PORTS = {Security.STARTTLS: 143, Security.TLS: 993, Security.NONE: 143}


class MaildirSettings(BaseModel):
    """maildir: the folder with `new` and `cur` in it, as Postfix, Dovecot and Exim deliver into."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    maildir: InWorkspace


class ImapSettings(BaseModel):
    """imap: the server's name. folder: as the server writes it. `ca_file`: the authority of a server of one's own."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    imap: str = Field(min_length=1, pattern=r"^[^\s/@]+$")
    port: int | None = Field(default=None, ge=1, le=65535)
    security: Security = Security.TLS
    username: TextOrSecret
    password: SecretRef
    folder: str = Field(default="INBOX", pattern=r'^[^"\\\x00-\x1f\x7f-\U0010ffff]+$')
    ca_file: InWorkspace | None = None

    @property
    def tcp_port(self) -> int:
        return self.port or _PORTS[self.security]

    @model_validator(mode="after")
    def _no_password_in_clear(self) -> ImapSettings:
        no_password_in_clear(self.security, self.imap, password=True)
        return self
