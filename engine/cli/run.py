"""`regulars run`, `regulars worker` and `regulars serve`: the daemon, one more sender, the HTTP door."""

from __future__ import annotations

import logging
import threading
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from engine.cli.app import HERE, AsJson, Now, Where, log_to_stderr, moment, notes, screen, show_json
from engine.clock import WallClock
from engine.daemon import Daemon, Installation, once
from engine.errors import RegularsError
from engine.sending.dispatch import Kind
from engine.settings import load_environment, load_settings
from engine.web.app import create_app
from engine.web.door import Door
from engine.web.server import Background
from engine.web.server import serve as serve_forever

Address = Annotated[str, typer.Option("--listen", metavar="HOST:PORT", help="Where the HTTP door listens.")]


def register(app: typer.Typer) -> None:
    app.command()(run)
    app.command()(worker)
    app.command()(serve)


def run(
    folder: Where = HERE,
    one_pass: Annotated[bool, typer.Option("--once", help="One pass: launch and send what is due, then end.")] = False,
    now: Now = None,
    listen: Annotated[
        str | None, typer.Option("--serve", metavar="HOST:PORT", help="Open the HTTP door in the same process.")
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option(
            "--plan", metavar="FILE", help="Launch only what is as it was in this plan (`regulars plan --out FILE`)."
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log each message's hand-over.")] = False,
    as_json: AsJson = False,
) -> None:
    """The daemon: fires schedules, sends what is due, reloads changed rules, ends cleanly on SIGTERM.

    Exit status 1 where a campaign that was due could not be launched, or a plan kept it from that.
    """
    load_environment(folder)
    log_to_stderr(logging.DEBUG if verbose else logging.INFO)
    if one_pass:
        _one_pass(folder, moment(now, load_settings(folder).time_zone), plan, as_json=as_json)
        return
    if now is not None:
        raise RegularsError("--now goes with --once", remedy="The daemon itself follows the machine's clock.")
    daemon = Daemon(Installation(folder, WallClock()))
    if plan is not None:
        daemon.installation.hold_to(plan)
    door = Background(create_app(door_of(daemon.installation)), *_address(listen)) if listen else None
    if door:
        door.start()
        notes.print(f"Listening on {door.url}; OpenAPI at /openapi.json.", highlight=False)
    try:
        daemon.run()
    finally:
        if door:
            door.stop()
    if daemon.installation.refused:
        raise typer.Exit(1)


def worker(
    folder: Where = HERE,
    database: Annotated[
        str | None,
        typer.Option(
            "--database",
            metavar="URL",
            envvar="REGULARS_DATABASE",
            help="The ledger, where config.yaml's URL is not it.",
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log each message's hand-over.")] = False,
) -> None:
    """One more sender, on this or another machine: hands over what is due, and launches nothing. As many as you like.

    It needs the workspace (the same rules and templates), the database, and the secrets in its environment. Ends cleanly on
    SIGTERM; reloads changed rules.
    """
    load_environment(folder)
    log_to_stderr(logging.DEBUG if verbose else logging.INFO)
    Daemon(Installation(folder, WallClock(), url=database), kind=Kind.WORKER).run()


def _one_pass(folder: Path, now: datetime, plan: Path | None, *, as_json: bool) -> None:
    launched, counts, refused = once(folder, now=now, plan=plan)
    if as_json:
        show_json({"launched": launched, "messages": counts, "refused": refused})
    else:
        for item in launched:
            told = f"owed {item.owed:,}" if item.new else "launched before"
            screen.print(f"{item.campaign} {item.occurrence}: {told}", highlight=False)
        ended = ", ".join(f"{count:,} {word}" for word, count in sorted(counts.items()))
        screen.print(ended or ("Nothing was sent." if refused else "Nothing was due."), highlight=False)
        plan_again = ". Look at `regulars plan` again, and write a new plan." if plan else ""
        for one in refused:
            notes.print(
                f"[red]not launched[/red]: {one.campaign}: {escape(one.why)}{plan_again}",
                highlight=False,
                soft_wrap=True,
            )
    if refused:
        raise typer.Exit(1)


def serve(folder: Where = HERE, listen: Address = "127.0.0.1:8025") -> None:
    """The HTTP door: triggers, events, webhooks, unsubscribe and tracking links. Sending is the daemon's (`run`)."""
    load_environment(folder)
    log_to_stderr()
    installation = Installation(folder, WallClock(), sends=False)
    notes.print(
        f"Listening on {listen}; OpenAPI at /openapi.json. Messages are sent by `regulars run`.", highlight=False
    )
    stop = threading.Event()
    threading.Thread(target=installation.keep_current, args=(stop,), name="reload", daemon=True).start()
    try:
        serve_forever(create_app(door_of(installation)), *_address(listen))
    finally:
        stop.set()
        installation.close()


def door_of(installation: Installation) -> Door:
    """The HTTP door of an installation; it follows a reload of the rules."""
    return Door(
        workspace=lambda: installation.setup.workspace,
        database=installation.database.ahead,
        clock=installation.clock,
        providers=lambda: installation.setup.providers,
        links=installation.setup.links,
        wake=installation.dispatcher.wake,
        submit=installation.dispatcher.submit,
    )


def _address(listen: str) -> tuple[str, int]:
    host, separator, port = listen.rpartition(":")
    if not separator or not port.isdigit() or int(port) > 65535:
        raise RegularsError("an address is HOST:PORT, like 127.0.0.1:8025", where=listen)
    return host, int(port)
