"""A run held to a plan launches what is as it was planned, and nothing else."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from engine.campaigns.planned import SKETCH, People, PlanFile, Tally, changed, objection, read_plan
from engine.errors import RegularsError
from engine.questions.plan import file_of, plan
from engine.rules.workspace import load_workspace
from engine.store import Database
from engine.store.tables import messages
from tests.conftest import SECRET
from tests.questions import crowd
from tests.questions.crowd import NOW
from tests.sending.shop import CONFIG, Shop

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "segments"


def people(ids: list[int]) -> People:
    tally = Tally()
    for start in range(0, len(ids), 100):
        tally.add(ids[start : start + 100])
    return tally.people()


@pytest.mark.parametrize("count", [1, 10, SKETCH, 3_000])
def test_the_same_people_did_not_change(count: int) -> None:
    """However they came by, chunk after chunk or at once."""
    ids = random.Random(count).sample(range(10_000), count)
    at_once = Tally()
    at_once.add(sorted(ids))
    assert changed(people(sorted(ids)), at_once.people()) == 0


@pytest.mark.parametrize(("size", "slack"), [(50, 0.0), (200, 0.0), (5_000, 0.06), (40_000, 0.06)])
@pytest.mark.parametrize(("gone", "new"), [(0.1, 0.0), (0.0, 0.2), (0.3, 0.3), (1.0, 1.0)])
def test_changes_are_measured_by_people_not_by_numbers(size: int, slack: float, gone: float, new: float) -> None:
    """As many gone as come is no calm: exactly told of small audiences, within some percent of large ones."""
    ids = random.Random(size).sample(range(10 * size), 2 * size)
    before, stayed = ids[:size], ids[int(gone * size) : size]
    after = stayed + ids[size : size + int(new * size)]
    assert changed(people(sorted(before)), people(sorted(after))) == pytest.approx(gone + new, abs=slack + 1e-9)


def test_everybody_gone_and_everybody_new() -> None:
    """From nobody to somebody is a change beyond every share, from somebody to nobody is all of it."""
    assert changed(people([]), people([1, 2, 3])) == 3
    assert changed(people([1, 2, 3]), people([])) == 1
    assert changed(people([]), people([])) == 0


def filed(shop: Shop) -> PlanFile:
    told = plan(shop.workspace, shop.database, now=shop.clock.now())
    return PlanFile.model_validate_json(file_of(told, shop.workspace).model_dump_json())


def why_not(shop: Shop, agreed: PlanFile, campaign: str = "news") -> str | None:
    found = objection(agreed, shop.workspace, shop.database, shop.workspace.campaigns[campaign], now=shop.clock.now())
    return found.why if found else None


def test_a_plan_stands_while_nothing_changes(tmp_path: Path, database: Database) -> None:
    """A day later it is still the plan; a few more customers are within its tolerance, many are not."""
    shop = crowd.shop(tmp_path, database, crowd.rows(random.Random(1), 40))
    agreed = filed(shop)
    shop.pass_time(days=1)
    crowd.add(shop, crowd.rows(random.Random(2), 4, prefix="few"))
    assert why_not(shop, agreed) is None
    crowd.add(shop, [{"id": "one-more"}])
    told = why_not(shop, agreed)
    assert told is not None
    assert "its audience changed by 12% since the plan of 2026-03-02 14:00 (40 then, 45 now)" in told


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("rules/news.yaml", "{present: true}", "{is_not: r1}"),
        ("rules/news.yaml", "14 days", "7 days"),
        ("templates/news/email.txt", "Hello", "Hi"),
        ("config.yaml", "at_most: 2", "at_most: 3"),
        ("config.yaml", '"08:00"', '"09:00"'),
        ("config.yaml", "consent: opt_in", "consent: opt_out"),
        ("config.yaml", "news@shop.example", "offers@shop.example"),
    ],
)
def test_changed_rules_end_a_plan(file: str, old: str, new: str, tmp_path: Path, database: Database) -> None:
    """Whatever decides who gets what: the campaign, its template, the gates' settings, the sender."""
    shop = crowd.shop(tmp_path, database, crowd.rows(random.Random(1), 40))
    agreed = filed(shop)
    text = (tmp_path / file).read_text(encoding="utf-8")
    assert old in text
    crowd.rewrite(shop, file, text.replace(old, new, 1))
    assert "changed since the plan" in (why_not(shop, agreed) or "")


def test_what_has_nothing_to_do_with_a_campaign_does_not_end_its_plan(tmp_path: Path, database: Database) -> None:
    """Another campaign's template, a comment, a price; and a campaign that was never planned is not launched."""
    shop = crowd.shop(tmp_path, database, crowd.rows(random.Random(1), 10))
    agreed = filed(shop)
    crowd.rewrite(shop, "templates/receipt/email.txt", "Thanks for {{ data.order }}.")
    crowd.rewrite(shop, "config.yaml", (tmp_path / "config.yaml").read_text().replace("0.08", "0.09") + "# a comment\n")
    text = (tmp_path / "rules/news.yaml").read_text(encoding="utf-8")
    crowd.rewrite(shop, "rules/more.yaml", text.replace("campaign: news", "campaign: more\ntemplate: news"))
    assert why_not(shop, agreed) is None
    assert why_not(shop, agreed, "more") == "it is not in the plan"


