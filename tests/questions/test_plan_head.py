"""What the changed rules change: the files as they are, against the version in git HEAD."""

from __future__ import annotations

import io
import random
import subprocess
from pathlib import Path

from rich.console import Console

from engine.cli.plan import plan_page
from engine.questions.plan import Plan, plan
from engine.questions.plan.change import Change
from engine.rules.workspace import load_workspace
from engine.store import Database
from tests.questions import crowd
from tests.sending.shop import NEWS, Shop

SEGMENTS = "segments:\n  named:\n    description: Those with a name\n    who: {first_name: {in: [Ana, Eva]}}\n"


def git(folder: Path, *words: str) -> None:
    name = ("-c", "user.name=Ana", "-c", "user.email=ana@shop.example")
    subprocess.run(["git", "-C", str(folder), *name, *words], check=True, capture_output=True)


def committed(folder: Path, database: Database) -> Shop:
    """Ten Anas, three Evas and four Ottos; the workspace lies in a folder of a larger repository."""
    names = ["Ana"] * 10 + ["Eva"] * 3 + ["Otto"] * 4
    git_root, folder = folder, folder / "shops" / "one"
    folder.mkdir(parents=True)
    people = [{"id": f"c{number}", "first_name": name} for number, name in enumerate(names)]
    shop = crowd.shop(folder, database, people)
    crowd.rewrite(shop, "rules/segments.yaml", SEGMENTS)
    crowd.rewrite(shop, "rules/news.yaml", NEWS.replace("{id: {present: true}}", "named"))
    git(git_root, "init", "-q")
    git(git_root, "add", ".")
    git(git_root, "commit", "-q", "-m", "as it was")
    shop.workspace = load_workspace(folder)
    return shop


def page(told: Plan) -> str:
    screen = Console(file=io.StringIO(), width=120, record=True)
    plan_page(screen, told)
    return screen.export_text()


def asked(shop: Shop) -> Plan:
    return plan(shop.workspace, shop.database, now=crowd.NOW)


def test_plus_and_minus_since_head(tmp_path: Path, database: Database) -> None:
    """A changed segment tells how many came and went, and so does every campaign that asks it."""
    shop = committed(tmp_path, database)
    crowd.rewrite(shop, "rules/segments.yaml", SEGMENTS.replace("[Ana, Eva]", "[Eva, Otto]"))
    told = asked(shop)
    change = Change(before=13, entered=4, left=10)
    assert told.since_head is not None and told.since_head.commit == shop.workspace.commit
    assert [(one.segment, one.now, one.change) for one in told.since_head.segments or ()] == [("named", 7, change)]
    assert {one.campaign: one.since_head for one in told.campaigns} == {"news": change, "receipt": None}
    alone = plan(shop.workspace, shop.database, now=crowd.NOW, campaign="news")
    assert alone.since_head is not None and alone.since_head.segments is None  # nobody asked: nothing is said of them
    assert "no segment asks another question" not in page(alone)


def test_nothing_changed_is_nothing_to_tell(tmp_path: Path, database: Database) -> None:
    """Neither where the files are those of HEAD, nor for a segment of which only the description changed."""
    shop = committed(tmp_path, database)
    assert asked(shop).since_head is None
    crowd.rewrite(shop, "rules/segments.yaml", SEGMENTS.replace("Those with", "All who have"))
    told = asked(shop)
    assert told.since_head is not None and told.since_head.segments == ()
    assert {one.since_head for one in told.campaigns} == {None}


def test_campaigns_come_and_go(tmp_path: Path, database: Database) -> None:
    """A campaign that HEAD has not is new, one that only HEAD has was taken away."""
    shop = committed(tmp_path, database)
    text = (shop.folder / "rules/news.yaml").read_text(encoding="utf-8")
    (shop.folder / "rules/receipt.yaml").unlink()
    crowd.rewrite(shop, "rules/more.yaml", text.replace("campaign: news", "campaign: more\ntemplate: news"))
    told = asked(shop).since_head
    assert told is not None
    assert (told.new, told.removed) == (("more",), ("receipt",))


def test_rules_that_were_broken_in_head_are_no_comparison(tmp_path: Path, database: Database) -> None:
    """It is said that HEAD cannot be read, and why; the plan itself stands."""
    shop = committed(tmp_path, database)
    (shop.folder / "rules/segments.yaml").write_text("segments: {named: {who: {colour: blue}}}\n", encoding="utf-8")
    git(tmp_path, "commit", "-q", "-a", "-m", "broken")
    crowd.rewrite(shop, "rules/segments.yaml", SEGMENTS)
    told = asked(shop)
    assert told.since_head is not None and "rules/segments.yaml:1" in told.since_head.problem
    assert [one.audience for one in told.campaigns if one.campaign == "news"] == [13]


def test_a_workspace_that_git_does_not_know_has_no_head(tmp_path: Path, database: Database) -> None:
    """Not under git, or under git and never committed."""
    shop = crowd.shop(tmp_path, database, crowd.rows(random.Random(1), 3))
    git(tmp_path, "init", "-q")
    assert asked(shop).since_head is None
    (tmp_path / "other").write_text("x", encoding="utf-8")
    git(tmp_path, "add", "other")
    git(tmp_path, "commit", "-q", "-m", "something else")
    shop.workspace = load_workspace(shop.folder)
    assert shop.workspace.commit is not None
    assert asked(shop).since_head is None
