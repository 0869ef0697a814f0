"""What vendors report: checked by the provider that knows the signature, stored by the ledger, answered only then."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from fastapi import APIRouter, Request, Response

from engine.campaigns.answers import answer
from engine.errors import ProviderError, RegularsError, UnknownName
from engine.ledger.record import record_events
from engine.model import EventName
from engine.provider import Provider, ProviderEvent, Webhook
from engine.web.answers import log, place
from engine.web.bodies import RawBody
from engine.web.door import TheDoor

routes = APIRouter(include_in_schema=False)

_NO_REPLY = '<?xml version="1.0" encoding="UTF-8"?><Response/>'
"""Twilio's "say nothing": an inbound text answered with anything else would be answered to the person, or logged as an error.

https://www.twilio.com/docs/messaging/twiml
"""


@routes.api_route("/v1/webhooks/{provider}", methods=["GET", "POST"])
def receive_webhook(request: Request, door: TheDoor, provider: str, body: RawBody) -> Response:
    """A vendor's report. 2xx only after it is on disk, so that a vendor who gets none sends it again."""
    vendor = door.providers().get(provider)
    if vendor is None:
        raise UnknownName("there is no provider of this name", where="path", remedy="See providers in config.yaml.")
    workspace = door.workspace()
    webhook = Webhook(
        method=request.method,
        url=called(workspace.settings.public_url, request),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=body,
    )
    challenge = vendor.challenge(webhook)
    if challenge is not None:
        return Response(challenge, media_type="text/plain", headers={"X-Content-Type-Options": "nosniff"})
    now = door.clock.now()
    events = _events(vendor, provider, webhook, now)
    channel, invited = vendor.capabilities.channel, door.links.read_invitation
    record_events(
        door.database,
        events,
        provider=provider,
        now=now,
        channel=channel,
        invited=invited,
        answer=partial(answer, workspace, door.database, now=now, submit=door.submit),
        soft_bounces=workspace.settings.soft_bounces,
        origins=bool(workspace.settings.tracking.scanners),
    )
    if any(event.name is EventName.REPLIED for event in events):
        door.wake()  # somebody may wait for an answer
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return Response(_NO_REPLY, media_type="text/xml")
    return Response(status_code=204)


def _events(vendor: Provider, name: str, webhook: Webhook, now: datetime) -> Sequence[ProviderEvent]:
    """What a provider reads out of a webhook. Raises ProviderError, naming the provider, where it breaks its contract."""
    try:
        events = list(vendor.parse_events(webhook, now=now))
        if not all(isinstance(event, ProviderEvent) for event in events):
            raise ProviderError("`parse_events` gave something that is no ProviderEvent", remedy="Mend the provider.")
        return events
    except ProviderError as error:
        broken = ProviderError(error.what, where=f"providers.{name}", remedy=error.remedy)
        log().error("a report cannot be taken in", provider=name, what=error.what)
        raise broken from error
    except RegularsError:
        raise
    except Exception as error:
        kind = type(error).__name__
        log().error("a report cannot be taken in", provider=name, what=kind, at=place(error))
        what = f"the provider broke down over a report ({kind})"
        raise ProviderError(
            what, where=f"providers.{name}", remedy="The log tells where; mend the provider."
        ) from error


def called(public_url: str, request: Request) -> str:
    """The URL that the vendor called and signed: our public one with the path and query as they came, never the Host header."""
    raw_path: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    path = raw_path.partition(b"?")[0].decode("latin-1")
    query: bytes = request.scope.get("query_string", b"")
    return public_url.rstrip("/") + path + ("?" + query.decode("latin-1") if query else "")
