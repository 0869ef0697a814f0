"""The world outside: the vendor reports what became of its letters, twice, late and in any order; readers leave, or order."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from engine.testing.vendors.server import Received
from tests.faults.courier import SIGNATURE, signature
from tests.faults.oracle import OptOut, Reported
from tests.faults.plan import Plan
from tests.faults.shop import CALLER
from tests.faults.vendor import API_KEY, CourierVendor


@dataclass(frozen=True, kw_only=True, slots=True)
class _Due:
    """One report to come: when (monotonic), as the oracle knows it, and as it is posted."""

    at: float
    event: Reported
    item: dict[str, str]


class Readers:
    """Whatever comes to the daemons' doors in a trial, until they are answered. Ports are tried in turn."""

    def __init__(self, plan: Plan, vendor: CourierVendor, doors: Sequence[int]) -> None:
        self._plan, self._vendor, self._doors = plan, vendor, doors
        self._chance = random.Random(f"readers {plan.name}")
        self.opt_outs: list[OptOut] = []
        self.answered: list[Reported] = []
        self._seen = 0
        self._due: list[_Due] = []
        self._leavers: list[Received] = []
        self._orders = [f"order-{number}" for number in range(plan.orders)] * 2  # each is called for twice at least
        self._end, self._idle = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)

    def __enter__(self) -> Self:
        if self._doors:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        if self._doors:
            self._thread.join()

    def done(self) -> bool:
        """Whether everything that is on its way was answered."""
        ahead = self._due or self._leavers or self._orders or self._seen < len(self._vendor.accepted)
        return not (self._doors and ahead)

    def _live(self) -> None:
        while not self._end.wait(0.005):
            self._read_the_news()
            due = [each for each in self._due if each.at <= time.monotonic()]
            self._chance.shuffle(due)
            body = json.dumps([each.item for each in due]).encode()
            if due and self._post("/v1/webhooks/courier", body, {SIGNATURE: signature(API_KEY, body)}):
                self.answered += {each.event for each in due} - set(self.answered)
                self._due = [each for each in self._due if each not in due]
            if self._orders and self._chance.random() < 0.05 and self._order(self._orders[0]):
                self._orders.pop(0)
            for letter in list(self._leavers):
                if self._leave(letter):
                    self._leavers.remove(letter)

    def _read_the_news(self) -> None:
        """New letters: what the vendor will report of them, and whether their reader wants no more."""
        fresh = self._vendor.accepted[self._seen :]
        self._seen += len(fresh)
        for letter in fresh:
            if self._plan.webhooks:
                self._report(letter)
            room = len(self.opt_outs) + len(self._leavers) < self._plan.opt_outs
            if room and "List-Unsubscribe" in letter.headers and self._chance.random() < 0.2:
                self._leavers.append(letter)

    def _report(self, letter: Received) -> None:
        """Delivered, and perhaps opened: each reported one to three times, some at once and some a good while later."""
        chance, now = self._chance, datetime.now(UTC)
        names = ["delivered"] + (["opened"] if chance.random() < 0.3 else [])
        for name in names * chance.choice((1, 2, 3)):
            event = Reported(message=letter.key or "", name=name, at=now)
            item = {"event": name, "id": letter.provider_message_id, "key": event.message, "at": now.isoformat()}
            wait = chance.choice((0.0, 0.0, chance.random() * 2))
            self._due.append(_Due(at=time.monotonic() + wait, event=event, item=item))

    def _leave(self, letter: Received) -> bool:
        url = urlsplit(letter.headers["List-Unsubscribe"].strip("<>"))
        if not self._post(url.path, b"List-Unsubscribe=One-Click", {}):
            return False
        self.opt_outs.append(OptOut(message=letter.key or "", at=time.time()))
        return True

    def _order(self, name: str) -> bool:
        """Call for the receipt of an order; the same call again is the same receipt, answered or not."""
        asked = {"customer": f"c{int(name.rpartition('-')[2]) + 1}", "data": {"order": name}}
        who = {"Authorization": f"Bearer {CALLER}", "Idempotency-Key": name, "Content-Type": "application/json"}
        return self._post("/v1/trigger/order", json.dumps(asked).encode(), who)

    def _post(self, path: str, body: bytes, headers: Mapping[str, str]) -> bool:
        """Whether some door answered with 2xx."""
        for port in self._doors:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            try:
                connection.request("POST", path, body=body, headers=dict(headers))
                if 200 <= connection.getresponse().status < 300:
                    return True
            except (OSError, http.client.HTTPException):
                continue
            finally:
                connection.close()
        return False
