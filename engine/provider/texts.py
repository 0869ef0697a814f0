"""Text that comes from outside, fit for headers, databases and logs."""

from __future__ import annotations

import re

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_ENCODED_WORD = re.compile(r"=\?(?=[^?]*\?[bBqQ]\?)")
_PERSONAL = re.compile(
    r"(?<![^\s<>\"'(),;:=])[^\s<>\"'(),;:=]*(?:@|%40)[^\s<>\"'(),;]+|\+\d[\d\s().-]{5,}\d|\b\d{7,}\b|\b\d{3}[-. ]\d{3}[-. ]\d{4}\b"
)


def safe_header(value: str) -> str:
    """Text for a header, a display name or a sender ID: one line, and nothing in it that decodes into another header.

    Control characters and line separators become a space; an RFC 2047 encoded word that came with the data is broken up,
    because mail software (Python before 3.11.10 among it) decodes it and writes out the line breaks inside.
    """
    if value.isprintable() and "=?" not in value:
        return value.strip()
    return _ENCODED_WORD.sub("= ?", _CONTROLS.sub(" ", value)).strip()


def storable(value: object) -> str:
    """Text from outside as every database and encoder can hold it: without NUL and half surrogate pairs; empty for None."""
    text = "" if value is None else str(value)
    if text.isascii() and "\0" not in text:  # most are
        return text
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def without_personal(text: str, *known: str, limit: int = 200) -> str:
    """A vendor's own words, fit for a log: no `known` address or secret, nothing that looks like an address or a number."""
    text = text[:20_000]  # a word cut in two here is not among the first that are shown
    folded = text.casefold()
    said = [word for word in known if word and word.casefold() in folded]  # few: and compiling an expression costs
    for word in sorted(said, key=len, reverse=True):
        text = re.sub(re.escape(word), "…", text, flags=re.IGNORECASE)
    return _PERSONAL.sub("…", _CONTROLS.sub(" ", text)).strip()[:limit]


def identity(value: object) -> str | None:
    """A vendor's id as text, a number's too (some vendors count); None for what names nothing."""
    counts = isinstance(value, int) and not isinstance(value, bool)
    return storable(value) or None if isinstance(value, str) or counts else None
