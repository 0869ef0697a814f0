"""The courier's vendor: takes letters onto its record, misbehaves by a seed, and can be asked, late and not always truly."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

from engine.testing.vendors.server import Cut, Drip, Fault, HttpVendor, Received, Reply, Request, Reset, Silence
from tests.faults.courier import Kind
from tests.faults.record import Record

API_KEY = "the-couriers-secret-api-key"


def misbehaviour(chance: random.Random) -> dict[str, Fault]:
    """One fault of each kind, by name."""
    wait = {"Retry-After": str(chance.choice((0, 1)))}
    return {
        "rate limited": Reply(status=429, headers=wait),
        "not today": Reply(status=403),
        "refused": Reply(status=400),
        "error, taken": Reply(status=500, taken=True),
        "error, not taken": Reply(status=500),
        "unavailable, taken": Reply(status=503, taken=True),
        "unavailable, not taken": Reply(status=503),
        "gateway time-out, taken": Reply(status=504, taken=True),
        "silence, taken": Silence(taken=True),
        "silence, not taken": Silence(),
        "reset, taken": Reset(taken=True),
        "reset, not taken": Reset(),
        "cut short": Cut(after=chance.randrange(0, 90)),
        "drip": Drip(seconds=0.15, at_once=chance.randrange(0, 12)),
        "200 and a page": Reply(status=200, body=b"<html>fine</html>", taken=True),
    }


class CourierVendor(HttpVendor):
    """`share` of the requests end badly; `faults` counts them by name.

    refused: keys that it denied for good. hasty: keys that came again before Retry-After was over. changed: what came again as another letter, after the
    first was taken.

    lag: how long after taking a message its own list may still lack it, at most. lies: how often a look-up finds nothing
    although it should; never twice running for one message.
    """

    def __init__(
        self, kind: Kind, record: Path, *, seed: int, share: float = 0.1, lag: float = 0.5, lies: float = 0.05
    ) -> None:
        super().__init__(misbehave=self._misbehave_by_chance)
        self.kind, self.share, self.lag, self.lies = kind, share, lag, lies
        self.accepted = self.record = Record(record)
        self.faults: Counter[str] = Counter()
        self.pause: dict[str, tuple[float, float]] = {}
        self.refused: set[str] = set()
        self.hasty: list[str] = []
        self.changed: list[str] = []
        self._letters: dict[str, dict[str, object]] = {}
        self._chance = random.Random(f"vendor {seed}")
        self._answers: dict[str, Reply] = {}
        self._listed: dict[str, tuple[float, str]] = {}
        self._lied: set[str] = set()

    def _misbehave_by_chance(self, request: Request) -> Fault | None:
        if request.method == "GET" and self._chance.random() < self.share:
            return self._chance.choice((Reply(status=500), Reply(status=429), Reset(), Reply(status=200, body=b"{")))
        if request.method != "POST":
            return None
        key = request.json()["key"]
        self._hasty(key)
        if self._chance.random() >= self.share:
            return None
        name, fault = self._chance.choice(list(misbehaviour(self._chance).items()))
        if name == "refused" and key in self._listed:
            return None  # it has the letter: to refuse it would be a lie
        self.faults[name] += 1
        if name == "refused":
            self.refused.add(key)
        if isinstance(fault, Reply) and "Retry-After" in fault.headers:
            self.pause[key] = (time.monotonic(), float(fault.headers["Retry-After"]))
        return fault

    def _hasty(self, key: str) -> None:
        """Whether this request comes before the time that an earlier answer asked it to wait for."""
        asked = self.pause.pop(key, None)
        if asked and time.monotonic() < asked[0] + asked[1]:
            self.hasty.append(key)

    def take(self, request: Request) -> tuple[Reply, Received | None]:
        if request.headers.get("authorization") != f"Bearer {API_KEY}":
            return Reply(status=401), None
        if request.method == "GET":
            return Reply(status=200, body={"found": self._find(request.query["key"])}), None
        letter = request.json()
        key = letter["key"]
        former = self._letters.setdefault(key, letter)
        if different := [field for field in letter if letter[field] != former[field]]:
            self.changed.append(f"{key} in {', '.join(different)}")
        if self.kind is Kind.IDEMPOTENT and request.headers.get("idempotency-key") in self._answers:
            return self._answers[key], None
        number = f"L{len(self.accepted)}"
        self._answers[key] = Reply(status=202, body={"id": number})
        self._listed.setdefault(key, (time.monotonic() + self._chance.random() * self.lag, number))
        received = Received(
            key=key,
            to=letter["to"],
            sender=letter["from"],
            subject=letter["subject"],
            text=letter["text"],
            html=letter["html"],
            headers={**letter["headers"], "Date": letter["at"]},
            provider_message_id=number,
            request=request,
        )
        return self._answers[key], received

    def _find(self, key: str) -> str | None:
        complete_at, number = self._listed.get(key, (float("inf"), ""))
        if time.monotonic() < complete_at:
            return None
        if key not in self._lied and self._chance.random() < self.lies:
            self._lied.add(key)
            return None
        self._lied.discard(key)
        return number
