"""Opens and clicks of an email: its links led through ours, the pixel, and the headers of one-click unsubscribe."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from engine.content.forms import HOLE, Filled, Form
from engine.content.links import Links
from engine.errors import ContentError
from engine.provider import EmailContent

_MARKUP = re.compile(
    r"""<!--.*?-->                                           # comments, conditional ones for Outlook too, stay as they are
      | <(?P<raw>script|style|textarea|title)\b.*?</(?P=raw)\s*>
      | <(?:a|area)(?=[\s/])(?P<attributes>(?:[^>"']|"[^"]*"|'[^']*')*+)>""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
_ATTRIBUTE = re.compile(
    r"""(?P<name>[^\s"'<>/=]+)(?:\s*=\s*(?P<value>"[^"]*"|'[^']*'|[^\s"'=<>`]+))?""",
)
_REFERENCE = re.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,31});", re.IGNORECASE)
_BODY_END = re.compile(r"</body\s*>", re.IGNORECASE)
_NOT_IN_A_URL = re.compile(r"[\s<>\"\x00-\x1f\x7f]")


def track(
    page: str | None,
    *,
    links: Links,
    message_id: int,
    link_id: Callable[[str], int],
    opens: bool,
    clicks: bool,
    filled: Filled | None = None,
) -> str | None:
    """An email's HTML part with its links led through ours, and with the open pixel; None where there is no such part.

    Only the http(s) addresses of `<a>` and `<area>` change; everything else stays as it was, byte for byte. Our own
    links (unsubscribe), mailto:, anchors, addresses with a user name in them, and links marked `data-track="off"` stay.
    `link_id` gives the number under which an address is kept; it is asked once for each different address. The text part
    keeps its real links. `filled`: the same page as a form and its values; then its markup is read once for all of them.
    """
    if page is None:
        return None
    layout = layout_of(filled.form, links, opens=opens, clicks=clicks) if filled is not None else None
    if filled is not None and layout is not None:
        return layout.page(filled.values, links, message_id, link_id)
    body = _clicks(page, links, message_id, link_id) if clicks else page
    return _pixel(body, links.open(message_id)) if opens else body


def shows(content: EmailContent, url: str) -> bool:
    """Whether a reader of either part finds the link: an `if` or a replaced block of a layout may have dropped it."""
    return url in content.text and (content.html is None or html.escape(url) in content.html or url in content.html)


def unsubscribe_headers(url: str) -> dict[str, str]:
    """The two headers of one-click unsubscribe (RFC 8058 §3.1). Raises ContentError where `url` cannot stand in one."""
    if _NOT_IN_A_URL.search(url) or not url.startswith(("https://", "http://")):
        raise ContentError("the unsubscribe link is not a web address", where="config.yaml: public_url")
    return {"List-Unsubscribe": f"<{url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}


def _clicks(body: str, links: Links, message_id: int, link_id: Callable[[str], int]) -> str:
    ours: dict[str, str] = {}
    pieces, done = [], 0
    for tag in _MARKUP.finditer(body):
        found = _wanted(tag[0], links) if tag["attributes"] is not None else None
        if found is None:
            continue
        start, end, url = found
        if url not in ours:
            ours[url] = links.click(message_id, link_id(url))
        pieces += [body[done : tag.start() + start], ours[url]]
        done = tag.start() + end
    return "".join([*pieces, body[done:]])


def _wanted(tag: str, links: Links) -> tuple[int, int, str] | None:
    """The address in a tag that is to be led through ours, and where it stands."""
    if links.leaves_by(tag):
        return None
    found = _target(tag)
    return None if found is None or links.is_ours(found[2]) else found


@lru_cache(maxsize=4096)  # most tags of a mailing are the same in every message
def _target(tag: str) -> tuple[int, int, str] | None:
    """Where the address of a link stands in its tag, without its quotes, and what it is; None where this link is not to be
    counted.
    """
    found: dict[str, tuple[int, int]] = {}
    for attribute in _ATTRIBUTE.finditer(tag, *_MARKUP.match(tag).span("attributes")):  # type: ignore[union-attr]
        if attribute["value"] is not None:
            start, end = attribute.span("value")
            quoted = tag[start] in "\"'"
            found.setdefault(
                attribute["name"].lower(), (start + quoted, end - quoted)
            )  # the first of two counts: HTML §13
    marked, at = found.get("data-track"), found.get("href")
    if at is None or (marked and tag[slice(*marked)].strip().lower() == "off"):
        return None
    url = _decoded(tag[slice(*at)])
    return (*at, url) if _trackable(url) else None


def _decoded(value: str) -> str:
    """An attribute's value as a browser reads it: `&amp;` is an ampersand, while the `&copy=` of a query stays."""
    return _REFERENCE.sub(lambda reference: html.unescape(reference[0]), value).strip()


def _trackable(url: str) -> bool:
    if _NOT_IN_A_URL.search(url):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc


def _pixel(body: str, url: str) -> str:
    """The page with the pixel as the last thing in its body; once, even where the template placed it itself."""
    if url in body:
        return body
    at = _end_of_body(body)
    return body[:at] + _image(url) + body[at:]


def _image(url: str) -> str:
    return f'<img src="{url}" width="1" height="1" alt="" style="display:block;border:0">'


def _end_of_body(body: str) -> int:
    ends = list(_BODY_END.finditer(body))
    return ends[-1].start() if ends else len(body)


# ---------------------------------------------------------------- all pages of a form at once

_IN_A_NAME = re.compile(rf"<[^\s>]*{HOLE}")
_COMMENT_MAY_END = re.compile(rf"{HOLE}[->]")


@dataclass(frozen=True, eq=False, slots=True)
class Layout:
    """A form's page cut into parts. `holes`: the parts that are values; `led`: those that are links, each with its place in
    `urls`; `tags`: from which part to which runs a tag whose address depends on a value; `pixel`: the part that is the
    pixel, -1 for none.
    """

    parts: list[str]
    holes: Sequence[int]
    led: Sequence[tuple[int, int]]
    urls: Sequence[str]
    tags: Sequence[tuple[int, int]]
    pixel: int

    def page(self, values: Sequence[str], links: Links, message_id: int, link_id: Callable[[str], int]) -> str:
        """One message's page, the same as without a layout."""
        parts = self.parts.copy()
        for place, value in zip(self.holes, values, strict=True):
            parts[place] = value
        if self.led:
            ours = links.clicks(message_id, [link_id(url) for url in self.urls])
            for place, number in self.led:
                parts[place] = ours[number]
        for first, last in self.tags:
            parts[first] = _clicks("".join(parts[first:last]), links, message_id, link_id)
            parts[first + 1 : last] = [""] * (last - first - 1)
        if self.pixel >= 0:
            parts[self.pixel] = _image(links.open(message_id))
        return "".join(parts)


def layout_of(form: Form, links: Links, *, opens: bool, clicks: bool) -> Layout | None:
    """The form's layout; None where its pages have to be read one by one."""
    key = (links.root, opens, clicks)
    if key not in form.known:
        form.known[key] = _laid_out(form.page, links, opens=opens, clicks=clicks)
    found: Layout | None = form.known[key]
    return found


def _laid_out(page: str, links: Links, *, opens: bool, clicks: bool) -> Layout | None:
    if _IN_A_NAME.search(page):
        return None
    cuts: list[tuple[int, int, str | None]] = []
    for tag in _MARKUP.finditer(page) if clicks else ():
        if tag["attributes"] is None:
            if tag[0].startswith("<!") and _COMMENT_MAY_END.search(tag[0]):
                return None
        elif HOLE in tag[0]:
            cuts.append((*tag.span(), None))
        elif found := _wanted(tag[0], links):
            cuts.append((tag.start() + found[0], tag.start() + found[1], found[2]))
    at = _end_of_body(page)
    if opens and any(start < at < end for start, end, _ in cuts):
        return None
    maker = _Maker()
    done = 0
    for start, end, url in sorted([*cuts, (at, at, "")] if opens else cuts, key=lambda cut: cut[:2]):
        maker.text(page[done:start])
        maker.cut(page[start:end], url)
        done = end
    maker.text(page[done:])
    return maker.layout()


class _Maker:
    """Collects the parts of a layout."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.holes: list[int] = []
        self.led: list[tuple[int, int]] = []
        self.urls: list[str] = []
        self.tags: list[tuple[int, int]] = []
        self.pixel = -1

    def text(self, marked: str) -> None:
        for number, piece in enumerate(marked.split(HOLE)):
            if number:
                self.holes.append(len(self.parts))
                self.parts.append("")
            if piece:
                self.parts.append(piece)

    def cut(self, marked: str, url: str | None) -> None:
        """The pixel has no address, and a tag with a value in it none yet."""
        place = len(self.parts)
        if url is None:
            self.text(marked)
            self.tags.append((place, len(self.parts)))
            return
        self.parts.append("")
        if not url:
            self.pixel = place
            return
        if url not in self.urls:
            self.urls.append(url)
        self.led.append((place, self.urls.index(url)))

    def layout(self) -> Layout:
        return Layout(self.parts, self.holes, self.led, self.urls, self.tags, self.pixel)
