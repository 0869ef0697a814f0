"""What Twilio calls back: status callbacks and inbound messages, once their signature has proved right.

https://www.twilio.com/docs/usage/security#validating-requests
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit, urlunsplit

from twilio.request_validator import RequestValidator, get_signature_algorithm

from channels.twilio.codes import BAD_NUMBER, HARD, OPT_OUT_TYPES, WORDS
from engine.errors import ForgedWebhook
from engine.model import Channel, EventName, Plain, SuppressionReason
from engine.provider import ProviderEvent, Webhook, storable

OUR_KEY = "message"  # the query argument of the callback's URL that carries our key; Twilio signs the whole URL
SIGNATURE = "x-twilio-signature"
SIGNATURE_SETTINGS = "x-twilio-webhooks-signature-settings"
MEDIA: Mapping[str, Channel] = {"whatsapp": Channel.WHATSAPP, "messenger": Channel.MESSENGER}
"""What Twilio writes before an address, and whose channel that is; an address without it is on the provider's own."""


def verified(webhook: Webhook, *, secret: str) -> Form:
    """The form, once the signature over the public URL and every field has proved right. Raises ForgedWebhook."""
    settings = webhook.headers.get(SIGNATURE_SETTINGS, "")
    try:
        query = urlsplit(webhook.url).query
        form = Form(query if webhook.method == "GET" else webhook.body.decode("utf-8"))
        beside = _signed_beside_the_url(webhook, form)
        genuine = beside is not None and RequestValidator(secret).validate(
            webhook.url, beside, webhook.headers.get(SIGNATURE, ""), get_signature_algorithm(settings)
        )
    except ValueError as error:
        raise ForgedWebhook("the webhook cannot be read") from error
    if not genuine:
        raise ForgedWebhook(
            "the signature is not Twilio's",
            remedy="Check public_url in config.yaml: Twilio signs the URL it calls.",
        )
    return form


def _signed_beside_the_url(webhook: Webhook, form: Form) -> Form | str | None:
    """The posted fields; of a GET nothing, as its fields are in the URL. None where what was posted is not signed at all."""
    if webhook.method == "GET":
        return Form("")
    if "json" not in webhook.headers.get("content-type", "").lower():
        return form
    hashed = "bodySHA256" in parse_qs(urlsplit(webhook.url).query)
    return (
        webhook.body.decode("utf-8") if hashed else None
    )  # the hash in the signed URL stands for a body that is no form


class Form(dict[str, list[str]]):
    """A form's fields, each with all its values, as Twilio's validator reads them (`getlist`)."""

    def __init__(self, text: str) -> None:
        super().__init__()
        for name, value in parse_qsl(text, keep_blank_values=True, max_num_fields=1000):
            self.setdefault(name, []).append(value)

    def getlist(self, name: str) -> list[str]:
        return self[name]

    def first(self, name: str) -> str:
        return storable(self.get(name, [""])[0]).strip()


def read(webhook: Webhook, form: Form, now: datetime) -> Sequence[ProviderEvent]:
    """The events in a form that has proved genuine."""
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
            address=bare(form.first("To")) or None,
            channel=_channel(form.first("To")),
            suppress=BAD_NUMBER.get(code) if name in (EventName.BOUNCED_SOFT, EventName.REJECTED) else None,
            detail=_detail(status=word, error_code=code),
        )
    ]


def with_key(url: str, key: str) -> str:
    parts = urlsplit(url)
    query = f"{parts.query}&{urlencode({OUR_KEY: key})}" if parts.query else urlencode({OUR_KEY: key})
    return urlunsplit(parts._replace(query=query))


def bare(address: str) -> str:
    """A number or name without the medium that Twilio writes before it."""
    return address.rpartition(":")[2]


def _channel(address: str) -> Channel | None:
    """Of one messaging service texts and chats come in at one URL: only what stands before the address tells them apart."""
    return MEDIA.get(address.rpartition(":")[0].lower())


def _key(url: str) -> str | None:
    found = parse_qs(urlsplit(url).query).get(OUR_KEY)
    return storable(found[0]) if found else None


def _inbound(form: Form, sid: str, now: datetime) -> list[ProviderEvent]:
    """A customer's text, and where Twilio's own keyword handling took it for a wish, that wish."""
    address, wish = bare(form.first("From")) or None, form.first("OptOutType").upper()
    channel = _channel(form.first("From"))
    reply = ProviderEvent(
        name=EventName.REPLIED,
        at=now,
        dedupe=f"{sid}:received",
        address=address,
        channel=channel,
        text=form.first("Body"),
        answered=bool(wish),
        detail=_detail(opt_out_type=wish),
    )
    if wish not in OPT_OUT_TYPES:
        return [reply]
    name = OPT_OUT_TYPES[wish]
    suppress = (
        SuppressionReason.OPTED_OUT if name is EventName.OPTED_OUT else None
    )  # Twilio refuses the number from now on
    wished = ProviderEvent(
        name=name, at=now, dedupe=f"{sid}:{wish}", address=address, channel=channel, suppress=suppress
    )
    return [reply, wished]


def _other(webhook: Webhook, form: Form, now: datetime) -> ProviderEvent:
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
