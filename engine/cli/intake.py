"""`regulars import customers FILE` and `regulars import events FILE`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from engine.cli.app import HERE, AsJson, Now, Where, fail, moment, notes, opened_database, screen, show_json
from engine.errors import IntakeError, WorkspaceError
from engine.intake.customers import import_customers
from engine.intake.events import import_events
from engine.intake.imported import Imported
from engine.settings import Settings
from engine.store import Database

File = Annotated[Path, typer.Argument(metavar="FILE", help="A .csv or .jsonl file.")]
Rejects = Annotated[Path | None, typer.Option("--rejects", help="Where bad rows go (default: beside FILE).")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        help="Take in customers or events from a file; the same file twice changes nothing.", no_args_is_help=True
    )
    group.command("customers")(customers)
    group.command("events")(events)
    app.add_typer(group, name="import")


def customers(
    file: File,
    folder: Where = HERE,
    proof: Annotated[str, typer.Option("--proof", help="How and when the consents in this file were given.")] = "",
    rejects: Rejects = None,
    now: Now = None,
    as_json: AsJson = False,
) -> None:
    """Take in customers: id, email, sms, whatsapp, messenger, telegram, social, webhook, locale, time_zone, your attributes, consent.<channel>.<purpose>."""
    with _opened(folder) as (settings, database), _progress(file, as_json) as progress:
        done = import_customers(
            file,
            settings=settings,
            database=database,
            now=moment(now, settings.time_zone),
            proof=proof,
            rejects=rejects,
            progress=progress,
        )
    _conclude(done, as_json)


def events(
    file: File,
    folder: Where = HERE,
    name: Annotated[
        str | None, typer.Option("--name", help="The events' name, where the file has no column for it.")
    ] = None,
    rejects: Rejects = None,
    now: Now = None,
    as_json: AsJson = False,
) -> None:
    """Take in events: id, customer, at, name, and the event's declared properties."""
    with _opened(folder) as (settings, database), _progress(file, as_json) as progress:
        done = import_events(
            file,
            settings=settings,
            database=database,
            now=moment(now, settings.time_zone),
            name=name,
            rejects=rejects,
            progress=progress,
        )
    _conclude(done, as_json)


@contextmanager
def _opened(folder: Path) -> Iterator[tuple[Settings, Database]]:
    """config.yaml and the database: rules that somebody is writing keep no data out. Where nothing can be taken, status 2."""
    try:
        with opened_database(folder) as found:
            yield found
    except WorkspaceError as error:
        fail(error)
        raise typer.Exit(2) from error


@contextmanager
def _progress(file: Path, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    if not file.is_file():
        raise IntakeError("there is no such file", where=str(file))
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=notes, disable=quiet or not notes.is_terminal, transient=True) as bar:
        task = bar.add_task(file.name, total=file.stat().st_size, rate="")

        def advance(done: int, rows: int) -> None:
            elapsed = bar.tasks[0].elapsed or 0.0
            bar.update(task, completed=done, rate=f"{rows:,} rows, {rows / elapsed:,.0f}/s" if elapsed else "")

        yield advance


def _conclude(done: Imported, as_json: bool) -> None:
    if as_json:
        show_json(done)
    else:
        rate = f"{done.read / done.seconds:,.0f} rows/s" if done.seconds else ""
        screen.print(
            f"{done.read:,} rows: {done.added:,} added, {done.changed:,} changed, {done.unchanged:,} unchanged, {done.rejected:,} rejected ({done.seconds:.1f} s, {rate})",
            highlight=False,
        )
        if done.kept_out:
            notes.print(f"{done.kept_out:,} said no before, and stay out.", highlight=False)
        if done.rejected:
            notes.print(
                f"[yellow]The rejected rows, with line and reason, are in {done.rejects}: correct them there and import that file.[/yellow]",
                highlight=False,
            )
    raise typer.Exit(1 if done.rejected else 0)
