"""The trigger: one customer is owed one message, because a program said that something happened."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag
from sqlalchemy import Connection

from engine.campaigns import called, launch
from engine.intake.customers import CONSENT, PROOF, take_customers
from engine.intake.result import Fate
from engine.model import Plain
from engine.rules.campaign import Campaign
from engine.settings import Settings
from engine.store import Database
from engine.web import idempotency
from engine.web.answers import Detail, described, refusal, refuse_all
from engine.web.bodies import RawBody, canonical, read_json, typed
from engine.web.door import Door, TheDoor
from engine.web.idempotency import Call, Running
from engine.web.keys import Caller

routes = APIRouter(tags=["trigger"])


class CustomerData(BaseModel):
    """A customer as the shop knows one: the id, addresses, and any attribute that config.yaml declares.

    The customer is added, or what is given here is changed; what is left out stays as it is. `consent.email.offers`
    and its like say yes or no to a purpose, with `consent_proof` beside them.
    """

    model_config = ConfigDict(extra="allow", str_strip_whitespace=True)

    id: str = Field(min_length=1, description="The shop's own id of the customer")


def _arm(value: Any) -> str | None:
    match value:
        case str():
            return "(id)"
        case dict():
            return "(object)"
        case _:
            return None


class TriggerRequest(BaseModel):
    """Who is to be written to, and what the template is to know."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    customer: Annotated[
        Annotated[str, Field(min_length=1), Tag("(id)")] | Annotated[CustomerData, Tag("(object)")],
        Discriminator(
            _arm,
            custom_error_type="customer",
            custom_error_message="a customer is an id (text), or an object with an id",
        ),
    ]
    data: dict[str, Any] = Field(default={}, description="The values that the campaign's `trigger: data:` declares")


class TriggerAnswer(BaseModel):
    """The message is on disk and will be sent. `key` is our name for it towards the provider."""

    run: int
    message: int
    key: str
    status_url: str


@routes.post(
    "/v1/trigger/{campaign}",
    status_code=202,
    response_model=TriggerAnswer,
    responses=described(400, 401, 404, 409, 413, 422, 503),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/TriggerRequest"}}},
        }
    },
)
def trigger_campaign(
    request: Request,
    caller: Caller,
    door: TheDoor,
    campaign: str,
    raw: RawBody,
    idempotency_key: Annotated[
        str | None,
        Header(
            description="Names this one request, so that sending it again is safe; 1 to 255 characters, kept 30 days"
        ),
    ] = None,
) -> Response:
    """Owe one customer the message of a triggered campaign. 202 means: it is on disk, and survives any crash.

    Send an Idempotency-Key and repeat the request until it is answered: it is done once. Without one, every request is
    an occurrence of its own.
    """
    body = read_json(raw)
    asked = typed(TriggerRequest, body)
    if idempotency_key is None:
        return _answer(_do(door, campaign, asked, None))
    this = idempotency.call(caller=caller, key=idempotency_key, request=canonical([campaign, body]))
    running: Running = request.app.state.running
    with running.alone(this):
        with door.database.reading() as connection:
            before = idempotency.answered(connection, this)
        return _answer(_do(door, campaign, asked, this) if before is None else Done(answer=before, replayed=True))


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """The answer to a trigger, and whether it is the one given before."""

    answer: Mapping[str, Any]
    replayed: bool = False


def _answer(done: Done) -> Response:
    return JSONResponse(dict(done.answer), 202, headers={"Idempotent-Replayed": "true"} if done.replayed else None)


def _do(door: Door, name: str, asked: TriggerRequest, this: Call | None) -> Done:
    """Everything the request does, in one transaction: the key, the customer, the run and its message."""
    workspace, now = door.workspace(), door.clock.now()
    data = _data(workspace.settings, launch.campaign_of(workspace, name), asked.data)
    with door.database.writing() as connection:
        if this and not idempotency.reserve(connection, door.database, this, now=now):
            return Done(answer=idempotency.answer_of(connection, this), replayed=True)
        triggered = launch.trigger(
            workspace,
            connection,
            door.database,
            name,
            customer=_customer(connection, door.database, workspace.settings, asked.customer, now),
            data=data,
            occurrence=this.occurrence if this else f"call:{secrets.token_hex(16)}",
            now=now,
            submit=door.submit,
        )
        answer = TriggerAnswer(
            run=triggered.run_id,
            message=triggered.message_id,
            key=door.database.message_key(triggered.message_id),
            status_url=f"/v1/messages/{triggered.message_id}",
        ).model_dump()
        if this:
            idempotency.remember(connection, this, answer, now=now)
    door.wake()
    return Done(answer=answer)


def _data(settings: Settings, campaign: Campaign, given: Mapping[str, Any]) -> dict[str, Plain]:
    """The trigger's values. Answers 422 with everything that is missing, unknown or wrong."""
    data, wrong = called.brought(settings, called.declared(campaign), given)
    if wrong:
        raise refuse_all(422, [Detail(what=one.what, where=one.where, remedy=one.remedy) for one in wrong])
    return data


def _customer(
    connection: Connection, database: Database, settings: Settings, given: str | CustomerData, now: datetime
) -> str:
    """The customer's id, after the data that came along was taken in. Answers 422 where that is wrong."""
    if isinstance(given, str):
        return given
    row = given.model_dump()
    if any(name.startswith(CONSENT) for name in row) and not row.get(PROOF):
        raise refusal(
            422,
            "a consent needs a proof: how and when this person agreed",
            where=f"customer.{PROOF}",
            remedy='Send it along, like "sign-up form with double opt-in, 2026-03-02".',
        )
    taken = take_customers(connection, database, settings, [row], now=now, source="api")[0]
    if taken.fate is Fate.REJECTED:
        raise refusal(422, taken.reason, where="customer")
    return given.id
