"""A Mastodon server of one's own: takes statuses, and remembers idempotency keys."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from engine.testing.vendors.images import kind_of, parts
from engine.testing.vendors.server import Fault, HttpVendor, Received, Reply, Request

ACCOUNT = "109"
LARGEST = 16_777_216


class MastodonVendor(HttpVendor):
    """A status over `limit` characters is refused. `forget` lets the hour pass after which keys are forgotten. `fared`: what it
    tells of statuses, by their id. An image is ready after so many `looks` at it; `media` are those that no status shows yet.
    domain: of its people's handles; empty for a server too old to tell it.
    """

    def __init__(
        self,
        *,
        access_token: str = "token-for-tests",  # noqa: S107
        limit: int = 500,
        misbehave: Callable[[Request], Fault | None] | None = None,
    ) -> None:
        super().__init__(misbehave=misbehave)
        self._token, self._limit = access_token, limit
        self._answers: dict[str, Reply] = {}
        self._notifications: list[dict[str, Any]] = []
        self.fared: dict[str, Mapping[str, int]] = {}
        self.domain = ""
        self.looks = 0
        self.media: dict[str, dict[str, Any]] = {}
        self._uploads = 0

    def prepares(self, request: Request) -> bool:
        return request.path.startswith(("/api/v1/media/", "/api/v2/media"))

    def take(self, request: Request) -> tuple[Reply, Received | None]:
        if request.headers.get("authorization") != f"Bearer {self._token}":
            return Reply(status=401, body={"error": "The access token is invalid"}), None
        if (request.method, request.path) == ("POST", "/api/v2/media"):
            return self._upload(request), None
        if request.path.startswith("/api/v1/media/"):
            return self._look(request.path.rpartition("/")[2]), None
        if request.method == "GET":
            return self._tell(request), None
        if (request.method, request.path) != ("POST", "/api/v1/statuses"):
            return _MISSING, None
        return self._post(request)

    def _post(self, request: Request) -> tuple[Reply, Received | None]:
        key = request.headers.get("idempotency-key")
        if key in self._answers:
            return self._answers[key], None
        form = request.form()
        text, visibility = form.get("status", ""), form.get("visibility", "public")
        if not text or len(text) > self._limit:
            return _no(f"Validation failed: Text character limit of {self._limit} exceeded"), None
        shown = form.get("media_ids[]")
        image = self.media.get(shown or "")
        if shown and image is None:
            return _no(f"Media {shown} not found or already attached to another post"), None
        if image and image["looks"] > 0:
            return _no("Cannot attach files that have not finished processing. Try again in a moment!"), None
        self.media.pop(shown or "", None)
        number = str(110_000_000_000_000_000 + len(self.accepted))
        answer = Reply(status=200, body={"id": number, "visibility": visibility, "content": text})
        if key:
            self._answers[key] = answer
        named = re.match(r"@\S+", text) if visibility == "direct" else None
        received = Received(
            key=key,
            to=named[0] if named else None,
            text=text,
            headers={"visibility": visibility},
            provider_message_id=number,
            request=request,
            image_data=image["data"] if image else b"",
            image_alt=image["description"] if image else "",
            at=self.clock(),
        )
        return answer, received

    def _upload(self, request: Request) -> Reply:
        form = parts(request)
        file, told = form.get("file"), form.get("description")
        if file is None:
            return _no("Validation failed: File can't be blank")
        if not file.filename or kind_of(file.data) != file.type:
            return _no("Validation failed: File content type is invalid")
        if len(file.data) >= LARGEST:
            return _no(f"Validation failed: File file size must be less than {LARGEST} Bytes")
        description = told.data.decode() if told else ""
        if len(description) > 1500:
            return _no("Validation failed: Description is too long (maximum is 1500 characters)")
        number = str(22_000 + self._uploads)
        self._uploads += 1
        self.media[number] = {"data": file.data, "description": description, "looks": self.looks}
        return _attachment(number, status=202 if self.looks else 200)

    def _look(self, number: str) -> Reply:
        one = self.media.get(number)
        if one is None:
            return _MISSING
        one["looks"] -= 1
        return _attachment(number, status=206 if one["looks"] > 0 else 200)

    def _tell(self, request: Request) -> Reply:
        """The account, its statuses in pages of at most 40, and the words of one as they were written."""
        if request.path == "/api/v2/instance" and self.domain:
            return Reply(status=200, body={"domain": self.domain, "title": "Mastodon"})
        place = request.path.removeprefix("/api/v1")
        if place == "/accounts/verify_credentials":
            return Reply(status=200, body={"id": ACCOUNT, "username": "records"})
        if place == "/notifications":
            return self._list(request)
        told = self.told()
        if place == f"/accounts/{ACCOUNT}/statuses":
            below, limit = request.query.get("max_id", "9" * 20), min(int(request.query.get("limit", "20")), 40)
            older = [one for one in told if int(one.provider_message_id) < int(below)][:limit]
            return Reply(status=200, body=json.dumps([_status(one) for one in older]).encode())
        for one in told:
            if place == f"/statuses/{one.provider_message_id}":
                return Reply(status=200, body={**_status(one), **self.fared.get(one.provider_message_id, {})})
            if place == f"/statuses/{one.provider_message_id}/source":
                return Reply(status=200, body={"id": one.provider_message_id, "text": one.text, "spoiler_text": ""})
        return _MISSING

    def _list(self, request: Request) -> Reply:
        """Of the kinds that are asked for, in pages of at most 80, the newest first."""
        kinds = [value for name, value in request.asked if name == "types[]"]
        below, limit = int(request.query.get("max_id", "9" * 18)), min(int(request.query.get("limit", "40")), 80)
        page = [one for one in self._notifications if one["type"] in kinds and int(one["id"]) < below][-limit:]
        return Reply(status=200, body=json.dumps(page[::-1]).encode())

    def notify(self, kind: str, who: str, at: datetime, *, about: str | None = None, content: str = "") -> None:
        """Somebody favourites or reblogs the status `about`, or answers it (`mention`) with this HTML."""
        number = str(1000 + len(self._notifications))
        status = {"id": about, "content": "<p>New</p>", "in_reply_to_id": None, "visibility": "public"}
        if kind == "mention":
            status = {**status, "id": f"9{number}", "in_reply_to_id": about, "content": content}
        date = at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        account = {"id": "7", "username": who.partition("@")[0], "acct": who}
        self._notifications.append(
            {"id": number, "type": kind, "created_at": date, "account": account, "status": status}
        )

    def forget(self) -> None:
        """An hour later: no key is known any more."""
        self._answers.clear()


_MISSING = Reply(status=404, body={"error": "Record not found"})


def _no(why: str) -> Reply:
    return Reply(status=422, body={"error": why})


def _attachment(number: str, *, status: int) -> Reply:
    there = f"https://files.example/{number}" if status == 200 else None
    return Reply(status=status, body={"id": number, "type": "image", "url": there, "preview_url": there})


def _status(one: Received) -> dict[str, str]:
    """A status as Mastodon lists it: its words are HTML there."""
    return {
        "id": one.provider_message_id,
        "created_at": one.at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "visibility": one.headers["visibility"],
        "content": f"<p>{html.escape(one.text)}</p>",
    }
