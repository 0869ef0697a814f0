"""A post as a record: its key, its text with links and hashtags marked, its length as Bluesky counts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import regex

COLLECTION = "app.bsky.feed.post"
LONGEST = 300  # graphemes

_EPOCH, _MILLISECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)
_LETTERS = "234567abcdefghijklmnopqrstuvwxyz"
_GRAPHEME = regex.compile(r"\X")
_LINK = re.compile(r"(?:(?<=^)|(?<=[\s(]))https?://\S+", re.MULTILINE | re.IGNORECASE)
_TAG = regex.compile(r"(?:(?<=^)|(?<=\s))[#＃](?=\S*[^\d\s\p{P}])\S+", regex.MULTILINE)
_AT_THE_END = regex.compile(r"\p{P}+\Z")


def record_key(key: str, at: datetime) -> str:
    """A TID (https://atproto.com/specs/tid) that the message's key and its first hand-over's time alone decide: the time to
    the millisecond; the microseconds and the clock's number are the key's.
    """
    mark = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
    microseconds = (at - _EPOCH) // _MILLISECOND * 1000 + mark % 1000
    number = microseconds << 10 | (mark // 1000) % 1024
    return "".join(_LETTERS[number >> shift & 31] for shift in range(60, -1, -5))


def post(
    text: str, at: datetime, languages: Sequence[str] = (), image: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The record (lexicon app.bsky.feed.post). `image`: see `shown`."""
    record: dict[str, Any] = {"$type": COLLECTION, "text": text, "createdAt": _written(at)}
    if languages:
        record["langs"] = list(languages)
    if facets := [*_facets(text)]:
        record["facets"] = facets
    if image is not None:
        record["embed"] = {"$type": "app.bsky.embed.images", "images": [dict(image)]}
    return record


def shown(blob: Any, alt: str, size: tuple[int, int] | None) -> dict[str, Any]:
    """An uploaded image as a post shows it (lexicon app.bsky.embed.images)."""
    image = {"image": blob, "alt": alt}
    return {**image, "aspectRatio": {"width": size[0], "height": size[1]}} if size else image


def graphemes(text: str) -> int:
    """Letters as a reader counts them: a flag, or a family of four, is one."""
    return len(_GRAPHEME.findall(text))


def _written(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _facets(text: str) -> Iterator[dict[str, Any]]:
    """Links and hashtags, by the bytes of the text where they stand (lexicon app.bsky.richtext.facet)."""
    for found in _LINK.finditer(text):
        link = found[0].rstrip(".,;:!?")
        if link.endswith(")") and "(" not in link:
            link = link[:-1]
        yield _facet(text, found.start(), link, {"$type": "app.bsky.richtext.facet#link", "uri": link})
    for match in _TAG.finditer(text):
        tag = _AT_THE_END.sub("", match[0][1:])
        if tag and graphemes(tag) <= 64:
            feature = {"$type": "app.bsky.richtext.facet#tag", "tag": tag}
            yield _facet(text, match.start(), match[0][0] + tag, feature)


def _facet(text: str, start: int, words: str, feature: dict[str, str]) -> dict[str, Any]:
    begin = len(text[:start].encode())
    return {"index": {"byteStart": begin, "byteEnd": begin + len(words.encode())}, "features": [feature]}
