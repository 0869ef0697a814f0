"""A page that is tracked by its form is the same, byte for byte, as one whose markup is read anew."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.content.links import Links
from engine.content.render import Renderer
from engine.content.tracking import layout_of, track
from engine.model import Channel
from engine.provider import EmailContent
from tests.content.samples import VALUES, version

LINKS = Links("a secret", "https://mail.shop.example")
PLAIN = "<p>{{ data.a }} and {{ data.b }}</p>"
PAGES = {
    "text": PLAIN,
    "links": '<a href="https://shop.example/x">{{ data.a }}</a><A class="{{ data.b }}" HREF=\'https://shop.example/x?y=1\'>z</a></BODY >x',
    "addresses": '<a href="https://shop.example/{{ data.a }}">x</a><a href="{{ data.b }}">y</a><area href={{ data.b }}>',
    "ours": '<body><a href="{{ links.unsubscribe }}">leave</a><a href="https://mail.shop.example/u/1.x">leave</a></body>',
    "turns": "<p>{% for n in data.list %}<a href='https://shop.example/{{ n }}'>{{ n }}</a>{% if n == data.a %}<a href='https://shop.example/'>{% endif %}{% endfor %}",
    "comments": "<!-- {{ data.a }} --><!--[if mso]><a href='https://shop.example/'>{{ data.b }}-><![endif]--><a href='https://shop.example/'>",
    "raw": "<title>{{ data.a }}</title><style>a { color: {{ data.b }} }</style><a href=https://shop.example/{{ data.a }}>",
    "names": "<{{ data.a }} href='https://shop.example/'>x</a><a{{ data.b }}href='https://shop.example/'><!{{ data.a }}",
    "macro": "{% macro m(x) %}<a href='https://shop.example/{{ x }}'>{{ x }}</a>{% endmacro %}{{ m(data.a) }}{{ m(data.b) }}",
    "hole": "\ue000<a href='https://shop.example/'>{{ data.a }}</a>",
}
WORDS = st.one_of(
    st.sampled_from(
        ["a", "--", "-", "!--", " ", "https://shop.example/ä?b=1&c", 'x" y', "</a>", "'", "\ue000", "a href=x", "\n"]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
)
RENDERERS = {
    name: Renderer(version(email_subject_txt="s", email_txt="t", email_html=page)) for name, page in PAGES.items()
}


@pytest.mark.parametrize("name", PAGES)
@settings(max_examples=25, deadline=None)
@given(a=WORDS, b=WORDS, numbers=st.lists(WORDS, max_size=3), opens=st.booleans(), clicks=st.booleans())
def test_a_form_changes_nothing(name: str, a: str, b: str, numbers: list[str], opens: bool, clicks: bool) -> None:
    """Whatever the values are, and wherever in the markup they stand."""
    values = {**VALUES, "data": {"a": a, "b": b, "list": numbers}, "links": {"unsubscribe": LINKS.unsubscribe(7)}}
    rendered = RENDERERS[name].render(Channel.EMAIL, values)
    assert isinstance(rendered.content, EmailContent)
    page = rendered.content.html
    both = [
        track(page, links=LINKS, message_id=7, link_id=len, opens=opens, clicks=clicks, filled=filled)
        for filled in (None, rendered.page)
    ]
    assert both[0] == both[1]


@pytest.mark.parametrize("name", ["text", "links", "addresses", "ours", "comments", "raw"])
def test_an_everyday_page_has_a_layout(name: str) -> None:
    """Else the test above would compare a thing with itself."""
    values = {
        **VALUES,
        "data": {"a": "Tea & cake", "b": "Cup", "list": []},
        "links": {"unsubscribe": LINKS.unsubscribe(7)},
    }
    rendered = RENDERERS[name].render(Channel.EMAIL, values)
    assert rendered.page is not None
    laid_out = layout_of(rendered.page.form, LINKS, opens=True, clicks=True)
    assert (laid_out is None) == (name == "comments")
