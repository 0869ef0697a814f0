"""What an editor is told: the JSON Schemas of a workspace, with its own names in them, and which file holds to which.

The folder .vscode tells it to VS Code; the first line of each YAML file tells it to every editor that knows yaml-language-server.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from engine.questions.examples.schema import with_tests
from engine.rules.config import NAME
from engine.rules.schema import config_schema, rules_schema
from engine.rules.workspace import Workspace

FOLDER = Path(".vscode")
RULES, CONFIG = FOLDER / "rules.schema.json", FOLDER / "config.schema.json"


def set_up(workspace: Workspace) -> None:
    """For a workspace just made."""
    folder = workspace.folder
    (folder / FOLDER).mkdir(exist_ok=True)
    associations = {RULES.as_posix(): "rules/**/*.yaml", CONFIG.as_posix(): NAME}
    (folder / FOLDER / "settings.json").write_text(_json({"yaml.schemas": associations}), encoding="utf-8")
    _mark(folder / NAME, folder / CONFIG)
    for path in sorted((folder / "rules").rglob("*.yaml")):
        _mark(path, folder / RULES)
    _write(workspace)


def refresh(workspace: Workspace) -> None:
    """Bring the names in the schemas up to date, where there are schemas and they can be written."""
    if (workspace.folder / RULES).is_file() and os.access(workspace.folder / RULES, os.W_OK):
        _write(workspace)


def _write(workspace: Workspace) -> None:
    rules = with_tests(rules_schema(workspace.settings, workspace.segments), workspace)
    for name, schema in ((RULES, rules), (CONFIG, config_schema())):
        path, text = workspace.folder / name, _json(schema)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def _mark(path: Path, schema: Path) -> None:
    relative = Path(os.path.relpath(schema, path.parent)).as_posix()
    text = path.read_text(encoding="utf-8")
    path.write_text(f"# yaml-language-server: $schema={relative}\n{text}", encoding="utf-8")


def _json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"
