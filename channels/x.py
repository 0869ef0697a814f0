"""Posts on X, with an application's and an account's keys (OAuth 1.0a), or with an account's token (OAuth 2.0).

https://docs.x.com/x-api/posts/create-post
https://docs.x.com/x-api/media/upload-media
https://docs.x.com/x-api/media/create-media-metadata
"""

from __future__ import annotations

import html
import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode

import regex
from pydantic import Field, model_validator
from urllib3 import encode_multipart_formdata

from channels import x_heard
from channels.oauth1 import Keys, authorization
from engine.errors import NoPlainAnswer, SecretMissing
from engine.model import Channel
from engine.provider import (
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
    SecretRef,
    Verified,
    alt_of,
    counted,
    found_out,
    outcome_of_status,
    prepared,
    storable,
    taken_at,
    text_of,
    told_to_wait,
    until_reset,
    verified,
    which,
)

SHORT, LONG = 280, 25_000
IMAGES = ImageLimits(types=(JPEG, PNG, WEBP), most_bytes=5_000_000)  # a GIF would have to come in pieces
LINK_LENGTH = 23
PAGE, MOST_PAGES = 100, 5
PEACE = timedelta(minutes=15)
"""Between two questions for what people answered: X charges for every post that it tells."""
DUPLICATE = "duplicate content"
TOO_LONG = "text is too long"
SINGLE = ((0, 4351), (8192, 8205), (8208, 8223), (8242, 8247))
"""Characters that count as one; all others count as two (twitter-text, configuration 3)."""

KEYS_STAY = "Give the four keys of OAuth 1.0a, which do not end: docs/channels.md says how."

_LINK = regex.compile(r"https?://\S+", regex.IGNORECASE)
_SCHEME, _SLASH = regex.compile(r"https?://", regex.IGNORECASE), regex.compile(r"/(?!\w)")
_GRAPHEME = regex.compile(r"\X")
_EMOJI = regex.compile(r"\p{Emoji_Presentation}|\p{Extended_Pictographic}\uFE0F|[0-9#*]\uFE0F\u20E3|\p{RI}{2}")


class XSettings(ProviderSettings):
    """api_key, api_key_secret: the application's; access_token, access_token_secret: the account's, made with the right to write.
    They do not end. Or else oauth2_token: the account's, which ends after two hours unless somebody renews it; with the scopes
    tweet.write, tweet.read, users.read and, for images, media.write.

    long_posts: the account pays for posts of up to 25,000 letters. notifications: what people answer is fetched, which X charges for.
    """

    api_key: SecretRef | None = None
    api_key_secret: SecretRef | None = None
    access_token: SecretRef | None = None
    access_token_secret: SecretRef | None = None
    oauth2_token: SecretRef | None = None
    long_posts: bool = False
    notifications: bool = False
    base_url: str = Field(default="https://api.x.com", pattern=r"^https?://[^\s]+$")

    @model_validator(mode="after")
    def _one_way_in(self) -> XSettings:
        keys = (self.api_key, self.api_key_secret, self.access_token, self.access_token_secret)
        given = sum(key is not None for key in keys)
        if (given, self.oauth2_token is not None) in ((4, False), (0, True)):
            return self
        raise ValueError(
            "give all of api_key, api_key_secret, access_token and access_token_secret; or oauth2_token alone"
        )


