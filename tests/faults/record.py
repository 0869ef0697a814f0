"""The record of what a vendor truly took: appended to a file at the moment of taking, never changed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from engine.testing.vendors.server import Received


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """One true acceptance. `at` is the machine's clock (seconds since 1970), `content` the hash of what was taken."""

    key: str
    to: str
    at: float
    content: str


class Record(list[Received]):
    """A vendor's `accepted` that is also on disk. Put it in a vendor's place before it serves."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def extend(self, received: Iterable[Received]) -> None:
        for each in received:
            self.append(each)

    def __iadd__(self, received: Iterable[Received]) -> Self:  # type: ignore[override, misc]
        self.extend(received)
        return self

    def append(self, received: Received) -> None:
        super().append(received)
        line = {"key": received.key, "to": received.to, "at": time.time(), "content": content_of(received)}
        os.write(self._file, json.dumps(line).encode() + b"\n")

    def close(self) -> None:
        os.close(self._file)


def content_of(received: Received) -> str:
    """A hash of everything that the recipient would see, and of the headers."""
    seen: list[Any] = [received.to, received.sender, received.subject, received.text, received.html]
    return sha256(json.dumps([*seen, sorted(received.headers.items())]).encode()).hexdigest()[:16]


def read(path: Path) -> Iterator[Taken]:
    """The record, read back from disk."""
    for line in path.read_text(encoding="utf-8").splitlines():
        yield Taken(**json.loads(line))
