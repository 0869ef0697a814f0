"""Opens and clicks of an email: its links led through ours, the pixel, and the headers of one-click unsubscribe."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from functools import lru_cache
from urllib.parse import urlsplit

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
) -> str | None:
    """An email's HTML part with its links led through ours, and with the open pixel; None where there is no such part.

    Only the http(s) addresses of `<a>` and `<area>` change; everything else stays as it was, byte for byte. Our own
    links (unsubscribe), mailto:, anchors, addresses with a user name in them, and links marked `data-track="off"` stay.
    `link_id` gives the number under which an address is kept; it is asked once for each different address. The text part
    keeps its real links.
    """
    if page is None:
        return None
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
        if tag["attributes"] is None or links.leaves_by(tag[0]):
            continue
        found = _target(tag[0])
        if found is None or links.is_ours(found[2]):
            continue
        start, end, url = found
        if url not in ours:
            ours[url] = links.click(message_id, link_id(url))
        pieces += [body[done : tag.start() + start], ours[url]]
        done = tag.start() + end
    return "".join([*pieces, body[done:]])


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
    image = f'<img src="{url}" width="1" height="1" alt="" style="display:block;border:0">'
    ends = list(_BODY_END.finditer(body))
    at = ends[-1].start() if ends else len(body)
    return body[:at] + image + body[at:]
