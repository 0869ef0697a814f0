"""Which file has which command. A file is imported when its command is asked for: `regulars check` needs no HTTP server."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

import typer
from typer.core import TyperGroup

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "init": "workspace",
        "check": "workspace",
        "import": "intake",
        "audience": "ask",
        "explain": "explain",
        "why": "why",
        "plan": "plan",
        "preview": "preview",
        "simulate": "simulate",
        "test": "examples",
        "report": "ask",
        "doctor": "doctor",
        "doubts": "doubts",
        "replies": "replies",
        "suppressions": "suppressions",
        "run": "run",
        "worker": "run",
        "serve": "run",
        "launch": "launch",
        "pause": "brake",
        "resume": "brake",
        "cancel": "brake",
        "undo": "brake",
        "demo": "demo",
    }
)
"""The commands in the order of `regulars --help`, each with its file in engine/cli/, whose `register(app)` adds it."""


class Commands(TyperGroup):
    """All commands, with the files of those alone imported that are asked for. A word that is none of them imports all,
    so that the nearest can be suggested.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        self._load(*COMMANDS.values())
        return list(dict.fromkeys((*COMMANDS, *self.commands)))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        self._load(*([COMMANDS[cmd_name]] if cmd_name in COMMANDS else COMMANDS.values()))
        return self.commands.get(cmd_name)

    def _load(self, *files: str) -> None:
        for file in dict.fromkeys(files):
            part = typer.Typer()
            import_module(f"engine.cli.{file}").register(part)
            part.callback()(lambda: None)  # a lone command would else stand without its name
            for name, command in typer.main.get_group(part).commands.items():
                self.commands.setdefault(name, command)
