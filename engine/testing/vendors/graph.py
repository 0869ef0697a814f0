"""Meta's Graph API of one's own: a Facebook page with its posts, an Instagram account with its containers and media."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from engine.testing.vendors.server import Fault, HttpVendor, Received, Reply, Request

PAGE_ID, ACCOUNT_ID = "105551234567890", "17841400008460056"
APP_SECRET = "secret-of-the-app"  # noqa: S105


class GraphVendor(HttpVendor):
    """The version, the token and, where there is an `app_secret`, the proof of it are checked at every call.

    `page_size` is the longest page of a list. `remembers`: how long the page refuses the words of its latest post.
    `fared`: what it tells of posts besides, by their ids. `ends`: when the token ends, in seconds since 1970; 0 for never.
    """

    ends = 0

    page_size = 100
    remembers = timedelta()

    def __init__(
        self,
        *,
        access_token: str = "token-for-tests",  # noqa: S107
        app_secret: str | None = None,
        misbehave: Callable[[Request], Fault | None] | None = None,
    ) -> None:
        super().__init__(misbehave=misbehave)
        self._token, self._secret = access_token, app_secret
        self.fared: dict[str, Mapping[str, Any]] = {}

    def take(self, request: Request) -> tuple[Reply, Received | None]:
        given = request.form() if request.method == "POST" else request.query
        _, version, *path = request.path.split("/")
        if version != "v25.0":
            return no(2635, "You are calling a deprecated version of the API"), None
        if request.headers.get("authorization") != f"Bearer {self._token}":
            return no(190, "Invalid OAuth access token - Cannot parse access token", status=401), None
        if self._secret is not None and given.get("appsecret_proof") != self._proof():
            return no(100, "Invalid appsecret_proof provided in the API argument"), None
        if path == ["debug_token"]:
            known = {"is_valid": True, "type": "PAGE", "expires_at": self.ends, "data_access_expires_at": 0}
            return Reply(status=200, body={"data": known if given.get("input_token") == self._token else {}}), None
        return self.answer(request, path, given)

    def answer(self, request: Request, path: Sequence[str], given: Mapping[str, str]) -> tuple[Reply, Received | None]:
        match request.method, path:
            case "GET", [page] if page == PAGE_ID:
                return Reply(status=200, body={"id": PAGE_ID, "name": "Example Records"}), None
            case "GET", [page, "published_posts"] if page == PAGE_ID:
                return self.list(given, "message", "created_time"), None
            case "POST", [page, "feed" | "photos" as kind] if page == PAGE_ID:
                return self._post(request, kind, given)
        return no(100, "Unsupported request", subcode=33), None

    def _post(self, request: Request, kind: str, given: Mapping[str, str]) -> tuple[Reply, Received | None]:
        text = given.get("caption" if kind == "photos" else "message", "")
        if not text:
            return no(100, "Missing message or attachment"), None
        if len(text) > 63_206:
            return no(100, "Message is too long"), None
        if self.accepted and self.accepted[-1].text == text and self.accepted[-1].at > self.clock() - self.remembers:
            return no(506, "(#506) Duplicate status message"), None
        number = f"{PAGE_ID}_{1000 + len(self.accepted)}"
        told = {"id": "77", "post_id": number} if kind == "photos" else {"id": number}
        taken = Received(
            key=None,
            to=None,
            text=text,
            image=given.get("url"),
            image_alt=given.get("alt_text_custom", ""),
            headers={"link": given["link"]} if "link" in given else {},
            provider_message_id=number,
            request=request,
            at=self.clock(),
        )
        return Reply(status=200, body=told), taken

    def list(self, given: Mapping[str, str], words: str, date: str) -> Reply:
        """What was taken, the newest first, in pages with cursors."""
        start, told = int(given.get("after") or 0), self.told()
        end = start + min(int(given.get("limit", "25")), self.page_size)
        entries = [
            {
                "id": one.provider_message_id,
                words: one.text,
                date: one.at.strftime("%Y-%m-%dT%H:%M:%S+0000"),
                **self.fared.get(one.provider_message_id, {}),
            }
            for one in told[start:end]
        ]
        paging = {"cursors": {"before": str(start), "after": str(end)}}
        more = {"next": f"{self.url}/next"} if end < len(told) else {}
        return Reply(status=200, body=json.dumps({"data": entries, "paging": {**paging, **more}}).encode())

    def _proof(self) -> str:
        return hmac.new((self._secret or "").encode(), self._token.encode(), hashlib.sha256).hexdigest()


class InstagramVendor(GraphVendor):
    """An account. A container is ready after `looks` looks at it; one whose image is in `broken` fails with that subcode."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.looks = 0
        self.broken: dict[str, str] = {}
        self.containers: dict[str, dict[str, Any]] = {}

    def prepares(self, request: Request) -> bool:
        last = request.path.rpartition("/")[2]
        return (request.method, last) == ("POST", "media") or last in self.containers

    def answer(self, request: Request, path: Sequence[str], given: Mapping[str, str]) -> tuple[Reply, Received | None]:
        match request.method, path:
            case "GET", [account] if account == ACCOUNT_ID:
                return Reply(status=200, body={"id": ACCOUNT_ID, "username": "examplerecords"}), None
            case "GET", [account, "media"] if account == ACCOUNT_ID:
                return self.list(given, "caption", "timestamp"), None
            case "POST", [account, "media"] if account == ACCOUNT_ID:
                return self._contain(given), None
            case "POST", [account, "media_publish"] if account == ACCOUNT_ID:
                return self._publish(request, given.get("creation_id", ""))
            case "GET", [number] if number in self.containers:
                return self._look(number), None
        return no(100, "Unsupported request", subcode=33), None

    def _contain(self, given: Mapping[str, str]) -> Reply:
        if not given.get("image_url"):
            return no(100, "The parameter image_url is required")
        if len(given.get("caption", "")) > 2200:
            return no(36004, "The caption is too long", subcode=2207010)
        number = str(17_889_455_560_051_444 + len(self.containers))
        self.containers[number] = {"looks": self.looks, "status": "IN_PROGRESS", **given}
        return Reply(status=200, body={"id": number})

    def _look(self, number: str) -> Reply:
        one = self.containers[number]
        if one["status"] == "IN_PROGRESS":
            one["looks"] -= 1
            if one["looks"] < 0:
                one["status"] = "ERROR" if one["image_url"] in self.broken else "FINISHED"
        told = {"id": number, "status_code": one["status"], "status": self.broken.get(one["image_url"], "")}
        return Reply(status=200, body=told)

    def _publish(self, request: Request, number: str) -> tuple[Reply, Received | None]:
        one = self.containers.get(number)
        if one is None:
            return no(24, "The requested resource does not exist", subcode=2207006), None
        if one["status"] != "FINISHED":
            return no(9007, "Media ID is not available", subcode=2207027), None
        one["status"] = "PUBLISHED"
        media = str(17_920_238_422_030_506 + len(self.accepted))
        text, image = one.get("caption", ""), one["image_url"]
        taken = Received(
            key=None,
            to=None,
            text=text,
            image=image,
            image_alt=one.get("alt_text", ""),
            provider_message_id=media,
            request=request,
            at=self.clock(),
        )
        return Reply(status=200, body={"id": media}), taken


def no(code: int, message: str, *, subcode: int | None = None, status: int = 400) -> Reply:
    error: dict[str, Any] = {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "A6LJylpZRKw"}
    if subcode is not None:
        error["error_subcode"] = subcode
    return Reply(status=status, body={"error": error})
