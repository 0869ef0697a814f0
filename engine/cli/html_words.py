"""An email's HTML part as a terminal can show it: its words in lines, where its links lead, what its images say."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_UNSEEN = frozenset({"head", "script", "style", "title"})
_LINES = frozenset({"p", "div", "br", "hr", "tr", "table", "ul", "ol", "li", "h1", "h2", "h3", "h4", "h5", "h6"})


def words_of(page: str) -> str:
    """The page in lines. Rough on purpose: a browser shows how it looks."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.said).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.said: list[str] = []
        self._unseen = 0
        self._links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._unseen += tag in _UNSEEN
        if tag in _LINES:
            self.said.append("\n")
        elif tag == "a":
            self._links.append(given.get("href") or "")
        elif tag == "img" and not self._unseen:
            self.said.append(f"[{given.get('alt') or 'image'}]")

    def handle_endtag(self, tag: str) -> None:
        self._unseen -= tag in _UNSEEN and self._unseen > 0
        if tag in _LINES:
            self.said.append("\n")
        elif tag in ("td", "th"):
            self.said.append(" ")
        elif tag == "a" and self._links and (leads := self._links.pop()):
            self.said.append(f" <{leads}>")

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.said.append(re.sub(r"\s+", " ", data))
