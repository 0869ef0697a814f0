"""Events come in once by their id; of a list the good ones are taken and the others are named."""

from __future__ import annotations

from typing import Any

import pytest

from engine.store.tables import events
from tests.web.conftest import Shop


def purchase(number: int = 1, **changed: Any) -> dict[str, Any]:
    body = {
        "id": f"e{number}",
        "customer": "c1",
        "name": "purchase",
        "at": "2026-03-01T10:00:00Z",
        "properties": {"amount": 9.5},
    }
    return body | changed


@pytest.fixture(autouse=True)
def ana(shop: Shop) -> None:
    shop.post("/v1/trigger/receipt", shop.order())


def test_one_event_or_a_list_of_them(shop: Shop) -> None:
    """Both forms are taken, and are on disk when they are answered."""
    assert shop.post("/v1/events", purchase()).json() == {
        "added": 1,
        "changed": 0,
        "unchanged": 0,
        "refused": 0,
        "errors": [],
    }
    assert shop.post("/v1/events", [purchase(2), purchase(3)]).json()["added"] == 2
    assert [row["properties"] for row in shop.rows(events)] == [{"amount": 9.5}] * 3


def test_the_same_event_again_changes_nothing(shop: Shop) -> None:
    """A caller that got no answer sends again, without harm."""
    shop.post("/v1/events", [purchase(1), purchase(2)])
    answer = shop.post("/v1/events", [purchase(2), purchase(1), purchase(3)])
    assert (answer.status_code, answer.json()["added"], answer.json()["unchanged"]) == (202, 1, 2)
    assert shop.count(events) == 3


def test_of_a_list_the_good_ones_are_taken_and_the_others_named(shop: Shop) -> None:
    """Each refused event is told by its place in the list, with what is wrong."""
    wrong = [
        purchase(2, customer="nobody"),
        purchase(3, name="purchse"),
        purchase(4, properties={"amount": "much"}),
        purchase(5, at="yesterday"),
        purchase(6, properties={"customer": "c2"}),
        purchase(7, when="now"),
        {"id": "e8"},
        "e9",
    ]
    answer = shop.post("/v1/events", [purchase(1), *wrong, purchase(10)])
    told = answer.json()
    assert (answer.status_code, told["added"], told["refused"]) == (202, 2, 8)
    places = [error["where"].split(".")[0].split("]")[0] + "]" for error in told["errors"]]
    assert sorted(set(places)) == [f"[{place}]" for place in range(1, 9)]
    assert places == sorted(places)
    assert shop.count(events) == 2


def test_where_no_event_is_good_the_request_fails(shop: Shop) -> None:
    """A program that looks at the status alone is not deceived."""
    answer = shop.post("/v1/events", purchase(customer="nobody"))
    assert answer.status_code == 422
    assert answer.json()["error"]["where"] == "[0]"


def test_a_list_has_one_to_a_thousand_events(shop: Shop) -> None:
    """More would hold the database's only pen for too long."""
    for count, status in ((0, 422), (1001, 422), (1000, 202)):
        answer = shop.post("/v1/events", [purchase(number) for number in range(count)])
        assert (answer.status_code, shop.count(events)) == (status, 1000 if status == 202 else 0)
