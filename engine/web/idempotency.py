"""A caller's Idempotency-Key: the same request twice is done once, and answered twice alike.

The key's row is written in the transaction of what the request does, so either both are on disk or neither. Refused and
failed requests leave no row. A key counts for the API key that used it.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fastapi import HTTPException
from sqlalchemy import Connection, delete, select, update

from engine.store import Database
from engine.store.tables import idempotency as kept
from engine.web.answers import refusal

MAX_LENGTH = 255
SWEPT = 10
KEPT_FOR = timedelta(days=30)
"""How long an answer is remembered. Repeats come within minutes; a month survives a long weekend of a broken caller."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One request under an Idempotency-Key. `caller` is the hash of the API key; `request` of what was asked."""

    caller: str
    key: str
    request: str

    @property
    def occurrence(self) -> str:
        """The run's occurrence: the same for a repeat, so that it is no second run even where its answer was forgotten."""
        return "key:" + hashlib.sha256(f"{self.caller}\n{self.request}\n{self.key}".encode()).hexdigest()[:40]


def call(*, caller: str, key: str, request: bytes) -> Call:
    """The call that a request is. Answers 422 for a key that cannot be one."""
    if not key.strip() or len(key) > MAX_LENGTH:
        raise refusal(
            422,
            f"an Idempotency-Key has 1 to {MAX_LENGTH} characters",
            where="Idempotency-Key",
            remedy="Take something that names this one request: the order's number, or a UUID.",
        )
    return Call(caller=caller, key=key, request=hashlib.sha256(request).hexdigest())


def answered(connection: Connection, this: Call) -> Mapping[str, Any] | None:
    """The answer given before; None where there is none. Answers 422 where the key was used for another request."""
    known = select(kept.c.request_hash, kept.c.answer).where(kept.c.api_key == this.caller, kept.c.key == this.key)
    row = connection.execute(known).first()
    if row is None:
        return None
    if row.request_hash != this.request:
        raise refusal(
            422,
            "this Idempotency-Key was used for another request",
            where="Idempotency-Key",
            remedy="Take a new key for a new request; send a repeat exactly as it was.",
        )
    answer: Mapping[str, Any] = row.answer
    return answer


def answer_of(connection: Connection, this: Call) -> Mapping[str, Any]:
    """The answer that another process has just given. Answers 409 in the odd case that it has just been forgotten, too."""
    answer = answered(connection, this)
    if answer is None:
        raise _again()
    return answer


def reserve(connection: Connection, database: Database, this: Call, *, now: datetime) -> bool:
    """Take the key in the open transaction. False where another process has just been quicker: its answer is there."""
    row = {
        "api_key": this.caller,
        "key": this.key,
        "request_hash": this.request,
        "status": 202,
        "answer": {},
        "at": now,
    }
    return database.inserted(connection, database.insert(kept).values(row).on_conflict_do_nothing()) == 1


def remember(connection: Connection, this: Call, answer: Mapping[str, Any], *, now: datetime) -> None:
    """Put the answer beside the key, and let the oldest rows go whose time is over."""
    mine = (kept.c.api_key == this.caller, kept.c.key == this.key)
    connection.execute(update(kept).where(*mine).values(answer=dict(answer)))
    oldest = select(kept.c.id).order_by(kept.c.id).limit(SWEPT).with_for_update(skip_locked=True)
    connection.execute(delete(kept).where(kept.c.id.in_(oldest), kept.c.at < now - KEPT_FOR))


class Running:
    """The calls at work in this process, so that an impatient repeat is told to wait instead of queueing behind the first."""

    def __init__(self) -> None:
        self._calls: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    @contextmanager
    def alone(self, this: Call) -> Iterator[None]:
        """Do something that must not be done twice at once. Answers 409 where it is being done."""
        name = (this.caller, this.key)
        with self._lock:
            busy = name in self._calls
            self._calls.add(name)
        if busy:
            raise _again()
        try:
            yield
        finally:
            with self._lock:
                self._calls.discard(name)


def _again() -> HTTPException:
    return refusal(
        409,
        "the first request with this Idempotency-Key still runs",
        where="Idempotency-Key",
        remedy="Send it again in a second: it is answered then.",
        headers={"Retry-After": "1"},
    )