class X(Provider):
    """X knows no key of ours and refuses the words of a recent post. The account's own posts tell what became of one."""

    Settings = XSettings
    settings: XSettings

    def __init__(self, settings: Any, *, http: Http) -> None:
        super().__init__(settings, http=http)
        self._account = ""  # its number, once it was asked for
        self._inbox = Polled("mentions", self._mentions, every=PEACE)
        self.capabilities = Capabilities(
            channel=Channel.SOCIAL,
            settle_time=timedelta(minutes=5),
            posts=True,
            direct=False,
            longest_text=LONG if self.settings.long_posts else SHORT,
            images=True,
            image_limits=IMAGES,
            engagement=True,
            inboxes=self.settings.notifications,
        )

    def length(self, text: str) -> int:
        return weight(text)

    def send(self, outgoing: Outgoing, *, deadline: float) -> Outcome:
        text = text_of(outgoing)
        if outgoing.to is not None or not text.strip():
            return Rejected(code="unsendable", detail="a post goes to everybody, and says something")
        try:
            image = self._image(outgoing, deadline)
            if isinstance(image, NotSent | Rejected):
                return image
            post = {"text": text, **({"media": {"media_ids": [image]}} if image else {})}
            answer = self._call("POST", "/2/tweets", deadline=deadline, body=json.dumps(post).encode())
        except SecretMissing as error:
            return NotSent(code="set_up", detail=error.what)
        if not isinstance(answer, Answer):
            return answer
        told = answer.fields()
        if answer.good:
            number = _number(told.get("data"))
            if not number and told.get("errors"):
                return Ambiguous(code="errors", detail="errors in a yes")
            return Accepted(provider_message_id=number or None)
        said = _said(answer)
        if answer.status == 403 and DUPLICATE in said.lower():
            return self.refused_as_double(outgoing, code="duplicate", deadline=deadline)
        if answer.status == 403 and TOO_LONG in said.lower():
            return Rejected(code="too_long", detail=self.words(said, outgoing))
        return self._refusal(outgoing, answer)

    def _refusal(self, outgoing: Outgoing, answer: Answer) -> NotSent | Rejected | Ambiguous:
        detail = self.words(_said(answer), outgoing)
        return outcome_of_status(answer, detail=detail) if answer.status != 429 else _wait(answer, detail)

    def _image(self, outgoing: Outgoing, deadline: float) -> str | NotSent | Rejected:
        """The id of the image, uploaded, with what it shows; empty where there is none. Raises SecretMissing."""
        picture = self.picture(outgoing, deadline=deadline)
        if not isinstance(picture, Picture):
            return picture or ""
        fields: dict[str, Any] = {"media": (picture.name, picture.data, picture.type), "media_category": "tweet_image"}
        body, kind = encode_multipart_formdata(fields)
        refusal = partial(self._refusal, outgoing)
        answer = prepared(self._call("POST", "/2/media/upload", deadline=deadline, body=body, kind=kind), refusal)
        if not isinstance(answer, Answer):
            return answer
        number = _number(answer.fields().get("data"))
        if not number:
            return NotSent(code="unreadable", detail="the answer to the image's upload")
        alt = alt_of(outgoing)
        if not alt:
            return number
        told = json.dumps({"id": number, "metadata": {"alt_text": {"text": alt}}}).encode()
        described = prepared(self._call("POST", "/2/media/metadata", deadline=deadline, body=told), refusal)
        return number if isinstance(described, Answer) else described

    # ---------------------------------------------------------------- what became of it

    def look_up(self, outgoing: Outgoing, *, deadline: float) -> Finding:
        """Among the account's posts: the one of these words, published then."""
        wanted = _bare(text_of(outgoing))
        return found_out(
            lambda: which(
                (_number(post), taken_at(post.get("created_at"), outgoing.at))
                for post in self._posts(outgoing.at, deadline)
                if _says(post, wanted)
            )
        )

    def _posts(self, since: datetime, deadline: float) -> Iterator[Mapping[str, Any]]:
        """The account's posts since a little before then, the newest first. Raises NoPlainAnswer or SecretMissing."""
        account = self._me(deadline)
        query = {
            "max_results": str(PAGE),
            "start_time": _written(since - timedelta(minutes=10)),
            "tweet.fields": "created_at,entities,note_tweet",
            "exclude": "retweets",
        }
        for _ in range(MOST_PAGES):
            told = self._ask(f"/2/users/{account}/tweets", query, deadline)
            meta, posts = told.get("meta"), told.get("data", [])
            if not isinstance(meta, dict) or counted(meta.get("result_count")) is None or not _objects(posts):
                raise NoPlainAnswer("unreadable")
            yield from posts
            following = storable(meta.get("next_token"))
            if not following:
                return
            query["pagination_token"] = following
        raise NoPlainAnswer("incomplete")

    @property
    def inboxes(self) -> Sequence[Inbox]:
        return (self._inbox,) if self.settings.notifications else ()

    def _mentions(self, since: datetime, deadline: float) -> Iterator[ProviderEvent]:
        """What people answered since then, the newest first; X tells the last 800. Raises SecretMissing, NoPlainAnswer."""
        account = self._me(deadline)
        query = {"max_results": str(PAGE), "start_time": _written(since), **x_heard.ASKED}
        while True:
            told = self._ask(f"/2/users/{account}/mentions", query, deadline)
            meta, posts, names = told.get("meta"), told.get("data", []), x_heard.names(told)
            if not isinstance(meta, dict) or counted(meta.get("result_count")) is None or not _objects(posts):
                raise NoPlainAnswer("unreadable")
            yield from filter(None, (x_heard.heard(post, names, account) for post in posts))
            if not posts or not storable(meta.get("next_token")):
                return
            query["pagination_token"] = storable(meta["next_token"])

    def _me(self, deadline: float) -> str:
        """The account's number. Raises NoPlainAnswer or SecretMissing."""
        self._account = self._account or _number(self._ask("/2/users/me", {}, deadline).get("data"))
        if not self._account.isdigit():
            raise NoPlainAnswer("unreadable")
        return self._account

    def engagement(self, post_ids: Sequence[str], *, deadline: float) -> Mapping[str, Engagement]:
        asked = {"ids": ",".join(post_ids[:PAGE]), "tweet.fields": "public_metrics"}
        posts = self._ask("/2/tweets", asked, deadline).get("data", [])
        if not _objects(posts):
            raise NoPlainAnswer("unreadable")
        return {_number(post): _engagement(post.get("public_metrics")) for post in posts}

    def verify(self, *, deadline: float) -> Verified:
        try:
            found = verified(self._call("GET", "/2/users/me", deadline=deadline), "the account is known")
        except SecretMissing as error:
            return Verified(good=False, detail=error.what)
        if not found.good or self.settings.oauth2_token is None:
            return found
        return replace(
            found, detail=f"{found.detail}; an oauth2_token ends two hours after it was made", remedy=KEYS_STAY
        )

    # ---------------------------------------------------------------- calls

    def _ask(self, path: str, query: Mapping[str, str], deadline: float) -> Mapping[str, Any]:
        """Raises NoPlainAnswer or SecretMissing."""
        answer = self._call("GET", f"{path}?{urlencode(query)}" if query else path, deadline=deadline)
        if not isinstance(answer, Answer):
            raise NoPlainAnswer(answer.code)
        if not answer.good or not answer.complete or not answer.fields():
            raise NoPlainAnswer("unreadable" if answer.good else f"http_{answer.status}")
        return answer.fields()

    def _call(
        self, method: str, path: str, *, deadline: float, body: bytes | None = None, kind: str = "application/json"
    ) -> Answer | NotSent | Ambiguous:
        """Raises SecretMissing."""
        url = f"{self.settings.base_url.rstrip('/')}{path}"
        headers = {"Authorization": self._authorization(method, url)}
        if body is not None:
            headers["Content-Type"] = kind
        return self.http.call(method, url, deadline=deadline, headers=headers, body=body)

    def _authorization(self, method: str, url: str) -> str:
        given = self.settings
        if given.oauth2_token is not None:
            return f"Bearer {given.oauth2_token.reveal()}"
        keys = (given.api_key, given.api_key_secret, given.access_token, given.access_token_secret)
        key, key_secret, token, token_secret = (one.reveal() for one in keys if one is not None)
        mine = Keys(key=key, key_secret=key_secret, token=token, token_secret=token_secret)
        return authorization(mine, method, url)


