"""What a call of a triggered campaign brings along: each declared value, of its type, whoever calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.document import suggestion
from engine.errors import IntakeError
from engine.intake.cells import converters
from engine.model import AttributeType, Plain
from engine.rules.campaign import Campaign
from engine.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Wrong:
    """One value that is missing, unknown or of another type: what, where (`data.order`), and the remedy, empty for none."""

    what: str
    where: str
    remedy: str = ""


def declared(campaign: Campaign) -> Mapping[str, AttributeType]:
    """What the campaign's trigger must bring. Raises IntakeError where a schedule starts it."""
    if campaign.trigger is None:
        raise IntakeError(
            f'the campaign "{campaign.campaign}" is started by its schedule, not by a call',
            remedy="Give it `trigger:` instead of `schedule:`.",
        )
    return campaign.trigger.data


def brought(
    settings: Settings, wanted: Mapping[str, AttributeType], given: Mapping[str, Any]
) -> tuple[dict[str, Plain], tuple[Wrong, ...]]:
    """The values, each of its declared type, and everything that is missing, unknown or wrong among them."""
    convert, data, wrong = converters(settings.time_zone), {}, []
    for name in given.keys() - wanted.keys():
        wrong.append(Wrong(what=f"{name} is not declared", where=f"data.{name}", remedy=suggestion(name, wanted)))
    for name, kind in wanted.items():
        if given.get(name) is None:
            wrong.append(Wrong(what=f"{name} ({kind}) is missing", where=f"data.{name}"))
            continue
        try:
            data[name] = convert[kind](given[name])
        except ValueError as error:
            wrong.append(Wrong(what=f"{name} ({kind}): {error}", where=f"data.{name}"))
    return data, tuple(sorted(wrong, key=lambda one: one.where))
