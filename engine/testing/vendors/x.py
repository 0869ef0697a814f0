"""X's API of one's own: signed calls, posts whose web addresses it rewrites, and its refusal of the same words."""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

from engine.testing.vendors.images import kind_of, parts
from engine.testing.vendors.server import Fault, HttpVendor, Received, Reply, Request

ACCOUNT = "2244994945"
LINK = re.compile(r"https?://\S+|(?<![\w@./])(?:[\w-]+\.)+(?:com|net|org|example)\b(?:/[\w./-]*\w|/)?", re.IGNORECASE)
"""What X takes for a web address: a host that begins with no https://, too."""


class XVendor(HttpVendor):
    """`keys`: the four of OAuth 1.0a. With `oauth2_token` that one alone opens. `remembers`: how long words are refused.

    `page_size` is the longest page of a list. `fared`: what it tells of posts, by their number. `media`: what was uploaded.
    """

    remembers = timedelta()
    page_size = 100

    def __init__(
        self,
        *,
        keys: tuple[str, str, str, str] = ("token-for-tests",) * 4,
        oauth2_token: str | None = None,
        misbehave: Callable[[Request], Fault | None] | None = None,
    ) -> None:
        super().__init__(misbehave=misbehave)
        self._keys, self._token = keys, oauth2_token
        self.fared: dict[str, Mapping[str, int]] = {}
        self.media: dict[str, dict[str, Any]] = {}
        self.mentions: list[dict[str, Any]] = []

    def prepares(self, request: Request) -> bool:
        return request.path == "/2/users/me" or request.path.startswith("/2/media/")

    def take(self, request: Request) -> tuple[Reply, Received | None]:
        if not self._known(request):
            return _no(401, "Unauthorized", "Unauthorized"), None
        match request.method, request.path:
            case "GET", "/2/users/me":
                return Reply(status=200, body={"data": {"id": ACCOUNT, "name": "Records", "username": "records"}}), None
            case "POST", "/2/media/upload":
                return self._upload(request), None
            case "POST", "/2/media/metadata":
                return self._describe(request.json()), None
            case "POST", "/2/tweets":
                return self._post(request)
            case "GET", "/2/tweets":
                return self._tell(request), None
            case "GET", path if path == f"/2/users/{ACCOUNT}/tweets":
                return self._list(request), None
            case "GET", path if path == f"/2/users/{ACCOUNT}/mentions":
                return self._mentioned(request), None
        return _no(404, "Not Found Error", "Could not find what was asked for"), None

    def _known(self, request: Request) -> bool:
        """Whether the call is signed with our keys, over its method, address and query (RFC 5849)."""
        given = request.headers.get("authorization", "")
        if self._token is not None:
            return given == f"Bearer {self._token}"
        told = {name: unquote(value) for name, value in re.findall(r'(oauth_\w+)="([^"]*)"', given)}
        signature, (key, key_secret, token, token_secret) = told.pop("oauth_signature", ""), self._keys
        if (told.get("oauth_consumer_key"), told.get("oauth_token")) != (key, token):
            return False
        pairs = sorted((_q(name), _q(value)) for name, value in [*told.items(), *parse_qsl(request.raw_query)])
        joined = "&".join("=".join(pair) for pair in pairs)
        base = "&".join(_q(part) for part in (request.method, self.url + request.path, joined))
        right = hmac.new(f"{_q(key_secret)}&{_q(token_secret)}".encode(), base.encode(), hashlib.sha1).digest()
        return hmac.compare_digest(base64.b64encode(right).decode(), signature)

    def _post(self, request: Request) -> tuple[Reply, Received | None]:
        text, shown = request.json().get("text", ""), request.json().get("media", {}).get("media_ids", [])
        if not text:
            return _no(400, "Invalid Request", "One or more parameters to your request was invalid."), None
        if len(re.sub(r"https?://\S+", "x" * 23, text)) > 280:
            return _no(403, "Forbidden", "Your Tweet text is too long."), None
        if any(one.text == text and one.at > self.clock() - self.remembers for one in self.accepted):
            return _no(403, "Forbidden", "You are not allowed to create a Tweet with duplicate content."), None
        if not all(each in self.media for each in shown):
            return _no(400, "Invalid Request", "Your media IDs are invalid."), None
        image: Mapping[str, Any] = self.media[shown[0]] if shown else {"data": b"", "alt": ""}
        number = str(1_445_880_548_472_328_192 + len(self.accepted))
        taken = Received(
            key=None,
            to=None,
            text=text,
            provider_message_id=number,
            request=request,
            image_data=image["data"],
            image_alt=image["alt"],
            at=self.clock(),
        )
        told = {"data": {"id": number, "text": text, "edit_history_tweet_ids": [number]}}
        return Reply(status=201, body=told), taken

    def _upload(self, request: Request) -> Reply:
        form = parts(request)
        file, category = form.get("media"), form.get("media_category")
        if file is None or category is None or category.data != b"tweet_image":
            return _no(400, "Invalid Request", "One or more parameters to your request was invalid.")
        if kind_of(file.data) not in ("image/jpeg", "image/png", "image/webp"):
            return _no(400, "Invalid Request", "Media type unrecognized.")
        if len(file.data) > 5_242_880:
            return _no(413, "Payload Too Large", "File size exceeds 5242880 bytes.")
        number = str(1_146_654_567_674_912_769 + len(self.media))
        self.media[number] = {"data": file.data, "alt": ""}
        told = {"id": number, "media_key": f"3_{number}", "size": len(file.data), "expires_after_secs": 86400}
        return Reply(status=200, body={"data": told})

    def _describe(self, told: Mapping[str, Any]) -> Reply:
        text = told["metadata"]["alt_text"]["text"]
        if told["id"] not in self.media or not 0 < len(text) <= 1000:
            return _no(400, "Invalid Request", "One or more parameters to your request was invalid.")
        self.media[told["id"]]["alt"] = text
        return Reply(status=200, body={"data": {"id": told["id"], "associated_metadata": told["metadata"]}})

    def _list(self, request: Request) -> Reply:
        since = datetime.fromisoformat(request.query["start_time"])
        start, told = int(request.query.get("pagination_token", "0")), [one for one in self.told() if one.at >= since]
        end = start + min(int(request.query.get("max_results", "10")), self.page_size)
        shown = [_shown(one) for one in told[start:end]]
        meta = {"result_count": len(shown), **({"next_token": str(end)} if end < len(told) else {})}
        return Reply(status=200, body=json.dumps({**({"data": shown} if shown else {}), "meta": meta}).encode())

    def _mentioned(self, request: Request) -> Reply:
        """Who mentioned the account since then, the newest first, with the authors' names beside it."""
        since = request.query["start_time"].replace("Z", ".000Z")
        there = [one for one in reversed(self.mentions) if one["created_at"] >= since]
        start = int(request.query.get("pagination_token", "0"))
        end = start + min(int(request.query.get("max_results", "10")), self.page_size)
        shown = there[start:end]
        authors = [{"id": one, "username": f"user{one}"} for one in sorted({each["author_id"] for each in shown})]
        meta = {"result_count": len(shown), **({"next_token": str(end)} if end < len(there) else {})}
        told = {"data": shown, "includes": {"users": authors}} if shown else {}
        return Reply(status=200, body=json.dumps({**told, "meta": meta}).encode())

    def mention(
        self, author: str, at: datetime, text: str, *, about: str | None = None, kind: str = "replied_to"
    ) -> None:
        """The person `author` writes to the account: an answer to the post `about`, a quote of it, or just so."""
        post = {
            "id": str(1_600_000_000_000_000_000 + len(self.mentions)),
            "author_id": author,
            "text": html.escape(text, quote=False),
            "created_at": at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        }
        self.mentions.append({**post, **({"referenced_tweets": [{"type": kind, "id": about}]} if about else {})})

    def _tell(self, request: Request) -> Reply:
        asked = request.query.get("ids", "").split(",")
        there = [
            {"id": one.provider_message_id, "text": one.text, "public_metrics": self.fared.get(one.provider_message_id)}
            for one in self.accepted
            if one.provider_message_id in asked
        ]
        return Reply(status=200, body={"data": there} if there else {"errors": [{"title": "Not Found Error"}]})


