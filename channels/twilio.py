"""Text messages through Twilio: Messages create out; status callbacks and inbound messages back.

https://www.twilio.com/docs/messaging/api/message-resource
https://www.twilio.com/docs/usage/security#validating-requests
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, urlencode, urlsplit, urlunsplit

from pydantic import Field
from twilio.base.exceptions import TwilioException
from twilio.http import HttpClient
from twilio.http.response import Response
from twilio.request_validator import RequestValidator, get_signature_algorithm
from twilio.rest import Client

from engine.errors import ForgedWebhook, NoPlainAnswer, SecretMissing
from engine.model import Channel, EventName, Plain, SuppressionReason
from engine.provider import (
    Accepted,
    Ambiguous,
    Answer,
    Capabilities,
    Finding,
    Http,
    NotFound,
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
    retry_after,
    reveal,
    safe_header,
    storable,
    taken_then,
    verified,
)

OUR_KEY = "message"  # the query argument of the callback's URL that carries our key; Twilio signs the whole URL
SIGNATURE = "x-twilio-signature"
SIGNATURE_SETTINGS = "x-twilio-webhooks-signature-settings"
MOST_PAGES = 10  # of a thousand messages to one recipient
LONGEST = timedelta(hours=10)  # Twilio's own limit for a message in its queue

_E, _S = EventName, SuppressionReason

WORDS: Mapping[str, EventName] = {
    "accepted": _E.ACCEPTED,
    "scheduled": _E.ACCEPTED,
    "queued": _E.ACCEPTED,
    "sending": _E.ACCEPTED,
    "sent": _E.ACCEPTED,
    "delivered": _E.DELIVERED,
    "partially_delivered": _E.DELIVERED,
    "read": _E.OPENED,
    "undelivered": _E.BOUNCED_SOFT,
    "failed": _E.REJECTED,
    "canceled": _E.REJECTED,
    "receiving": _E.OTHER,
    "received": _E.REPLIED,
}
"""Twilio's message states in our words; every other word is kept as `other`."""

BAD_NUMBER: Mapping[str, SuppressionReason] = {
    "21610": _S.OPTED_OUT,  # the recipient answered STOP
    "21211": _S.BOUNCED,  # no such number
    "21614": _S.BOUNCED,  # not a mobile number
    "30006": _S.BOUNCED,  # a landline, or a carrier out of reach
}
"""Error codes that blame the number itself. Twilio may change what a code stands for: an unknown one never suppresses."""

HARD = frozenset({"30005", "30006"})  # unknown or gone; a landline
SET_UP = frozenset(
    {
        "20003",
        "20404",
        "21408",
        "21603",
        "21606",
        "21609",
        "21612",
        "21659",
        "21660",
        "21661",
        "21703",
        "21705",
        "30034",
    }
)
"""Our account, sender, region or callback URL is wrong: nothing was taken, and it can be put right."""

LATER = frozenset({"14107", "20429", "21611", "30001"})  # a limit or a full queue

OPT_OUT_TYPES: Mapping[str, EventName] = {"STOP": _E.OPTED_OUT, "START": _E.OPTED_IN}
"""What Twilio's own keyword handling understood, in whatever language it was said."""


class TwilioSettings(ProviderSettings):
    """account_sid and auth_token. With a messaging service, that chooses the number and the route's `from` is not used.

    shared_key: signs webhooks in place of the auth token, where the account uses one. base_url: another host for the API.
    """

    account_sid: TextOrSecret
    auth_token: SecretRef
    messaging_service_sid: TextOrSecret | None = None
    shared_key: SecretRef | None = None
    smart_encoded: bool = False
    base_url: str | None = Field(default=None, pattern=r"^https?://[^\s]+$")


class _NoAnswer(Exception):
    """Ends the package's call where there is no answer to give it."""


class _Call(threading.local):
    """This thread's call: until when it may last, and how it ended."""

    deadline = 0.0
    ended: Answer | NotSent | Ambiguous = NotSent(code="set_up")


