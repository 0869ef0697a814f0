"""The one shape of every error answer, and which failure answers with which status."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException as RouteError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.errors import (
    ForgedWebhook,
    IntakeError,
    NoPlainAnswer,
    RegularsError,
    SecretMissing,
    StoreError,
    UnknownName,
)
from engine.web import pages

RETRY_SECONDS = 5
SHOWN_FRAMES = 8


class Detail(BaseModel):
    """One thing that is wrong: what it is, where (a path into the request), and the remedy, empty where there is none."""

    what: str
    where: str = ""
    remedy: str = ""


class Refusal(Detail):
    """Why a request was not done. Where several things are wrong, `problems` has each of them."""

    problems: list[Detail] = []


class ErrorAnswer(BaseModel):
    """The body of every answer that is not a success."""

    error: Refusal


def refusal(
    status: int,
    what: str,
    *,
    where: str = "",
    remedy: str = "",
    problems: Sequence[Detail] = (),
    headers: Mapping[str, str] | None = None,
) -> HTTPException:
    """The exception by which an endpoint answers `status` with an error body."""
    error = Refusal(what=what, where=where, remedy=remedy, problems=list(problems))
    return HTTPException(status, detail=error, headers=dict(headers) if headers else None)


def refuse_all(status: int, problems: Sequence[Detail]) -> HTTPException:
    """The same for a list of problems: one is told as such, several with a count before them."""
    if len(problems) == 1:
        first = problems[0]
        return refusal(status, first.what, where=first.where, remedy=first.remedy)
    return refusal(status, f"{len(problems)} things are wrong", remedy="See problems.", problems=problems)


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of an endpoint, for its OpenAPI description."""
    return {status: {"model": ErrorAnswer, "description": _MEANINGS[status]} for status in statuses}


_MEANINGS = {
    400: "The body is not JSON",
    401: "The API key is missing or wrong",
    404: "There is no such thing",
    409: "The first request with this Idempotency-Key still runs; try again after Retry-After seconds",
    413: "The body is too large",
    422: "The request is understood but wrong; nothing was done",
    503: "Not possible at the moment; try again after Retry-After seconds, where it is given",
}

_STATUSES: tuple[tuple[type[RegularsError], int], ...] = (
    (UnknownName, 404),
    (IntakeError, 422),
    (ForgedWebhook, 403),
    (SecretMissing, 503),
    (NoPlainAnswer, 503),
    (RegularsError, 500),
)


def install(app: FastAPI) -> None:
    """Give the app its error answers."""
    app.add_exception_handler(RegularsError, _regulars_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(RouteError, _route_error)
    app.add_middleware(LastResort)


def _regulars_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RegularsError)
    if isinstance(error, StoreError):
        log().error("the database cannot be used", what=error.what)
        return unavailable(request.url.path)
    status = next(status for kind, status in _STATUSES if isinstance(error, kind))
    return _answer(status, Refusal(what=error.what, where=error.where, remedy=error.remedy))


def unavailable(path: str) -> Response:
    """The database does not answer: a page for a customer, JSON for a program. What it said is for the log only."""
    headers = {"Retry-After": str(RETRY_SECONDS)}
    if path.startswith(("/u/", "/c/")):
        return pages.unavailable(headers)
    error = Refusal(what="the database cannot be used at the moment; nothing was done", remedy="Try again shortly.")
    return _answer(503, error, headers)


def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    problems = [Detail(what=str(e["msg"]), where=".".join(map(str, e["loc"]))) for e in error.errors()]
    return _route_error(_request, refuse_all(422, problems))


def _route_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RouteError)
    told: Any = error.detail
    if not isinstance(told, Refusal):
        told = Refusal(what=str(told).lower(), remedy="See /openapi.json." if error.status_code in (404, 405) else "")
    return _answer(error.status_code, told, error.headers)


def _answer(status: int, error: Refusal, headers: Mapping[str, str] | None = None) -> Response:
    body = ErrorAnswer(error=error).model_dump(mode="json")
    return JSONResponse(body, status, headers=dict(headers) if headers else None)


class LastResort:
    """An unforeseen failure answers 500 in the common shape; the log gets its kind and place, never its words,
    which may hold a customer's data."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception as error:
            log().error("an HTTP request failed", kind=type(error).__name__, at=place(error))
            if not begun and scope["type"] == "http":
                told = Refusal(what="this failed for a reason of ours", remedy="Try again; the log tells more.")
                await _answer(500, told)(scope, receive, send)


def place(error: BaseException) -> list[str]:
    """Where it happened: files and lines, the innermost last."""
    return [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[-SHOWN_FRAMES:]]


def log() -> Any:
    return structlog.get_logger("regulars.web")
