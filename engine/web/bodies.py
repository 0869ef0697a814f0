"""Reading a request's body: never more than a cap of bytes, never for ever, and only JSON that a database can hold."""

from __future__ import annotations

import json
import math
from typing import Annotated, Any, TypeVar

import anyio
from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from engine.web.answers import Detail, refusal, refuse_all

MAX_BYTES = 1_000_000
MAX_SECONDS = 30


async def _raw(request: Request) -> bytes:
    """The body's bytes as they came; signatures are made over exactly these."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > MAX_BYTES:
        raise _too_large()
    chunks, size = [], 0
    try:
        with anyio.fail_after(MAX_SECONDS):
            async for chunk in request.stream():
                size += len(chunk)
                if size > MAX_BYTES:
                    raise _too_large()
                chunks.append(chunk)
    except TimeoutError as error:
        raise refusal(408, f"the body took longer than {MAX_SECONDS} seconds to arrive") from error
    except ClientDisconnect as error:
        raise refusal(400, "the caller hung up before the body's end") from error
    return b"".join(chunks)


def _too_large() -> Exception:
    return refusal(413, f"the body is larger than {MAX_BYTES:,} bytes", remedy="Send several smaller requests.")


RawBody = Annotated[bytes, Depends(_raw)]
"""The parameter by which an endpoint asks for the body's bytes."""


def read_json(raw: bytes) -> Any:
    """The JSON value in a body. Answers 400 for what is not JSON, or is but cannot be stored as such."""
    try:
        value = json.loads(raw, parse_constant=_no_constant)
        _check_storable(value)
    except (ValueError, RecursionError) as error:
        told = f": {error}" if isinstance(error, json.JSONDecodeError | _Unstorable) else ""
        raise refusal(400, f"the body is not usable JSON{told}", remedy="Send one JSON value in UTF-8.") from error
    return value


class _Unstorable(ValueError):
    """JSON that no database takes."""


def _no_constant(word: str) -> Any:
    raise _Unstorable(f"{word} is not a JSON number")


def _check_storable(value: Any) -> None:
    match value:
        case str() if "\x00" in value or not _is_unicode(value):
            raise _Unstorable("a text holds NUL or half a character")
        case float() if not math.isfinite(value):
            raise _Unstorable("a number is too large")
        case dict():
            for key, inner in value.items():
                _check_storable(key)
                _check_storable(inner)
        case list():
            for inner in value:
                _check_storable(inner)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def canonical(value: Any) -> bytes:
    """The same bytes for the same JSON value, whatever the order of keys and the white space."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


M = TypeVar("M", bound=BaseModel)


def typed(model: type[M], value: Any) -> M:
    """A JSON value given its type. Answers 422 with every problem, each with its path."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise refuse_all(422, problems_of(error)) from error


def problems_of(error: ValidationError, *before: str) -> list[Detail]:
    """What pydantic found wrong, in our words; `before` begins each path."""
    return [_detail(one, before) for one in error.errors(include_url=False)]


def _detail(one: Any, before: tuple[str, ...]) -> Detail:
    path = [*before, *(str(step) for step in one["loc"] if not str(step).startswith("("))]  # "(…)": an arm of a union
    if one["type"] == "missing":
        return Detail(what=f"{path[-1]} is missing", where=".".join(path))
    if one["type"] == "extra_forbidden":
        return Detail(what=f"{path[-1]} is not known here", where=".".join(path), remedy="Leave it out.")
    return Detail(what=str(one["msg"]).removeprefix("Value error, "), where=".".join(path) or "body")
