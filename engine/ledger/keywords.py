"""What an inbound text asks for: words that revoke consent, that give it again, that ask for help."""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum


class Wish(StrEnum):
    """OPT_OUT, OPT_IN, HELP; REVIEW where the words sound like an opt-out and a human should look; NONE otherwise."""

    OPT_OUT = "opt_out"
    OPT_IN = "opt_in"
    HELP = "help"
    REVIEW = "review"
    NONE = "none"


# 47 CFR 64.1200(a)(10) names stop, quit, end, revoke, opt out, cancel, unsubscribe; Twilio and AWS add the others;
# then the usual word in Finnish, German, Swedish, French, Spanish, Italian.
_OUT = frozenset(
    [
        "stop",
        "stopall",
        "quit",
        "end",
        "revoke",
        "cancel",
        "unsubscribe",
        "optout",
        "opt_out",
        "remove",
        "arret",
        "td",
        "lopeta",
        "peruuta",
        "stopp",
        "abmelden",
        "abbestellen",
        "avsluta",
        "baja",
        "alto",
        "basta",
        "cancella",
    ]
)
_IN = frozenset({"start", "unstop"})
_HELP = frozenset({"help", "info", "apua", "hilfe", "aide", "ayuda", "aiuto"})
_POLITE = frozenset(
    [
        "please",
        "me",
        "texting",
        "texts",
        "now",
        "thanks",
        "thank",
        "you",
        "it",
        "this",
        "to",
        "from",
        "messages",
        "sending",
        "kiitos",
        "bitte",
        "merci",
    ]
)
_MOST_WORDS = 4


def _words(text: str) -> list[str]:
    folded = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(c for c in folded if not unicodedata.combining(c))
    return re.sub(r"[^\w]+", " ", re.sub(r"\bopt[\s-]+out\b", "opt_out", bare)).split()


def wish(text: str) -> Wish:
    """Read an inbound text. A word that revokes, alone or with politeness, is an opt-out; with other words, a human looks."""
    words = _words(text)
    out = [word for word in words if word in _OUT]
    rest = [word for word in words if word not in _OUT]
    if out and len(words) <= _MOST_WORDS and all(word in _POLITE for word in rest):
        return Wish.OPT_OUT
    if out:
        return Wish.REVIEW
    if len(words) == 1:
        return Wish.OPT_IN if words[0] in _IN else Wish.HELP if words[0] in _HELP else Wish.NONE
    return Wish.NONE
