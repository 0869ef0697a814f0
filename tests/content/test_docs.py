"""The examples of docs/templates.md do what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from engine.content.filters import filters
from engine.content.meter import Meter
from engine.content.render import Renderer
from engine.content.sandbox import GLOBALS
from engine.content.templates import TemplateVersion, known_names, problems
from engine.model import AttributeType, Channel, MessageClass
from engine.provider import EmailContent, Secret
from engine.settings import Settings
from tests.content.samples import VALUES, text

PAGE = (Path(__file__).parents[2] / "docs" / "templates.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```jinja\n(.*?)```\s+gives\s+```text\n(.*?)```", PAGE, re.DOTALL)
FILES = dict(re.findall(r"`templates/(\S+)`\n\n```\w+\n(.*?)```", PAGE, re.DOTALL))
SETTINGS = Settings(
    workspace="shop", time_zone=ZoneInfo("UTC"), secret=Secret("S"), attributes={"first_name": AttributeType.TEXT}
)
DATA = {
    "amount": 1234.5,
    "points": 12000,
    "rating": 4,
    "pickup_at": "2026-03-02T17:30Z",
    "items": [{"name": "Tea", "price": 4}, {"name": "Cup", "price": 9}],
}


@pytest.mark.parametrize(("template", "expected"), EXAMPLES)
def test_an_example_gives_what_the_page_says(template: str, expected: str) -> None:
    """Rendered as written; the no-break spaces that some amounts and times have look like spaces on the page."""
    assert text(template, data=DATA).replace("\u202f", " ") == expected.strip()


def test_the_page_has_its_examples() -> None:
    """Two with their results, and one whole template: a page that changed its form cannot pass unread."""
    assert len(EXAMPLES) == 2
    assert set(FILES) == {"_shop/base.html", *(f"win-back/email.{part}" for part in ("subject.txt", "txt", "html"))}


def test_the_whole_template_is_fit_to_send() -> None:
    """A commercial email with no error and no warning, which renders with the way out in both parts."""
    version = TemplateVersion(name="win-back", hash="-", sources=FILES)
    known = known_names(SETTINGS)
    assert problems(version, channel=Channel.EMAIL, message_class=MessageClass.COMMERCIAL, known=known) == []
    content = Renderer(version).render(Channel.EMAIL, VALUES).content
    assert isinstance(content, EmailContent)
    assert content.subject == "Ana, we kept something for you"
    assert content.text.startswith("Hello Ana,\n\nhere is")
    assert all("https://shop.example/u/1" in (part or "") for part in (content.text, content.html))


def test_the_page_names_every_value_filter_and_function() -> None:
    """What is new is written down, and what is written down is there."""
    words = set(re.findall(r"[\w.]+", PAGE))
    assert set(filters(Meter())) - {"d", "e"} <= words
    assert set(GLOBALS) <= words
    assert set(known_names(SETTINGS)) <= words
