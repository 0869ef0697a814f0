"""A workspace is read whole, knows when it changed and at which commit it stands; campaigns keep what they were."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from engine.model import Channel, DeliveryClass, MessageClass
from engine.rules.campaign import Campaign, ReentryAfter
from engine.rules.compile import audience_condition
from engine.rules.syntax import AnyOf, Attribute, Not
from engine.rules.workspace import fingerprint, load_workspace
from engine.shipped import starter
from tests.rules.test_errors import CAMPAIGN, CONFIG, SEGMENTS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small workspace that is right."""
    for name, text in {"config.yaml": CONFIG, "rules/a.yaml": SEGMENTS, "rules/deep/down/b.yml": CAMPAIGN}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "templates" / "win-back").mkdir(parents=True)
    (tmp_path / "templates" / "win-back" / "email.txt").write_text("hello")
    return tmp_path


def test_the_starter_workspace_has_no_errors() -> None:
    """What `regulars init` copies is right as it stands."""
    workspace = load_workspace(starter())
    assert {"win-back", "receipt"} <= set(workspace.campaigns) and "lapsing" in workspace.segments


def test_rules_are_found_at_any_depth_and_hidden_or_empty_files_are_left_alone(folder: Path) -> None:
    """Folders are the marketer's own order; an editor's hidden copy or a file of comments is no rule."""
    (folder / "rules" / ".b.yaml.swp.yaml").write_text("campaign: [")
    (folder / "rules" / "later.yaml").write_text("# segments:\n#   x: {}\n")
    (folder / "rules" / "notes.txt").write_text("{")
    workspace = load_workspace(folder)
    assert set(workspace.campaigns) == {"win-back"} and set(workspace.segments) == {"lapsing"}


@pytest.mark.parametrize(
    "name", ["config.yaml", "rules/a.yaml", "rules/deep/down/b.yml", "templates/win-back/email.txt"]
)
def test_the_fingerprint_changes_with_every_file_that_counts(folder: Path, name: str) -> None:
    """A changed letter anywhere is seen, even where size and time stay; touching a file without changing it is not."""
    before, path = fingerprint(folder), folder / name
    at = path.stat()
    os.utime(path, ns=(at.st_atime_ns, at.st_mtime_ns + 10**9))
    assert fingerprint(folder) == before
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    os.utime(path, ns=(at.st_atime_ns, at.st_mtime_ns))
    assert fingerprint(folder) != before


def test_the_fingerprint_sees_new_gone_and_renamed_files(folder: Path) -> None:
    """It is about names as much as about content; what does not count (the database, .env) does not move it."""
    seen = {fingerprint(folder)}
    (folder / "regulars.db").write_bytes(b"x")
    (folder / ".env").write_text("A=b")
    assert {fingerprint(folder)} == seen
    (folder / "rules" / "new.yaml").touch()
    seen.add(fingerprint(folder))
    (folder / "rules" / "new.yaml").rename(folder / "rules" / "newer.yaml")
    seen.add(fingerprint(folder))
    (folder / "rules" / "a.yaml").unlink()
    seen.add(fingerprint(folder))
    assert len(seen) == 4


def test_a_loaded_workspace_carries_its_fingerprint(folder: Path) -> None:
    """Comparing the two tells a daemon whether to reload."""
    assert load_workspace(folder).fingerprint == fingerprint(folder)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_commit_is_known_where_there_is_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not under git: None. Under git without a commit: None. Then the commit; a hook's GIT_DIR misleads nobody.

    Its version says so where a file that counts is not as it was committed, or not committed at all.
    """

    def git(*arguments: str) -> str:
        identity = [
            "-c",
            "user.name=Ana",
            "-c",
            "user.email=ana@example.com",
            "-c",
            "commit.gpgsign=false",
            "-c",
            "core.hooksPath=/dev/null",
        ]
        return subprocess.run(
            ["git", "-C", folder, *identity, *arguments], check=True, capture_output=True, text=True
        ).stdout.strip()

    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(folder.parent))
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert load_workspace(folder).commit is None
    monkeypatch.delenv("GIT_DIR")
    git("init", "-q")
    assert load_workspace(folder).version is None
    git("add", "config.yaml")
    git("commit", "-q", "-m", "first")
    commit = git("rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert load_workspace(folder).commit == commit and len(commit) == 40
    assert load_workspace(folder).version == f"{commit}, with uncommitted changes"
    monkeypatch.delenv("GIT_DIR")
    git("add", ".")
    git("commit", "-q", "-m", "all of it")
    commit = git("rev-parse", "HEAD")
    (folder / "regulars.db").write_bytes(b"x")
    assert load_workspace(folder).version == commit
    (folder / "templates" / "win-back" / "email.txt").write_text("hello again")
    assert load_workspace(folder).version == f"{commit}, with uncommitted changes"


OWN = """campaign: called
audience:
  any:
    - segment: lapsing
    - not: {country: FI}
