"""`regulars init` and `regulars check`."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path
from typing import Annotated

import typer

from engine import shipped
from engine.cli import editor
from engine.cli.app import HERE, AsJson, Where, notes, screen, show_json, show_problems
from engine.errors import RegularsError, Severity
from engine.questions.check import problems_of
from engine.rules.workspace import load_workspace, survey
from engine.settings import load_environment


def register(app: typer.Typer) -> None:
    app.command()(init)
    app.command()(check)


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to make; it must be empty or new.")],
) -> None:
    """Make a workspace: config.yaml, rules/, templates/, editor settings, and a .env with fresh secrets."""
    if folder.exists() and any(folder.iterdir()):
        raise RegularsError(f"{folder} is not empty", remedy="Name a new folder: nothing that exists is overwritten.")
    starter = shipped.starter()
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(starter / "config.yaml", folder / "config.yaml")
    for part in ("rules", "templates"):
        shutil.copytree(starter / part, folder / part)
    (folder / ".gitignore").write_text(
        ".env\n*.db\n*.db-wal\n*.db-shm\n*.db-turn\n*.db-witness/\n.regulars/\noutbox/\n*.rejects.*\n", encoding="utf-8"
    )
    environment = folder / ".env"
    environment.touch(mode=0o600)
    environment.write_text(
        f"REGULARS_SECRET={secrets.token_hex(32)}\nREGULARS_API_KEYS={secrets.token_hex(24)}\n", encoding="utf-8"
    )
    load_environment(folder)
    editor.set_up(load_workspace(folder))
    screen.print(f"Made {folder}: config.yaml, rules/, templates/, and .env with fresh secrets (kept out of git).")
    screen.print(f"Next: {'' if folder.resolve() == Path.cwd() else f'cd {folder} && '}regulars check")


def check(folder: Where = HERE, as_json: AsJson = False) -> None:
    """Every error and warning in config, rules and templates, each with its place and its remedy."""
    load_environment(folder)
    found = survey(folder)
    problems = tuple(problems_of(found))
    errors = sum(problem.severity is Severity.ERROR for problem in problems)
    if as_json:
        show_json({"errors": errors, "warnings": len(problems) - errors, "problems": problems})
    else:
        show_problems(problems, folder)
        told = f"{_count(errors, 'error')}, {_count(len(problems) - errors, 'warning')}."
        notes.print(told if problems else "All good.", highlight=False)
    if not errors:
        editor.refresh(found.workspace)
    raise typer.Exit(1 if errors else 0)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
