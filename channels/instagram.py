"""Posts on an Instagram account: an image with its caption, first laid into a container, then published.

https://developers.facebook.com/docs/instagram-platform/content-publishing
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field

from channels import graph_events
from channels.graph import Graph, GraphSettings, code_of, of_these_words, refusal
from engine.errors import NoPlainAnswer, SecretMissing
from engine.model import Channel
from engine.provider import (
    Accepted,
    Ambiguous,
    Answer,
    Capabilities,
    Engagement,
    Finding,
    Http,
    NotFound,
    NotSent,
    Outcome,
    Outgoing,
    Provider,
    ProviderEvent,
    Rejected,
    Remembered,
    TextContent,
    Verified,
    Webhook,
    alt_of,
    counted,
    found_out,
    storable,
    surely_not,
    text_of,
    verified,
    which,
)

LONGEST = 2200
REMEMBERED = 1000  # containers
NOT_READY_AFTER = timedelta(minutes=1)
FIRST_LOOK, LONGEST_LOOK = 0.2, 2.0  # seconds between two looks at a container
TIME_TO_PUBLISH = 3.0  # seconds of a call's time that are left for publishing

PASSING = frozenset({"2207001", "2207003", "2207020", "2207032", "2207053"})
"""Why a container failed, where another one may succeed."""
OF_THE_IMAGE = frozenset({"2207003"})
"""Of these, what its image alone is to blame for: where it lies, it takes too long to fetch."""


class InstagramSettings(GraphSettings):
    """account_id: the professional account's number. base_url: https://graph.instagram.com for a token of Instagram Login."""

    account_id: str = Field(pattern=r"^\d+$")


