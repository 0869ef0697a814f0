"""Public posts on Bluesky, or any server of the AT Protocol: a record under a key of our own, so that it stands there once.

https://docs.bsky.app/docs/api/com-atproto-repo-put-record
https://docs.bsky.app/docs/api/com-atproto-repo-upload-blob
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from pydantic import Field

from channels.bluesky.heard import heard
from channels.bluesky.posts import COLLECTION, LONGEST, graphemes, post, record_key, shown
from channels.bluesky.sessions import EXPIRED, RESET, Session, Sessions
from engine.errors import NoPlainAnswer, SecretMissing
from engine.model import Channel
from engine.provider import (
    GIF,
    JPEG,
    PNG,
    WEBP,
    Accepted,
    Ambiguous,
    Answer,
    Capabilities,
    Engagement,
    Finding,
    Http,
    ImageLimits,
    Inbox,
    NotFound,
    NotSent,
    Outcome,
    Outgoing,
    Picture,
    Polled,
    Provider,
    ProviderEvent,
    ProviderSettings,
    Rejected,
    SecretRef,
    Verified,
    alt_of,
    counted,
    outcome_of_status,
    prepared,
    storable,
    text_of,
    verified,
)

FOR_EVER = timedelta(days=36_500)
PAGE = 100
AT_ONCE = 25  # posts that one question may be about
ANOTHER_RECORD = "InvalidSwap"
UNCLEAR = "unclear"  # what a look-up finds where a record of other words stands under the key

NOT_TAKEN = frozenset(
    {
        ANOTHER_RECORD,  # stands under this key already
        "AccountDeactivated",
        "AccountNotFound",
        "AccountTakedown",
        "AuthMissing",
        "AuthenticationRequired",
        *EXPIRED,
    }
)
"""Errors by which nothing was written, and a later hand-over may work. Of others the status tells."""


class BlueskySettings(ProviderSettings):
    """handle: the account's, or its DID. app_password: made at Settings → Privacy and security → App passwords.

    server: where the account lives; who has one at Bluesky leaves it. languages: of the posts, up to three (fi, en).
    notifications: whether replies and reactions are fetched.
    """

    handle: str = Field(pattern=r"^(did:[a-z]+:[^\s@]+|[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+)$")
    app_password: SecretRef
    server: str = Field(default="https://bsky.social", pattern=r"^https?://[^\s]+$")
    languages: tuple[str, ...] = Field(default=(), max_length=3)
    notifications: bool = True


class Bluesky(Provider):
    """`putRecord` writes a record under a key that we choose. The same record again changes nothing, and another one under
    the same key is refused (`swapRecord: null`): a post is there once, however often it is handed over.
    """

    Settings = BlueskySettings
    settings: BlueskySettings
    capabilities = Capabilities(
        channel=Channel.SOCIAL,
        idempotency_window=FOR_EVER,
        settle_time=timedelta(minutes=2),
        posts=True,
        direct=False,
        longest_text=LONGEST,
        engagement=True,
        inboxes=True,
        images=True,
        image_limits=ImageLimits(types=(JPEG, PNG, GIF, WEBP), most_bytes=1_000_000),  # newer servers take two million
    )

    def __init__(self, settings: Any, *, http: Http) -> None:
        super().__init__(settings, http=http)
        given: BlueskySettings = self.settings
        self._sessions = Sessions(http, server=given.server, handle=given.handle, password=given.app_password)
        self._inbox = Polled("notifications", self._notifications)

    def length(self, text: str) -> int:
        return graphemes(text)

    def send(self, outgoing: Outgoing, *, deadline: float) -> Outcome:
        text = text_of(outgoing)
        if outgoing.to is not None or not text.strip():
            return Rejected(code="unsendable", detail="a post goes to everybody, and says something")
        image = self._image(outgoing, deadline)
        if isinstance(image, NotSent | Rejected):
            return image
        answer = self._asked(
            "POST",
            "com.atproto.repo.putRecord",
            deadline=deadline,
            body=lambda session: {
                "repo": session.did,
                "collection": COLLECTION,
                "rkey": record_key(outgoing.key, outgoing.at),
                "record": post(text, outgoing.at, self.settings.languages, image),
                "swapRecord": None,
            },
        )
        if not isinstance(answer, Answer):
            return answer
        if answer.good:
            return Accepted(provider_message_id=storable(answer.fields().get("uri")) or None)
        refused = self._refusal(outgoing, answer)
        if refused.code == ANOTHER_RECORD:  # ours, where another image lies at the same address now
            match self.look_up(outgoing, deadline=deadline):
                case Accepted() as found:
                    return found
                case Ambiguous(code=code) if code != UNCLEAR:  # nobody said whose it is
                    return Ambiguous(code=ANOTHER_RECORD, detail=code)
        return refused

    def _refusal(self, outgoing: Outgoing, answer: Answer) -> NotSent | Rejected | Ambiguous:
        fields = answer.fields()
        error, detail = storable(fields.get("error")), self.words(fields.get("message"), outgoing)
        if error in NOT_TAKEN and 400 <= answer.status < 500:
            return NotSent(code=error, detail=detail)
        return outcome_of_status(answer, detail=detail, reset=RESET)

    def _image(self, outgoing: Outgoing, deadline: float) -> Mapping[str, Any] | NotSent | Rejected | None:
        """The image, uploaded; None where the message shows none. The same bytes are the same blob, and so the same record."""
        picture = self.picture(outgoing, deadline=deadline)
        if not isinstance(picture, Picture):
            return picture
        answer = prepared(
            self._asked("POST", "com.atproto.repo.uploadBlob", deadline=deadline, picture=picture),
            partial(self._refusal, outgoing),
        )
        if not isinstance(answer, Answer):
            return answer
        blob = answer.fields().get("blob")
        if not isinstance(blob, dict):
            return NotSent(code="unreadable", detail="the answer to the image's upload")
        return shown(blob, alt_of(outgoing), picture.size)

    def look_up(self, outgoing: Outgoing, *, deadline: float) -> Finding:
        """The record under this message's key: there, and ours, or not there."""
        text = text_of(outgoing)
        where = {"collection": COLLECTION, "rkey": record_key(outgoing.key, outgoing.at)}
        answer = self._asked("GET", "com.atproto.repo.getRecord", deadline=deadline, query=where)
        if not isinstance(answer, Answer):
            return Ambiguous(code=answer.code, detail=answer.detail)
        fields = answer.fields()
        if answer.status == 400 and fields.get("error") == "RecordNotFound":
            return NotFound()
        record = fields.get("value")
        if not answer.good or not isinstance(record, dict):
            return Ambiguous(code=f"http_{answer.status}")
        ours = post(text, outgoing.at, self.settings.languages)
        if all(record.get(name) == ours[name] for name in ("text", "createdAt")):
            return Accepted(provider_message_id=storable(fields.get("uri")) or None)
        return Ambiguous(code=UNCLEAR)

    def engagement(self, post_ids: Sequence[str], *, deadline: float) -> Mapping[str, Engagement]:
        """https://docs.bsky.app/docs/api/app-bsky-feed-get-posts"""
        found: dict[str, Engagement] = {}
        for start in range(0, len(post_ids), AT_ONCE):
            asked = {"uris": list(post_ids[start : start + AT_ONCE])}
            answer = self._asked("GET", "app.bsky.feed.getPosts", deadline=deadline, query=asked)
            posts = answer.fields().get("posts") if isinstance(answer, Answer) and answer.good else None
            if not isinstance(posts, list):
                raise NoPlainAnswer(f"http_{answer.status}" if isinstance(answer, Answer) else answer.code)
            found |= {storable(each.get("uri")): _engagement(each) for each in posts if isinstance(each, dict)}
        return found

    @property
    def inboxes(self) -> Sequence[Inbox]:
        return (self._inbox,) if self.settings.notifications else ()

    def _notifications(self, _since: datetime, deadline: float) -> Iterator[ProviderEvent]:
        """What people did, the newest first, as far as it is wanted: none is passed over. Raises SecretMissing, NoPlainAnswer.

        https://docs.bsky.app/docs/api/app-bsky-notification-list-notifications
        """
        query: dict[str, Any] = {"limit": PAGE}
        while True:
            answer = self._asked("GET", "app.bsky.notification.listNotifications", deadline=deadline, query=query)
            if not isinstance(answer, Answer) or not answer.good:
                raise NoPlainAnswer(
                    f"http_{answer.status}" if isinstance(answer, Answer) else answer.detail or answer.code
                )
            fields = answer.fields()
            page = fields.get("notifications")
            if not isinstance(page, list):
                raise NoPlainAnswer("unreadable")
            yield from filter(None, map(heard, page))
            if not page or not fields.get("cursor"):
                return
            following = storable(fields["cursor"])
            if following == query.get("cursor"):
                raise NoPlainAnswer("unreadable")
            query["cursor"] = following

    def verify(self, *, deadline: float) -> Verified:
        try:
            return verified(self._sessions.log_in(deadline), "the account is known")
        except SecretMissing as error:
            return Verified(good=False, detail=error.what)

    def _asked(
        self,
        method: str,
        name: str,
        *,
        deadline: float,
        body: Callable[[Session], Mapping[str, Any]] | None = None,
        picture: Picture | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> Answer | NotSent | Ambiguous:
        """One call in our session, with a new one where this one is over: then the call did nothing."""
        kind = picture.type if picture else "application/json"
        used: Session | None = None
        while True:
            session = self._sessions.get(deadline, instead_of=used)
            if isinstance(session, NotSent):
                return session
            asked = {"repo": session.did, **query} if name.startswith("com.atproto.") and query else query
            answer = self.http.call(
                method,
                f"{session.host}/xrpc/{name}",
                deadline=deadline,
                headers={"Authorization": f"Bearer {session.access}", "Content-Type": kind},
                body=picture.data if picture else json.dumps(body(session)).encode() if body else None,
                query=asked,
            )
            over = isinstance(answer, Answer) and not answer.good and answer.fields().get("error") in EXPIRED
            if not over or used is not None:
                return answer
            used = session


def _engagement(view: Mapping[str, Any]) -> Engagement:
    shares = [counted(view.get(name)) for name in ("repostCount", "quoteCount")]
    return Engagement(
        likes=counted(view.get("likeCount")),
        shares=sum(count or 0 for count in shares) if any(count is not None for count in shares) else None,
        replies=counted(view.get("replyCount")),
    )
