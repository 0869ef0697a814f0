"""The pages a customer sees: the one place for page markup. Nothing external, no cookies, no script."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from types import MappingProxyType

from fastapi.responses import HTMLResponse

PRIVATE = MappingProxyType(
    {
        "Referrer-Policy": "no-referrer",
        "X-Robots-Tag": "noindex, nofollow",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
)
"""What every answer to a customer's link carries: the link is theirs alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """The pages' texts in one language. `{purpose}` stands for what the messages are about."""

    ask: str
    ask_more: str
    button: str
    done: str
    done_more: str
    invalid: str
    invalid_more: str
    busy: str
    busy_more: str


ENGLISH = Words(
    ask="Unsubscribe?",
    ask_more="We will send no more “{purpose}” to this address.",
    button="Unsubscribe",
    done="You are unsubscribed",
    done_more="We will send no more “{purpose}” to this address. You can close this page.",
    invalid="This link does not work",
    invalid_more="It may have been cut off. Please use the link in the message once more.",
    busy="One moment, please",
    busy_more="We cannot do this right now. Please try again in a minute.",
)

LANGUAGES: Mapping[str, Words] = MappingProxyType(
    {
        "en": ENGLISH,
        "de": Words(
            ask="Abmelden?",
            ask_more="Wir senden dann nichts mehr zu „{purpose}“ an diese Adresse.",
            button="Abmelden",
            done="Sie sind abgemeldet",
            done_more="Wir senden nichts mehr zu „{purpose}“ an diese Adresse. Sie können diese Seite schließen.",
            invalid="Dieser Link funktioniert nicht",
            invalid_more="Vielleicht ist er unvollständig. Bitte benutzen Sie noch einmal den Link in der Nachricht.",
            busy="Einen Augenblick bitte",
            busy_more="Das geht gerade nicht. Bitte versuchen Sie es in einer Minute noch einmal.",
        ),
        "fi": Words(
            ask="Peruutetaanko tilaus?",
            ask_more="Emme lähetä enää tähän osoitteeseen viestejä aiheesta ”{purpose}”.",
            button="Peruuta tilaus",
            done="Tilaus on peruutettu",
            done_more="Emme lähetä enää tähän osoitteeseen viestejä aiheesta ”{purpose}”. Voit sulkea tämän sivun.",
            invalid="Linkki ei toimi",
            invalid_more="Se saattaa olla katkennut. Käytä viestissä olevaa linkkiä uudelleen.",
            busy="Hetkinen",
            busy_more="Tämä ei onnistu juuri nyt. Yritä minuutin kuluttua uudelleen.",
        ),
    }
)

_STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:1.125rem/1.5 system-ui,sans-serif;max-width:32rem;margin:15vh auto;padding:0 1.25rem}"
    "h1{font-size:1.6rem;line-height:1.2}"
    "button{font:inherit;font-weight:600;padding:.75rem 1.5rem;border:0;border-radius:.4rem;background:#1a4fd6;color:#fff;cursor:pointer}"
    "button:focus-visible{outline:3px solid currentcolor;outline-offset:3px}"
)

_PAGE = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p>{text}</p>
{form}</main>
</body>
</html>
"""

_FORM = """<form method="post">
<button type="submit" name="button" value="yes">{label}</button>
</form>
"""


def ask(purpose: str, locale: str) -> HTMLResponse:
    """The page behind an unsubscribe link: it changes nothing, its button does."""
    language, words = _words(locale)
    form = _FORM.format(label=escape(words.button))
    return _page(200, language, words.ask, words.ask_more.format(purpose=purpose), form=form)


def done(purpose: str, locale: str) -> HTMLResponse:
    """The opt-out is written down."""
    language, words = _words(locale)
    return _page(200, language, words.done, words.done_more.format(purpose=purpose))


def invalid() -> HTMLResponse:
    """A token that we did not sign, or whose message is gone. Nothing is known of the reader, so the page is in English."""
    return _page(404, "en", ENGLISH.invalid, ENGLISH.invalid_more)


def unavailable(headers: Mapping[str, str]) -> HTMLResponse:
    """The database does not answer, so no opt-out was written, and none is claimed."""
    return _page(503, "en", ENGLISH.busy, ENGLISH.busy_more, headers=headers)


def _words(locale: str) -> tuple[str, Words]:
    language = locale.replace("_", "-").partition("-")[0].lower()
    return (language, LANGUAGES[language]) if language in LANGUAGES else ("en", ENGLISH)


def _page(
    status: int, language: str, title: str, text: str, *, form: str = "", headers: Mapping[str, str] | None = None
) -> HTMLResponse:
    html = _PAGE.format(language=language, title=escape(title), style=_STYLE, text=escape(text), form=form)
    return HTMLResponse(html, status, headers={**PRIVATE, "Content-Security-Policy": _policy(), **(headers or {})})


def _policy() -> str:
    style = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