def weight(text: str) -> int:
    """A text's length as X counts it: a web address 23, an emoji 2, most scripts 1 a character, Chinese and its like 2.

    An address without https:// counts here as it stands; X takes some of those for addresses, too.
    """
    text = unicodedata.normalize("NFC", text)
    links = len(_LINK.findall(text))
    return links * LINK_LENGTH + sum(_weight(letter) for letter in _GRAPHEME.findall(_LINK.sub("", text)))


def _weight(letter: str) -> int:
    if _EMOJI.search(letter):
        return 2
    return sum(1 if any(low <= ord(sign) <= high for low, high in SINGLE) else 2 for sign in letter)


def _written(at: datetime) -> str:
    """A time as X wants it, to the second before."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _said(answer: Answer) -> str:
    told = answer.fields()
    return storable(told.get("detail") or told.get("title"))


def _wait(answer: Answer, detail: str) -> NotSent:
    """Until the day's limit begins anew, where that is used up; else the quarter of an hour's."""
    headers = answer.headers
    spent = [whose for whose in ("user", "app") if headers.get(f"x-{whose}-limit-24hour-remaining") == "0"]
    resets = *(f"x-{whose}-limit-24hour-reset" for whose in spent), "x-rate-limit-reset"
    told = [wait for name in resets if (wait := until_reset(headers, name)) is not None]
    return NotSent(code="http_429", detail=detail, retry_after=told[0] if told else told_to_wait(headers))


def _says(post: Mapping[str, Any], wanted: str) -> bool:
    """Whether a post says these words, as `_bare` leaves them. X shows & as an entity, every web address as one of its own, and an image as
    one more; what an address was is told twice, whole and as people see it.
    """
    note = post.get("note_tweet")
    told = note if isinstance(note, Mapping) and note.get("text") else post
    text, entities = html.unescape(storable(told.get("text"))), told.get("entities")
    links = entities.get("urls") if isinstance(entities, Mapping) else None
    for link in links if isinstance(links, list) and _objects(links) else ():
        written = [storable(link.get(name)) for name in ("expanded_url", "display_url")]
        shows = "media_key" in link or written[1].startswith("pic.")
        ours = "" if shows else next((one for one in written if one and _bare(one) in wanted), written[0])
        text = text.replace(storable(link.get("url")) or "\0", ours)
    return _bare(text) == wanted


def _bare(text: str) -> str:
    """What is compared: X takes blanks at the ends away, and takes a host without https:// for an address, too; it writes http://
    before that one, and a slash after a host.
    """
    return _SLASH.sub("", _SCHEME.sub("", unicodedata.normalize("NFC", text))).strip()


def _objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _number(value: Any) -> str:
    return storable(value.get("id")) if isinstance(value, Mapping) else ""


def _engagement(metrics: Any) -> Engagement:
    told = metrics if isinstance(metrics, Mapping) else {}
    shares = [counted(told.get(name)) for name in ("retweet_count", "quote_count")]
    return Engagement(
        likes=counted(told.get("like_count")),
        shares=sum(count or 0 for count in shares) if any(count is not None for count in shares) else None,
        replies=counted(told.get("reply_count")),
        views=counted(told.get("impression_count")),
    )
