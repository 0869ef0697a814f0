"""What an operator says about an SMTP server, and what is refused because it would show a password."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from channels.mailbox import address
from channels.reports.settings import ImapSettings, MaildirSettings
from channels.security import InWorkspace, Security, no_password_in_clear
from engine.errors import ContentError, ProviderError
from engine.provider import ProviderSettings, SecretRef, TextOrSecret

_NAME = r"^[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?$"
_PORTS = {Security.STARTTLS: 587, Security.TLS: 465, Security.NONE: 25}


class DkimSettings(BaseModel):
    """domain, selector: the public key stands in DNS at `SELECTOR._domainkey.DOMAIN`. The key is PEM.

    private_key: the environment variable that holds it, its line breaks as they are or written `\\n`. private_key_file: the
    file that holds it; a relative one lies in the workspace.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    domain: str = Field(pattern=_NAME)
    selector: str = Field(pattern=_NAME)
    private_key: SecretRef | None = None
    private_key_file: InWorkspace | None = None

    @model_validator(mode="after")
    def _one_key(self) -> DkimSettings:
        if (self.private_key is None) == (self.private_key_file is None):
            raise ValueError("give the key either as private_key or as private_key_file")
        return self

    def key(self) -> bytes:
        """The key's text. Raises SecretMissing, ProviderError."""
        if self.private_key is not None:
            return self.private_key.reveal().replace("\\n", "\n").encode()
        assert self.private_key_file is not None
        try:
            return self.private_key_file.read_bytes()
        except OSError as error:
            raise ProviderError(
                f"the DKIM key file cannot be read: {error.strerror}", remedy="See private_key_file in config.yaml."
            ) from error


class SmtpSettings(ProviderSettings):
    """host, and what the server asks for. `ca_file` holds the certificate authority of a server of one's own.

    return_path: the envelope's sender, where bounces go; the From address where it is left out. `{key}` in it stands for
    the message's sealed key, so that a bounce tells, and proves, which message it is about (VERP). dkim: how messages are
    signed here. reports: the mailboxes that bounces and complaints arrive in; each is ours alone.
    """

    host: str = Field(min_length=1, pattern=r"^[^\s/@]+$")
    port: int | None = Field(default=None, ge=1, le=65535)
    security: Security = Security.STARTTLS
    username: TextOrSecret | None = None
    password: SecretRef | None = None
    ca_file: InWorkspace | None = None
    return_path: str | None = None
    messages_per_connection: int = Field(default=100, ge=1)
    dkim: DkimSettings | None = None
    reports: tuple[MaildirSettings | ImapSettings, ...] = ()

    @property
    def tcp_port(self) -> int:
        return self.port or _PORTS[self.security]

    @field_validator("return_path")
    @classmethod
    def _an_address(cls, written: str | None) -> str | None:
        try:
            return written and address(written)
        except ContentError as error:
            raise ValueError(error.what) from error

    @model_validator(mode="after")
    def _no_password_in_clear(self) -> SmtpSettings:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password are given together or not at all")
        no_password_in_clear(self.security, self.host, password=self.password is not None)
        return self
