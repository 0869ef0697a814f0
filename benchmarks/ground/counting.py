"""A local vendor in a process of its own, which takes what it is sent and counts it."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

from engine.testing.vendors.server import HttpVendor, Received, Reply, Request


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """Messages, bytes of requests, and the vendor's own seconds of processor time."""

    messages: int
    size: int
    processor: float


def _counting(kind: type[HttpVendor]) -> type[HttpVendor]:
    """The vendor as it is, but for its record: it keeps how much it took, and not what."""

    class Counting(kind):  # type: ignore[misc, valid-type]
        taken = size = 0

        def take(self, request: Request) -> tuple[Reply, list[Received]]:
            reply, received = super().take(request)
            self.taken += isinstance(received, Received) or len(received or ())
            self.size += len(request.body)
            return reply, []

    return Counting


def _serve(kind: type[HttpVendor], pipe: Connection) -> None:
    with _counting(kind)() as vendor:
        pipe.send(vendor.url)
        while pipe.recv():
            pipe.send(Taken(messages=vendor.taken, size=vendor.size, processor=time.process_time()))  # type: ignore[attr-defined]


@contextmanager
def vendor(kind: type[HttpVendor]) -> Iterator[tuple[str, Callable[[], Taken]]]:
    """Its URL, and how to ask what it took."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(kind, theirs), daemon=True)
    process.start()

    def taken() -> Taken:
        ours.send(True)
        told: Taken = ours.recv()
        return told

    try:
        yield ours.recv(), taken
    finally:
        ours.send(False)
        process.join(10)
