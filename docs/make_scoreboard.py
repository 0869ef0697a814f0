"""Writes the scoreboard into README.md and docs/scoreboard.md, from what `make faults` left in faults.jsonl.

python docs/make_scoreboard.py [faults.jsonl]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", ROOT / "docs" / "scoreboard.md")
BEGIN, END = "<!-- scoreboard: made by docs/make_scoreboard.py -->\n", "<!-- end of scoreboard -->\n"

Result = Mapping[str, Any]

KILLS, CRASHES, PAUSES, RESTORES = ("kill", "commit", "byte", "fsync"), ("crash",), ("pause", "freeze"), ("restore",)
WHO: Mapping[str, str] = {
    "blind": "Regulars, a vendor that cannot be asked and forgets our key",
    "reconcilable": "Regulars, a vendor that can be asked",
    "idempotent": "Regulars, a vendor that knows our key",
    "checkpoint": "*checkpoint first, then send* (no vendor helps)",
    "again": "*lease over: send again* (no vendor helps)",
}
COLUMNS = ("", "messages", "kills", "crashes of the database", "pauses beyond the lease", "backups put back", "lost", "doubled", "in doubt",
           "of these resolved", "unknown", "longest wait for quiet")  # fmt: skip


def row(who: str, results: Sequence[Result]) -> list[str]:
    """One line: everything of one kind, on both databases, added up."""

    def total(name: str) -> int:
        return sum(int(result[name]) for result in results)

    def blows(*names: str) -> int:
        return sum(result["blows"].get(name, 0) for result in results for name in names)

    numbers = (
        total("messages"),
        blows(*KILLS),
        blows(*CRASHES),
        blows(*PAUSES),
        blows(*RESTORES),
        total("lost"),
        total("doubled"),
    )
    unknown = sum(result["states"].get("unknown", 0) for result in results)
    quiet = max(result["seconds"] for result in results)
    shown = [f"{number:,}" for number in (*numbers, total("in_doubt"), total("resolved"), unknown)]
    return [WHO[who], *shown, f"{quiet:.0f} s"]


def table(results: Iterable[Result]) -> str:
    """The scoreboard as Markdown."""
    found = list(results)
    kinds = [(who, [result for result in found if result["name"].split("-")[1] == who]) for who in WHO]
    lines = [COLUMNS, ["---", *["--:"] * (len(COLUMNS) - 1)], *(row(who, mine) for who, mine in kinds if mine)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def block(results: Sequence[Result]) -> str:
    """The table with a word on how it came about. What broke has no numbers, and counts as an objection."""
    broken = [result for result in results if "broken" in result]
    results = [result for result in results if "broken" not in result]
    regulars = [result for result in results if not result["baseline"]]
    failed = sum(bool(result["objections"]) for result in regulars) + len(broken)
    checks = max(result["verdicts"] for result in regulars)
    told = (
        f"{len(regulars) + len(broken)} trials of the real daemon on SQLite and PostgreSQL, {checks} checks after each, "
        f"{failed or 'no'} objection{'' if failed == 1 else 's'}; one vendor's answer in ten is bad. Made by `make faults`."
    )
    return f"{BEGIN}\n{table(results)}\n{told}\n\n{END}"


def written(page: str, results: Sequence[Result]) -> str:
    """The page with the scoreboard between its two marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{block(results)}{after}"


if __name__ == "__main__":
    lines = Path(sys.argv[1] if len(sys.argv) > 1 else "faults.jsonl").read_text(encoding="utf-8").splitlines()
    newest = {result["name"]: result for result in map(json.loads, lines)}
    for path in PAGES:
        path.write_text(written(path.read_text(encoding="utf-8"), [*newest.values()]), encoding="utf-8")