schedule: {cron: "0 10 * * *"}
channel: email
template: win-back
class: commercial
purpose: offers
goal: {event: purchase, within: 14 days}
"""


def test_a_campaign_s_own_condition_has_its_places_in_the_file(folder: Path) -> None:
    """Questions point to where a part of it stands, as they do for segments; an older one, of a run, has none in the file."""
    (folder / "rules" / "own.yaml").write_text(OWN)
    workspace = load_workspace(folder)
    found = audience_condition(workspace, workspace.campaigns["called"])
    assert isinstance(found, AnyOf) and isinstance(found.of[1], Not) and isinstance(found.of[1].of, Attribute)
    assert str(found.of[1].of.at) == "rules/own.yaml:5:13"
    older = workspace.campaigns["called"].model_copy(update={"audience": {"country": "SE"}})
    assert audience_condition(workspace, older).at.file == "campaign called"


def campaign(**keys: Any) -> Campaign:
    given = {
        "campaign": "x",
        "audience": "s",
        "schedule": {"cron": "0 10 * * *", "time_zone": "UTC"},
        "channel": "email",
        "class": "commercial",
        "purpose": "p",
    }
    return Campaign.model_validate({**given, **keys})


def test_what_a_campaign_leaves_out_has_the_safe_meaning(folder: Path) -> None:
    """The template of its own name, the workspace's zone, once in a customer's life, never twice in doubt."""
    found = load_workspace(folder).campaigns["win-back"]
    assert found.template == "win-back" and found.reentry == "never" and found.max_lateness == timedelta(hours=6)
    assert found.schedule is not None and found.schedule.time_zone == ZoneInfo("Europe/Helsinki")
    assert found.delivery_class is DeliveryClass.AT_MOST_ONCE


@pytest.mark.parametrize(
    ("channel", "kind", "expected"),
    [
        (Channel.EMAIL, MessageClass.COMMERCIAL, DeliveryClass.AT_MOST_ONCE),
        (Channel.EMAIL, MessageClass.TRANSACTIONAL, DeliveryClass.AT_LEAST_ONCE),
        (Channel.SMS, MessageClass.TRANSACTIONAL, DeliveryClass.AT_MOST_ONCE),
    ],
)
def test_only_a_receipt_by_email_is_sent_again_in_doubt(
    channel: Channel, kind: MessageClass, expected: DeliveryClass
) -> None:
    """Two receipts do less harm than none; two offers, or two text messages, do more."""
    assert campaign(channel=channel.value, **{"class": kind.value}).delivery_class is expected
    assert campaign(delivery="at_least_once").delivery_class is DeliveryClass.AT_LEAST_ONCE


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"audience": {"all": [{"country": "FI"}, {"not": {"did": "purchase", "times": {"at_least": "2"}}}]}},
        {"audience": "public", "channel": "social"},
        {"audience": None, "schedule": None, "trigger": {"data": {"order": "text"}}, "class": "transactional"},
        {
            "schedule": {
                "every": "14 days",
                "from": "2026-01-01T09:00",
                "until": "2027-01-01",
                "time_zone": "Europe/Helsinki",
            }
        },
        {
            "schedule": {"at": "2026-12-01T09:00", "time_zone": "Australia/Lord_Howe"},
            "catch_up": "all",
            "max_lateness": "90 seconds",
        },
        {"goal": {"event": "purchase", "within": "14 days", "value": "amount"}, "reentry": {"after": "180 days"}},
        {
            "reentry": "always",
            "not_later_than": "2 days",
            "template": "other",
            "delivery": "at_least_once",
            "description": "ä",
        },
    ],
)
def test_a_campaign_comes_back_from_the_ledger_as_it_went_in(keys: dict[str, Any]) -> None:
    """Each run keeps its campaign as JSON: nothing of it is lost or changed, however often it is read and written."""
    before = campaign(**keys)
    stored = json.loads(json.dumps(before.model_dump(mode="json", by_alias=True)))
    after = Campaign.model_validate(stored)
    assert after == before
    assert after.model_dump(mode="json", by_alias=True) == stored


def test_reentry_after_a_span_is_a_span() -> None:
    """Read from YAML's text, kept as a duration."""
    assert campaign(reentry={"after": "180 days"}).reentry == ReentryAfter(after=timedelta(days=180))
