"""Posts on LinkedIn, as an organisation or a person.

https://learn.microsoft.com/en-us/linkedin/marketing/community-management/shares/posts-api
https://learn.microsoft.com/en-us/linkedin/marketing/community-management/shares/images-api
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import Any
from urllib.parse import quote, urlsplit

from pydantic import Field, model_validator

from channels import linkedin_heard
from channels.linkedin_token import Client, Tokens
from engine.errors import NoPlainAnswer, SecretMissing
from engine.model import Channel
from engine.provider import (
    GIF,
    JPEG,
    PNG,
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
    SecretRef,
    TextOrSecret,
    Verified,
    alt_of,
    counted,
    found_out,
    outcome_of_status,
    prepared,
    storable,
    taken_then,
    text_of,
    told_to_wait,
    verified,
    which,
)

LONGEST = 3000  # a longer text would be cut off without a word
IMAGES = ImageLimits(types=(JPEG, PNG, GIF), most_bytes=10_000_000, most_pixels=36_152_319)
BEGIN_UPLOAD = "/rest/images?action=initializeUpload"
UPLOADS = ".linkedin.com"  # where its own addresses for uploads lie
PAGE, MOST_PAGES = 100, 5
PEACE = timedelta(minutes=10)
"""Between two questions for what people did: the application may ask so many a day."""
DUPLICATE = "DUPLICATE_POST"
WAIT = timedelta(hours=1)  # its limits are a day's, which ends at midnight UTC, and it does not say how long that is

SET_UP = frozenset(
    {
        "ACCESS_DENIED",
        "EMPTY_ACCESS_TOKEN",
        "EXPIRED_ACCESS_TOKEN",
        "INVALID_ACCESS_TOKEN",
        "NONEXISTENT_VERSION",
        "REVOKED_ACCESS_TOKEN",
        "VERSION_MISSING",
    }
)
"""Our token, its rights or the version we speak: nothing was taken, and it can be put right. Of others the status tells."""

ENDED = frozenset({"EXPIRED_ACCESS_TOKEN", "INVALID_ACCESS_TOKEN", "REVOKED_ACCESS_TOKEN"})
"""Of these: the token, for which another one may be made."""

_RESERVED = re.compile(r"[\\|{}@\[\]()<>*_~]|#(?!\w)")
_ESCAPED = re.compile(r"\\([\\|{}@\[\]()<>#*_~])")
_HASHTAG = re.compile(r"\{hashtag\|\\?#\|([^}|]*)\}")


class LinkedInSettings(ProviderSettings):
    """author: who posts, like urn:li:organization:2414183 or urn:li:person:…. access_token: with w_organization_social and
    r_organization_social for an organisation; w_member_social, openid and profile for a person.

    A token ends after 60 days. With the application's client_id and client_secret, `regulars doctor` says when; with a refresh_token
    beside them, in place of access_token, tokens are made as they are needed, for a year. notifications: an organisation's comments,
    likes and shares are fetched (rw_organization_admin). version: the month of the API that we
    speak, like 202606; LinkedIn ends each after about a year.
    """

    author: str = Field(pattern=r"^urn:li:(organization:\d+|person:[\w-]+)$")
    access_token: SecretRef | None = None
    refresh_token: SecretRef | None = None
    client_id: TextOrSecret | None = None
    client_secret: SecretRef | None = None
    notifications: bool = False
    version: str = Field(default="202606", pattern=r"^20\d{4}$")
    base_url: str = Field(default="https://api.linkedin.com", pattern=r"^https?://[^\s]+$")
    token_url: str = Field(default="https://www.linkedin.com", pattern=r"^https?://[^\s]+$")

    @model_validator(mode="after")
    def _one_way_in(self) -> LinkedInSettings:
        if (self.access_token is None) == (self.refresh_token is None):
            raise ValueError("give access_token; or else refresh_token with client_id and client_secret")
        client = (self.client_id is not None) + (self.client_secret is not None)
        if client == 1 or (self.refresh_token is not None and client == 0):
            raise ValueError("client_id and client_secret go together, and a refresh_token needs them")
        if self.notifications and ":person:" in self.author:
            raise ValueError(
                "LinkedIn tells an organisation's notifications, not a person's: leave `notifications` out"
            )
        return self


class LinkedIn(Provider):
    """LinkedIn knows no key of ours and refuses the same words twice. What an organisation posted, it tells; of persons not."""

    Settings = LinkedInSettings
    settings: LinkedInSettings

    def __init__(self, settings: Any, *, http: Http) -> None:
        super().__init__(settings, http=http)
        self._organisation = ":organization:" in self.settings.author
        own = self.settings
        client = Client(id=own.client_id, secret=own.client_secret) if own.client_id and own.client_secret else None
        self._inbox = Polled("notifications", self._notified, every=PEACE)
        self._tokens = Tokens(http, url=own.token_url, token=own.access_token, refresh=own.refresh_token, client=client)
        self.capabilities = Capabilities(
            channel=Channel.SOCIAL,
            settle_time=timedelta(minutes=5) if self._organisation else None,
            posts=True,
            direct=False,
            longest_text=LONGEST,
            images=True,
            image_limits=IMAGES,
            engagement=self._organisation,
            inboxes=self.settings.notifications,
        )

    def send(self, outgoing: Outgoing, *, deadline: float) -> Outcome:
        text = text_of(outgoing)
        if outgoing.to is not None or not text.strip():
            return Rejected(code="unsendable", detail="a post goes to everybody, and says something")
        try:
            image = self._image(outgoing, deadline)
            if isinstance(image, NotSent | Rejected):
                return image
            post = json.dumps(_post(self.settings.author, text, image)).encode()
            answer = self._call("POST", "/rest/posts", deadline=deadline, body=post)
        except SecretMissing as error:
            return NotSent(code="set_up", detail=error.what)
        if not isinstance(answer, Answer):
            return answer
        if answer.good:
            return Accepted(provider_message_id=answer.headers.get("x-restli-id") or None)
        if DUPLICATE in _codes(answer):
            return self.refused_as_double(outgoing, code=DUPLICATE, deadline=deadline)
        return self._refusal(outgoing, answer)

    def _refusal(self, outgoing: Outgoing, answer: Answer) -> NotSent | Rejected | Ambiguous:
        codes, detail = _codes(answer), self.words(answer.fields().get("message"), outgoing)
        known = next((code for code in codes if code in SET_UP), "")
        if answer.status == 429:
            return NotSent(code="http_429", detail=detail, retry_after=told_to_wait(answer.headers, usual=WAIT))
        return NotSent(code=known, detail=detail, no_access=True) if known else outcome_of_status(answer, detail=detail)

    def _image(self, outgoing: Outgoing, deadline: float) -> Mapping[str, str] | NotSent | Rejected | None:
        """The image, uploaded; None where there is none. LinkedIn reads it later, and shows the post when it has; a person's
        token may not ask whether. Raises SecretMissing.
        """
        picture = self.picture(outgoing, deadline=deadline)
        if not isinstance(picture, Picture):
            return picture
        refusal = partial(self._refusal, outgoing)
        owner = json.dumps({"initializeUploadRequest": {"owner": self.settings.author}}).encode()
        begun = prepared(self._call("POST", BEGIN_UPLOAD, deadline=deadline, body=owner), refusal)
        if not isinstance(begun, Answer):
            return begun
        told = begun.fields().get("value")
        url, image = (storable(told.get(name)) if isinstance(told, dict) else "" for name in ("uploadUrl", "image"))
        if not image or not self._trusted(url):
            return NotSent(code="unreadable", detail="where to upload the image")
        put = prepared(self._call("PUT", url, deadline=deadline, body=picture.data, kind=picture.type), refusal)
        if not isinstance(put, Answer):
            return put
        alt = alt_of(outgoing)
        return {"id": image, **({"altText": alt} if alt else {})}

    def _trusted(self, url: str) -> bool:
        """Whether our token may go there: to LinkedIn over TLS, or where all of our calls go."""
        try:
            there, here = urlsplit(url), urlsplit(self.settings.base_url)
        except ValueError:
            return False
        ours = (there.scheme, there.netloc) == (here.scheme, here.netloc)
        return ours or (there.scheme == "https" and (there.hostname or "").endswith(UPLOADS))

    # ---------------------------------------------------------------- what became of it

    def look_up(self, outgoing: Outgoing, *, deadline: float) -> Finding:
        """Among the organisation's posts: the one of these words, published then."""
        if not self._organisation:
            return super().look_up(outgoing, deadline=deadline)
        wanted = text_of(outgoing).strip()
        return found_out(
            lambda: which(
                (post.get("id"), _taken_then(post.get("publishedAt", post.get("createdAt")), outgoing.at))
                for post in self._posts(outgoing.at, deadline)
                if plain(storable(post.get("commentary"))).strip() == wanted
            )
        )

    def _posts(self, since: datetime, deadline: float) -> Iterator[Mapping[str, Any]]:
        """The posts that were written or changed since then, the last one first. Raises NoPlainAnswer where there is no end."""
        for page in range(MOST_PAGES):
            told = self._found(f"/rest/posts?{self._mine}&start={page * PAGE}", deadline)
            yield from told
            if len(told) < PAGE or _taken_then(told[-1].get("lastModifiedAt"), since) is False:
                return
        raise NoPlainAnswer("incomplete")

    def engagement(self, post_ids: Sequence[str], *, deadline: float) -> Mapping[str, Engagement]:
        """https://learn.microsoft.com/en-us/linkedin/marketing/community-management/organizations/share-statistics"""
        found: dict[str, Engagement] = {}
        whose = f"q=organizationalEntity&organizationalEntity={quote(self.settings.author, safe='')}"
        for name, kind in (("shares", "share"), ("ugcPosts", "ugcPost")):
            asked = [quote(each, safe="") for each in post_ids if each.startswith(f"urn:li:{kind}:")]
            if not asked:
                continue
            query = f"{whose}&{name}=List({','.join(asked)})"
            for told in self._found(f"/rest/organizationalEntityShareStatistics?{query}", deadline):
                counts = told.get("totalShareStatistics")
                if isinstance(counts, dict):
                    found[storable(told.get(kind))] = _engagement(counts)
        return found

    @property
    def inboxes(self) -> Sequence[Inbox]:
        return (self._inbox,) if self.settings.notifications else ()

    def _notified(self, since: datetime, deadline: float) -> Iterator[ProviderEvent]:
        """What people did since then, the newest first: LinkedIn promises no order, so all is read. Raises SecretMissing,
        NoPlainAnswer.
        """
        span = ",".join(
            f"{name}:{at.timestamp() * 1000:.0f}" for name, at in (("start", since), ("end", datetime.now(UTC)))
        )
        whose = f"q=criteria&organizationalEntity={quote(self.settings.author, safe='')}"
        query = f"{whose}&actions=List({','.join(linkedin_heard.WORDS)})&timeRange=({span})&count={PAGE}"
        events = list[ProviderEvent]()
        for start in count(step=PAGE):
            told = self._found(f"/rest/organizationalEntityNotifications?{query}&start={start}", deadline)
            events += filter(None, (linkedin_heard.heard(one, self.settings.author) for one in told))
            if len(told) < PAGE:
                break
        yield from sorted(events, key=lambda event: event.at, reverse=True)

    def verify(self, *, deadline: float) -> Verified:
        """An organisation's posts can be read; a person's token is that person's."""
        path = f"/rest/posts?{self._mine}" if self._organisation else "/v2/userinfo"
        try:
            answer = self._call("GET", path, deadline=deadline)
            ends = self._tokens.ends(deadline)
        except SecretMissing as error:
            return Verified(good=False, detail=error.what)
        another = not self._organisation and isinstance(answer, Answer) and answer.good
        if another and not self.settings.author.endswith(f":{answer.fields().get('sub')}"):  # type: ignore[union-attr]
            return Verified(good=False, detail="the credentials are another person's")
        found = verified(answer, "the account is known")
        return replace(found, ends=ends) if found.good else found

    @property
    def _mine(self) -> str:
        return f"author={quote(self.settings.author, safe='')}&q=author&count={PAGE}&sortBy=LAST_MODIFIED"

    def _found(self, path: str, deadline: float) -> list[Mapping[str, Any]]:
        """The elements that a finder tells. Raises NoPlainAnswer or SecretMissing."""
        answer = self._call("GET", path, deadline=deadline)
        if not isinstance(answer, Answer):
            raise NoPlainAnswer(answer.code)
        if not answer.good or not answer.complete:
            raise NoPlainAnswer(f"http_{answer.status}")
        elements = answer.fields().get("elements")
        if not isinstance(elements, list) or not all(isinstance(each, dict) for each in elements):
            raise NoPlainAnswer("unreadable")
        return elements

    def _call(
        self, method: str, path: str, *, deadline: float, body: bytes | None = None, kind: str = "application/json"
    ) -> Answer | NotSent | Ambiguous:
        """One call with our token, or with a new one where LinkedIn refuses this one: then the call did nothing. Raises SecretMissing.

        path: of its API; or a whole address that LinkedIn has named.
        """
        url, used = path if "://" in path else f"{self.settings.base_url.rstrip('/')}{path}", ""
        while True:
            token = self._tokens.get(deadline, instead_of=used)
            if isinstance(token, NotSent):
                return token
            headers = self._headers(token, kind if body is not None else "")
            answer = self.http.call(method, url, deadline=deadline, headers=headers, body=body)
            over = isinstance(answer, Answer) and not answer.good and not ENDED.isdisjoint(_codes(answer))
            if not over or used or not self._tokens.renewable:
                return answer
            used = token

    def _headers(self, token: str, kind: str) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {token}",
            "LinkedIn-Version": self.settings.version,
            "X-Restli-Protocol-Version": "2.0.0",
            **({"Content-Type": kind} if kind else {"X-RestLi-Method": "FINDER"}),
        }


