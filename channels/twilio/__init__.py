"""Text messages, WhatsApp and Messenger through Twilio: Messages create out, signed callbacks back.

`through` carries the twilio package's calls, `codes` has its words, `events` reads what it calls back, `past` its list.

https://www.twilio.com/docs/messaging/api/message-resource
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from pydantic import Field
from twilio.base.exceptions import TwilioException
from twilio.rest import Client

from channels.twilio import events, past
from channels.twilio.codes import BAD_NUMBER, LATER, REFUSES_US, SET_UP, WORDS, failed
from channels.twilio.through import NoAnswer, Through
from engine.errors import NoPlainAnswer, SecretMissing
from engine.model import Channel, EventName
from engine.provider import (
    NO_ACCESS,
    Accepted,
    Ambiguous,
    Answer,
    Capabilities,
    Finding,
    Http,
    NotSent,
    Outcome,
    Outgoing,
    Provider,
    ProviderEvent,
    ProviderSettings,
    Rejected,
    SecretRef,
    TextContent,
    TextOrSecret,
    Verified,
    Webhook,
    outcome_of_status,
    reveal,
    safe_header,
    storable,
    told_to_wait,
    verified,
)

LONGEST = timedelta(hours=10)  # Twilio's own limit for a message in its queue
REPLY_WINDOW = timedelta(hours=24)  # in which Meta lets a business write freely to somebody who wrote to it


class Medium(StrEnum):
    """What carries the text. Twilio writes all but SMS before an address."""

    SMS = "sms"
    WHATSAPP = "whatsapp"
    MESSENGER = "messenger"

    def address(self, plain: str) -> str:
        return plain if self is Medium.SMS or not plain else f"{self}:{plain.removeprefix(f'{self}:')}"


CAN: Mapping[Medium, Capabilities] = {
    medium: Capabilities(
        channel=Channel(medium.value),
        settle_time=timedelta(minutes=2),
        echoes_key=True,
        webhooks=True,
        templates=medium is Medium.WHATSAPP,
        reply_window=None if medium is Medium.SMS else REPLY_WINDOW,
    )
    for medium in Medium
}


class TwilioSettings(ProviderSettings):
    """account_sid and auth_token. medium: what carries the texts: sms, whatsapp or messenger, one a provider. With a
    messaging service, that chooses the number and the route's `from` is not used.

    shared_key: signs webhooks in place of the auth token, where the account uses one. base_url: another host for the API.
    """

    account_sid: TextOrSecret
    auth_token: SecretRef
    medium: Medium = Medium.SMS
    messaging_service_sid: TextOrSecret | None = None
    shared_key: SecretRef | None = None
    smart_encoded: bool = False
    base_url: str | None = Field(default=None, pattern=r"^https?://[^\s]+$")


class Twilio(Provider):
    Settings = TwilioSettings
    settings: TwilioSettings

    def __init__(self, settings: TwilioSettings, *, http: Http) -> None:
        super().__init__(settings, http=http)
        self.capabilities = CAN[settings.medium]
        self._through = Through(http, settings.base_url)
        self._clients: dict[tuple[str, str], Client] = {}

    def send(self, outgoing: Outgoing, *, deadline: float) -> Outcome:
        self._through.begin(deadline)
        try:
            sid = self._client().messages.create(**self._request(outgoing)).sid
        except SecretMissing as error:
            return NotSent(code="set_up", detail=error.what)
        except (TwilioException, NoAnswer, ValueError, TypeError, AttributeError, RecursionError):
            sid = None  # whatever the package makes of an answer, the answer itself decides
        ended = self._through.call.ended
        if not isinstance(ended, Answer):
            return ended
        if not ended.good:
            return self._refusal(ended, outgoing)
        fields = ended.fields()
        if WORDS.get(storable(fields.get("status"))) is EventName.REJECTED:
            return failed(fields)
        return Accepted(provider_message_id=sid)

    def verify(self, *, deadline: float) -> Verified:
        try:
            account, token = reveal(self.settings.account_sid), self.settings.auth_token.reveal()
        except SecretMissing as error:
            return Verified(good=False, detail=error.what)
        base = (self.settings.base_url or "https://api.twilio.com").rstrip("/")
        url = f"{base}/2010-04-01/Accounts/{quote(account, safe='')}.json"
        answer = self.http.call("GET", url, deadline=deadline, auth=(account, token))
        status = storable(answer.fields().get("status")) if isinstance(answer, Answer) and answer.good else "active"
        if status != "active":
            return Verified(good=False, detail=f"the account is {safe_header(status)}")
        return verified(answer, "the account is active")

    def _client(self) -> Client:
        """The package's client: making one at each call takes longer than all that it does in it."""
        account = reveal(self.settings.account_sid), self.settings.auth_token.reveal()
        client = self._clients.get(account)
        if client is None:
            client = Client(*account, http_client=self._through)
            self._clients = {account: client}
        return client

    def _request(self, outgoing: Outgoing) -> dict[str, Any]:
        medium, content = self.settings.medium, outgoing.content
        text = content.text if isinstance(content, TextContent) else ""
        request: dict[str, Any] = {"to": medium.address(outgoing.to or ""), "body": storable(text)}
        if isinstance(content, TextContent) and content.template is not None:
            variables = {storable(name): storable(value) for name, value in content.template.variables.items()}
            request |= {"content_sid": storable(content.template.name), "content_variables": json.dumps(variables)}
            del request["body"]
        if self.settings.messaging_service_sid is not None:
            request["messaging_service_sid"] = reveal(self.settings.messaging_service_sid)
        else:
            request["from_"] = medium.address(safe_header(outgoing.sender))
        if outgoing.callback_url:
            request["status_callback"] = events.with_key(outgoing.callback_url, outgoing.key)
        if outgoing.valid_for is not None:
            request["validity_period"] = int(
                min(max(outgoing.valid_for, timedelta(seconds=1)), LONGEST).total_seconds()
            )
        if self.settings.smart_encoded:
            request["smart_encoded"] = True
        return request

    def _refusal(self, answer: Answer, outgoing: Outgoing) -> Outcome:
        """Twilio's own code says more than the status. https://www.twilio.com/docs/api/errors"""
        fields = answer.fields()
        code, detail = storable(fields.get("code")), self.words(fields.get("message"), outgoing)
        if not code.isdigit() or answer.status >= 500:
            return outcome_of_status(answer, detail=detail)
        if code in LATER:
            return NotSent(code=code, detail=detail, retry_after=told_to_wait(answer.headers, usual=LATER[code]))
        if code in SET_UP:
            refused = code in REFUSES_US or answer.status in NO_ACCESS
            return NotSent(code=code, detail=detail, no_access=refused)
        if code in BAD_NUMBER:
            return Rejected(code=code, detail=detail, suppress=BAD_NUMBER[code])
        return outcome_of_status(answer, code=code, detail=detail)

    def look_up(self, outgoing: Outgoing, *, deadline: float) -> Finding:
        """Twilio knows no key of ours, but who got which words when."""

        def ask(path: str, query: Mapping[str, Any] | None) -> Any:
            host = (self.settings.base_url or "https://api.twilio.com").rstrip("/")
            return self.http.ask("GET", host + path, deadline=deadline, query=query, auth=account)

        try:
            account = reveal(self.settings.account_sid), self.settings.auth_token.reveal()
            request = self._request(outgoing)
            return past.find(past.listed(account[0], request["to"], ask), request, outgoing.at)
        except SecretMissing as error:
            return Ambiguous(code="set_up", detail=error.what)
        except NoPlainAnswer as error:
            return Ambiguous(code=error.what)

    def parse_events(self, webhook: Webhook, *, now: datetime) -> Sequence[ProviderEvent]:
        shared = self.settings.shared_key if webhook.headers.get(events.SIGNATURE_SETTINGS) else None
        form = events.verified(webhook, secret=(shared or self.settings.auth_token).reveal())
        return events.read(webhook, form, now)
