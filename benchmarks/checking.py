"""How long `regulars check` takes for a workspace of 500 rule files, beside bare PyYAML reading the same files.

    python benchmarks/checking.py [--files 500] [--repeat 7]
    python benchmarks/checking.py --memory

Four files in five hold one segment each, of about ten conditions and mentions of other segments; the fifth is a campaign.
Five campaigns share a template with its layout. Prints JSON lines: the machine, the command from its start to its exit, the
question alone in a process that is already warm, bare PyYAML, and last what is allowed.

--memory: how much `check`, `plan` and `audience` (all segments; over an empty database) hold at most for 50, 500 and 2,000 files, each
in a process of its own, and how much of that is for each file.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import yaml

from benchmarks.ground.crowd import NOW
from benchmarks.ground.machine import machine, peak_megabytes
from engine.errors import Problem
from engine.questions.audience import all_sizes
from engine.questions.check import check
from engine.questions.plan import plan
from engine.rules.workspace import load_workspace
from engine.store import open_database

ROOT = Path(__file__).parents[1]
ALLOWED_SECONDS = 1.5
MANY = (50, 500, 2_000)
SECRETS = {"REGULARS_SECRET": "s" * 64, "REGULARS_API_KEYS": "k" * 48}
COUNTRIES = ("DE", "DK", "FR", "IS", "NL", "NO", "SE")


def generate(folder: Path, files: int) -> None:
    """A workspace without mistakes, of so many rule files."""
    chance = random.Random(1997)
    shutil.copy(ROOT / "config.yaml", folder)
    names = [f"segment-{number:03}" for number in range(files - files // 5)]
    for number, name in enumerate(names):
        _write(folder / "rules" / f"team-{number % 9}" / f"{name}.yaml", _segment(chance, number, names[:number]))
    for number in range(files // 5):
        template = f"offer-{number // 5:02}"
        _write(folder / "rules" / "campaigns" / f"{number:03}.yaml", _campaign(number, chance.choice(names), template))
        if number % 5 == 0:
            shutil.copytree(ROOT / "templates" / "win-back", folder / "templates" / template)
    for layout in (ROOT / "templates").glob("_*"):
        shutil.copytree(layout, folder / "templates" / layout.name)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _segment(chance: random.Random, number: int, earlier: list[str]) -> str:
    countries = ", ".join(sorted(["FI", *chance.sample(COUNTRIES, 2)]))  # none excludes another
    mention = (
        f"            - segment: {chance.choice(earlier)}\n" if earlier and number % 4 == 0 and number < 40 else ""
    )
    return f"""# Team {number % 9}'s customers, number {number}
segments:
  segment-{number:03}:
    description: Good customers of some countries who have gone quiet
    who:
      all:
        - country: {{in: [{countries}]}}
        - did: purchase
          times: {{at_least: {chance.randint(2, 5)}}}
          within: {chance.randint(60, 720)} days
          where: {{amount: {{at_least: {chance.randint(5, 50)}}}}}
        - any:
            - did: purchase
              sum: {{of: amount, at_least: {chance.randint(50, 500)}}}
            - locale: {{in: [fi, sv, en]}}
            - created_at: {{before: {chance.randint(100, 3000)} days ago}}
{mention}        - not:
            did: purchase
            within: {chance.randint(20, 59)} days
        - none:
            - city: {{starts_with: "{chance.choice("ABCDEFGH")}"}}
            - first_name: {{present: false}}
"""


def _campaign(number: int, segment: str, template: str) -> str:
    return f"""campaign: campaign-{number:03}
description: An offer to some of them
audience: {segment}
schedule: {{cron: "{number % 60} 10 * * mon"}}
not_later_than: 3 days
channel: email
template: {template}
class: commercial
purpose: offers
goal: {{event: purchase, within: 30 days, value: amount}}
reentry: {{after: 180 days}}
"""


def command(folder: Path) -> None:
    """The whole command, as it is typed."""
    typed = [sys.executable, "-c", "from engine.cli import main; main()", "check", "--workspace", str(folder)]
    environment = {**os.environ, **SECRETS, "PYTHONPATH": str(ROOT)}
    environment.pop(
        "PYTHONDONTWRITEBYTECODE", None
    )  # else every run compiles every module anew, which no installation does
    subprocess.run(typed, check=True, capture_output=True, env=environment)


def question(folder: Path) -> list[Problem]:
    found = check(folder)
    assert not found, found[0]
    return found


def bare(folder: Path) -> list[object]:
    """The least that reading these files can cost."""
    paths = (folder / "rules").rglob("*.yaml")
    return [yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader) for path in paths]


def timed(way: Callable[[Path], object], folder: Path, repeat: int) -> dict[str, float]:
    """Medians of the seconds that pass, and of those that this process and its children compute."""
    passed, computed = [], []
    for _ in range(repeat + 1):
        began, before = time.perf_counter(), sum(os.times()[:4])
        way(folder)
        passed.append(time.perf_counter() - began)
        computed.append(sum(os.times()[:4]) - before)
    # the first one fills the caches
    return {
        "seconds": round(statistics.median(passed[1:]), 3),
        "cpu_seconds": round(statistics.median(computed[1:]), 3),
    }


# ---------------------------------------------------------------- memory


def held(question_of: str, folder: Path) -> tuple[float, float]:
    """The most megabytes held before a question and with it, in a fresh process."""
    os.environ.update(SECRETS)
    before = peak_megabytes()
    if question_of == "check":
        question(folder)
        return before, peak_megabytes()
    workspace = load_workspace(folder)
    database = open_database(f"sqlite:///{folder / 'empty.db'}", secret="benchmark")
    try:
        before = peak_megabytes()
        if question_of == "plan":
            plan(workspace, database, now=NOW)
        else:
            all_sizes(workspace, database, now=NOW)
    finally:
        database.close()
    return before, peak_megabytes()


def memory() -> None:
    for asked in ("check", "plan", "audience"):
        peaks = {}
        for files in MANY:
            with (
                tempfile.TemporaryDirectory() as made,
                ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as apart,
            ):
                generate(Path(made), files)
                before, peaks[files] = apart.submit(held, asked, Path(made)).result()
            facts = {
                "what": asked,
                "files": files,
                "peak_mb": round(peaks[files], 1),
                "of_it_before_mb": round(before, 1),
            }
            print(json.dumps(facts), flush=True)
        each = (peaks[MANY[-1]] - peaks[MANY[0]]) / (MANY[-1] - MANY[0])
        print(json.dumps({"what": asked, "kilobytes_a_file": round(each * 1024, 1)}), flush=True)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--files", type=int, default=500)
    asked.add_argument("--repeat", type=int, default=7)
    asked.add_argument("--memory", action="store_true", help="measure memory over growing numbers of files instead")
    given = asked.parse_args()
    os.environ.update(SECRETS)
    print(json.dumps(machine()), flush=True)
    if given.memory:
        memory()
        return
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        generate(folder, given.files)
        taken = {}
        for way in (command, question, bare):
            taken[way.__name__] = timed(way, folder, given.repeat)
            print(json.dumps({"what": way.__name__, "files": given.files, **taken[way.__name__]}), flush=True)
    verdict = {
        "what": "check",
        **taken["command"],
        "allowed": ALLOWED_SECONDS,
        "times_bare_yaml": round(taken["question"]["cpu_seconds"] / taken["bare"]["cpu_seconds"], 2),
        "peak_rss_mb": round(peak_megabytes(), 1),
    }
    print(json.dumps(verdict))


if __name__ == "__main__":
    main()