def _q(text: str) -> str:
    return quote(text, safe="~")


def _shown(one: Received) -> dict[str, Any]:
    """A post as X tells it: its web addresses are its own, & and < are entities."""
    text = html.escape(one.text, quote=False)
    links: list[dict[str, str]] = []

    def short(found: re.Match[str]) -> str:
        link, mine = html.unescape(found[0]), f"https://t.co/{one.provider_message_id[-6:]}{len(links)}"
        seen = re.sub(r"^https?://(www\.)?", "", link, flags=re.IGNORECASE)
        whole = link if "://" in link else f"http://{link}"
        links.append({"url": mine, "expanded_url": whole, "display_url": seen if len(seen) <= 26 else f"{seen[:26]}…"})
        return mine

    text = LINK.sub(short, text)
    if one.image_data:
        shown = f"https://t.co/{one.provider_message_id[-6:]}img"
        text = f"{text} {shown}"
        place = f"https://x.com/records/status/{one.provider_message_id}/photo/1"
        links.append({"url": shown, "expanded_url": place, "display_url": "pic.x.com/img", "media_key": "3_1"})
    entities = {"entities": {"urls": links}} if links else {}
    created = one.at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return {"id": one.provider_message_id, "text": text, "created_at": created, **entities}


def _no(status: int, title: str, detail: str) -> Reply:
    return Reply(status=status, body={"title": title, "detail": detail, "type": "about:blank", "status": status})
