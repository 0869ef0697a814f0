"""The scoreboard tells of every trial, those that broke down too, and they are run again."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

from tests.faults.fleet import ROOT
from tests.faults.matrix import held

SOUND: dict[str, Any] = {
    "name": "sqlite-blind-1", "baseline": False, "objections": [], "verdicts": 16, "blows": {"kill": 2}, "messages": 220,
    "states": {"accepted": 219, "unknown": 1}, "lost": 0, "doubled": 0, "in_doubt": 1, "resolved": 0, "seconds": 2.0,
}  # fmt: skip
BROKEN = {"name": "sqlite-blind-2", "broken": "AssertionError: 3 letters were forgotten"}


def test_a_trial_that_broke_is_an_objection_and_is_not_done(tmp_path: Path) -> None:
    block = runpy.run_path(str(ROOT / "docs" / "make_scoreboard.py"))["block"]
    assert "2 trials" in block([SOUND, BROKEN]) and "1 objection;" in block([SOUND, BROKEN])
    assert "1 trials" in block([SOUND]) and "no objections;" in block([SOUND])
    out = tmp_path / "faults.jsonl"
    out.write_text("".join(json.dumps(line) + "\n" for line in (SOUND, BROKEN)), encoding="utf-8")
    assert held(out) == {"sqlite-blind-1"}
