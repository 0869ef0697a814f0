"""Opens and clicks by links of our own: the pixel, and the redirect to what was once in a message."""

from __future__ import annotations

import base64
import string
from collections.abc import Sequence
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from sqlalchemy import select

from engine.errors import StoreError
from engine.ledger.machines import ranges, spelled, within
from engine.ledger.record import record_engagement
from engine.model import EventName, Plain
from engine.provider import storable
from engine.store.tables import links, messages
from engine.web import pages
from engine.web.answers import log
from engine.web.door import Door, TheDoor

routes = APIRouter(include_in_schema=False)

LONGEST_AGENT = 300

_PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")  # 1×1, transparent


@routes.api_route("/o/{token:path}", methods=["GET", "HEAD"])
def record_open(request: Request, door: TheDoor, token: str) -> Response:
    """The pixel. A broken image would help nobody, so it is given whatever the token is."""
    message_id = door.links.read_open(token.removesuffix(".gif"))
    if message_id is not None:
        try:
            _record(door, request, message_id, EventName.OPENED)
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
    query = select(links.c.url).select_from(links.join(messages, messages.c.id == message_id))
    with door.database.reading() as connection:
        url = connection.execute(query.where(links.c.id == link_id)).scalar()
    if url is None or not url.lower().startswith(("http://", "https://")):
        return pages.invalid()
    _record(door, request, message_id, EventName.CLICKED, link=link_id)
    return Response(status_code=302, headers={**pages.PRIVATE, "Location": _as_header(url)})


def _record(door: Door, request: Request, message_id: int, name: EventName, **link: int) -> None:
    """Store it as it came: by which program and method; from where only where the workspace knows scanners by their addresses.
    Who it was is the ledger's to judge.
    """
    tracking = door.workspace().settings.tracking
    now, raw = door.clock.now(), dict[str, Plain](link)
    raw["agent"] = storable(request.headers.get("user-agent"))[:LONGEST_AGENT]
    if request.method != "GET":
        raw["method"] = request.method
    if "prefetch" in request.headers.get("purpose", "") + request.headers.get("sec-purpose", ""):
        raw["prefetch"] = True
    whence = origin(request, tracking.proxies) if tracking.scanners else ""
    record_engagement(door.database, message_id, name, at=now, now=now, detail=raw, origin=whence)


def origin(request: Request, proxies: Sequence[str]) -> str:
    """The address of who asked, as far as it can be believed: a proxy of ours names whom it asks for, last in X-Forwarded-For.
    Empty where nobody can tell.
    """
    known, given = ranges(proxies), ",".join(request.headers.getlist("x-forwarded-for"))
    hops = [hop.strip() for hop in given.split(",") if hop.strip()]
    address = request.client.host if request.client else ""
    while within(address, known) and hops:
        address = hops.pop()
    return "" if within(address, known) else spelled(address)


def _as_header(url: str) -> str:
    """The stored URL, byte for byte, but for what a header cannot carry."""
    return quote(url, safe=string.ascii_letters + string.digits + string.punctuation)
