"""A vendor's report counts if its signature does, over the URL that the vendor knows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from engine.provider import Accepted
from engine.store.tables import events, messages
from tests.web.conftest import PUBLIC, Shop, sign

HOOK = "/v1/webhooks/signing"


def report(shop: Shop, body: bytes, *, path: str = HOOK, signed_as: str | None = None, **headers: str) -> Any:
    signature = sign(signed_as or PUBLIC + path, body)
    return shop.client.post(path, content=body, headers={"X-Signature": signature, **headers})


def test_a_signed_report_is_stored_before_it_is_answered(shop: Shop) -> None:
    """Delivered: the message has its time, and the vendor its 204."""
    message = shop.sent()
    body = json.dumps([{"name": "delivered", "id": "v1", "key": shop.database.message_key(message)}]).encode()
    assert report(shop, body).status_code == 204
    assert report(shop, body).status_code == 204
    assert shop.rows(messages)[0]["delivered_at"] == shop.clock.now()
    assert shop.count(events) == 1


def test_the_url_checked_is_the_public_one_with_path_and_query_as_sent(shop: Shop) -> None:
    """A Host header, which anybody can write, has no part in it; escapes in the query stay as they were."""
    path = HOOK + "?foo=1&b=%2F+x&foo="
    assert report(shop, b"[]", path=path, Host="evil.example").status_code == 204
    assert (
        report(shop, b"[]", path=path, signed_as="https://evil.example" + path, Host="evil.example").status_code == 403
    )


def test_a_forged_report_stores_nothing(shop: Shop) -> None:
    """Neither a wrong signature nor a changed byte gets in."""
    message = shop.sent()
    body = json.dumps([{"name": "bounced", "id": "v1", "key": shop.database.message_key(message)}]).encode()
    forged = shop.client.post(HOOK, content=body, headers={"X-Signature": sign(PUBLIC + HOOK, body + b" ")})
    assert forged.status_code == 403
    assert shop.client.post(HOOK, content=body).status_code == 403
    assert shop.count(events) == 0


def test_an_unknown_provider_is_404_and_an_endless_body_413(shop: Shop) -> None:
    """Before anything is read or checked."""
    assert shop.client.post("/v1/webhooks/nobody", content=b"[]").status_code == 404
    assert report(shop, b"[" + b" " * 1_000_000).status_code == 413


def test_a_form_is_answered_in_twilios_words(shop: Shop) -> None:
    """An inbound text must not be answered to the person: an empty TwiML response says nothing."""
    answer = report(
        shop, b"Body=STOP&From=%2B1", **{"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}
    )
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/xml; charset=utf-8")
    assert answer.text.endswith("<Response/>")


def test_a_vendor_may_verify_by_get(shop: Shop) -> None:
    """Some call once by GET when the webhook is set up, signed as all else."""
    signed = shop.client.get(HOOK, headers={"X-Signature": sign(PUBLIC + HOOK, b"")})
    assert (signed.status_code, shop.client.get(HOOK).status_code) == (204, 403)


def test_a_batch_is_stored_whole(shop: Shop) -> None:
    """Every event of a batch is kept, also those about messages that are not ours."""
    body = json.dumps([{"name": "delivered", "id": f"v{number}"} for number in range(300)]).encode()
    assert report(shop, body).status_code == 204
    assert shop.count(events) == 300


def test_a_vendor_that_counts_its_messages_is_understood(shop: Shop) -> None:
    """The id of the answer and of the report are both a number: the report finds the message."""
    message, answered = shop.sent(), Accepted(provider_message_id=1000)  # type: ignore[arg-type]
    with shop.database.writing() as connection:
        named = {"provider_message_id": answered.provider_message_id}
        connection.execute(update(messages).where(messages.c.id == message).values(named))
    assert report(shop, json.dumps([{"name": "delivered", "id": 1, "number": 1000}]).encode()).status_code == 204
    assert shop.rows(messages)[0]["delivered_at"] == shop.clock.now()


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"id": None}, "an event's `dedupe` must be a text, and is NoneType"),
        ({"id": "v1", "zone": False}, "an event's `at` must be a time with its zone (UTC), and is a time without one"),
        ({"id": "v1", "key": {"a": 1}}, "an event's `message_key` must be a text, and is dict"),
        ({}, "the provider broke down over a report (KeyError)"),
    ],
)
def test_a_provider_that_breaks_its_contract_is_named(shop: Shop, told: dict[str, Any], words: str) -> None:
    """The vendor is told that nothing was kept, and sends it again; answer and log name the provider and the field."""
    with capture_logs() as logs:
        answer = report(shop, json.dumps([{"name": "delivered", **told}]).encode())
    error = answer.json()["error"]
    assert (answer.status_code, error["where"], error["what"]) == (500, "providers.signing", words)
    (line,) = [line for line in logs if line["event"] == "a report cannot be taken in"]
    assert line["provider"] == "signing" and line["what"] in words
    assert shop.count(events) == 0
