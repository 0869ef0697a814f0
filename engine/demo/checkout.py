"""The shop's checkout: each order asks our HTTP door for its receipt, at the moment of the purchase."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import datetime

from engine.demo.crowd import Wires
from engine.demo.purchases import Purchase


class Checkout:
    """A world of the stepped daemon: calls `POST /v1/trigger/receipt` for every purchase given to it."""

    def __init__(self, purchases: Iterable[Purchase], wires: Wires, api_key: str) -> None:
        self.wires = wires
        self.receipts = 0
        self._waiting = deque(sorted(purchases, key=lambda purchase: (purchase.at, purchase.line)))
        self._authorization = {"Authorization": f"Bearer {api_key}"}

    def next_at(self, after: datetime) -> datetime | None:
        return max(after, self._waiting[0].at) if self._waiting else None

    def act(self, now: datetime) -> None:
        while self._waiting and self._waiting[0].at <= now:
            self._ask_for_receipt(self._waiting.popleft())
            self.receipts += 1

    def _ask_for_receipt(self, purchase: Purchase) -> None:
        self.wires.post(
            f"{self.wires.door}/v1/trigger/receipt",
            headers={**self._authorization, "Idempotency-Key": purchase.order},
            json={
                "customer": str(purchase.customer),
                "data": {"order": purchase.order, "amount": purchase.amount, "cds": purchase.cds},
            },
        )
