"""The purchases of the demo: CDNOW's text file, row by row, as events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

SHOP_ZONE = ZoneInfo("America/New_York")
"""CDNOW sold from Pennsylvania."""

HOUR = time(12)
"""The file has dates alone. Every purchase is taken to be at noon of the shop's day, away from every campaign's hour."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Purchase:
    """One row. `line` is its number in the file and its identity: two equal rows are two purchases. Dollars."""

    line: int
    customer: int
    at: datetime
    cds: int
    amount: float

    @property
    def order(self) -> str:
        return f"cdnow-{self.line}"


def read_purchases(path: Path) -> tuple[Purchase, ...]:
    """Every row of CDNOW_sample.txt, in the order of time and then of the file."""
    with path.open(encoding="ascii") as lines:
        rows = [_purchase(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    return tuple(sorted(rows, key=lambda purchase: (purchase.at, purchase.line)))


def _purchase(number: int, line: str) -> Purchase:
    _, customer, day, cds, dollars = line.split()
    noon = datetime.combine(datetime.strptime(day, "%Y%m%d").date(), HOUR, tzinfo=SHOP_ZONE)  # noqa: DTZ007
    return Purchase(line=number, customer=int(customer), at=noon.astimezone(UTC), cds=int(cds), amount=float(dollars))


def event_rows(purchases: Sequence[Purchase]) -> Iterator[dict[str, object]]:
    """The purchases as `regulars import events` takes them."""
    for purchase in purchases:
        yield {
            "id": purchase.order,
            "customer": str(purchase.customer),
            "name": "purchase",
            "at": purchase.at.isoformat(),
            "amount": purchase.amount,
            "cds": purchase.cds,
        }
