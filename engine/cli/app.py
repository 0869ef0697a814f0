"""What all commands share: the options for workspace, time and JSON, and how results and errors are shown."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, TextIO, cast
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from engine.cli.commands import Commands
from engine.cli.excerpt import excerpt
from engine.errors import Problem, RegularsError, Severity, WorkspaceError
from engine.rules import values
from engine.rules.syntax import Ago
from engine.rules.workspace import Workspace, load_workspace
from engine.scalars import spoken
from engine.settings import Settings, load_environment, load_settings
from engine.store import Database, open_database

app = typer.Typer(
    name="regulars",
    cls=Commands,
    help="Turns customers into regulars: segments in YAML, messages by email, SMS and social, a ledger that neither loses nor doubles one.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.callback()(lambda: None)
screen = Console()
notes = Console(stderr=True)

Where = Annotated[Path, typer.Option("--workspace", "-w", envvar="REGULARS_WORKSPACE", help="The workspace's folder.")]
HERE = Path()
MARGIN = "    "
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program instead of a page for a person.")]
Now = Annotated[
    str | None,
    typer.Option(
        "--now",
        metavar="TIME",
        help="As of this time instead of the present: 2026-11-22, 2026-11-22T10:00 (the workspace's clock), 2026-11-22T10:00Z.",
    ),
]


def present() -> datetime:
    """The machine's time: this is a door, so it may look at a clock."""
    return datetime.now(UTC)


def moment(text: str | None, zone: ZoneInfo, *, option: str = "--now") -> datetime:
    """The time that an option gives, as in the rules: without an offset by the workspace's clock, a date alone the start of
    its day, `2 days ago` counted from the present. Without one, the present.
    """
    if text is None:
        return present()
    try:
        found = values.moment(text.strip(), zone)
    except ValueError as error:
        raise RegularsError(str(error), where=option) from error
    return present() - found.span if isinstance(found, Ago) else found


@contextmanager
def opened(folder: Path) -> Iterator[tuple[Workspace, Database]]:
    """The workspace's rules and its database."""
    from engine.daemon import open_workspace_database  # here, so that `check` starts without it and what it needs

    load_environment(folder)
    workspace = load_workspace(folder)
    database = open_workspace_database(workspace)
    try:
        yield workspace, database
    finally:
        database.close()


@contextmanager
def opened_database(folder: Path) -> Iterator[tuple[Settings, Database]]:
    """The database alone, whatever state the rules are in: for what has to work when they are broken."""
    load_environment(folder)
    settings = load_settings(folder)
    database = open_database(settings.database, secret=settings.secret.reveal(), folder=folder)
    try:
        yield settings, database
    finally:
        database.close()


def show_json(value: Any) -> None:
    """Print a result as JSON: dataclasses as objects, times as ISO 8601, durations in words."""
    sys.stdout.write(json.dumps(plain(value), ensure_ascii=False, indent=2) + "\n")


def plain(value: Any) -> Any:
    """A result as JSON's own types."""
    match value:
        case Enum():
            return value.value
        case None | bool() | int() | float() | str():
            return value
        case datetime() | date():
            return value.isoformat()
        case timedelta():
            return spoken(value)
        case Mapping():
            return {str(plain(key)): plain(inner) for key, inner in value.items()}
        case _ if dataclasses.is_dataclass(value):
            return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        case _:
            return [plain(inner) for inner in value] if hasattr(value, "__iter__") else str(value)


def show_problems(problems: Sequence[Problem], folder: Path) -> None:
    """Errors and warnings as editors and people read them: the place, what and the remedy, then the line with the place marked."""
    for problem in problems:
        colour = "red" if problem.severity is Severity.ERROR else "yellow"
        remedy = f" [dim]{escape(problem.remedy)}[/dim]" if problem.remedy else ""
        notes.print(
            f"[bold]{escape(str(problem.at))}[/bold]: [{colour}]{problem.severity}[/{colour}]: {escape(problem.what)}{remedy}",
            highlight=False,
            soft_wrap=True,
        )
        shown = excerpt(problem.at, folder, width=notes.width - len(MARGIN))
        for line, style in zip(shown or (), ("dim", colour), strict=False):
            notes.print(Text(MARGIN + line, style=style), soft_wrap=True)


def fail(error: RegularsError) -> int:
    """Show an error; its exit status."""
    if isinstance(error, WorkspaceError):
        show_problems(error.problems, error.folder or HERE)
        return 1
    notes.print(f"[red]error[/red]: {escape(str(error))}", highlight=False, soft_wrap=True)
    return 2


class _Said(io.TextIOBase):
    """stderr as it is when something is said. Where nothing can be written to it (its disk is full, nobody reads it), that is
    lost: what cannot be told about is done all the same.
    """

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            return sys.stderr.write(text)
        return 0

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.flush()


def log_to_stderr(level: int = logging.INFO) -> None:
    """The daemon's log: one line an event; ids and counts, never an address or a secret."""
    import structlog  # here: only the daemon logs

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"])
            if not sys.stderr.isatty()
            else structlog.dev.ConsoleRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: structlog.PrintLogger(cast("TextIO", _Said())),
        cache_logger_on_first_use=False,
    )