class Instagram(Provider):
    """A container that was made and not published is seen by nobody. Whether it was published, Instagram tells: exactly, as
    long as this process knows the container, and by the caption later.
    """

    Settings = InstagramSettings
    settings: InstagramSettings
    capabilities = Capabilities(
        channel=Channel.SOCIAL,
        settle_time=timedelta(minutes=5),
        posts=True,
        direct=False,
        longest_text=LONGEST,
        images=True,
        text_alone=False,
        engagement=True,
        webhooks=True,
    )

    def __init__(self, settings: Any, *, http: Http) -> None:
        super().__init__(settings, http=http)
        self._graph = Graph(http=http, settings=self.settings)
        self._containers = Remembered(REMEMBERED)  # of what was not surely published

    def send(self, outgoing: Outgoing, *, deadline: float) -> Outcome:
        content = outgoing.content
        if outgoing.to is not None or not isinstance(content, TextContent) or not content.image:
            return Rejected(code="unsendable", detail="a post goes to everybody, and shows an image")
        try:
            container = self._container(outgoing, content, deadline)
            if not isinstance(container, str):
                return container
            fields = {"creation_id": container}
            answer = self._graph.post(f"{self.settings.account_id}/media_publish", fields, deadline=deadline)
        except SecretMissing as error:
            return NotSent(code="set_up", detail=error.what)
        if not isinstance(answer, Answer):
            return answer
        number = storable(answer.fields().get("id"))
        if answer.good and number and "error" not in answer.fields():
            self._containers.pop(_mine(outgoing), None)
            return Accepted(provider_message_id=number)
        return refusal(answer, self._words(outgoing))

    # ---------------------------------------------------------------- the container

    def _container(self, outgoing: Outgoing, content: TextContent, deadline: float) -> str | Outcome:
        """A container that is ready to be published; or why there is none, and then nothing was published."""
        mine = _mine(outgoing)
        container = self._containers.get(mine)
        if container is None:
            fields = {"image_url": str(content.image), "caption": storable(content.text)}
            if alt := alt_of(outgoing):
                fields["alt_text"] = alt
            answer = self._graph.post(f"{self.settings.account_id}/media", fields, deadline=deadline)
            if not isinstance(answer, Answer):
                return NotSent(code=answer.code, detail=answer.detail)
            container = storable(answer.fields().get("id")) if answer.good else ""
            if not container.isalnum():
                return surely_not(refusal(answer, self._words(outgoing)))
            self._containers[mine] = container
        return self._ready(container, outgoing, deadline)

    def _ready(self, container: str, outgoing: Outgoing, deadline: float) -> str | Outcome:
        wait = FIRST_LOOK
        while True:
            try:
                status, why = self._status(container, deadline)
            except NoPlainAnswer as error:
                return NotSent(code="container", detail=error.what)
            match status:
                case "FINISHED":
                    return container
                case "PUBLISHED":
                    found = self.look_up(outgoing, deadline=deadline)
                    return Ambiguous(code="published") if isinstance(found, NotFound) else found
                case "ERROR" | "EXPIRED":
                    self._containers.pop(_mine(outgoing), None)
                    failed = status == "EXPIRED" or why in PASSING
                    code, detail = why or status.lower(), "the image's container failed"
                    if not failed:
                        return Rejected(code=code, detail=detail)
                    return NotSent(code=code, detail=detail, alone=code in OF_THE_IMAGE)
            if time.monotonic() + wait > deadline - TIME_TO_PUBLISH:
                detail = "Instagram still reads the image"
                return NotSent(code="not_ready", detail=detail, retry_after=NOT_READY_AFTER, alone=True)
            time.sleep(wait)
            wait = min(wait * 2, LONGEST_LOOK)

    def _status(self, container: str, deadline: float) -> tuple[str, str]:
        """A container's status, and for one that failed the subcode. Raises NoPlainAnswer."""
        told = self._graph.object(container, {"fields": "status_code,status"}, deadline=deadline)
        digits = "".join(letter for letter in storable(told.get("status")) if letter.isdigit())
        return storable(told.get("status_code")), digits[:10]

    # ---------------------------------------------------------------- what became of it

    def look_up(self, outgoing: Outgoing, *, deadline: float) -> Finding:
        """By the container, where this process made it; else among the account's media, by the caption, published then."""
        container = self._containers.get(_mine(outgoing))
        return found_out(
            lambda: (
                self._of_container(container, outgoing, deadline) if container else self._published(outgoing, deadline)
            )
        )

    def _of_container(self, container: str, outgoing: Outgoing, deadline: float) -> Finding:
        """Raises NoPlainAnswer or SecretMissing."""
        status, _ = self._status(container, deadline)
        if status in ("FINISHED", "ERROR", "EXPIRED"):
            return NotFound(detail=f"its container is {status.lower()}, not published")
        if status != "PUBLISHED":
            return Ambiguous(code=status.lower() or "unreadable")
        found = self._published(outgoing, deadline)
        return found if isinstance(found, Accepted) else Accepted(detail="its id is not known")

    def _published(self, outgoing: Outgoing, deadline: float) -> Accepted | NotFound | Ambiguous:
        return which(of_these_words(self._media("id,caption,timestamp", deadline), "caption", "timestamp", outgoing))

    def engagement(self, post_ids: Sequence[str], *, deadline: float) -> Mapping[str, Engagement]:
        wanted, found = set(post_ids), dict[str, Engagement]()
        for media in self._media("id,like_count,comments_count", deadline):
            number = storable(media.get("id"))
            if number in wanted:
                likes, replies = counted(media.get("like_count")), counted(media.get("comments_count"))
                found[number] = Engagement(likes=likes, replies=replies)
            if len(found) == len(wanted):
                break
        return found

    def challenge(self, webhook: Webhook) -> str | None:
        return graph_events.challenge(webhook, self.settings.verify_token)

    def parse_events(self, webhook: Webhook, *, now: datetime) -> Sequence[ProviderEvent]:
        return graph_events.events(webhook, self.settings.app_secret, now=now)

    def verify(self, *, deadline: float) -> Verified:
        try:
            answer = self._graph.get(self.settings.account_id, {"fields": "id,username"}, deadline=deadline)
        except SecretMissing as error:
            return Verified(good=False, detail=error.what)
        if isinstance(answer, Answer) and not answer.good and code_of(answer)[0] == 190:
            return Verified(good=False, detail="the credentials are refused (190)")
        return self._graph.known(verified(answer, "the account is known"), deadline)

    def _media(self, fields: str, deadline: float) -> Any:
        return self._graph.listed(f"{self.settings.account_id}/media", fields, deadline=deadline)

    def _words(self, outgoing: Outgoing) -> Callable[[object], str]:
        return lambda words: self.words(words, outgoing)


def _mine(outgoing: Outgoing) -> tuple[str, ...]:
    image = outgoing.content.image if isinstance(outgoing.content, TextContent) else None
    return outgoing.key, image or "", alt_of(outgoing), text_of(outgoing)
