"""`regulars import`: what it needs of a workspace, and how it ends."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.cli.app import app
from engine.shipped import starter


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The starter workspace, and a file with one customer beside it."""
    monkeypatch.setenv("REGULARS_SECRET", "a secret for tests, long enough")
    monkeypatch.setenv("REGULARS_API_KEYS", "k")
    shutil.copytree(starter(), tmp_path / "shop")
    (tmp_path / "customers.csv").write_text("id,locale\nana,en\n", encoding="utf-8")
    return tmp_path / "shop"


def imported(folder: Path) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["import", "customers", str(folder.parent / "customers.csv"), "-w", str(folder)])
    return done.exit_code, done.output


def test_broken_rules_keep_no_data_out(folder: Path) -> None:
    """Somebody is writing a rule while the nightly export comes in."""
    (folder / "rules" / "draft.yaml").write_text("segments:\n  half-written: {who: {contry: FI}}\n", encoding="utf-8")
    status, told = imported(folder)
    assert status == 0 and "1 added" in told


def test_without_a_config_nothing_is_taken(folder: Path) -> None:
    """Status 1 means that some rows were rejected; here no row was looked at, and the mistake is told at its place."""
    with (folder / "config.yaml").open("a", encoding="utf-8") as config:
        config.write("colour: red\n")
    status, told = imported(folder)
    assert status == 2 and "config.yaml:" in told and "colour" in told
