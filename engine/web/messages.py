"""What became of one message, for the caller who asked for it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel
from sqlalchemy import select

from engine.errors import UnknownName
from engine.model import Channel, Reason, State
from engine.store.tables import customers, messages
from engine.web.answers import described
from engine.web.door import TheDoor
from engine.web.keys import Caller

routes = APIRouter(tags=["messages"])


class Times(BaseModel):
    """When it happened (UTC); null for what has not happened, or is not known."""

    owed: datetime
    due: datetime
    changed: datetime
    first_sent: datetime | None
    accepted: datetime | None
    delivered: datetime | None
    bounced: datetime | None
    opened: datetime | None
    clicked: datetime | None
    complained: datetime | None
    opted_out: datetime | None
    replied: datetime | None


class MessageAnswer(BaseModel):
    """One message. `reason` says why it waits or was not sent; `key` is our name for it towards the provider."""

    message: int
    key: str
    run: int
    campaign: str
    customer: str | None
    channel: Channel
    state: State
    reason: Reason | None
    detail: str | None
    attempts: int
    possible_duplicate: bool
    provider: str | None
    provider_message_id: str | None
    times: Times


@routes.get("/v1/messages/{message}", response_model=MessageAnswer, responses=described(401, 404, 422, 503))
def read_message(_caller: Caller, door: TheDoor, message: Annotated[int, Path(ge=1, le=2**63 - 1)]) -> MessageAnswer:
    """The state of a message, why it is in it, and when what happened."""
    query = (
        select(messages, customers.c.external_id)
        .outerjoin(customers, customers.c.id == messages.c.customer_id)
        .where(messages.c.id == message)
    )
    with door.database.reading() as connection:
        row = connection.execute(query).mappings().first()
    if row is None:
        raise UnknownName(f"there is no message {message}", where="message")
    return MessageAnswer(
        message=message,
        key=door.database.message_key(message),
        run=row["run_id"],
        customer=row["external_id"],
        times=Times.model_validate({name: row[f"{name}_at"] for name in Times.model_fields}),
        **{name: row[name] for name in _AS_STORED},
    )


_AS_STORED = (
    "campaign",
    "channel",
    "state",
    "reason",
    "detail",
    "attempts",
    "possible_duplicate",
    "provider",
    "provider_message_id",
)
