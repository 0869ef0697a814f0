"""The long tail of chat, push and text services, about a hundred and fifty of them, through the Apprise library.

Apprise says that a service took the message, or that it did not, and never why: so a no proves nothing, and is doubt.

https://appriseit.com/services/
"""

from __future__ import annotations

import logging
import time
from typing import Any
from urllib.parse import quote

from pydantic import field_validator

from engine.errors import SecretMissing
from engine.model import Channel
from engine.provider import (
    Accepted,
    Ambiguous,
    Capabilities,
    Http,
    NotSent,
    Outcome,
    Outgoing,
    Provider,
    ProviderSettings,
    Rejected,
    SecretRef,
    Verified,
    storable,
)

try:
    import apprise
except ImportError as error:
    raise ImportError("the library is not there; pip install 'regulars[apprise]'") from error

RECIPIENT = "{to}"
_SILENT = logging.CRITICAL + 1


class AppriseSettings(ProviderSettings):
    """url: the service, as Apprise writes it, with its tokens; all of it is secret. channel: whose messages these are. On
    `social` they are posts to the place that the URL names; on any other, `{to}` in the URL stands for the recipient.
    """

    url: SecretRef
    channel: Channel = Channel.SOCIAL

    @field_validator("channel")
    @classmethod
    def _texts_only(cls, channel: Channel) -> Channel:
        if channel is Channel.EMAIL:
            raise ValueError("Apprise says too little for email: use smtp, sendgrid or ses")
        return channel


class Apprise(Provider):
    Settings = AppriseSettings
    settings: AppriseSettings

    def __init__(self, settings: AppriseSettings, *, http: Http) -> None:
        super().__init__(settings, http=http)
        public = settings.channel is Channel.SOCIAL
        self.capabilities = Capabilities(channel=settings.channel, posts=public, direct=not public)
        logging.getLogger("apprise").setLevel(_SILENT)  # it tells URLs, and with them tokens and recipients

    def send(self, outgoing: Outgoing, *, deadline: float) -> Outcome:
        text = storable(outgoing.content.text)
        if not text.strip():
            return Rejected(code="unsendable", detail="there is no text")
        try:
            service = self._service(outgoing.to)
        except SecretMissing as error:
            return NotSent(code="set_up", detail=error.what)
        if service is None:
            return NotSent(
                code="set_up", detail=f"{self.settings.url.variable} is no URL of Apprise's for this channel"
            )
        left = deadline - time.monotonic()
        if left <= 0:
            return NotSent(code="deadline", detail="no time was left")
        return _handed_over(service, text, left)

    def verify(self, *, deadline: float) -> Verified:
        try:
            service = self._service(None if self.capabilities.posts else "1234567890")
        except SecretMissing as error:
            return Verified(good=False, detail=error.what)
        if service is None:
            return Verified(good=False, detail=f"{self.settings.url.variable} is no URL of Apprise's for this channel")
        return Verified(good=True, detail=f"{service.service_name} by Apprise, which cannot be asked more")

    def _service(self, to: str | None) -> Any:
        """The service, made anew for each message: Apprise's own may not be shared by threads, and would keep pauses of its
        own. None where the URL is none. Raises SecretMissing.
        """
        url = self.settings.url.reveal()
        if to is not None:
            if RECIPIENT not in url:
                return None
            url = url.replace(RECIPIENT, quote(storable(to), safe=""))
        asset = apprise.AppriseAsset(async_mode=False, http_redirects=False)
        service = apprise.Apprise.instantiate(url, asset=asset)
        if service is not None:  # nothing that its URL says may send twice, elsewhere, or call a no a yes
            service.retry, service.redirects, service.optional = 0, False, False
        return service


def _handed_over(service: Any, text: str, left: float) -> Outcome:
    """Apprise's own limit of time; its socket's too, or a silent service would keep its thread for long after that."""
    service.socket_connect_timeout = service.socket_read_timeout = left
    try:
        opened = apprise.Apprise()
        opened.add(service)
        result = opened.notify(body=text, body_format=apprise.NotifyFormat.TEXT, timeout=left)
    except Exception as error:  # whatever one of so many services raises
        return Ambiguous(code="apprise", detail=type(error).__name__)
    if result:
        return Accepted()
    slow = result.status == apprise.AppriseResultStatus.TIMEOUT
    return Ambiguous(code="no_answer" if slow else "no", detail=f"{service.service_name} did not say yes")
