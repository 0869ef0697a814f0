"""Opens and clicks by links of our own: the pixel, and the redirect to what was once in a message."""

from __future__ import annotations

import base64
import string
from datetime import datetime
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from sqlalchemy import func, select

from engine.errors import StoreError
from engine.ledger.record import record_engagement
from engine.model import EventName
from engine.store.tables import links, messages
from engine.web import pages
from engine.web.answers import log
from engine.web.door import Door, TheDoor
from engine.web.machines import RULE, machine

routes = APIRouter(include_in_schema=False)

_PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")  # 1×1, transparent


@routes.api_route("/o/{token:path}", methods=["GET", "HEAD"])
def record_open(request: Request, door: TheDoor, token: str) -> Response:
    """The pixel. A broken image would help nobody, so it is given whatever the token is."""
    message_id = door.links.read_open(token.removesuffix(".gif"))
    if message_id is not None:
        because = machine(request.method, request.headers)
        try:
            _record(door, message_id, EventName.OPENED, because, now=door.clock.now())
        except StoreError as error:
            log().error("an open was not recorded", what=error.what)
    return Response(_PIXEL, media_type="image/gif", headers=dict(pages.PRIVATE))


@routes.api_route("/c/{token}", methods=["GET", "HEAD"])
def follow_link(request: Request, door: TheDoor, token: str) -> Response:
    """The redirect, and only to a URL that was stored when the message was rendered: no one else's word leads anywhere."""
    read = door.links.read_click(token)
    if read is None:
        return pages.invalid()
    message_id, link_id = read
    sent = func.coalesce(messages.c.accepted_at, messages.c.first_sent_at).label("sent_at")
    query = select(links.c.url, sent).select_from(links.join(messages, messages.c.id == message_id))
    with door.database.reading() as connection:
        row = connection.execute(query.where(links.c.id == link_id)).first()
    if row is None or not row.url.lower().startswith(("http://", "https://")):
        return pages.invalid()
    now = door.clock.now()
    sent_at: datetime | None = row.sent_at
    because = machine(request.method, request.headers, since_acceptance=now - sent_at if sent_at else None)
    _record(door, message_id, EventName.CLICKED, because, now=now, link=link_id)
    return Response(status_code=302, headers={**pages.PRIVATE, "Location": _as_header(row.url)})


def _record(
    door: Door, message_id: int, name: EventName, because: str, *, now: datetime, link: int | None = None
) -> None:
    detail: dict[str, str | int] = {"rule": RULE, "because": because} if because else {"rule": RULE}
    if link is not None:
        detail["link"] = link
    record_engagement(door.database, message_id, name, at=now, detail=detail, machine=bool(because), now=now)


def _as_header(url: str) -> str:
    """The stored URL, byte for byte, but for what a header cannot carry."""
    return quote(url, safe=string.ascii_letters + string.digits + string.punctuation)
