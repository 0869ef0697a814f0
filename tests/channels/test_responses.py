"""Providers whose calls `requests` carries, tested with `responses` at their vendors' real addresses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import requests
import responses

from engine.provider import Accepted, Ambiguous, Http, NotSent, Provider, TextContent
from engine.sending.providers import installed, provider_class
from engine.testing.vendors.images import png
from tests.channels.messages import POST, soon

NO_HTTP = {"console", "file", "smtp"}
KEY = "${env:T_TOKEN}"
IMAGE = "https://shop.example/new.png"
SHOWN = replace(POST, content=TextContent(text="New records!", image=IMAGE, image_alt="A record"))


@dataclass(frozen=True, kw_only=True)
class Case:
    """settings: of the provider. prepares: calls before the one that publishes, and their answers. url: where that one
    goes, its answer, and the id that is kept of it.
    """

    settings: Mapping[str, Any]
    url: str
    number: str
    answer: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200
    prepares: tuple[tuple[str, str, Mapping[str, Any]], ...] = ()


SESSION = {"did": "did:plc:abc", "handle": "r.bsky.social", "accessJwt": "a", "refreshJwt": "r"}
UPLOAD = {"value": {"uploadUrl": "https://www.linkedin.com/dms-uploads/C4E10", "image": "urn:li:image:C4E10"}}
CASES: Mapping[str, Case] = {
    "bluesky": Case(
        settings={"handle": "r.bsky.social", "app_password": KEY},
        prepares=(
            ("POST", "https://bsky.social/xrpc/com.atproto.server.createSession", SESSION),
            ("POST", "https://bsky.social/xrpc/com.atproto.repo.uploadBlob", {"blob": {"$type": "blob"}}),
        ),
        url="https://bsky.social/xrpc/com.atproto.repo.putRecord",
        answer={"uri": "at://did:plc:abc/app.bsky.feed.post/3", "cid": "bafy"},
        number="at://did:plc:abc/app.bsky.feed.post/3",
    ),
    "facebook": Case(
        settings={"page_id": "105", "access_token": KEY},
        url="https://graph.facebook.com/v25.0/105/photos",
        answer={"id": "7", "post_id": "105_7"},
        number="105_7",
    ),
    "instagram": Case(
        settings={"account_id": "178", "access_token": KEY},
        prepares=(
            ("POST", "https://graph.facebook.com/v25.0/178/media", {"id": "17"}),
            ("GET", "https://graph.facebook.com/v25.0/17", {"status_code": "FINISHED"}),
        ),
        url="https://graph.facebook.com/v25.0/178/media_publish",
        answer={"id": "179"},
        number="179",
    ),
    "linkedin": Case(
        settings={"author": "urn:li:organization:241", "access_token": KEY},
        prepares=(
            ("POST", "https://api.linkedin.com/rest/images?action=initializeUpload", UPLOAD),
            ("PUT", "https://www.linkedin.com/dms-uploads/C4E10", {}),
        ),
        url="https://api.linkedin.com/rest/posts",
        status=201,
        headers={"x-restli-id": "urn:li:share:6"},
        number="urn:li:share:6",
    ),
    "x": Case(
        settings={"oauth2_token": KEY},
        prepares=(
            ("POST", "https://api.x.com/2/media/upload", {"data": {"id": "11"}}),
            ("POST", "https://api.x.com/2/media/metadata", {"data": {"id": "11"}}),
        ),
        url="https://api.x.com/2/tweets",
        status=201,
        answer={"data": {"id": "1346", "text": "New records!"}},
        number="1346",
    ),
}


def opened(use: str) -> Provider:
    kind = provider_class(use)
    return kind(kind.Settings.model_validate(CASES[use].settings), http=Http())


@pytest.mark.parametrize("use", CASES)
@responses.activate
def test_a_post_goes_where_the_vendor_takes_it(use: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The vendor's yes is a yes, with its id; a break before a connection is not sent, any other is doubt."""
    monkeypatch.setenv("T_TOKEN", "token-for-tests")
    case = CASES[use]
    responses.get(IMAGE, body=png())
    for method, url, answer in case.prepares:
        responses.add(method, url, json=dict(answer))
    published = responses.post(case.url, json=dict(case.answer), status=case.status, headers=dict(case.headers))
    assert opened(use).send(SHOWN, deadline=soon()) == Accepted(provider_message_id=case.number)
    assert published.call_count == 1
    assert {(method, url) for method, url, _ in case.prepares} <= {
        (call.request.method, call.request.url) for call in responses.calls
    } or use == "instagram"  # whose look at its container has a query
    for broken, outcome in ((requests.ConnectTimeout(), NotSent), (requests.ReadTimeout(), Ambiguous)):
        responses.upsert(responses.POST, case.url, body=broken)
        assert isinstance(opened(use).send(SHOWN, deadline=soon()), outcome), broken


def test_every_provider_that_speaks_http_is_tested_so() -> None:
    """Here, or in a file of its own."""
    for use in installed():
        if provider_class(use).__module__.startswith("channels.") and use not in NO_HTTP | set(CASES):
            own = (Path(__file__).parent / f"test_{use}.py").read_text(encoding="utf-8")
            assert re.search(r"^import responses$", own, re.MULTILINE), use
