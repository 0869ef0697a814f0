"""Social messages through a Mastodon server: a public post, or a direct one that names its one reader.

https://docs.joinmastodon.org/methods/statuses/#create
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum

from pydantic import Field

from engine.errors import SecretMissing
from engine.model import Channel
from engine.provider import (
    Accepted,
    Answer,
    Capabilities,
    NotSent,
    Outcome,
    Outgoing,
    Provider,
    ProviderSettings,
    Rejected,
    SecretRef,
    TextContent,
    outcome_of_status,
    storable,
)

_HANDLE = re.compile(r"^@[\w.-]+(?:@[\w.-]+)?\Z")
_DEFUSED = "@\u200b"
_MENTION = re.compile(r"(?<![\w=/@])@(?=\w)")


class Visibility(StrEnum):
    """Who sees a post. A message to one person is always `direct`."""

    PUBLIC = "public"
    UNLISTED = "unlisted"
    PRIVATE = "private"


class MastodonSettings(ProviderSettings):
    """server: where the account lives. access_token: of an application with the scope write:statuses."""

    server: str = Field(pattern=r"^https?://[^\s]+$")
    access_token: SecretRef
    visibility: Visibility = Visibility.PUBLIC


class Mastodon(Provider):
    """Mastodon remembers an Idempotency-Key for up to an hour; ten minutes of it are left as a margin."""

    Settings = MastodonSettings
    settings: MastodonSettings
    capabilities = Capabilities(
        channel=Channel.SOCIAL, idempotency_window=timedelta(minutes=50), posts=True, direct=True
    )

    def send(self, outgoing: Outgoing, *, deadline: float) -> Outcome:
        text = storable(outgoing.content.text) if isinstance(outgoing.content, TextContent) else ""
        if outgoing.to is not None and not _HANDLE.match(outgoing.to):
            return Rejected(code="unsendable", detail="this is not a handle")
        try:
            token = self.settings.access_token.reveal()
        except SecretMissing as error:
            return NotSent(code="set_up", detail=error.what)
        answer = self.http.call(
            "POST",
            f"{self.settings.server.rstrip('/')}/api/v1/statuses",
            deadline=deadline,
            headers={"Authorization": f"Bearer {token}", "Idempotency-Key": outgoing.key},
            body=self._status(text, outgoing.to),
        )
        if not isinstance(answer, Answer):
            return answer
        fields = answer.fields()
        if answer.good:
            return Accepted(provider_message_id=storable(fields.get("id")) or None)
        return outcome_of_status(answer, detail=self.words(fields.get("error"), outgoing))

    def _status(self, text: str, to: str | None) -> Mapping[str, str]:
        """Whom a direct post names is who reads it: so no handle but the recipient's may stay one."""
        if to is None:
            return {"status": text, "visibility": self.settings.visibility}
        return {"status": f"{to} {_MENTION.sub(_DEFUSED, _without(to, text))}", "visibility": "direct"}


def _without(handle: str, text: str) -> str:
    """The text without a leading mention of its own recipient, which is put before it anyway."""
    head, _, rest = text.partition(" ")
    return rest if head.lower() == handle.lower() else text
