"""A caller learns what became of its message."""

from __future__ import annotations

from tests.web.conftest import Shop


def test_a_message_tells_its_state_and_times(shop: Shop) -> None:
    """From owed to accepted, by the address that the trigger's answer named."""
    told = shop.post("/v1/trigger/receipt", shop.order()).json()
    answer = shop.get(told["status_url"]).json()
    assert (answer["state"], answer["reason"], answer["campaign"], answer["customer"]) == (
        "pending",
        None,
        "receipt",
        "c1",
    )
    assert answer["times"]["owed"] == "2026-03-02T12:00:00Z"
    assert answer["times"]["accepted"] is None
    accepted = shop.get(f"/v1/messages/{shop.sent()}").json()
    assert (accepted["state"], accepted["times"]["accepted"]) == ("accepted", "2026-03-02T11:59:00Z")


def test_a_message_that_is_not_there_is_404_and_what_is_no_number_422(shop: Shop) -> None:
    """Also where the number is as large as a number can be; larger ones never reach the database."""
    for number in ("1", "9223372036854775807"):
        assert shop.get(f"/v1/messages/{number}").status_code == 404
    for number in ("x", "0", "-1", "9223372036854775808", "1.5"):
        answer = shop.get(f"/v1/messages/{number}")
        assert (answer.status_code, answer.json()["error"]["where"]) == (422, "path.message")
