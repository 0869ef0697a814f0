"""Which language a message is in: the folders tried for a customer's locale, and the locale that formats its amounts."""

from __future__ import annotations

import re
from functools import lru_cache

from babel import Locale, UnknownLocaleError

FALLBACK = "en"
_TAG = re.compile(r"^[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,3}$")


def normal(tag: str) -> str:
    """A locale's tag as it is compared: `pt_BR`, `pt-br` and `pt-BR` are one."""
    return tag.replace("_", "-").lower()


def is_locale(tag: str) -> bool:
    """Whether a folder's name is a locale that CLDR knows."""
    return _parsed(tag) is not None


def chain(tag: str | None) -> tuple[str, ...]:
    """What to look for, the nearest first: `zh-Hant-TW` → zh-hant-tw, zh-hant, zh. Empty without a locale."""
    if not tag or not _TAG.match(tag):
        return ()
    words = normal(tag).split("-")
    return tuple("-".join(words[:length]) for length in range(len(words), 0, -1))


@lru_cache(maxsize=256)
def formatting(text_language: str, customer: str | None) -> Locale:
    """How amounts and dates are written: as the customer's locale does where it has the text's language, else as the text.

    A Swiss reads German text with Swiss amounts; a Finn who gets the English text gets English dates with it.
    """
    own, text = _nearest(customer), _nearest(text_language) or Locale(FALLBACK)
    return own if own is not None and own.language == text.language else text


def _nearest(tag: str | None) -> Locale | None:
    return next(filter(None, map(_parsed, chain(tag))), None)


def _parsed(tag: str) -> Locale | None:
    if not _TAG.match(tag):
        return None
    try:
        return Locale.parse(tag, sep="-" if "-" in tag else "_")
    except (UnknownLocaleError, ValueError):
        return None
