"""Templates see plain values, and only those that were meant for them."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from engine.content.templates import known_names
from engine.content.values import plain, values_for
from engine.errors import ContentError
from engine.model import AttributeType
from engine.provider import Secret
from engine.settings import Purpose, Settings

SETTINGS = Settings(
    workspace="shop",
    time_zone=ZoneInfo("Europe/Ljubljana"),
    locale="sl",
    secret=Secret("REGULARS_SECRET"),
    postal_address="Shop, Street 1",
    purposes={"offers": Purpose(title="our offers")},
    attributes={"first_name": AttributeType.TEXT},
)
CUSTOMER = {
    "id": "C-1",
    "locale": None,
    "time_zone": "America/New_York",
    "created_at": "2020-01-01",
    "first_name": "Ana",
}
NOW = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)


def values(**given: Any) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "customer": CUSTOMER,
        "data": {"lines": [{"n": 1}]},
        "links": {"unsubscribe": "u"},
    }
    return dict(values_for(settings=SETTINGS, campaign="c", purpose="offers", now=NOW, **{**defaults, **given}))


def walk(value: object) -> None:
    assert type(value) in (dict, list, str, int, float, bool, type(None)), type(value)
    match value:
        case dict():
            for key, item in value.items():
                assert type(key) is str
                walk(item)
        case list():
            for item in value:
                walk(item)


def test_everything_a_template_sees_is_plain() -> None:
    """Dicts, lists, text, numbers, booleans and None, however deep: nothing that leads anywhere, nothing JSON cannot keep."""
    seen = values(data={"lines": ({"n": 1}, {"n": 2.5})})
    walk(seen)
    assert json.loads(json.dumps(seen)) == seen


def test_neither_settings_nor_secrets_are_among_the_values() -> None:
    """What a template sees is this list."""
    assert set(values()) == set(known_names(SETTINGS))
    assert "REGULARS_SECRET" not in json.dumps(values())


@pytest.mark.parametrize(
    "value",
    [date(2026, 3, 2), Decimal("1.5"), {1: "x"}, {"x"}, b"x", object(), SETTINGS, float("nan"), float("inf"), type("S", (str,), {})("x")],
)  # fmt: skip
def test_what_is_not_plain_is_refused_by_its_name(value: object) -> None:
    """At the door, naming the place and the type but not the value."""
    with pytest.raises(ContentError, match=r"^data\.lines\[1\]\.x is not a plain value"):
        values(data={"lines": [0, {"x": value}]})


def test_values_that_hold_themselves_are_refused() -> None:
    """A list inside itself ends in an error, not in a hang."""
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ContentError):
        plain(loop, "data")


def test_the_values_are_a_copy() -> None:
    """What was frozen for a message does not change with the caller's dictionaries."""
    data = {"lines": [1]}
    seen = values(data=data)
    data["lines"].append(2)
    assert seen["data"] == {"lines": [1]}


def test_today_is_the_customers() -> None:
    """Two in the morning in UTC is still yesterday in New York; without a known zone, the workspace's counts."""
    assert values()["today"] == "2026-03-01"
    assert values(customer={**CUSTOMER, "time_zone": None})["today"] == "2026-03-02"
    assert values(customer={**CUSTOMER, "time_zone": "Nowhere/At_All"})["time_zone"] == "Europe/Ljubljana"


def test_the_purpose_is_said_as_the_customer_would() -> None:
    """Its title from config.yaml; its name where it has none."""
    assert values()["purpose"] == "our offers"
    bare = values_for(settings=SETTINGS, campaign="c", purpose="receipts", now=NOW)
    assert (bare["purpose"], bare["customer"], bare["data"], bare["links"]) == ("receipts", {}, {}, {})
