"""`regulars demo`: the whole path on real purchases."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.app import screen
from engine.cli.pages import report_page


def register(app: typer.Typer) -> None:
    app.command()(demo)


def demo(
    folder: Annotated[
        Path | None, typer.Option("--dir", help="Where to put the workspace (default: a temporary folder).")
    ] = None,
) -> None:
    """A year and a half of a record shop in about a minute: real purchases, real SMTP and HTTP, no account needed."""
    from engine.demo.screen import show

    show(folder, screen, show_report=report_page)
