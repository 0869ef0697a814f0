"""Tracking changes the addresses of links and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.content.links import Links
from engine.content.tracking import shows, track, unsubscribe_headers
from engine.errors import ContentError
from engine.provider import EmailContent

LINKS = Links("a secret", "https://mail.shop.example")
MESSAGE = 77


class Kept:
    """The addresses that were asked for, numbered from 1."""

    def __init__(self) -> None:
        self.urls: list[str] = []

    def __call__(self, url: str) -> int:
        self.urls.append(url)
        return len(self.urls)


def tracked(page: str, link_id: Callable[[str], int] | None = None, *, opens: bool = False, clicks: bool = True) -> str:
    content = EmailContent(subject="s", text="https://shop.example/a", html=page)
    done = replace(
        content,
        html=track(
            content.html, links=LINKS, message_id=MESSAGE, link_id=link_id or Kept(), opens=opens, clicks=clicks
        ),
    )
    assert (done.subject, done.text) == ("s", "https://shop.example/a"), "the text part keeps its real links"
    assert done.html is not None
    return done.html


@pytest.mark.parametrize(
    ("before", "url"),
    [
        ('<a href="{}">', "https://shop.example/a"),
        ("<a href='{}'>", "https://shop.example/a"),
        ("<a href={}>", "https://shop.example/a"),
        ('<A\n class="x > y"\tHREF = "{}" >', "http://shop.example/"),
        ('<area shape="rect" href="{}"/>', "https://shop.example/a"),
        ('<a data-track="on" href="{}">', "https://shop.example/a?b=1#c"),
        ('<a title="href=&quot;no&quot;" href=" {} ">', "HTTPS://SHOP.example/ä"),
    ],
)
def test_a_links_address_is_replaced_and_every_other_byte_stays(before: str, url: str) -> None:
    """Whatever the quotes, the case and the order of attributes."""
    kept = Kept()
    page = f"<p>1 &lt; 2</p>{before.format(url)}text</a><!-- end -->"
    assert tracked(page, kept) == page.replace(f" {url} " if f" {url} " in page else url, LINKS.click(MESSAGE, 1))
    assert kept.urls == [url]


@pytest.mark.parametrize(
    "page",
    [
        f'<a href="{LINKS.unsubscribe(MESSAGE)}">Unsubscribe</a>',
        f'<a href="{LINKS.click(MESSAGE, 3)}">already ours</a>',
        '<a href="mailto:ana@shop.example">',
        '<a href="tel:+38640123456">',
        '<a href="#top">',
        '<a name="https://shop.example/a">',
        '<a href="/relative">',
        '<a href="//shop.example/a">',
        '<a href="javascript:alert(1)">',
        '<a href="https://">',
        '<a href="https://[broken/">',
        '<a href="https://ana:word@shop.example/">',
        '<a href="https://shop.example/a b">',
        '<a href="https://shop.example/a" data-track="off">',
        "<a data-track=OFF href='https://shop.example/a'>",
        '<link href="https://shop.example/style.css">',
        '<img src="https://shop.example/a.png">',
        '<abbr href="https://shop.example/a">',
        '<!-- <a href="https://shop.example/a"> -->',
        '<!--[if mso]><a href="https://shop.example/a"><![endif]-->',
        '<style>a[href="https://shop.example/a"] { color: red } <a href="https://x.example/"></style>',
        '<a data-href="https://shop.example/a">',
        '<a href="',
        "no page at all",
        "",
    ],
)
def test_what_is_no_link_to_count_stays_as_it_is(page: str) -> None:
    """Unsubscribe links first of all: nothing may stand between a reader and the way out."""
    assert tracked(page) == page


def test_an_address_is_kept_as_a_browser_reads_it() -> None:
    """`&amp;` is an ampersand; the `&copy=` of a query that nobody escaped is no copyright sign; the first href counts."""
    kept = Kept()
    tracked('<a href="https://s.example/?a=1&amp;copy=2&copy=3&#38;x" href="https://other.example/">', kept)
    assert kept.urls == ["https://s.example/?a=1&copy=2&copy=3&x"]


def test_the_same_address_is_one_link() -> None:
    """Two buttons to one page are asked for once, and lead through the same link."""
    kept = Kept()
    page = tracked('<a href="https://s.example/">1</a><a href="https://s.example/">2</a>', kept)
    assert kept.urls == ["https://s.example/"]
    assert page.count(LINKS.click(MESSAGE, 1)) == 2


@pytest.mark.parametrize(
    ("page", "around"),
    [
        ("<body>Hi</body></html>", ("<body>Hi", "</body></html>")),
        ("Hi </BODY > there </body>\n", ("Hi </BODY > there ", "</body>\n")),
        ("Hi", ("Hi", "")),
    ],
)
def test_the_pixel_is_the_last_thing_in_the_body(page: str, around: tuple[str, str]) -> None:
    """One image, at the end; everything else stays."""
    done = tracked(page, opens=True)
    assert done.startswith(around[0])
    assert done.endswith(around[1])
    image = done[len(around[0]) : len(done) - len(around[1])]
    assert re.fullmatch(r"<img src=\"([^\"]+)\"[^<>]*>", image)
    assert LINKS.open(MESSAGE) in image


def test_a_template_that_has_the_pixel_gets_no_second_one() -> None:
    """One reading is one open."""
    page = f'<body><img src="{LINKS.open(MESSAGE)}"></body>'
    assert tracked(page, opens=True) == page


def test_tracking_that_is_off_changes_nothing() -> None:
    """Neither links nor pixel; and a mail without HTML has nothing to track."""
    page = '<a href="https://s.example/">1</a>'
    assert tracked(page, clicks=False) == page
    plain = EmailContent(subject="s", text="t")
    assert track(plain.html, links=LINKS, message_id=1, link_id=Kept(), opens=True, clicks=True) is None


class _Hrefs(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.hrefs: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.hrefs += [value or "" for name, value in attrs if tag == "a" and name == "href"]


@settings(max_examples=100)
@given(
    st.lists(
        st.sampled_from(
            [
                '<a href="https://s.example/1">',
                "<a href='https://s.example/2?x=1&amp;y=2'>",
                '<a href="mailto:a@s.example">',
                "<p>",
                "</a>",
                " & <b> 3 > 2 ",
                '<img alt="<a href=">',
                "<!-- x -->",
            ]
        )
    )
)
def test_an_independent_parser_sees_only_the_links_change(pieces: list[str]) -> None:
    """Python's own HTML parser finds as many links as before, in the same order, each http one ours."""
    page = "".join(pieces)
    before, after = _Hrefs(), _Hrefs()
    before.feed(page)
    after.feed(tracked(page))
    assert len(before.hrefs) == len(after.hrefs)
    for old, new in zip(before.hrefs, after.hrefs, strict=True):
        assert LINKS.is_ours(new) if old.startswith("http") else new == old