def little(text: str) -> str:
    """Text in LinkedIn's "little text format": what means something there is escaped, but hashtags stay. An unescaped bracket
    would cut the text off.
    """
    return _RESERVED.sub(lambda match: f"\\{match[0]}", text)


def plain(commentary: str) -> str:
    """The text in a commentary: hashtags as they are written, escapes taken away."""
    return _ESCAPED.sub(r"\1", _HASHTAG.sub(r"#\1", commentary))


def _post(author: str, text: str, image: Mapping[str, str] | None = None) -> dict[str, Any]:
    return {
        **({"content": {"media": dict(image)}} if image else {}),
        "author": author,
        "commentary": little(text),
        "visibility": "PUBLIC",
        "distribution": {
            "feedDistribution": "MAIN_FEED",
            "targetEntities": [],
            "thirdPartyDistributionChannels": [],
        },
        "lifecycleState": "PUBLISHED",
        "isReshareDisabledByAuthor": False,
    }


def _codes(answer: Answer) -> list[str]:
    """The error's own code, and those of the fields that it finds wrong."""
    told = answer.fields()
    details = told.get("errorDetails")
    inputs = details.get("inputErrors") if isinstance(details, dict) else None
    wrong = [each.get("code") for each in inputs if isinstance(each, dict)] if isinstance(inputs, list) else []
    return [storable(code) for code in (told.get("code"), *wrong) if code]


def _taken_then(milliseconds: Any, at: datetime) -> bool | None:
    try:
        return taken_then(datetime.fromtimestamp(int(milliseconds) / 1000, UTC), at)
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def _engagement(counts: Mapping[str, Any]) -> Engagement:
    return Engagement(
        likes=counted(counts.get("likeCount")),
        shares=counted(counts.get("shareCount")),
        replies=counted(counts.get("commentCount")),
        clicks=counted(counts.get("clickCount")),
        views=counted(counts.get("impressionCount")),
    )
