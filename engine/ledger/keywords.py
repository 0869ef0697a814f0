"""What an inbound text asks for: words that revoke consent, that give it again, that ask for help; in many languages.

What is clear is done at once. What a reasonable person may have meant as a no, and may not, is left to a person to read.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType


class Wish(StrEnum):
    """OPT_OUT, OPT_IN, HELP; REVIEW where the words sound like an opt-out and a human should look; NONE otherwise."""

    OPT_OUT = "opt_out"
    OPT_IN = "opt_in"
    HELP = "help"
    REVIEW = "review"
    NONE = "none"


Words = Mapping[str, str]
"""By language (ISO 639), words apart by spaces, without accents."""

OUT: Words = MappingProxyType(
    {
        # 47 CFR 64.1200(a)(10) names stop, quit, end, revoke, opt out, cancel, unsubscribe; Twilio and AWS add the others
        "en": "stop stopall quit end revoke cancel unsubscribe unsub optout opt_out remove td",
        "de": "stopp abmelden abmeldung abbestellen austragen widerruf widerrufe",
        "fr": "arret arreter stopper desabonner desabonnement desinscrire desinscription",
        "es": "baja alto parar detener cancelar desuscribir",
        "it": "basta ferma cancella cancellami disiscrivi disiscrivimi annulla",
        "pt": "sair pare parar cancelar remover descadastrar",
        "nl": "stoppen afmelden uitschrijven",
        "pl": "wypisz rezygnuje koniec anuluj zatrzymaj",
        "fi": "lopeta peruuta",
        "sv": "stopp avsluta avregistrera",
        "da": "afmeld frameld",
        "nb": "stopp avslutt avmeld",
        "ru": "стоп отписаться отписка",
    }
)
IN: Words = MappingProxyType({"en": "start unstop"})
"""A yes is taken back as it was given: by the words that vendors know too. YES alone may be about anything."""

HELP: Words = MappingProxyType(
    {
        "en": "help info", "de": "hilfe", "fr": "aide", "es": "ayuda", "it": "aiuto",
        "pt": "ajuda", "nl": "hulp", "pl": "pomoc", "fi": "apua", "sv": "hjalp", "da": "hjælp", "nb": "hjelp",
    }
)  # fmt: skip

POLITE: Words = MappingProxyType(
    {
        "en": "please pls me texting texts now thanks thank you it this to from messages messaging sending all",
        "de": "bitte danke sms nachrichten sofort jetzt",
        "fr": "merci svp s'il vous plait les messages sms maintenant",
        "es": "por favor gracias mensajes sms dar darme de",
        "it": "per favore grazie messaggi sms",
        "pt": "por favor obrigado obrigada mensagens sms",
        "nl": "alsjeblieft aub graag bedankt berichten sms",
        "pl": "prosze dziekuje sms mnie",
        "fi": "kiitos viestit",
        "sv": "tack sms",
    }
)
"""What may stand beside a word that revokes without making it anything else."""

OPT_OUT = re.compile(r"\bopt(?:ing)?\W+(?:me\W+)?out\b")
"""The one phrase that is a word like those above, with whatever dash somebody's telephone makes of its hyphen."""

UNWILLING = re.compile(
    r"\b(?:stop\d+|no more|leave (?:me|us) alone|wrong number|i want out|opted out|(?:not|no longer) interested"
    r"|take (?:me|my \w+) off|lose my number|delete (?:me|my (?:number|phone|contact|details|data|account))"
    r"|(?:do not|don t|dont|never) (?:text|message|contact|write|send|sms)"
    r"|keine? (?:sms|nachrichten|werbung)|nicht mehr|loe?sch(?:en|e|t)?|nicht interessiert|kein interesse"
    r"|lass(?:t|en sie)? (?:mich|uns) in ruhe"
    r"|(?:plus|pas) de (?:sms|messages|pub|publicite)|pas interessee?|ne (?:m )?(?:ecrivez|envoyez|contactez)"
    r"|no (?:quiero|mas|me interesa)|non (?:voglio|scrivetemi)|nao quero|nao me"
    r"|geen (?:sms|berichten|reclame)|nie chce|en halua|vill inte)\b"
)
"""Phrases that may be a no, without any of the words."""

