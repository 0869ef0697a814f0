"""What `init` tells editors, and that `check` keeps it true."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from engine.cli.app import app
from tests.rules.test_schema import _Editor

RUN = CliRunner()


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace as `regulars init` makes it."""
    monkeypatch.setenv("REGULARS_API_KEYS", "k")
    folder = tmp_path / "shop"
    assert RUN.invoke(app, ["init", str(folder)]).exit_code == 0
    return folder


def test_each_file_names_the_schema_that_it_passes(shop: Path) -> None:
    """By the comment that yaml-language-server reads, from wherever the file lies; the files are as right as before."""
    files = [shop / "config.yaml", *sorted((shop / "rules").rglob("*.yaml"))]
    assert len(files) > 8
    for path in files:
        text = path.read_text(encoding="utf-8")
        named = text.splitlines()[0].removeprefix("# yaml-language-server: $schema=")
        schema = json.loads((path.parent / named).read_text(encoding="utf-8"))
        assert list(Draft202012Validator(schema).iter_errors(yaml.load(text, Loader=_Editor))) == [], path
    assert RUN.invoke(app, ["check", "--workspace", str(shop)]).exit_code == 0


def test_the_schema_learns_new_names_from_check(shop: Path) -> None:
    """An attribute declared today is not underlined tomorrow; where somebody threw the schemas away, they stay away."""
    config, schema = shop / "config.yaml", shop / ".vscode" / "rules.schema.json"
    config.write_text(config.read_text().replace("  city: text", "  city: text\n  shoe_size: number"))
    assert RUN.invoke(app, ["check", "--workspace", str(shop)]).exit_code == 0
    assert "shoe_size" in schema.read_text()
    schema.unlink()
    assert RUN.invoke(app, ["check", "--workspace", str(shop)]).exit_code == 0
    assert not schema.exists()
