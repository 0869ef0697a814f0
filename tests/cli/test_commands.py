"""The list of commands: complete, and no command waits for what another needs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from engine.cli.app import app
from engine.cli.commands import COMMANDS

HEAVY = frozenset(("alembic", "apscheduler", "fastapi", "uvicorn", "twilio", "sendgrid", "structlog", "psycopg"))
ROOT = Path(__file__).parents[2]


def test_every_command_has_its_help() -> None:
    """Each name in the table leads to a command in the file beside it."""
    for name in COMMANDS:
        done = CliRunner().invoke(app, [name, "--help"])
        assert done.exit_code == 0, done.output
        assert f" {name} " in done.output


def test_the_docs_know_every_command_and_no_other() -> None:
    """What the README and docs/ tell to type exists; what exists is told of somewhere among them."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    typed = r"(?:`|^|&& |\$ )regulars ([a-z]+)(?![\w@.=-])"
    told = {name: page.name for page in pages for name in re.findall(typed, page.read_text("utf-8"), re.MULTILINE)}
    assert {name: page for name, page in told.items() if name not in COMMANDS} == {}
    assert COMMANDS.keys() - told.keys() == set()


def test_a_misspelt_command_is_recognised() -> None:
    """Although no file was imported yet, all commands are candidates."""
    done = CliRunner().invoke(app, ["chek"])
    assert done.exit_code == 2
    assert "'check'" in done.output


def test_check_starts_without_what_it_does_not_need() -> None:
    """No HTTP server, no migrations, no vendor's library: the marketer's most frequent command starts at once."""
    program = (
        "import sys; sys.argv = ['regulars', 'check', '-w', sys.argv[1]]\n"
        "from engine.cli import main\n"
        "try: main()\n"
        "except SystemExit: print(*sys.modules)\n"
    )
    environment = {**os.environ, "REGULARS_SECRET": "s" * 32, "REGULARS_API_KEYS": "k" * 32}
    command = [sys.executable, "-c", program, str(ROOT)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=environment, timeout=60)
    assert "engine.questions.check" in done.stdout.split()
    assert HEAVY.isdisjoint(done.stdout.split())