BENT = re.compile(r"stopp?(?:s|ed|ing)")
"""Forms of the word that are more than a slip away from it, and alone may mean it."""

MOST_WORDS = 4
SHORTEST_TYPO, SHORTEST_HALF = 4, 2


def _joined(words: Iterable[str]) -> frozenset[str]:
    return frozenset(word for group in words for word in group.split())


_OUT, _IN, _HELP, _POLITE = (_joined(table.values()) for table in (OUT, IN, HELP, POLITE))
_MISSPELT = frozenset(word for word in _OUT if len(word) >= SHORTEST_TYPO)


def wish(text: str) -> Wish:
    """Read an inbound text. A word that revokes, alone or with politeness, is an opt-out; with other words, a human looks."""
    words = _words(text)
    out = [word for word in words if word in _OUT]
    rest = [word for word in words if word not in _OUT]
    if out and len(words) <= MOST_WORDS and all(word in _POLITE for word in rest):
        return Wish.OPT_OUT
    if out or _misspelt(words) or UNWILLING.search(" ".join(words)):
        return Wish.REVIEW
    if len(words) == 1:
        return Wish.OPT_IN if words[0] in _IN else Wish.HELP if words[0] in _HELP else Wish.NONE
    return Wish.NONE


def wish_of_part(text: str) -> Wish:
    """The same of a part of a longer text: who writes so much has not sent a word of command, and what sounds like one, whole
    or halved where the text was cut, a human reads.
    """
    return Wish.REVIEW if wish(text) in (Wish.OPT_OUT, Wish.REVIEW) or _halved(text) else Wish.NONE


def language(text: str) -> str | None:
    """The language whose word was used, where it is one language's alone and not everybody's."""
    words = set(_words(text)) - _joined([OUT["en"], HELP["en"], IN["en"]])
    found = {
        tongue
        for table in (OUT, HELP)
        for tongue, known in table.items()
        if words & frozenset(known.split())
    }  # fmt: skip
    return found.pop() if len(found) == 1 else None


def _words(text: str) -> list[str]:
    folded = unicodedata.normalize("NFKD", text[:2000].casefold())
    bare = "".join(c for c in folded if not unicodedata.combining(c))
    words = re.sub(r"[^\w]+", " ", OPT_OUT.sub("opt_out", bare)).split()
    return ["".join(words)] if len(words) > 1 and all(len(word) == 1 for word in words) else words  # S T O P


def _misspelt(words: list[str]) -> bool:
    """Whether all that is said, politeness aside, is one word a slip away from one that revokes, or a form of it: `stpo`,
    `unsubscibe`, `stoped`.
    """
    said = [word for word in words if word not in _POLITE]
    if len(said) != 1 or said[0] in _IN | _HELP:
        return False
    return bool(BENT.fullmatch(said[0])) or _near(said[0], _MISSPELT)


def _halved(text: str) -> bool:
    """Whether it may end with the first letters of a word that revokes, or begin with all of them but the first."""
    words = _words(text)
    first, last = (words[0], words[-1]) if words else ("", "")
    ends = text[-1:].isalnum() and len(last) >= SHORTEST_HALF and any(out.startswith(last) for out in _OUT)
    return ends or (text[:1].isalnum() and any(out[1:] == first for out in _OUT))


def _near(word: str, known: Collection[str]) -> bool:
    """One letter is missing, too many, another, or two have changed places."""
    if not SHORTEST_TYPO - 1 <= len(word) <= 30:
        return False
    letters = set("".join(known))
    parts = [(word[:at], word[at:]) for at in range(len(word) + 1)]
    slips = {a + b[1:] for a, b in parts if b}
    slips |= {a + b[1] + b[0] + b[2:] for a, b in parts if len(b) > 1}
    slips |= {a + c + b for a, b in parts for c in letters}
    slips |= {a + c + b[1:] for a, b in parts if b for c in letters}
    return not slips.isdisjoint(known)
