"""The page on rules shows what works, and all of it."""

from __future__ import annotations

import re
from pathlib import Path

from engine.errors import Problem
from engine.questions.check import check
from engine.rules.measures import MEASURES
from engine.rules.operators import NAMES
from engine.rules.read import CONDITIONS
from engine.rules.reference import reference
from engine.rules.rfm import BANDS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
CONFIG = """
workspace: shop
time_zone: Europe/Helsinki
secret: ${env:REGULARS_SECRET}
postal_address: Street 1
attributes: {country: text, first_name: text, birthday: date}
events: {purchase: {amount: number, cds: number, basket: text}, cart_left: {basket: text}}
purposes: {offers: {title: Offers}}
providers: {outbox: {use: file}}
channels: {email: {commercial: {provider: outbox, from: a@shop.example}}}
"""


def test_the_examples_are_right(tmp_path: Path) -> None:
    """Every YAML block of the page, put into one workspace, passes the check."""
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 4
    files = {"config.yaml": CONFIG, **{f"rules/{number}.yaml": block for number, block in enumerate(blocks)}}
    files |= {
        "templates/win-back/email.subject.txt": "Hello",
        "templates/win-back/email.txt": "{{ links.unsubscribe }} {{ postal_address }}",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    found: list[Problem] = check(tmp_path)
    assert found == []


def test_the_reference_is_the_codes() -> None:
    """Every word, measure, operator and band stands on the page as the tables have it; `docs/make_reference.py` writes it."""
    assert reference() in PAGE
    for name in (*CONDITIONS, *MEASURES, *NAMES, *BANDS):
        assert f"| `{name}` |" in PAGE, name
