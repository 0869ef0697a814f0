"""The courier: a provider as a plugin author writes one, in the three kinds of vendors there are.

blind: it can neither be asked nor recognises our key. reconcilable: it can be asked what it has, after a while.
idempotent: it remembers our key. Found by the daemon through an entry point, like any other package's provider.
"""

from __future__ import annotations

import hmac
import json
import threading
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256

from engine.errors import ForgedWebhook
from engine.model import Channel, EventName
from engine.provider import (
    Accepted,
    Ambiguous,
    Answer,
    Capabilities,
    EmailContent,
    Finding,
    Http,
    NotFound,
    Outcome,
    Outgoing,
    Provider,
    ProviderEvent,
    ProviderSettings,
    SecretRef,
    Webhook,
    outcome_of_status,
)

SIGNATURE = "x-courier-signature"


class Kind(StrEnum):
    """What can be learned of a message whose answer was lost."""

    BLIND = "blind"
    RECONCILABLE = "reconcilable"
    IDEMPOTENT = "idempotent"


class CourierSettings(ProviderSettings):
    """settle_seconds: when its list is surely complete. ack_early: say yes before it has asked, as a negative control."""

    base_url: str
    api_key: SecretRef
    kind: Kind
    settle_seconds: int = 1
    webhooks: bool = False
    ack_early: bool = False


class Courier(Provider):
    Settings = CourierSettings
    settings: CourierSettings

    def __init__(self, settings: CourierSettings, *, http: Http) -> None:
        super().__init__(settings, http=http)
        self.capabilities = Capabilities(
            channel=Channel.EMAIL,
            idempotency_window=timedelta(hours=1) if settings.kind is Kind.IDEMPOTENT else None,
            settle_time=timedelta(seconds=settings.settle_seconds) if settings.kind is Kind.RECONCILABLE else None,
            key_suffices=True,
            echoes_key=settings.webhooks,
            webhooks=settings.webhooks,
            html=True,
            headers=True,
        )

    def send(self, outgoing: Outgoing, *, deadline: float) -> Outcome:
        if self.settings.ack_early:
            threading.Thread(target=self._post, args=(outgoing, deadline), daemon=True).start()
            return Accepted()
        return self._post(outgoing, deadline)

    def _post(self, outgoing: Outgoing, deadline: float) -> Outcome:
        assert isinstance(outgoing.content, EmailContent)
        letter = {"key": outgoing.key, "to": outgoing.to, "from": outgoing.sender, "at": outgoing.at.isoformat()}
        body = json.dumps({**letter, **asdict(outgoing.content)}).encode()
        named = {"Idempotency-Key": outgoing.key} if self.settings.kind is Kind.IDEMPOTENT else {}
        answer = self.http.call("POST", self._url(), deadline=deadline, headers={**self._who(), **named}, body=body)
        if not isinstance(answer, Answer):
            return answer
        if answer.good:
            return Accepted(provider_message_id=answer.fields().get("id"))
        return outcome_of_status(answer)

    def look_up(self, outgoing: Outgoing, *, deadline: float) -> Finding:
        asked = {"key": outgoing.key}
        answer = self.http.call("GET", self._url(), deadline=deadline, headers=self._who(), query=asked)
        if not isinstance(answer, Answer) or not answer.good or "found" not in answer.fields():
            return Ambiguous(code="no_answer")
        found = answer.fields()["found"]
        return Accepted(provider_message_id=found) if found else NotFound()

    def parse_events(self, webhook: Webhook, *, now: datetime) -> Sequence[ProviderEvent]:
        if webhook.headers.get(SIGNATURE) != signature(self.settings.api_key.reveal(), webhook.body):
            raise ForgedWebhook("the signature is not the courier's")
        return [
            ProviderEvent(
                name=EventName(item["event"]),
                at=datetime.fromisoformat(item["at"]),
                dedupe=f"{item['event']}-{item['id']}",
                message_key=item["key"],
                provider_message_id=item["id"],
            )
            for item in json.loads(webhook.body)
        ]

    def _url(self) -> str:
        return f"{self.settings.base_url}/messages"

    def _who(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.settings.api_key.reveal()}"}


def signature(api_key: str, body: bytes) -> str:
    """What stands over a webhook's body."""
    return hmac.new(api_key.encode(), body, sha256).hexdigest()
