"""What a template sees: plain values alone, gathered once for each message and kept beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from engine.errors import ContentError
from engine.model import Plain
from engine.settings import Settings

DEEPEST = 20


def values_for(
    *,
    settings: Settings,
    campaign: str,
    purpose: str,
    now: datetime,
    customer: Mapping[str, object] | None = None,
    data: Mapping[str, object] | None = None,
    links: Mapping[str, str] | None = None,
    provider: str = "",
    variant: str = "",
) -> dict[str, Plain]:
    """The values of one message.

    `customer`: `id` (as the shop knows it), `locale`, `time_zone` and the attributes; None for a post to everybody.
    `data`: what a trigger brought. `links`: `unsubscribe` and `invitation`, where there is a customer. `today` is `now` in the customer's time zone, the
    workspace's where it is not known. `provider`: of a post to everybody, who publishes it, by its name in config.yaml. `variant`: which of the campaign's texts. Raises ContentError where something is no plain value.
    """
    title = settings.purposes[purpose].title if purpose in settings.purposes else ""
    zone = _zone(customer.get("time_zone") if customer else None, settings.time_zone)
    return {
        "customer": plain(customer or {}, "customer"),
        "data": plain(data or {}, "data"),
        "links": plain(links or {}, "links"),
        "campaign": campaign,
        "purpose": title or purpose,
        "postal_address": settings.postal_address,
        "currency": settings.currency,
        "locale": settings.locale,
        "time_zone": zone.key,
        **({"provider": provider} if provider else {}),
        **({"variant": variant} if variant else {}),
        "today": now.astimezone(zone).date().isoformat(),
    }


_FLAT, _TEXT = frozenset({str, bool, int, type(None)}), frozenset({str})


def _zone(name: object, otherwise: ZoneInfo) -> ZoneInfo:
    try:
        return ZoneInfo(name) if isinstance(name, str) and name else otherwise
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return otherwise


def plain(value: object, name: str, depth: int = 0) -> Plain:
    """A copy made of dicts, lists, text, numbers, booleans and None alone. Raises ContentError, naming where it is not."""
    if value is None or type(value) in (str, bool, int):
        return value  # type: ignore[return-value]
    if type(value) is float and math.isfinite(value):
        return value
    if type(value) is dict and _FLAT.issuperset(map(type, value.values())) and _TEXT.issuperset(map(type, value)):
        return value.copy()  # the usual case
    if depth < DEEPEST and isinstance(value, Mapping) and all(type(key) is str for key in value):
        return {key: plain(item, f"{name}.{key}", depth + 1) for key, item in value.items()}
    if depth < DEEPEST and isinstance(value, list | tuple):
        return [plain(item, f"{name}[{index}]", depth + 1) for index, item in enumerate(value)]
    raise ContentError(
        f"{name} is not a plain value ({type(value).__name__})",
        remedy="Give text, numbers, lists and mappings of them.",
    )
