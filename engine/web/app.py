"""The app: the endpoints behind one door, one shape of errors, one description for client generators."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from sqlalchemy import select

from engine.web import answers, events, messages, tracking, trigger, unsubscribe, webhooks
from engine.web.answers import described
from engine.web.door import Door, TheDoor
from engine.web.idempotency import Running

__all__ = ["Door", "create_app"]

routes = APIRouter(tags=["health"])


class Health(BaseModel):
    """The database answers."""

    status: str = "ok"


@routes.get("/healthz", response_model=Health, responses=described(503))
def health(door: TheDoor) -> Health:
    """200 while the database answers, 503 while it does not. Needs no key."""
    with door.database.reading() as connection:
        connection.execute(select(1))
    return Health()


def create_app(door: Door) -> FastAPI:
    """The HTTP door as an ASGI app. It starts nothing and closes nothing: what `door` holds belongs to the caller."""
    app = _App(
        title="Regulars",
        version=_version(),
        description="Trigger campaigns, report what customers did, and ask what became of a message.",
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        generate_unique_id_function=_operation_id,
    )
    app.state.door = door
    app.state.running = Running()
    answers.install(app)
    for room in (trigger, messages, events, webhooks, unsubscribe, tracking):
        app.include_router(room.routes)
    app.include_router(routes)
    return app


class _App(FastAPI):
    """FastAPI, whose description also names the bodies that the endpoints read for themselves."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            described_so_far = super().openapi()
            bodies = [(model, "validation") for model in (trigger.TriggerRequest, events.EventRequest)]
            _, found = models_json_schema(bodies, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
            described_so_far["components"]["schemas"].update(found["$defs"])
            self.openapi_schema = described_so_far
        return self.openapi_schema


def _operation_id(route: APIRoute) -> str:
    return route.name


def _version() -> str:
    try:
        return version("regulars")
    except PackageNotFoundError:
        return "0"