class _Through(HttpClient):  # type: ignore[misc]  # the package ships no types
    """The package's HTTP client: hands each call to ours, and keeps how it ended."""

    def __init__(self, http: Http, base_url: str | None) -> None:
        super().__init__(logging.getLogger(__name__), False)
        self.http, self.base_url, self.call = http, base_url, _Call()

    def begin(self, deadline: float) -> None:
        self.call.deadline = deadline
        self.call.ended = NotSent(code="set_up", detail="the request could not be built")

    def request(
        self,
        method: str,
        uri: str,
        params: dict[str, object] | None = None,
        data: dict[str, object] | None = None,
        headers: dict[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Response:
        url = self.base_url.rstrip("/") + urlsplit(uri).path if self.base_url else uri
        ended = self.call.ended = self.http.call(
            method, url, deadline=self.call.deadline, headers=headers, body=data, query=params, auth=auth
        )
        if not isinstance(ended, Answer):
            raise _NoAnswer
        return Response(ended.status, ended.text, ended.headers)


class Twilio(Provider):
    Settings = TwilioSettings
    settings: TwilioSettings
    capabilities = Capabilities(channel=Channel.SMS, settle_time=timedelta(minutes=2), echoes_key=True, webhooks=True)

    def __init__(self, settings: TwilioSettings, *, http: Http) -> None:
        super().__init__(settings, http=http)
        self._through = _Through(http, settings.base_url)
        self._clients: dict[tuple[str, str], Client] = {}

    def send(self, outgoing: Outgoing, *, deadline: float) -> Outcome:
        self._through.begin(deadline)
        try:
            sid = self._client().messages.create(**self._request(outgoing)).sid
        except SecretMissing as error:
            return NotSent(code="set_up", detail=error.what)
        except (TwilioException, _NoAnswer, ValueError, TypeError, AttributeError, RecursionError):
            sid = None  # whatever the package makes of an answer, the answer itself decides
        ended = self._through.call.ended
        if not isinstance(ended, Answer):
            return ended
        if not ended.good:
            return self._refusal(ended, outgoing)
        fields = ended.fields()
        if WORDS.get(storable(fields.get("status"))) is EventName.REJECTED:
            return _failed(fields)
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
        text = outgoing.content.text if isinstance(outgoing.content, TextContent) else ""
        request: dict[str, Any] = {"to": outgoing.to or "", "body": storable(text)}
        if self.settings.messaging_service_sid is not None:
            request["messaging_service_sid"] = reveal(self.settings.messaging_service_sid)
        else:
            request["from_"] = safe_header(outgoing.sender)
        if outgoing.callback_url:
            request["status_callback"] = _with_key(outgoing.callback_url, outgoing.key)
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
        if code in SET_UP or code in LATER:
            return NotSent(code=code, detail=detail, retry_after=retry_after(answer.headers))
        if code in BAD_NUMBER:
            return Rejected(code=code, detail=detail, suppress=BAD_NUMBER[code])
        return outcome_of_status(answer, code=code, detail=detail)

    def look_up(self, outgoing: Outgoing, *, deadline: float) -> Finding:
        """Twilio knows no key of ours, but who got which words when. What waits in its queue has no DateSent yet, so that is
        not filtered by.
        """
        try:
            account, token = reveal(self.settings.account_sid), self.settings.auth_token.reveal()
            return _found(self._listed(outgoing, (account, token), deadline), outgoing, self._request(outgoing))
        except SecretMissing as error:
            return Ambiguous(code="set_up", detail=error.what)
        except NoPlainAnswer as error:
            return Ambiguous(code=error.what)

    def _listed(self, outgoing: Outgoing, auth: tuple[str, str], deadline: float) -> Iterator[Mapping[str, Any]]:
        """All messages to this recipient that Twilio has. Raises NoPlainAnswer."""
        host = (self.settings.base_url or "https://api.twilio.com").rstrip("/")
        path = f"/2010-04-01/Accounts/{auth[0]}/Messages.json"
        query: dict[str, Any] | None = {"To": outgoing.to, "PageSize": 1000}
        for _ in range(MOST_PAGES):
            page = self.http.ask("GET", host + path, deadline=deadline, query=query, auth=auth)
            listed = page.get("messages") if isinstance(page, dict) else None
            if not isinstance(listed, list):
                raise NoPlainAnswer("unreadable")
            yield from (each for each in listed if isinstance(each, dict))
            path, query = page.get("next_page_uri"), None
            if not path:
                return
            if not isinstance(path, str) or not path.startswith("/"):  # our credentials go to no other host
                raise NoPlainAnswer("unreadable")
        raise NoPlainAnswer("incomplete")

    def parse_events(self, webhook: Webhook, *, now: datetime) -> Sequence[ProviderEvent]:
        form = self._verified(webhook)
        sid = form.first("MessageSid") or form.first("SmsSid")
        word = (form.first("MessageStatus") or form.first("SmsStatus")).lower()
        if not sid:
            return [_other(webhook, form, now)]
        if WORDS.get(word) is EventName.REPLIED:
            return _inbound(form, sid, now)
        code = form.first("ErrorCode")
        name = WORDS.get(word, EventName.OTHER)
        return [
            ProviderEvent(
                name=EventName.BOUNCED if name is EventName.BOUNCED_SOFT and code in HARD else name,
                at=now,  # a callback carries no time
                dedupe=f"{sid}:{word}",
                message_key=_key(webhook.url),
                provider_message_id=sid,
                address=form.first("To") or None,
                suppress=BAD_NUMBER.get(code) if name in (EventName.BOUNCED_SOFT, EventName.REJECTED) else None,
                detail=_detail(status=word, error_code=code),
            )
        ]

    def _verified(self, webhook: Webhook) -> _Form:
        """The form, once the signature over the public URL and every field has proved right."""
        settings = webhook.headers.get(SIGNATURE_SETTINGS, "")
        secret = self.settings.shared_key if settings and self.settings.shared_key else self.settings.auth_token
        json = "json" in webhook.headers.get("content-type", "").lower()
        try:
            text = webhook.body.decode("utf-8")
            form = _Form(text)
            hashed = "bodySHA256" in parse_qs(urlsplit(webhook.url).query)
            genuine = (hashed or not json) and RequestValidator(secret.reveal()).validate(
                webhook.url,
                text if json else form,  # the hash in the signed URL then stands for a body that is no form
                webhook.headers.get(SIGNATURE, ""),
                get_signature_algorithm(settings),
            )
        except ValueError as error:
            raise ForgedWebhook("the webhook cannot be read") from error
        if not genuine:
            raise ForgedWebhook(
                "the signature is not Twilio's",
                remedy="Check public_url in config.yaml: Twilio signs the URL it calls.",
            )
        return form


def _found(listed: Iterable[Mapping[str, Any]], outgoing: Outgoing, request: Mapping[str, Any]) -> Finding:
    """The message among those to its recipient: from our sender, of these words, at that time. Raises NoPlainAnswer."""
    sender = "messaging_service_sid" if "messaging_service_sid" in request else "from"
    unclear, refusal = False, None
    for each in listed:
        ours = each.get(sender) == request.get(sender, request.get("from_"))
        if not ours or not str(each.get("direction", "")).startswith("outbound"):
            continue
        then = _taken_then(each.get("date_created"), outgoing.at)
        body = storable(each.get("body")).strip()
        same = body == request["body"].strip()
        if then is False or not (same or not body or request.get("smart_encoded")):  # redacted or re-encoded: who knows
            continue
        if then is None or not same:
            unclear = True
        elif WORDS.get(str(each.get("status"))) is EventName.REJECTED:
            refusal = _failed(each)
        else:
            return Accepted(provider_message_id=storable(each.get("sid")) or None)
    if unclear:
        raise NoPlainAnswer("unclear")
    return refusal or NotFound()


def _failed(message: Mapping[str, Any]) -> Rejected:
    """A message that Twilio has, and has already given up."""
    code = storable(message.get("error_code"))
    return Rejected(code=code or "failed", suppress=BAD_NUMBER.get(code))


def _taken_then(date: Any, at: datetime) -> bool | None:
    try:
        return taken_then(parsedate_to_datetime(date), at)
    except (TypeError, ValueError):
        return None


class _Form(dict[str, list[str]]):
    """A form's fields, each with all its values, as Twilio's validator reads them (`getlist`)."""

    def __init__(self, text: str) -> None:
        super().__init__()
        for name, value in parse_qsl(text, keep_blank_values=True, max_num_fields=1000):
            self.setdefault(name, []).append(value)

    def getlist(self, name: str) -> list[str]:
        return self[name]

    def first(self, name: str) -> str:
        return storable(self.get(name, [""])[0]).strip()


def _with_key(url: str, key: str) -> str:
    parts = urlsplit(url)
    query = f"{parts.query}&{urlencode({OUR_KEY: key})}" if parts.query else urlencode({OUR_KEY: key})
    return urlunsplit(parts._replace(query=query))


def _key(url: str) -> str | None:
    found = parse_qs(urlsplit(url).query).get(OUR_KEY)
    return storable(found[0]) if found else None


def _inbound(form: _Form, sid: str, now: datetime) -> list[ProviderEvent]:
    """A customer's text, and where Twilio's own keyword handling took it for a wish, that wish."""
    address, wish = form.first("From") or None, form.first("OptOutType").upper()
    reply = ProviderEvent(
        name=EventName.REPLIED,
        at=now,
        dedupe=f"{sid}:received",
        address=address,
        text=form.first("Body"),
        detail=_detail(opt_out_type=wish),
    )
    if wish not in OPT_OUT_TYPES:
        return [reply]
    return [reply, ProviderEvent(name=OPT_OUT_TYPES[wish], at=now, dedupe=f"{sid}:{wish}", address=address)]


def _other(webhook: Webhook, form: _Form, now: datetime) -> ProviderEvent:
    digest = hashlib.sha256(webhook.url.encode("utf-8", "replace") + b"\n" + webhook.body).hexdigest()
    return ProviderEvent(
        name=EventName.OTHER,
        at=now,
        dedupe=digest,
        message_key=_key(webhook.url),
        detail=_detail(error_code=form.first("ErrorCode")),
    )


def _detail(**fields: str) -> dict[str, Plain]:
    return {name: value[:100] for name, value in fields.items() if value}
