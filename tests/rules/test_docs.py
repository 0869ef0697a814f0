"""The page on rules shows what works, and all of it."""

from __future__ import annotations

import re
from pathlib import Path

from engine.errors import Problem
from engine.model import AttributeType
from engine.questions.check import check
from engine.rules.operators import OPERATORS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
CONFIG = """
workspace: shop
time_zone: Europe/Helsinki
secret: ${env:REGULARS_SECRET}
postal_address: Street 1
attributes: {country: text, first_name: text}
events: {purchase: {amount: number, cds: number}}
purposes: {offers: {title: Offers}}
providers: {outbox: {use: file}}
channels: {email: {commercial: {provider: outbox, from: a@shop.example}}}
"""


def test_the_examples_are_right(tmp_path: Path) -> None:
    """Every YAML block of the page, put into one workspace, passes the check."""
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 2
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


def test_every_operator_is_on_the_page_with_its_types() -> None:
    """The table of operators is the code's."""
    rows = set(re.findall(r"^\| `(\w+)` \| ([\w, ]+) \| (.+) \|$", PAGE, re.MULTILINE))
    table = OPERATORS.values() if hasattr(OPERATORS, "values") else OPERATORS
    coded = {
        (
            o.name,
            "any" if o.types == frozenset(AttributeType) else ", ".join(t.value for t in AttributeType if t in o.types),
            o.says,
        )
        for o in table
    }
    assert coded <= rows
