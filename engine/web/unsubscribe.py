"""The unsubscribe link: GET asks, POST does (RFC 8058), and neither needs to know anything but the link."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from sqlalchemy import select

from engine.ledger.consent import opt_out
from engine.store.tables import customers, messages, runs
from engine.web import pages
from engine.web.bodies import RawBody
from engine.web.door import Door, TheDoor

routes = APIRouter(include_in_schema=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What a link is about: the message, what it was for as its reader would say it, and the reader's locale."""

    message_id: int
    purpose: str
    locale: str


@routes.api_route("/u/{token}", methods=["GET", "HEAD"])
def ask_to_unsubscribe(door: TheDoor, token: str) -> HTMLResponse:
    """A page with a button. Scanners follow every link, so this changes nothing."""
    subject = _subject(door, token)
    return pages.ask(subject.purpose, subject.locale) if subject else pages.invalid()


@routes.post("/u/{token}")
def unsubscribe(door: TheDoor, token: str, body: RawBody) -> HTMLResponse:
    """The opt-out, on disk before the answer; repeated, it changes nothing more.

    The mailbox provider's one click and our own button come here alike, without cookies, login or origin (RFC 8058 §3.1);
    whatever the body is, someone with the link asked by POST.
    """
    subject = _subject(door, token)
    if subject is None:
        return pages.invalid()
    one_click = b"List-Unsubscribe" in body and b"One-Click" in body
    proof = "one-click (RFC 8058)" if one_click else "button on the unsubscribe page"
    opt_out(door.database, subject.message_id, at=door.clock.now(), source="link", proof=proof)
    return pages.done(subject.purpose, subject.locale)


def _subject(door: Door, token: str) -> Subject | None:
    """What the token is about; None where we did not sign it, or its message was never on its way."""
    message_id = door.links.read_unsubscribe(token)
    if message_id is None:
        return None
    query = (
        select(runs.c.definition, customers.c.locale)
        .select_from(messages)
        .join(runs, runs.c.id == messages.c.run_id)
        .outerjoin(customers, customers.c.id == messages.c.customer_id)
        .where(messages.c.id == message_id, messages.c.contact_point_id.is_not(None))
    )
    with door.database.reading() as connection:
        row = connection.execute(query).first()
    if row is None:
        return None
    settings = door.workspace().settings
    name = str(row.definition["purpose"])
    purpose = settings.purposes.get(name)
    title = purpose.title if purpose and purpose.title else name
    return Subject(message_id=message_id, purpose=title, locale=row.locale or settings.locale)
