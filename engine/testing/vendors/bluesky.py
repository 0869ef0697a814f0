"""A server of the AT Protocol of one's own: sessions that end, and records under keys, as the PDS of Bluesky keeps them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from engine.testing.vendors.images import kind_of
from engine.testing.vendors.server import Fault, HttpVendor, Received, Reply, Request

DID = "did:plc:records0123456789abcdefg"
HANDLE = "records.bsky.example"
LARGEST = 1_000_000
_TID = re.compile(r"^[234567abcdefghij][234567a-z]{12}\Z")


class BlueskyVendor(HttpVendor):
    """`expire` ends every session's access, `revoke` its renewal, too. `fared` is what it tells of posts, by their address."""

    def __init__(
        self,
        *,
        app_password: str = "token-for-tests",  # noqa: S107
        misbehave: Callable[[Request], Fault | None] | None = None,
    ) -> None:
        super().__init__(misbehave=misbehave)
        self._password = app_password
        self._records: dict[str, Mapping[str, Any]] = {}
        self._issued = 0
        self._access, self._refresh = set[str](), set[str]()
        self._known = set[str]()
        self.log_ins = self.renewals = 0
        self.fared: dict[str, Mapping[str, int]] = {}
        self._notifications: list[dict[str, Any]] = []
        self.blobs: dict[str, tuple[dict[str, Any], bytes]] = {}

    def prepares(self, request: Request) -> bool:
        return "com.atproto.server." in request.path or request.path.endswith(".uploadBlob")

    def expire(self) -> None:
        self._access.clear()

    def delete(self, uri: str) -> None:
        """The account's owner takes a post away."""
        del self._records[uri]

    def revoke(self) -> None:
        self.expire()
        self._refresh.clear()

    def take(self, request: Request) -> tuple[Reply, Received | None]:
        name = request.path.removeprefix("/xrpc/")
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if name == "com.atproto.server.createSession":
            return self._log_in(request.json()), None
        if name == "com.atproto.server.refreshSession":
            return self._renew(token), None
        if name == "com.atproto.repo.getRecord":
            return self._record(request.query), None
        if token not in self._access:
            return _no(400, "ExpiredToken", "Token has expired") if token in self._known else _no(
                401, "AuthMissing", "Authentication Required"
            ), None
        if name == "com.atproto.repo.uploadBlob":
            return self._upload(request), None
        if name == "com.atproto.repo.putRecord":
            return self._put(request)
        if name == "app.bsky.notification.listNotifications":
            return self._list(request.query), None
        if name == "app.bsky.feed.getPosts":
            return self._posts([value for name, value in request.asked if name == "uris"]), None
        return _no(501, "MethodNotImplemented", "Method Not Implemented"), None

    def _log_in(self, told: Mapping[str, Any]) -> Reply:
        self.log_ins += 1
        if told.get("identifier") not in (DID, HANDLE) or told.get("password") != self._password:
            return _no(401, "AuthenticationRequired", "Invalid identifier or password")
        return self._session()

    def _renew(self, token: str) -> Reply:
        self.renewals += 1
        if token not in self._refresh:
            return _no(400, "ExpiredToken", "Token has been revoked")
        self._refresh.discard(token)
        return self._session()

    def _session(self) -> Reply:
        self._issued += 1
        access, refresh = f"access-{self._issued}", f"refresh-{self._issued}"
        self._access.add(access)
        self._refresh.add(refresh)
        self._known.add(access)
        service = {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": self.url}
        told = {"accessJwt": access, "refreshJwt": refresh, "handle": HANDLE, "did": DID, "active": True}
        return Reply(status=200, body={**told, "didDoc": {"id": DID, "service": [service]}})

    def _put(self, request: Request) -> tuple[Reply, Received | None]:
        told = request.json()
        key, record = told["rkey"], told["record"]
        uri = f"at://{DID}/{told['collection']}/{key}"
        if told["repo"] not in (DID, HANDLE):
            return _no(401, "AuthenticationRequired", "Authentication Required"), None
        if wrong := _wrong(told["collection"], key, record):
            return _no(400, "InvalidRequest", wrong), None
        data, alt = b"", ""
        if "embed" in record:
            (image,) = record["embed"]["images"]
            blob, data = self.blobs.get(image["image"]["ref"]["$link"], ({}, b""))
            if blob != image["image"]:
                return _no(400, "BlobNotFound", "Could not find blob"), None
            if blob["size"] > LARGEST:
                largest = "This file is too large. It is 1.2MB but the maximum size is 976.56KB"
                return _no(400, "BlobTooLarge", largest), None
            alt = image["alt"]
        answer = Reply(status=200, body={"uri": uri, "cid": f"bafy{key}", "validationStatus": "valid"})
        if self._records.get(uri) == record:
            return answer, None
        if uri in self._records and "swapRecord" in told:
            return _no(400, "InvalidSwap", "Record was at bafy"), None
        self._records[uri] = record
        taken = Received(
            key=key,
            to=None,
            text=record["text"],
            provider_message_id=uri,
            request=request,
            image_data=data,
            image_alt=alt,
            at=self.clock(),
        )
        return answer, taken

    def _upload(self, request: Request) -> Reply:
        """A blob is named by its content: the same bytes are the same blob."""
        if not request.headers.get("content-type") or not request.body:
            return _no(400, "InvalidRequest", "Request encoding (Content-Type) required but not provided")
        link = "bafkrei" + hashlib.sha256(request.body).hexdigest()
        kind = kind_of(request.body) or request.headers["content-type"]
        blob = {"$type": "blob", "ref": {"$link": link}, "mimeType": kind, "size": len(request.body)}
        self.blobs[link] = blob, request.body
        return Reply(status=200, body={"blob": blob})

    def _record(self, asked: Mapping[str, str]) -> Reply:
        uri = f"at://{DID}/{asked['collection']}/{asked['rkey']}"
        if uri not in self._records or uri not in {one.provider_message_id for one in self.told()}:
            return _no(400, "RecordNotFound", f"Could not locate record: {uri}")
        return Reply(status=200, body={"uri": uri, "cid": "bafy", "value": dict(self._records[uri])})

    def _list(self, asked: Mapping[str, str]) -> Reply:
        start, limit = int(asked.get("cursor", "0")), int(asked.get("limit", "50"))
        if limit > 100:
            return _no(400, "InvalidRequest", "limit must not be larger than 100")
        page = self._notifications[::-1][start : start + limit]
        more = {"cursor": str(start + limit)} if len(self._notifications) > start + limit else {}
        return Reply(status=200, body={"notifications": page, "seenAt": "2026-03-02T12:00:00.000Z", **more})

    def notify(self, reason: str, who: str, at: datetime, *, about: str | None = None, text: str = "") -> None:
        """Somebody likes, reposts or quotes the post `about`, or answers it (`reply`)."""
        record: dict[str, Any] = {"createdAt": at.isoformat(), "text": text}
        if reason == "reply":
            record["reply"] = {"parent": {"uri": about, "cid": "bafy"}, "root": {"uri": about, "cid": "bafy"}}
        uri = f"at://did:plc:{who}/app.bsky.feed.{reason}/{len(self._notifications)}"
        told = {"uri": uri, "cid": "bafy", "author": {"did": f"did:plc:{who}", "handle": who}, "reason": reason}
        date = at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        self._notifications.append(
            {**told, "reasonSubject": about, "record": record, "isRead": False, "indexedAt": date}
        )

    def _posts(self, asked: Sequence[str]) -> Reply:
        there = [{"uri": uri, "cid": "bafy", **self.fared.get(uri, {})} for uri in asked if uri in self._records]
        if not 0 < len(asked) <= 25:
            return _no(400, "InvalidRequest", "uris must not have more than 25 elements")
        return Reply(status=200, body={"posts": there})


def _wrong(collection: str, key: str, record: Mapping[str, Any]) -> str:
    """What the lexicon of posts has against a record; graphemes are not counted here, but bytes are."""
    if collection != "app.bsky.feed.post" or record.get("$type") != collection:
        return "Invalid record"
    if not _TID.match(key):
        return "Invalid record key"
    text = record.get("text", "")
    if len(text.encode()) > 3000:
        return "Record/text must not be longer than 3000 bytes"
    if "embed" in record and (wrong := _wrong_embed(record["embed"])):
        return wrong
    for facet in record.get("facets", []):
        index = facet["index"]
        if not 0 <= index["byteStart"] < index["byteEnd"] <= len(text.encode()):
            return "Invalid facet"
    return ""


def _wrong_embed(embed: Mapping[str, Any]) -> str:
    images = embed.get("images", ())
    if embed.get("$type") != "app.bsky.embed.images" or len(images) != 1:
        return "Invalid app.bsky.feed.post record: Record/embed must be one of the known kinds"
    for image in images:
        if "alt" not in image or not str(image["image"].get("mimeType")).startswith("image/"):
            return 'Invalid app.bsky.feed.post record: Record/embed/images/0 must have the property "alt"'
        if any(side < 1 for side in image.get("aspectRatio", {}).values()):
            return "Invalid app.bsky.feed.post record: aspectRatio can not be less than 1"
    return ""


def _no(status: int, error: str, message: str) -> Reply:
    return Reply(status=status, body={"error": error, "message": message})
