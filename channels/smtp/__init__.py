"""Email through any SMTP server: kept connections, pipelining, one deadline a message, a clear line at the final dot.

`settings` is what an operator says, `connection` the conversation, `evidence` what the end of a hand-over proves; `batch`
gives messages to the connections of the `pool`, and `switch` drives them all in one thread. `dkim` signs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from channels import mime
from channels.security import Security
from channels.smtp.batch import Batch
from channels.smtp.connection import Connection, NotOffered, Refusal, Steps
from channels.smtp.evidence import Envelope, Sign
from channels.smtp.pool import Pool
from channels.smtp.settings import SmtpSettings
from channels.smtp.switch import Slot, Switch
from engine.errors import ProviderError, SecretMissing
from engine.model import Channel
from engine.provider import Capabilities, Inbox, MailRecords, Outcome, Outgoing, Provider, Verified


class Smtp(Provider):
    """https://www.rfc-editor.org/rfc/rfc5321"""

    Settings = SmtpSettings
    settings: SmtpSettings
    one_caller = True
    capabilities = Capabilities(channel=Channel.EMAIL, html=True, headers=True, inboxes=True)

    def __init__(self, settings: SmtpSettings, *, http: Any) -> None:
        super().__init__(settings, http=http)
        self.pool = Pool(settings)

    def send(self, outgoing: Outgoing, *, deadline: float) -> Outcome:
        ((_, outcome),) = filter(None, self.send_many([outgoing], deadline=deadline))
        return outcome

    def send_many(self, batch: Sequence[Outgoing], *, deadline: float) -> Iterator[tuple[Outgoing, Outcome] | None]:
        """Each message over a connection of its own, as many at once as `connections` says; the rest follows.

        The calling thread drives them all. Dropped half-way, it leaves the connections that were in the middle of a message.
        """
        return Batch(batch, pool=self.pool, compose=self._compose, words=self.words, deadline=deadline).run()

    def verify(self, *, deadline: float) -> Verified:
        """Connect, protect, greet and log in; then say goodbye."""
        slot = Slot(connection=Connection(deadline))
        ended: list[Verified] = []
        slot.steps = self._introduced(slot, ended)
        switch = Switch()
        try:
            switch.start(slot)
            while switch.busy:
                switch.turn()
        finally:
            switch.close()
        return ended[0]

    def _introduced(self, slot: Slot, ended: list[Verified]) -> Steps[None]:
        connection = slot.connection
        assert connection is not None
        try:
            yield from self.pool.open(connection)
        except Refusal as error:
            ended.append(Verified(good=False, detail=f"the server refuses {error.step} ({error.code})"))
        except (NotOffered, SecretMissing) as error:
            ended.append(Verified(good=False, detail=error.args[0], remedy=error.remedy))
        except (OSError, ValueError) as error:
            ended.append(Verified(good=False, detail=f"no connection ({type(error).__name__})"))
        else:
            ended.append(Verified(good=True, detail="logged in" if self.settings.username else "connected"))
            yield from connection.quit()
        connection.abandon()

    def mail_records(self, sender: str) -> MailRecords:
        back, dkim, domain = self.settings.return_path, self.settings.dkim, mime.sender(sender).domain
        envelope = back.rpartition("@")[2] if back else domain
        if dkim is None:
            return MailRecords(domain=domain, envelope=envelope)
        from channels.smtp.dkim import public_key

        try:
            key = public_key(dkim)
        except (SecretMissing, ProviderError):
            key = None
        return MailRecords(domain=domain, envelope=envelope, dkim={f"{dkim.selector}._domainkey.{dkim.domain}": key})

    @cached_property
    def inboxes(self) -> Sequence[Inbox]:
        from channels.reports.inbox import opened  # only for those who have one

        return [opened(mailbox) for mailbox in self.settings.reports]

    def close(self) -> None:
        super().close()
        switch = Switch()
        try:
            for connection in self.pool.empty():
                switch.start(Slot(connection=connection, steps=connection.quit()))
            while switch.busy:
                switch.turn()
        finally:
            switch.close()

    def _compose(self, outgoing: Outgoing) -> Envelope:
        """Raises ContentError where the message cannot be sent at all; SecretMissing, ProviderError for a missing key."""
        letter, back = mime.compose(outgoing), self.settings.return_path
        origin = back.replace("{key}", outgoing.sealed_key) if back else letter.origin
        return Envelope(outgoing=outgoing, origin=origin, letter=letter, sign=self._sign)

    @cached_property
    def _sign(self) -> Sign | None:
        if self.settings.dkim is None:
            return None
        from channels.smtp.dkim import Signer  # only for those who sign: it takes a while to load

        return Signer(self.settings.dkim)


__all__ = ["Security", "Smtp", "SmtpSettings"]
