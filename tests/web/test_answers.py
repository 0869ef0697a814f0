"""Every error has one shape and says what to do; none says what it should not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from fastapi import FastAPI
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from engine.web.app import create_app
from tests.web.conftest import KEY, Shop, without_database


def test_what_the_framework_refuses_has_the_common_shape(shop: Shop) -> None:
    """A client reads one shape only."""
    for method, path, status in (("GET", "/nowhere", 404), ("GET", "/v1/events", 405), ("PUT", "/u/x", 405)):
        answer = shop.client.request(method, path)
        assert answer.status_code == status
        assert set(answer.json()["error"]) == {"what", "where", "remedy", "problems"}


def test_health_needs_no_key_and_follows_the_database(shop: Shop) -> None:
    """200 while it answers; 503 with Retry-After, and without its words, while it does not."""
    assert shop.client.get("/healthz").json() == {"status": "ok"}
    client = without_database(shop)
    for answer in (client.get("/healthz"), client.get("/v1/messages/1", headers={"X-Api-Key": KEY})):
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert "unable to open" not in answer.text


def test_an_unforeseen_failure_tells_its_place_to_the_log_and_nobody_its_words(shop: Shop) -> None:
    """An exception's text may hold a customer's address: neither the caller nor the log gets it."""

    def broken() -> Any:
        raise KeyError("ana@mail.example")

    app: FastAPI = create_app(replace(shop.door, wake=broken))
    with capture_logs() as logged:
        answer = TestClient(app).post("/v1/trigger/receipt", json=shop.order("ana"), headers={"X-Api-Key": KEY})
    assert answer.status_code == 500
    assert "ana@mail.example" not in answer.text + json.dumps(logged)
    assert logged[0]["kind"] == "KeyError"
    assert "test_answers.py" in logged[0]["at"][-1]


def test_the_description_is_whole(shop: Shop) -> None:
    """Client generators find every endpoint, its body, its answers and its errors, and each reference leads somewhere."""
    described = shop.client.get("/openapi.json").json()
    assert set(described["paths"]) == {"/v1/trigger/{campaign}", "/v1/messages/{message}", "/v1/events", "/healthz"}
    operations = [operation for path in described["paths"].values() for operation in path.values()]
    assert [o["operationId"] for o in operations] == [
        "trigger_campaign",
        "read_message",
        "record_customer_events",
        "health",
    ]
    schemas = described["components"]["schemas"]
    references = set(_references(described))
    assert {"TriggerRequest", "EventRequest", "CustomerData", "TriggerAnswer", "ErrorAnswer"} <= references
    assert references <= set(schemas)
    assert "HTTPValidationError" not in references
    assert described["paths"]["/v1/trigger/{campaign}"]["post"]["security"]


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"].rpartition("/")[2]] if isinstance(value.get("$ref"), str) else []
        return own + [found for inner in value.values() for found in _references(inner)]
    return [found for inner in value for found in _references(inner)] if isinstance(value, list) else []
