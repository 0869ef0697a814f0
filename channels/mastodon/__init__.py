"""Social messages through a Mastodon server: a public post, or a direct one that names its one reader; what people answer.

https://docs.joinmastodon.org/methods/statuses/#create
https://docs.joinmastodon.org/methods/media/#v2
https://docs.joinmastodon.org/methods/notifications/#get
https://docs.joinmastodon.org/methods/instance/#v2
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field
from urllib3 import encode_multipart_formdata

from channels.mastodon.heard import HEARD, at_home, heard, id_of
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
    NotSent,
    Outcome,
    Outgoing,
    Picture,
    Polled,
    Provider,
    ProviderEvent,
    ProviderSettings,
    Rejected,
    Remembered,
    SecretRef,
    TextContent,
    Verified,
    alt_of,
    counted,
    found_out,
    outcome_of_status,
    prepared,
    storable,
    taken_at,
    text_of,
    verified,
    which,
)

PAGE, MOST_PAGES = 40, 25
LIST = 80
REMEMBERED = 1000  # images that were not ready in time
NOT_READY, NOT_READY_AFTER = "not_ready", timedelta(minutes=1)
FIRST_LOOK, LONGEST_LOOK = 0.2, 2.0  # seconds between two looks at an image
TIME_TO_PUBLISH = 3.0  # seconds of a call's time that are left for the post

RESET = "x-ratelimit-reset"
"""The header that tells when the account's limit begins anew, in ISO 8601; there is no Retry-After."""

_HANDLE = re.compile(r"^@[\w.-]+(?:@[\w.-]+)?\Z")
_DEFUSED = "@\u200b"
_MENTION = re.compile(r"(?<![\w=/@])@(?=\w)")


class Visibility(StrEnum):
    """Who sees a post. A message to one person is always `direct`."""

    PUBLIC = "public"
    UNLISTED = "unlisted"
    PRIVATE = "private"


class MastodonSettings(ProviderSettings):
    """server: where the account lives. access_token: of an application with the scope write:statuses, for images write:media,
    and to be asked what it has published, read:statuses and read:accounts. notifications: replies and reactions are fetched
    (read:notifications).
    """

    server: str = Field(pattern=r"^https?://[^\s]+$")
    access_token: SecretRef
    visibility: Visibility = Visibility.PUBLIC
    notifications: bool = True


