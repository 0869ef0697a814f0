"""The crowd: takes delivery of what the vendors took, does what people do about it, and lets the vendors report it."""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import requests

from engine.demo import habits
from engine.demo.habits import Deed
from engine.demo.people import GONE_DOMAIN, number_of
from engine.demo.vendors import Vendors
from engine.errors import RegularsError
from engine.provider import Webhook
from engine.testing.vendors import Received

BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0"
REPORTED_WITHIN = timedelta(minutes=5)
"""How soon a vendor reports that a message arrived."""

_PIXEL, _LINK = re.compile(r'<img[^>]+src="([^"]+/o/[^"]+)"'), re.compile(r'<a[^>]+href="([^"]+/c/[^"]+)"')


class Wires:
    """HTTP to our own door, as browsers, mailbox providers and vendors call it: one connection, every answer checked."""

    def __init__(self, door: str) -> None:
        self.door = door
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["User-Agent"] = BROWSER

    def get(self, url: str) -> None:
        self._checked(self._session.get(url, timeout=30, allow_redirects=False))

    def post(self, url: str, **request: Any) -> None:
        self._checked(self._session.post(url, timeout=30, allow_redirects=False, **request))

    def report(self, webhook: Webhook) -> None:
        """A vendor's signed webhook."""
        self.post(webhook.url, data=webhook.body, headers=dict(webhook.headers))

    def webhooks(self, provider: str) -> str:
        return f"{self.door}/v1/webhooks/{provider}"

    def _checked(self, answer: requests.Response) -> None:
        if answer.status_code >= 400:
            raise RegularsError(f"the HTTP door answered {answer.status_code}: {answer.text[:200]}", where=answer.url)

    def close(self) -> None:
        self._session.close()


class Crowd:
    """Everybody who is written to. A world of the stepped daemon: what is to be done waits in a queue for its instant."""

    def __init__(self, vendors: Vendors, wires: Wires, numbers_by_phone: Mapping[str, int]) -> None:
        self.vendors, self.wires, self.numbers_by_phone = vendors, wires, numbers_by_phone
        self.done: Counter[Deed] = Counter()
        self._queue: list[tuple[datetime, int, Callable[[datetime], None]]] = []
        self._order = count()
        self._events: list[dict[str, Any]] = []
        self._seen: Counter[str] = Counter()

    def next_at(self, after: datetime) -> datetime | None:
        """The next deed's instant."""
        self._notice(after)
        return max(after, self._queue[0][0]) if self._queue else None

    def act(self, now: datetime) -> None:
        """Every deed due at `now`; SendGrid reports its events of the moment in one request, as it does."""
        self._notice(now)
        while self._queue and self._queue[0][0] <= now:
            at, _, deed = heapq.heappop(self._queue)
            deed(at)
        if self._events:
            webhook = self.vendors.sendgrid.webhook(self.wires.webhooks("sendgrid"), self._events, now=now)
            self._events = []
            self.wires.report(webhook)

    def _notice(self, now: datetime) -> None:
        """Messages that the vendors took since the last look came now: the clock has not moved since."""
        came = now.replace(microsecond=0)
        for received in self._new("smtp", self.vendors.smtp.accepted):
            self._by_mail(received, came)
        for received in self._new("sendgrid", self.vendors.sendgrid.accepted):
            self._by_sendgrid(received, came)
        for received in self._new("twilio", self.vendors.twilio.accepted):
            self._by_text(received, came)

    def _new(self, vendor: str, accepted: Sequence[Received]) -> Sequence[Received]:
        fresh = accepted[self._seen[vendor] :]
        self._seen[vendor] += len(fresh)
        return sorted(fresh, key=lambda received: received.to or "")

    def _later(self, at: datetime, deed: Callable[[datetime], None]) -> None:
        heapq.heappush(self._queue, (at, next(self._order), deed))

    # ------------------------------------------------------------ an offer by email: our own links are all that tells

    def _by_mail(self, received: Received, came: datetime) -> None:
        acts = {Deed.OPEN: self._open, Deed.CLICK: self._click, Deed.UNSUBSCRIBE: self._unsubscribe}
        for deed, delay in habits.on_offer(number_of(received.to or ""), came.date()).items():
            self._later(came + delay, lambda _at, deed=deed: self._count(deed, acts[deed](received)))  # type: ignore[misc]

    def _count(self, deed: Deed, _done: None) -> None:
        self.done[deed] += 1

    def _open(self, received: Received) -> None:
        self.wires.get(_found(_PIXEL, received))

    def _click(self, received: Received) -> None:
        self.wires.get(_found(_LINK, received))

    def _unsubscribe(self, received: Received) -> None:
        """The mailbox provider's one click (RFC 8058)."""
        url = received.headers["List-Unsubscribe"].strip("<>")
        self.wires.post(url, data={"List-Unsubscribe": "One-Click"})

    # ------------------------------------------------------------ a receipt through SendGrid, which reports what it sees

    def _by_sendgrid(self, received: Received, came: datetime) -> None:
        address = received.to or ""
        if address.endswith(f"@{GONE_DOMAIN}"):
            bounce = {"type": "bounce", "status": "5.1.1", "reason": "550 5.1.1 No such user here"}
            self._later(came + REPORTED_WITHIN, lambda at: self._report(received, "bounce", at, **bounce))
            return
        self._later(came + REPORTED_WITHIN, lambda at: self._report(received, "delivered", at, response="250 OK"))
        for deed, delay in habits.on_receipt(number_of(address), came.date()).items():
            self._later(came + delay, lambda at: self._report(received, "open", at, useragent=BROWSER))
            self.done[deed] += 1

    def _report(self, received: Received, word: str, at: datetime, **more: Any) -> None:
        self._events.append(self.vendors.sendgrid.event(received, word, at=at, **more))

    # ------------------------------------------------------------ a text message through Twilio

    def _by_text(self, received: Received, came: datetime) -> None:
        number = self.numbers_by_phone[received.to or ""]
        if not habits.arrives(number, came.date()):
            self._later(came + REPORTED_WITHIN, lambda _: self._call_back(received, "undelivered", 30003))
            return
        self._later(came + REPORTED_WITHIN, lambda _: self._call_back(received, "delivered"))
        for delay in habits.on_text(number, came.date()).values():
            self._later(came + delay, lambda _: self._stop(received))

    def _call_back(self, received: Received, status: str, error_code: int | None = None) -> None:
        self.wires.report(self.vendors.twilio.callback(received, status, error_code=error_code))

    def _stop(self, received: Received) -> None:
        url = self.wires.webhooks("twilio")
        self.wires.report(self.vendors.twilio.inbound(url, sender=received.to or "", text="STOP"))
        self.done[Deed.STOP] += 1


def _found(what: re.Pattern[str], received: Received) -> str:
    match = what.search(received.html or "")
    if match is None:
        raise RegularsError("a message came without the link that belongs into it", where=received.subject)
    return match[1].replace("&amp;", "&")