def test_one_click_unsubscribe_is_exactly_two_headers() -> None:
    """RFC 8058 §3.1: one HTTPS address in angle brackets, and the fixed value."""
    url = LINKS.unsubscribe(MESSAGE)
    assert unsubscribe_headers(url) == {
        "List-Unsubscribe": f"<{url}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


@pytest.mark.parametrize(
    "url", ["", "mailto:x@s.example", "https://s.example/>", "https://s.example/\r\nBcc: x", "/u/x"]
)
def test_an_address_that_would_break_the_header_is_refused(url: str) -> None:
    """No second header can come in through the first."""
    with pytest.raises(ContentError):
        unsubscribe_headers(url)


@pytest.mark.parametrize(
    ("text", "page", "shown"),
    [
        ("out: {}", None, True),
        ("out: {}", '<a href="{}">', True),
        ("out: {}", "<p>", False),
        ("no", '<a href="{}">', False),
        ("no", None, False),
    ],
)
def test_a_link_must_stand_in_both_parts(text: str, page: str | None, shown: bool) -> None:
    """A reader of the text part needs the way out as much as one of the HTML part."""
    url = LINKS.unsubscribe(MESSAGE)
    html = page.format(url) if page else None
    assert shows(EmailContent(subject="s", text=text.format(url), html=html), url) is shown
