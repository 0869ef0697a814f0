"""Events by HTTP: what customers did, one or a thousand at a time, each taken once by its id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.intake.events import OWN_COLUMNS, take_events
from engine.intake.result import Fate
from engine.model import Plain
from engine.web.answers import Detail, described, refusal, refuse_all
from engine.web.bodies import RawBody, problems_of, read_json
from engine.web.door import Door, TheDoor
from engine.web.keys import Caller

routes = APIRouter(tags=["events"])

MAX_EVENTS = 1_000


class EventRequest(BaseModel):
    """Something a customer did. The same id again is the same event."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    id: str = Field(min_length=1, description="The shop's own id of the event")
    customer: str = Field(min_length=1, description="The shop's own id of the customer")
    name: str = Field(description="An event that config.yaml declares")
    at: str = Field(description="When it happened: ISO 8601; without an offset, in the workspace's time zone")
    properties: dict[str, Any] = Field(default={}, description="Values of the event's declared properties")


class EventsAnswer(BaseModel):
    """How many events were new, put right, known already, and refused; `errors` says why, by their place in the list."""

    added: int
    changed: int
    unchanged: int
    refused: int
    errors: list[Detail]


@routes.post(
    "/v1/events",
    status_code=202,
    response_model=EventsAnswer,
    responses=described(400, 401, 413, 422, 503),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "anyOf": [
                            {"$ref": "#/components/schemas/EventRequest"},
                            {
                                "type": "array",
                                "items": {"$ref": "#/components/schemas/EventRequest"},
                                "minItems": 1,
                                "maxItems": MAX_EVENTS,
                            },
                        ]
                    }
                }
            },
        }
    },
)
def record_customer_events(_caller: Caller, door: TheDoor, raw: RawBody) -> EventsAnswer:
    """Record what customers did. The good events of a list are taken, the others are named; 422 where none is good."""
    value = read_json(raw)
    given = value if isinstance(value, list) else [value]
    if not 1 <= len(given) <= MAX_EVENTS:
        raise refusal(422, f"a request carries 1 to {MAX_EVENTS:,} events; here are {len(given):,}", where="body")
    rows: list[tuple[int, dict[str, Plain]]] = []
    errors: list[tuple[int, Detail]] = []
    for place, one in enumerate(given):
        try:
            rows.append((place, _row(EventRequest.model_validate(one))))
        except ValidationError as error:
            errors += [(place, problem) for problem in problems_of(error, f"[{place}]")]
        except ValueError as error:
            errors.append((place, Detail(what=str(error), where=f"[{place}].properties")))
    counts = _take(door, rows, errors)
    told = [detail for _, detail in sorted(errors, key=lambda item: item[0])]
    refused = len({place for place, _ in errors})
    if refused == len(given):
        raise refuse_all(422, told)
    return EventsAnswer(
        added=counts[Fate.ADDED],
        changed=counts[Fate.CHANGED],
        unchanged=counts[Fate.UNCHANGED],
        refused=refused,
        errors=told,
    )


def _take(door: Door, rows: list[tuple[int, dict[str, Plain]]], errors: list[tuple[int, Detail]]) -> Counter[Fate]:
    """Take the rows in one transaction; those that are rejected are added to `errors`."""
    if not rows:
        return Counter()
    settings, now = door.workspace().settings, door.clock.now()
    with door.database.writing() as connection:
        ends = take_events(connection, door.database, settings, [row for _, row in rows], now=now)
    for (place, _), end in zip(rows, ends, strict=True):
        if end.fate is Fate.REJECTED:
            errors.append((place, Detail(what=end.reason, where=f"[{place}]")))
    return Counter(end.fate for end in ends)


def _row(event: EventRequest) -> dict[str, Plain]:
    """The event as a row of a file: its properties beside its own columns. Raises ValueError for a property named like one."""
    taken: Mapping[str, Plain] = event.properties
    for name in OWN_COLUMNS:
        if name in taken:
            raise ValueError(f"no property is called {name}")
    return {**taken, "id": event.id, "customer": event.customer, "name": event.name, "at": event.at}
