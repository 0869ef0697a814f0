"""LinkedIn's Posts API of one's own: an organisation and a person who post, and the statistics of the organisation's posts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

from engine.testing.vendors.images import kind_of
from engine.testing.vendors.server import Fault, HttpVendor, Received, Reply, Request

ORGANISATION, PERSON = "urn:li:organization:2414183", "urn:li:person:5abc_dEfgH"
VERSIONS = frozenset({"202511", "202606"})


class LinkedInVendor(HttpVendor):
    """`remembers`: how long words that were posted are refused. `fared`: what it tells of posts, by their URN.

    It does what LinkedIn does with reserved letters: an unescaped bracket ends the text. `tokens` open, `renewals` counts those that
    were made of the `refresh_token`, which stays the same. `ends`: when a token of config.yaml's ends, and the refresh token.
    `images`: the bytes that were uploaded for each; empty while nothing was.
    """

    remembers = timedelta()
    client = ("client-for-tests", "secret-for-tests")
    ends = datetime(2026, 12, 1, tzinfo=UTC)

    def __init__(
        self,
        *,
        access_token: str = "token-for-tests",  # noqa: S107
        refresh_token: str | None = None,
        misbehave: Callable[[Request], Fault | None] | None = None,
    ) -> None:
        super().__init__(misbehave=misbehave)
        self.tokens, self.refresh_token, self.renewals = {access_token}, refresh_token, 0
        self.fared: dict[str, Mapping[str, int]] = {}
        self.images: dict[str, bytes] = {}
        self.notified: list[dict[str, Any]] = []

    def prepares(self, request: Request) -> bool:
        return request.path.startswith(("/oauth/", "/rest/images", "/dms-uploads/"))

    def take(self, request: Request) -> tuple[Reply, Received | None]:
        if request.path.startswith("/oauth/"):
            return self._token(request), None
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            return _no(401, "INVALID_ACCESS_TOKEN", "Invalid access token", service=65600), None
        if request.path == "/v2/userinfo":
            return Reply(status=200, body={"sub": PERSON.rpartition(":")[2], "name": "Ana"}), None
        if request.path.startswith("/dms-uploads/"):
            return self._upload(request), None
        if request.headers.get("linkedin-version") not in VERSIONS:
            return _no(426, "NONEXISTENT_VERSION", "Requested version is not active"), None
        if request.headers.get("x-restli-protocol-version") != "2.0.0":
            return _no(400, "ILLEGAL_ARGUMENT", "Invalid protocol version"), None
        match request.method, request.path:
            case "POST", "/rest/images" if request.query.get("action") == "initializeUpload":
                return self._begin(request.json()), None
            case "POST", "/rest/posts":
                return self._post(request)
            case "GET", "/rest/posts":
                return self._list(request), None
            case "GET", "/rest/organizationalEntityShareStatistics":
                return self._statistics(request), None
            case "GET", "/rest/organizationalEntityNotifications":
                return self._notifications(request), None
        return _no(404, "RESOURCE_NOT_FOUND", "No virtual resource found"), None

    def _token(self, request: Request) -> Reply:
        given = request.form()
        if (given.get("client_id"), given.get("client_secret")) != self.client:
            return Reply(
                status=401, body={"error": "invalid_client", "error_description": "Client authentication failed"}
            )
        left = int((self.ends - datetime.now(UTC)).total_seconds())
        if request.path == "/oauth/v2/introspectToken":
            known = {"active": True, "status": "active", "expires_at": int(self.ends.timestamp())}
            return Reply(status=200, body=known if given.get("token") in self.tokens else {"active": False})
        if given.get("grant_type") != "refresh_token" or given.get("refresh_token") != self.refresh_token:
            return Reply(status=400, body={"error": "invalid_grant", "error_description": "Token has been revoked"})
        self.renewals += 1
        self.tokens = {f"made-{self.renewals}-of-{self.refresh_token}"}
        told = {"access_token": next(iter(self.tokens)), "expires_in": 5_184_000, "refresh_token_expires_in": left}
        return Reply(status=200, body={**told, "refresh_token": self.refresh_token})

    def _post(self, request: Request) -> tuple[Reply, Received | None]:
        told = request.json()
        missing = {"author", "commentary", "visibility", "distribution", "lifecycleState"} - told.keys()
        if missing or told["lifecycleState"] != "PUBLISHED":
            return _no(422, "MISSING_FIELD", "Required field is missing"), None
        if told["author"] not in (ORGANISATION, PERSON):
            return _no(403, "ACCESS_DENIED", "Not enough permissions to access: posts.CREATE", service=100), None
        text = _read(told["commentary"])[:3000]
        same = [one for one in self.accepted if one.text == text and one.at > self.clock() - self.remembers]
        if same:
            number = same[-1].provider_message_id
            return _duplicate(number), None
        image = told.get("content", {}).get("media", {})
        if image and image["id"] not in self.images:
            return _no(400, "INVALID_URN_ID", "The media is not found"), None
        if image and not self.images[image["id"]]:
            return _no(400, "MEDIA_ASSET_WAITING_UPLOAD", "Media asset is waiting upload"), None
        if len(image.get("altText", "")) > 4086:
            return _no(422, "FIELD_LENGTH_TOO_LONG", "The alternative text is too long"), None
        number = f"urn:li:share:{7_295_588_489_876_647_936 + len(self.accepted)}"
        taken = Received(
            key=None,
            to=None,
            text=text,
            provider_message_id=number,
            request=request,
            image_data=self.images[image["id"]] if image else b"",
            image_alt=image.get("altText", ""),
            at=self.clock(),
        )
        return Reply(status=201, headers={"x-restli-id": number}), taken

    def _begin(self, told: Mapping[str, Any]) -> Reply:
        owner = told.get("initializeUploadRequest", {}).get("owner")
        if owner not in (ORGANISATION, PERSON):
            return _no(
                403, "ACCESS_DENIED", "Not enough permissions to access: images.ACTION-initializeUpload", service=100
            )
        name = f"C4E10AQ{len(self.images)}"
        self.images[f"urn:li:image:{name}"] = b""
        where = f"{self.url}/dms-uploads/{name}/0?ca=vector_feedshare&v=beta"
        told = {"uploadUrlExpiresAt": 1650567510704, "uploadUrl": where, "image": f"urn:li:image:{name}"}
        return Reply(status=200, body={"value": told})

    def _upload(self, request: Request) -> Reply:
        image = f"urn:li:image:{request.path.split('/')[2]}"
        if request.method != "PUT" or image not in self.images:
            return Reply(status=404)
        if kind_of(request.body) not in ("image/jpeg", "image/png", "image/gif"):
            return Reply(status=400)
        self.images[image] = request.body
        return Reply(status=201)

    def _list(self, request: Request) -> Reply:
        if request.headers.get("x-restli-method") != "FINDER" or request.query.get("q") != "author":
            return _no(400, "ILLEGAL_ARGUMENT", "No such finder")
        if request.query.get("author") != ORGANISATION:
            return _no(403, "ACCESS_DENIED", "Not enough permissions to access: posts.FINDER-author", service=100)
        start, count = int(request.query.get("start", "0")), min(int(request.query.get("count", "10")), 100)
        elements = [
            {
                "id": one.provider_message_id,
                "author": ORGANISATION,
                "commentary": one.request.json()["commentary"] if one.request else "",
                "publishedAt": int(one.at.timestamp() * 1000),
                "createdAt": int(one.at.timestamp() * 1000),
                "lastModifiedAt": int(one.at.timestamp() * 1000),
            }
            for one in self.told()[start : start + count]
        ]
        return Reply(status=200, body={"elements": elements, "paging": {"start": start, "count": count}})

    def _notifications(self, request: Request) -> Reply:
        """Of the actions and the time that are asked for, in no order."""
        query = request.query
        if query.get("q") != "criteria" or query.get("organizationalEntity") != ORGANISATION:
            return _no(403, "ACCESS_DENIED", "Not enough permissions", service=100)
        actions = query["actions"].removeprefix("List(").removesuffix(")").split(",")
        begin, end = (int(part.partition(":")[2]) for part in query["timeRange"].strip("()").split(","))
        there = [one for one in self.notified if one["action"] in actions and begin <= one["lastModifiedAt"] <= end]
        start, count = int(query["start"]), int(query["count"])
        return Reply(status=200, body={"elements": there[start : start + count], "paging": {"start": start}})

    def notify(
        self, action: str, at: datetime, *, about: str, text: str = "", owner: str = "urn:li:person:ana"
    ) -> None:
        """Somebody likes, shares or comments on the post `about`. LinkedIn decorates what has words."""
        number = 4_406_004 + len(self.notified)
        activity = f"urn:li:activity:{number}"
        words = {"owner": owner, "text": text, "entity": f"urn:li:comment:({activity},{number})"}
        made = {"decoratedGeneratedActivity": {"comment" if action == "COMMENT" else "share": words}} if text else {}
        self.notified.append(
            {
                "notificationId": number,
                "organizationalEntity": ORGANISATION,
                "action": action,
                "sourcePost": activity,
                "decoratedSourcePost": {"entity": about, "owner": ORGANISATION, "text": "New"},
                "generatedActivity": f"urn:li:reaction:({owner},{activity})",
                "lastModifiedAt": int(at.timestamp() * 1000),
                "subscriber": "urn:li:person:admin",
                **made,
            }
        )

    def _statistics(self, request: Request) -> Reply:
        asked = request.query.get("shares", "")
        if not (asked.startswith("List(") and asked.endswith(")")):
            return _no(400, "ILLEGAL_ARGUMENT", "Invalid query parameters")
        urns = [unquote(urn) for urn in asked[5:-1].split(",")]
        elements = [
            {"share": urn, "organizationalEntity": ORGANISATION, "totalShareStatistics": dict(self.fared[urn])}
            for urn in urns
            if urn in self.fared
        ]
        return Reply(status=200, body={"elements": elements})


def _read(commentary: str) -> str:
    """The text that readers see: escapes taken away, and cut off where a reserved letter stands without one."""
    shown, escaped = "", False
    for letter in commentary:
        if not escaped and letter in "|{}@[]()<>*_~":
            break
        if not escaped and letter == "\\":
            escaped = True
            continue
        shown, escaped = shown + letter, False
    return shown


def _duplicate(number: str) -> Reply:
    wrong = {"description": "Duplicate post is detected", "input": {}, "code": "DUPLICATE_POST"}
    body: dict[str, Any] = {
        "errorDetailType": "com.linkedin.common.error.BadRequest",
        "message": f"com.linkedin.content.common.exception.BadRequestResponseException: Content is a duplicate of {number}",
        "errorDetails": {"inputErrors": [wrong]},
        "status": 422,
    }
    return Reply(status=422, body=body)


def _no(status: int, code: str, message: str, *, service: int | None = None) -> Reply:
    more = {"serviceErrorCode": service} if service is not None else {}
    return Reply(status=status, body={"status": status, "code": code, "message": message, **more})
