"""What a person wrote in answer to a letter: their own words, without those that their program quotes, and no signature."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.message import Message
from html.parser import HTMLParser
from itertools import islice

from engine.provider import storable

MOST_LETTERS = 20_000
MOST_LINES, MOST_OF_HEADING = 500, 3

_RULE = re.compile(r"^\s*(?:[-_=]{10,}|-{2,}\s*\w[^-]{0,60}-{2,})\s*$")
_HEADING = re.compile(
    r"^\s*\*?(?:from|von|de|da|van|od|från|fra|lähettäjä|от)\s?:\*?\s*\S.*(?:@|<|\[mailto)", re.IGNORECASE
)
_BLANKS = re.compile(r"\s+")
_YEAR = re.compile(r"\b20\d\d\b")
_PROGRAM = re.compile(
    r"^\W*(?:sent (?:from|with|via) |get outlook for |von mein\w* \w+ gesendet|gesendet (?:von|mit) |envoyé (?:de|depuis) "
    r"|enviado (?:desde|do|a partir) |inviato da|verzonden (?:vanaf|met) |wysłan\w+ z |lähetetty |skickat från |sendt fra )",
    re.IGNORECASE,
)
"""Where the letter begins that is answered, in programs that quote without a mark; and what telephones add."""


def said(parts: list[Message]) -> str:
    """The words of a mail's parts; empty where there are none. Plain text before HTML."""
    for kind, words in (("text/plain", str), ("text/html", _html)):
        texts = (words(text_of(part)) for part in parts if part.get_content_type() == kind and not part.get_filename())
        if text := next((own for text in texts if (own := _own(text))), ""):
            return text
    return ""


def text_of(part: Message) -> str:
    raw = part.get_payload(decode=True)
    if not isinstance(raw, bytes):
        return ""
    return letters(raw, part.get_content_charset() or "utf-8")


def letters(raw: bytes, charset: str) -> str:
    """What bytes say in a charset; where nobody knows that, in UTF-8. Never raises."""
    try:
        return raw.decode(charset, "replace")
    except (LookupError, ValueError):  # the second: `idna`, `undefined` and their like refuse
        return raw.decode("utf-8", "replace")


def _html(text: str) -> str:
    reader = _Reader()
    reader.feed(text[: MOST_LETTERS * 5])
    return "".join(reader.words)


def _own(text: str) -> str:
    lines = [line.rstrip() for line in islice(storable(text[:MOST_LETTERS]).splitlines(), MOST_LINES)]
    kept = list(_until_quoted(lines))
    if len(kept) < len(lines) and lines[len(kept)].lstrip().startswith(">"):
        kept = _without_heading(kept)
    while kept and (not kept[-1].strip() or _PROGRAM.match(kept[-1])):
        kept.pop()
    return "\n".join(kept).strip()


def _until_quoted(lines: list[str]) -> Iterator[str]:
    for line in lines:
        if line.lstrip().startswith(">") or line == "--" or _RULE.match(line) or _HEADING.match(line):
            return
        yield line


def _without_heading(lines: list[str]) -> list[str]:
    """Without what stands before a quotation (`On 2 March 2026 Example Records wrote:`), in any language, over up to three lines."""
    while lines and not lines[-1]:
        lines = lines[:-1]
    if not lines or not lines[-1].endswith(":"):
        return lines
    heading = next(
        (n for n in range(1, MOST_OF_HEADING + 1) if _YEAR.search("".join(lines[-n : len(lines) - n + 1]))), 1
    )
    return lines[:-heading]


class _Reader(HTMLParser):
    """The words of a page, up to the first quotation."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self._unseen = 0
        self._over = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        about = dict(attrs)
        marked = f"{about.get('class') or ''} {about.get('id') or ''}"
        self._over = self._over or tag == "blockquote" or any(name in marked for name in QUOTED)
        self._unseen += tag in ("style", "script", "title")
        if tag in ("br", "p", "div", "tr", "hr"):
            self.words.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._unseen -= tag in ("style", "script", "title") and self._unseen > 0

    def handle_data(self, data: str) -> None:
        if not self._over and not self._unseen:
            self.words.append(_BLANKS.sub(" ", data) if data.strip() else "")


QUOTED = ("gmail_quote", "gmail_attr", "yahoo_quoted", "moz-cite-prefix", "divRplyFwdMsg", "appendonsend", "signature")
"""How programs mark what they add to a page that somebody writes."""
