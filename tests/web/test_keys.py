"""Only who has a key may call, and every key of the list is one."""

from __future__ import annotations

import pytest

from tests.web.conftest import KEY, OTHER_KEY, Shop


def test_each_configured_key_opens_the_door_in_either_header(shop: Shop) -> None:
    """Two keys at a time are how one is exchanged for another without a gap."""
    for headers in (
        {"Authorization": f"Bearer {KEY}"},
        {"Authorization": f"bearer {OTHER_KEY}"},
        {"X-Api-Key": OTHER_KEY},
    ):
        assert shop.client.get("/v1/messages/1", headers=headers).status_code == 404, headers


STRANGERS: tuple[dict[str, str], ...] = (
    {},
    {"Authorization": f"Bearer {KEY}x"},
    {"Authorization": KEY},
    {"X-Api-Key": ""},
    {"X-Api-Key": f"{KEY}, {OTHER_KEY}"},
)


def test_a_stranger_gets_401_and_the_same_words(shop: Shop) -> None:
    """Missing, wrong and malformed keys are answered alike."""
    for headers in STRANGERS:
        answer = shop.client.get("/v1/messages/1", headers=headers)
        assert answer.status_code == 401, headers
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.json()["error"]["what"] == "the API key is missing or wrong"


def test_a_key_in_the_url_does_not_count(shop: Shop) -> None:
    """URLs end up in logs."""
    assert shop.client.get(f"/v1/messages/1?api_key={KEY}").status_code == 401


def test_a_strangers_body_is_not_looked_at(shop: Shop) -> None:
    """The key comes first: whatever the body is, the answer is 401."""
    assert shop.client.post("/v1/trigger/receipt", content=b"{not json").status_code == 401
    assert shop.client.post("/v1/events", content=b"x" * 2_000_000).status_code == 401


def test_without_a_configured_key_nobody_may_call_and_the_operator_is_told_what_to_do(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty variable never means that everybody may."""
    for value in ("", " , "):
        monkeypatch.setenv("REGULARS_API_KEYS", value)
        answer = shop.client.get("/v1/messages/1", headers={"X-Api-Key": ""})
        assert answer.status_code == 503
        assert "REGULARS_API_KEYS" in answer.text