class Mastodon(Provider):
    """Mastodon remembers an Idempotency-Key for up to an hour. Later it is asked."""

    Settings = MastodonSettings
    settings: MastodonSettings
    capabilities = Capabilities(
        channel=Channel.SOCIAL,
        idempotency_window=timedelta(hours=1),
        settle_time=timedelta(minutes=2),
        posts=True,
        direct=True,
        inboxes=True,
        engagement=True,
        images=True,
        image_limits=ImageLimits(types=(JPEG, PNG, GIF, WEBP), most_bytes=10_000_000),  # some servers take more
    )

    def __init__(self, settings: MastodonSettings, *, http: Http) -> None:
        super().__init__(settings, http=http)
        self._unready = Remembered(REMEMBERED)  # images that are uploaded, and still being read
        self._inbox = Polled("notifications", self._notifications)
        self._domain = ""  # of handles, once it is known

    def send(self, outgoing: Outgoing, *, deadline: float) -> Outcome:
        text = text_of(outgoing)
        if outgoing.to is not None and not _HANDLE.match(outgoing.to):
            return Rejected(code="unsendable", detail="this is not a handle")
        try:
            token = self.settings.access_token.reveal()
        except SecretMissing as error:
            return NotSent(code="set_up", detail=error.what)
        image = self._image(outgoing, token, deadline)
        if isinstance(image, NotSent | Rejected):
            return image
        answer = self.http.call(
            "POST",
            self._url("/statuses"),
            deadline=deadline,
            headers={"Authorization": f"Bearer {token}", "Idempotency-Key": outgoing.key},
            body={**self._status(text, outgoing.to), **({"media_ids[]": image} if image else {})},
        )
        if not isinstance(answer, Answer):
            return answer
        if answer.good:
            return Accepted(provider_message_id=storable(answer.fields().get("id")) or None)
        return self._refusal(outgoing, answer)

    def _refusal(self, outgoing: Outgoing, answer: Answer) -> NotSent | Rejected | Ambiguous:
        return outcome_of_status(answer, detail=self.words(answer.fields().get("error"), outgoing), reset=RESET)

    # ---------------------------------------------------------------- its image

    def _image(self, outgoing: Outgoing, token: str, deadline: float) -> str | NotSent | Rejected:
        """The id of the image, uploaded and ready to be shown; empty where the message shows none."""
        content = outgoing.content
        if not isinstance(content, TextContent) or not content.image:
            return ""
        mine = outgoing.key, content.image, content.image_alt
        number = self._unready.pop(mine, "")
        if not number:
            picture = self.picture(outgoing, deadline=deadline)
            if not isinstance(picture, Picture):
                return picture or ""
            answer = self._upload(picture, outgoing, token, deadline)
            if not isinstance(answer, Answer):
                return answer
            number = storable(answer.fields().get("id"))
            if not number.isalnum():
                return NotSent(code="unreadable", detail="the answer to the image's upload")
            if answer.status != 202:
                return number
        ready = self._ready(number, outgoing, token, deadline)
        if isinstance(ready, NotSent) and ready.code == NOT_READY:
            self._unready[mine] = number
        return ready

    def _upload(self, picture: Picture, outgoing: Outgoing, token: str, deadline: float) -> Answer | NotSent | Rejected:
        alt = alt_of(outgoing)
        fields: dict[str, Any] = {"file": (picture.name, picture.data, picture.type)}
        body, kind = encode_multipart_formdata({**fields, "description": alt} if alt else fields)
        url, headers = self._url("/media", "v2"), {"Authorization": f"Bearer {token}", "Content-Type": kind}
        answer = self.http.call("POST", url, deadline=deadline, headers=headers, body=body)
        return prepared(answer, partial(self._refusal, outgoing))

    def _ready(self, number: str, outgoing: Outgoing, token: str, deadline: float) -> str | NotSent | Rejected:
        """Its id, once the server has read it: until then it answers 206. A moving image, which becomes a film, takes long."""
        wait, headers = FIRST_LOOK, {"Authorization": f"Bearer {token}"}
        while True:
            looked = self.http.call("GET", self._url(f"/media/{number}"), deadline=deadline, headers=headers)
            answer = prepared(looked, partial(self._refusal, outgoing))
            if not isinstance(answer, Answer):
                return answer
            if answer.status == 200:
                return number
            if time.monotonic() + wait > deadline - TIME_TO_PUBLISH:
                detail = "Mastodon still reads the image"
                return NotSent(code=NOT_READY, detail=detail, retry_after=NOT_READY_AFTER, alone=True)
            time.sleep(wait)
            wait = min(wait * 2, LONGEST_LOOK)

    # ---------------------------------------------------------------- what became of it

    def look_up(self, outgoing: Outgoing, *, deadline: float) -> Finding:
        """Among our account's statuses, which are listed with the direct ones: the one of these words, published then."""
        return found_out(lambda: which(self._same(outgoing, deadline)))

    def _same(self, outgoing: Outgoing, deadline: float) -> Iterator[tuple[object, bool | None]]:
        """The statuses of these words, by id and by whether they were published then. Raises NoPlainAnswer or SecretMissing."""
        wanted, token = self._status(text_of(outgoing), outgoing.to), self.settings.access_token.reveal()
        for status in self._published(token, outgoing, deadline):
            then = taken_at(status.get("created_at"), outgoing.at)
            if then is False or status.get("visibility") != wanted["visibility"]:
                continue
            source = self._ask(token, f"/statuses/{id_of(status)}/source", deadline)
            if str(source.get("text", "")).strip() == wanted["status"].strip():
                yield id_of(status), then

    def engagement(self, post_ids: Sequence[str], *, deadline: float) -> Mapping[str, Engagement]:
        """One question a post: https://docs.joinmastodon.org/methods/statuses/#get"""
        token, found = self.settings.access_token.reveal(), dict[str, Engagement]()
        for number in post_ids:
            try:
                status = self._ask(token, f"/statuses/{id_of({'id': number})}", deadline)
            except NoPlainAnswer as error:
                if error.what == "http_404":
                    continue
                raise
            found[number] = Engagement(
                likes=counted(status.get("favourites_count")),
                shares=counted(status.get("reblogs_count")),
                replies=counted(status.get("replies_count")),
            )
        return found

    def verify(self, *, deadline: float) -> Verified:
        try:
            headers = {"Authorization": f"Bearer {self.settings.access_token.reveal()}"}
        except SecretMissing as error:
            return Verified(good=False, detail=error.what)
        answer = self.http.call("GET", self._url("/accounts/verify_credentials"), deadline=deadline, headers=headers)
        return verified(answer, "the account is known")

    @property
    def inboxes(self) -> Sequence[Inbox]:
        return (self._inbox,) if self.settings.notifications else ()

    def _notifications(self, _since: datetime, deadline: float) -> Iterator[ProviderEvent]:
        """What people did, the newest first, as far as it is wanted: none is passed over. Raises SecretMissing, NoPlainAnswer."""
        token = self.settings.access_token.reveal()
        query: dict[str, Any] = {"types[]": list(HEARD), "limit": LIST}
        while page := self._ask(token, "/notifications", deadline, query):
            home = self._home(token, deadline) if any(map(at_home, page)) else ""
            yield from filter(None, (heard(told, home) for told in page))
            last = id_of(page[-1])
            if last == query.get("max_id"):
                raise NoPlainAnswer("unreadable")
            query["max_id"] = last

    def _home(self, token: str, deadline: float) -> str:
        """The domain of its own people's handles, which need not be the one that it is called at. Raises NoPlainAnswer."""
        if not self._domain:
            try:
                told = self._ask(token, "/instance", deadline, version="v2")
            except NoPlainAnswer as error:
                if error.what != "http_404":  # as servers before Mastodon 4 say
                    raise
                told = {}
            self._domain = storable(told.get("domain")) or urlsplit(self.settings.server).hostname or ""
        return self._domain

    def _published(self, token: str, outgoing: Outgoing, deadline: float) -> Iterator[Mapping[str, Any]]:
        """Our statuses, the newest first, down to the hand-over's time. Raises NoPlainAnswer."""
        account = id_of(self._ask(token, "/accounts/verify_credentials", deadline))
        query: dict[str, Any] = {"limit": PAGE, "exclude_reblogs": "true"}
        for _ in range(MOST_PAGES):
            page = self._ask(token, f"/accounts/{account}/statuses", deadline, query)
            yield from page
            if not page or taken_at(page[-1].get("created_at"), outgoing.at) is False:
                return
            query["max_id"] = id_of(page[-1])
        raise NoPlainAnswer("incomplete")

    def _ask(
        self, token: str, path: str, deadline: float, query: Mapping[str, Any] | None = None, *, version: str = "v1"
    ) -> Any:
        """A list of objects where a page is asked for, else an object. Raises NoPlainAnswer."""
        url, headers = self._url(path, version), {"Authorization": f"Bearer {token}"}
        told = self.http.ask("GET", url, deadline=deadline, headers=headers, query=query)
        if query is None and isinstance(told, dict):
            return told
        if query is not None and isinstance(told, list) and all(isinstance(each, dict) for each in told):
            return told
        raise NoPlainAnswer("unreadable")

    def _url(self, path: str, version: str = "v1") -> str:
        return f"{self.settings.server.rstrip('/')}/api/{version}{path}"

    def _status(self, text: str, to: str | None) -> Mapping[str, str]:
        """Whom a direct post names is who reads it: so no handle but the recipient's may stay one."""
        if to is None:
            return {"status": text, "visibility": self.settings.visibility}
        return {"status": f"{to} {_MENTION.sub(_DEFUSED, _without(to, text))}", "visibility": "direct"}


def _without(handle: str, text: str) -> str:
    """The text without a leading mention of its own recipient, which is put before it anyway."""
    head, _, rest = text.partition(" ")
    return rest if head.lower() == handle.lower() else text