def test_only_a_plan_of_this_workspace_is_taken(tmp_path: Path, database: Database) -> None:
    """A missing file, a file that is something else, and another shop's plan are refused with words."""
    shop = crowd.shop(tmp_path, database, crowd.rows(random.Random(1), 3))
    path = tmp_path / "plan.json"
    with pytest.raises(RegularsError, match="cannot be read"):
        read_plan(path, shop.workspace)
    for text in ("", "[]", '{"regulars_plan": 2}'):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(RegularsError, match="not a plan"):
            read_plan(path, shop.workspace)
    path.write_text(filed(shop).model_copy(update={"workspace": "other"}).model_dump_json(), encoding="utf-8")
    with pytest.raises(RegularsError, match='workspace "other"'):
        read_plan(path, shop.workspace)


# ---------------------------------------------------------------- the commands


def command(shop: Shop, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "REGULARS_SECRET": SECRET, "PYTHONPATH": str(Path(__file__).parents[2])}
    whole = [sys.executable, "-m", "engine.cli", words[0], "-w", str(shop.folder), *words[1:]]
    return subprocess.run(whole, capture_output=True, text=True, env=environment, check=False)


def count(database: Database) -> int:
    with database.reading() as connection:
        return int(connection.execute(select(func.count()).select_from(messages)).scalar_one())


def test_plan_then_run(tmp_path: Path, database: Database, database_url: str) -> None:
    """`plan --out` writes a file without a customer in it; `run --once --plan` refuses, in words and with status 1, what
    drifted, and launches what did not.
    """
    shop = crowd.shop(tmp_path, database, crowd.rows(random.Random(1), 20), now=NOW.replace(hour=10))
    crowd.rewrite(shop, "config.yaml", CONFIG + crowd.RULES + f"database: {database_url}\n")
    now, file = "2026-03-02T10:00Z", str(tmp_path / "plan.json")
    told = command(shop, "plan", "--now", now, "--out", file, "--json")
    assert told.returncode == 1, told.stderr  # some cannot be written: a warning
    news = next(one for one in json.loads(told.stdout)["campaigns"] if one["campaign"] == "news")
    assert (news["audience"], news["sent"] + sum(news["withheld"].values())) == (20, 20)
    written = Path(file).read_text(encoding="utf-8")
    assert "r1" not in json.dumps(json.loads(written)["campaigns"]) and "@" not in written

    crowd.add(shop, crowd.rows(random.Random(2), 5, prefix="new"))
    refused = command(shop, "run", "--once", "--now", now, "--plan", file)
    assert refused.returncode == 1
    assert "not launched: news: its audience changed by 25% since the plan" in refused.stderr
    assert count(database) == 0

    assert command(shop, "plan", "--now", now, "--out", file).returncode == 1
    done = command(shop, "run", "--once", "--now", now, "--plan", file, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["refused"] == []
    assert count(database) == 25


def test_the_page_tells_the_marketer_everything(tmp_path: Path, database: Database, database_url: str) -> None:
    """Within 80 columns: sizes, reasons, hours, warnings and, for the campaign that is named, three messages."""
    shop = crowd.shop(tmp_path, database, crowd.rows(random.Random(1), 60), now=NOW - timedelta(days=1))
    crowd.rewrite(shop, "config.yaml", CONFIG + crowd.RULES + f"database: {database_url}\n")
    shop.launch("earlier")
    page = command(shop, "plan", "news", "--now", "2026-03-02T20:00Z")
    assert page.returncode == 1, page.stderr
    text = " ".join(page.stdout.split())
    for words in (
        "as of 2026-03-02 22:00 (Europe/Helsinki)",
        "news email 03 Mar 12:00 60 +0 / −0",
        "withheld: ",
        "no consent",
        "held, then sent: quiet hours",
    ):
        assert words in text, page.stdout
    for words in ("by the recipients' clocks: Tue 03 Mar", "warning: ", "cannot be written: customer", "── longest"):
        assert words in text, page.stdout
    assert max(map(len, page.stdout.splitlines())) <= 80


CARRIED = """
providers: {box: {use: file}}
channels: {email: {commercial: {provider: box, from: shop@shop.example}}}
"""
NEWS_OF = """
campaign: {name}
audience: {segment}
schedule: {{cron: "0 9 * * *"}}
channel: email
template: news
class: commercial
purpose: offers
goal: {{event: purchase, within: 7 days}}
reentry: {reentry}
"""
IN_ANOTHER_PROCESS = """
import sys
from pathlib import Path
from engine.campaigns.planned import rules_of
from engine.rules.workspace import load_workspace
workspace = load_workspace(Path(sys.argv[1]))
for name, campaign in sorted(workspace.campaigns.items()):
    print(name, rules_of(workspace, campaign))
"""


def test_a_plan_means_the_same_in_another_process(tmp_path: Path) -> None:
    """Whatever a rule says and however a campaign is re-entered: the plan is written by one process and read by another."""
    shutil.copytree(EXAMPLES, tmp_path, dirs_exist_ok=True)
    with (tmp_path / "config.yaml").open("a", encoding="utf-8") as config:
        config.write(CARRIED)
    segments = sorted(load_workspace(tmp_path).segments)
    for number, segment in enumerate(segments):
        reentry = ("on_rematch", "never", "always", "{after: 30 days}")[number % 4]
        text = NEWS_OF.format(name=f"c{number}", segment=segment, reentry=reentry)
        (tmp_path / "rules" / f"c{number}.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "templates" / "news").mkdir(parents=True)
    (tmp_path / "templates" / "news" / "email.txt").write_text("Hello", encoding="utf-8")
    told = set()
    for seed in ("1", "2", "3"):  # the order of a set's members changes with it
        command = [sys.executable, "-c", IN_ANOTHER_PROCESS, str(tmp_path)]
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=60)
        assert len(done.stdout.splitlines()) == len(segments)
        told.add(done.stdout)
    assert len(told) == 1
