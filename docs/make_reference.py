"""Writes the reference of the rule language into docs/rules.md, from the tables of the code. `--check` only compares."""

from __future__ import annotations

import sys
from pathlib import Path

from engine.rules.reference import reference

PAGE = Path(__file__).parent / "rules.md"
BEGIN, END = "<!-- reference: made by docs/make_reference.py -->\n", "<!-- end of reference -->\n"


def written(page: str) -> str:
    """The page with the reference of today between its two marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{reference()}\n{END}{after}"


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    if "--check" in sys.argv:
        sys.exit(written(page) != page)
    PAGE.write_text(written(page), encoding="utf-8")
