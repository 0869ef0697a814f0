"""What Meta calls back about a page or an account: comments, reactions and messages, signed by the application's secret.

https://developers.facebook.com/docs/graph-api/webhooks/getting-started
https://developers.facebook.com/docs/graph-api/webhooks/reference/page
https://developers.facebook.com/docs/graph-api/webhooks/reference/instagram
https://developers.facebook.com/docs/messenger-platform/webhook-reference
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from engine.errors import ForgedWebhook, IntakeError, ProviderError
from engine.model import Channel, EventName
from engine.provider import ProviderEvent, Secret, Webhook, storable

SIGNATURE = "x-hub-signature-256"


def challenge(webhook: Webhook, token: Secret | None) -> str | None:
    """What Meta wants to hear when the webhook is entered there; None where it does not ask. Raises ForgedWebhook."""
    asked = parse_qs(urlsplit(webhook.url).query)
    if webhook.method != "GET" or asked.get("hub.mode") != ["subscribe"]:
        return None
    given = asked.get("hub.verify_token", [""])[0]
    if token is None or not hmac.compare_digest(given.encode(), token.reveal().encode()):
        raise ForgedWebhook("the verify token is not ours", remedy="Enter at Meta what verify_token refers to.")
    return asked.get("hub.challenge", [""])[0]


def events(webhook: Webhook, secret: Secret | None, *, now: datetime) -> Sequence[ProviderEvent]:
    """The events in a webhook's body. Raises ForgedWebhook, IntakeError."""
    if secret is None:
        raise ForgedWebhook("no app_secret is set, so nothing can prove that this came from Meta")
    right = "sha256=" + hmac.new(secret.reveal().encode(), webhook.body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(webhook.headers.get(SIGNATURE, "").encode(), right.encode()):
        raise ForgedWebhook("the signature is not Meta's")
    try:
        told = json.loads(webhook.body)
        return [event for one in (told if isinstance(told, list) else [told]) for event in _all(one, now)]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise IntakeError("a notification of Meta's cannot be read") from error


def _all(told: Mapping[str, Any], now: datetime) -> Iterator[ProviderEvent]:
    """Of one page or account, or of several: changes, and messages beside them."""
    page = told["object"] == "page"
    for entry in told["entry"]:
        for change in entry.get("changes") or ([entry] if "field" in entry else []):
            yield _read(_change, change, entry, page, now)
        for message in entry.get("messaging", ()):
            yield _read(_message, message, entry, page, now)


def _read(read: Any, told: Mapping[str, Any], entry: Mapping[str, Any], page: bool, now: datetime) -> ProviderEvent:
    """One of them; whatever is not understood is kept as `other`, as Meta would bring it again and again."""
    digest = hashlib.sha256(json.dumps([entry.get("id"), entry.get("time"), told], sort_keys=True).encode()).hexdigest()
    other = ProviderEvent(
        name=EventName.OTHER, at=now, dedupe=digest, detail={"field": storable(told.get("field")) or "messaging"}
    )
    try:
        event: ProviderEvent | None = read(told, entry, page)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError, ProviderError):
        event = None
    return event or other


def _change(told: Mapping[str, Any], entry: Mapping[str, Any], page: bool) -> ProviderEvent | None:
    value = told["value"]
    if value["from"]["id"] == entry["id"]:  # ourselves
        return None
    if page and told["field"] == "feed":
        return _feed(value)
    if not page and told["field"] in ("comments", "live_comments"):
        return ProviderEvent(
            name=EventName.REPLIED,
            at=_at(entry["time"]),
            dedupe=f"{told['field']}:{storable(value['id'])}",
            provider_message_id=storable(value["media"]["id"]) or None,
            address=f"@{storable(value['from']['username'])}",
            text=storable(value.get("text")),
        )
    return None


def _feed(value: Mapping[str, Any]) -> ProviderEvent | None:
    """A comment under a post of the page's, or a reaction to it; as long as it stands."""
    item, verb, post = value["item"], value["verb"], storable(value["post_id"])
    if item == "comment" and verb == "add":
        return ProviderEvent(
            name=EventName.REPLIED,
            at=_at(value["created_time"]),
            dedupe=f"comment:{storable(value['comment_id'])}",
            provider_message_id=post,
            text=storable(value.get("message")),
        )
    if item in ("reaction", "like") and verb in ("add", "edit"):
        said = storable(value.get("reaction_type")) or "like"
        return ProviderEvent(
            name=EventName.REACTED,
            at=_at(value["created_time"]),
            dedupe=f"reaction:{post}:{storable(value['from']['id'])}:{storable(value['created_time'])}:{said}",
            provider_message_id=post,
            detail={"reaction": said},
        )
    return None


def _message(told: Mapping[str, Any], _entry: Mapping[str, Any], page: bool) -> ProviderEvent | None:
    """What somebody wrote to the page by Messenger, where the page's number for them is an address; or on Instagram."""
    about: dict[str, Any] = {"at": _at(told["timestamp"] / 1000)}
    if page:
        about |= {"address": storable(told["sender"]["id"]), "channel": Channel.MESSENGER}
    if "message" in told and not told["message"].get("is_echo"):
        message = told["message"]
        return ProviderEvent(
            name=EventName.REPLIED, dedupe=storable(message["mid"]), text=storable(message.get("text")), **about
        )
    if "reaction" in told and told["reaction"]["action"] == "react":
        said = storable(told["reaction"].get("emoji") or told["reaction"].get("reaction"))
        dedupe = f"{storable(told['reaction']['mid'])}:{told['timestamp']}:{said}"
        return ProviderEvent(name=EventName.REACTED, dedupe=dedupe, detail={"reaction": said}, **about)
    return None


def _at(seconds: Any) -> datetime:
    return datetime.fromtimestamp(float(seconds), UTC)
