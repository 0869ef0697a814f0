"""`regulars doctor`: is this installation fit to keep its promises?"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from engine.cli.app import HERE, AsJson, Where, present, screen, show_json
from engine.questions.doctor import Diagnosis, diagnose
from engine.questions.doctor.dns import Resolver
from engine.questions.doctor.finding import Verdict
from engine.settings import load_environment, load_settings

_SIGNS: Mapping[Verdict, str] = {
    Verdict.GOOD: "[green]good   [/green]",
    Verdict.WARNING: "[yellow]warning[/yellow]",
    Verdict.WRONG: "[red]wrong  [/red]",
    Verdict.SKIPPED: "[dim]skipped[/dim]",
}


def register(app: typer.Typer) -> None:
    app.command()(doctor)


def doctor(
    folder: Where = HERE,
    offline: Annotated[
        bool, typer.Option("--offline", help="No network: vendors and DNS are not asked, only the database.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Prove the books and look at everything the promises rest on: database, secrets, vendors, DNS of the mail, clocks.

    It changes nothing and sends nothing. Exit status 1 where something is wrong; warnings are no fault.
    """
    load_environment(folder)
    settings = load_settings(folder)
    found = diagnose(settings, folder, now=present(), dns=None if offline else Resolver())
    if as_json:
        show_json({"healthy": found.healthy, "as_of": found.as_of, "findings": found.findings, "books": found.proof})
    else:
        doctor_page(screen, found)
    raise typer.Exit(0 if found.healthy else 1)


def doctor_page(screen: Console, found: Diagnosis) -> None:
    """What was found, by area, then the verdict."""
    for area, findings in groupby(sorted(found.findings, key=lambda one: one.area), key=lambda one: one.area):
        screen.print(f"[bold]{area}[/bold]")
        for one in findings:
            what = (
                f"{escape(one.what.rstrip('.'))}. [dim]{escape(one.remedy)}[/dim]" if one.remedy else escape(one.what)
            )
            screen.print(f"  {_SIGNS[one.verdict]} {what}", highlight=False, soft_wrap=True)
    faults = sum(one.verdict is Verdict.WRONG for one in found.findings)
    warnings = sum(one.verdict is Verdict.WARNING for one in found.findings)
    words = f"{faults} wrong, {warnings} to be looked at." if faults or warnings else "All is well."
    screen.print(f"[{'green' if found.healthy else 'red'}]{words}[/]")
