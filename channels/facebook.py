"""Posts on a Facebook Page: text, with the preview of a link or an image.

https://developers.facebook.com/docs/pages-api/posts
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field

from channels import graph_events
from channels.graph import DUPLICATE, Graph, GraphSettings, code_of, of_these_words, refusal
from engine.errors import SecretMissing
from engine.model import Channel
from engine.provider import (
    Accepted,
    Answer,
    Capabilities,
    Engagement,
    Finding,
    Http,
    NotSent,
    Outcome,
    Outgoing,
    Provider,
    ProviderEvent,
    Rejected,
    TextContent,
    Verified,
    Webhook,
    alt_of,
    counted,
    found_out,
    storable,
    text_of,
    verified,
    which,
)

LONGEST = 63_206
FARED = "id,shares,comments.summary(true).limit(0),reactions.summary(true).limit(0)"
_LINK = re.compile(r"(?<![^\s(])https?://[^\s()]*[^\s().,;:!?]", re.IGNORECASE)


class FacebookSettings(GraphSettings):
    """page_id: the page's number (Page → About → Page transparency). access_token: the page's own, that does not end."""

    page_id: str = Field(pattern=r"^\d+$")


class Facebook(Provider):
    """Facebook knows no key of ours. It refuses the words of the latest post, and its page tells what was posted."""

    Settings = FacebookSettings
    settings: FacebookSettings
    capabilities = Capabilities(
        channel=Channel.SOCIAL,
        settle_time=timedelta(minutes=5),
        posts=True,
        direct=False,
        longest_text=LONGEST,
        images=True,
        engagement=True,
        webhooks=True,
    )

    def __init__(self, settings: Any, *, http: Http) -> None:
        super().__init__(settings, http=http)
        self._graph = Graph(http=http, settings=self.settings)

    def send(self, outgoing: Outgoing, *, deadline: float) -> Outcome:
        text = text_of(outgoing)
        if outgoing.to is not None or not text.strip():
            return Rejected(code="unsendable", detail="a post goes to everybody, and says something")
        try:
            answer = self._graph.post(*self._post(outgoing, text), deadline=deadline)
        except SecretMissing as error:
            return NotSent(code="set_up", detail=error.what)
        if not isinstance(answer, Answer):
            return answer
        told = answer.fields()
        number = storable(told.get("post_id") or told.get("id"))
        if answer.good and number and "error" not in told:
            return Accepted(provider_message_id=number)
        if code_of(answer)[0] == DUPLICATE:
            return self.refused_as_double(outgoing, code=str(DUPLICATE), deadline=deadline)
        return refusal(answer, lambda words: self.words(words, outgoing))

    def _post(self, outgoing: Outgoing, text: str) -> tuple[str, dict[str, str]]:
        """Where to, and what: a photo with its text, or a text with the link in it that is shown."""
        page, content = self.settings.page_id, outgoing.content
        if isinstance(content, TextContent) and content.image:
            alt = alt_of(outgoing)
            return f"{page}/photos", {
                "url": content.image,
                "caption": text,
                **({"alt_text_custom": alt} if alt else {}),
            }
        link = _LINK.search(text)
        return f"{page}/feed", {"message": text, **({"link": link[0]} if link else {})}

    def look_up(self, outgoing: Outgoing, *, deadline: float) -> Finding:
        """Among the page's posts: the one of these words, published then."""
        posts = self._posts("id,message,created_time", deadline)
        return found_out(lambda: which(of_these_words(posts, "message", "created_time", outgoing)))

    def engagement(self, post_ids: Sequence[str], *, deadline: float) -> Mapping[str, Engagement]:
        wanted, found = set(post_ids), dict[str, Engagement]()
        for post in self._posts(FARED, deadline):
            number = storable(post.get("id"))
            if number in wanted:
                found[number] = _engagement(post)
            if len(found) == len(wanted):
                break
        return found

    def challenge(self, webhook: Webhook) -> str | None:
        return graph_events.challenge(webhook, self.settings.verify_token)

    def parse_events(self, webhook: Webhook, *, now: datetime) -> Sequence[ProviderEvent]:
        return graph_events.events(webhook, self.settings.app_secret, now=now)

    def verify(self, *, deadline: float) -> Verified:
        try:
            answer = self._graph.get(self.settings.page_id, {"fields": "id,name"}, deadline=deadline)
        except SecretMissing as error:
            return Verified(good=False, detail=error.what)
        if isinstance(answer, Answer) and not answer.good and code_of(answer)[0] == 190:
            return Verified(good=False, detail="the credentials are refused (190)")
        return self._graph.known(verified(answer, "the page is known"), deadline)

    def _posts(self, fields: str, deadline: float) -> Any:
        return self._graph.listed(f"{self.settings.page_id}/published_posts", fields, deadline=deadline)


def _engagement(post: Mapping[str, Any]) -> Engagement:
    def total(name: str) -> int | None:
        told = post.get(name)
        summary = told.get("summary") if isinstance(told, dict) else None
        return counted(summary.get("total_count")) if isinstance(summary, dict) else None

    shares = post.get("shares")  # not there before the first
    return Engagement(
        likes=total("reactions"),
        shares=counted(shares.get("count")) if isinstance(shares, dict) else 0,
        replies=total("comments"),
    )
