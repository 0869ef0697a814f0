"""The brakes: `regulars pause`, `resume`, `cancel` and `undo`. They work whatever state the rules are in."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from engine.cli.app import HERE, AsJson, Where, moment, opened_database, present, screen, show_json
from engine.cli.shop_clock import ShopClock
from engine.document import suggestion
from engine.errors import RegularsError, UnknownName
from engine.ledger import brakes, restores
from engine.ledger.balance import known_campaigns
from engine.ledger.cancel import RunStands, Undone, cancel_run, newest_runs
from engine.ledger.cancel import cancel as cancel_campaign
from engine.model import State
from engine.rules.workspace import load_workspace
from engine.store import Database

Campaign = Annotated[str | None, typer.Argument(help="The campaign.")]
All = Annotated[bool, typer.Option("--all", help="Every campaign there is and will be: the kill switch.")]


def register(app: typer.Typer) -> None:
    app.command()(pause)
    app.command()(resume)
    app.command()(cancel)
    app.command()(undo)


def pause(
    campaign: Campaign = None,
    everything: All = False,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason, for whoever asks later.")] = "",
    folder: Where = HERE,
    as_json: AsJson = False,
) -> None:
    """Hand nothing more over, of one campaign or of all, until `resume`; what is in flight is settled.

    Running daemons and workers obey before their next hand-over. A paused campaign is not launched either: what fell due
    meanwhile is caught up on as its `catch_up` says.
    """
    with opened_database(folder) as (_, database):
        name = _named(campaign, everything, _known(folder, database))
        words = why or f"paused by {whoever()}"
        new = brakes.pause(database, name, why=words, now=present())
        on = brakes.paused(database)
    if as_json:
        show_json({"paused": name, "new": new, "brakes": on})
    else:
        screen.print(f"{_spoken(name)} {'is' if new else 'was already'} paused.", highlight=False)


def resume(
    campaign: Campaign = None,
    everything: All = False,
    after_restore: Annotated[
        bool, typer.Option("--after-restore", help="End the quarantine of a database that was restored or failed over.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="TIME", help="When the backup was made (default: the ledger's last sign of life)."
        ),
    ] = None,
    nothing_lost: Annotated[
        bool, typer.Option("--nothing-lost", help="Nothing was sent after the backup: nothing is in doubt.")
    ] = False,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="With --after-restore: how that is known.")] = "",
    folder: Where = HERE,
    as_json: AsJson = False,
) -> None:
    """Go on where it was paused. Nobody gets anything twice.

    With --after-restore: what may have left since the backup is in doubt from then on, and looked up where the vendor can be
    asked. It is put on record.
    """
    if after_restore:
        _after_restore(folder, since, why, nothing_lost=nothing_lost, as_json=as_json)
        return
    if since or nothing_lost:
        raise RegularsError("--since and --nothing-lost go with --after-restore")
    with opened_database(folder) as (_, database):
        known = _known(folder, database)
        on = (brake.campaign for brake in brakes.paused(database))
        name = _named(campaign, everything, known and (*known, *on))
        released = brakes.resume(database, name)
        still = brakes.paused(database)
    if as_json:
        show_json({"resumed": name, "new": released, "brakes": still})
        return
    screen.print(f"{_spoken(name)} {'goes on' if released else 'was not paused'}.", highlight=False)
    for brake in still:
        if brake.on_all or brake.campaign == name:
            screen.print(f"[yellow]But {brake.whom} is paused still: {escape(brake.why)}[/yellow]", highlight=False)
        if brake.campaign == brakes.RESTORED:
            screen.print("[yellow]See `regulars resume --after-restore`.[/yellow]", highlight=False)


def _after_restore(folder: Path, since: str | None, why: str, *, nothing_lost: bool, as_json: bool) -> None:
    with opened_database(folder) as (settings, database):
        with database.reading() as connection:
            quarantine = restores.quarantined(connection)
        if quarantine is None and since is None:
            raise RegularsError(
                "the database is not in quarantine",
                remedy="Where you know that it was restored, say when the backup was made: --since TIME.",
            )
        asked = moment(since, settings.time_zone, option="--since") if since else None
        restore = restores.go_on(database, since=asked, nothing_lost=nothing_lost, by=whoever(), why=why, now=present())
    if as_json:
        show_json(restore)
        return
    screen.print("Sending goes on: start `regulars run` and the workers again.", highlight=False)
    if restore.since is not None:
        at = ShopClock(settings.time_zone.key)
        span = f"{at(restore.since)} and {at(restore.until)}"
        screen.print(f"{restore.suspected:,} messages may have left between {span}; `regulars doubts` follows them.")
        screen.print(f"What the database learned between then is gone: {LOST}", highlight=False, soft_wrap=True)


LOST = (
    "opt-outs and complaints (import the vendors' suppression lists again), events (import them again), launches (those "
    "that were due are held: `regulars launch`), triggers (their callers have to repeat them), and the links of what was "
    "sent then."
)


def cancel(
    campaign: Campaign = None,
    run: Annotated[int | None, typer.Option("--run", metavar="RUN", help="Only this run, by its number.")] = None,
    folder: Where = HERE,
    as_json: AsJson = False,
) -> None:
    """Stop a campaign's launched runs, or one, for good: what was not handed over yet is cancelled."""
    with opened_database(folder) as (_, database):
        if run is not None:
            _tell(cancel_run(database, run, now=present()), as_json=as_json)
            return
        launched = known_campaigns(database)
        if campaign is None:
            raise RegularsError("say which campaign, or which run with --run")
        if campaign not in launched:
            raise UnknownName(f'no run of "{campaign}" was ever launched', remedy=suggestion(campaign, launched))
        stopped = cancel_campaign(database, campaign, now=present())
    show_json({"cancelled": stopped}) if as_json else screen.print(f"{stopped:,} messages cancelled.", highlight=False)


def undo(
    run: Annotated[
        str | None, typer.Argument(metavar="RUN", help="A run's number, or a campaign for its newest run.")
    ] = None,
    folder: Where = HERE,
    as_json: AsJson = False,
) -> None:
    """Undo what is left of a run: cancel the rest, and say how many had left already. Without RUN, list the newest runs."""
    with opened_database(folder) as (settings, database):
        if run is None:
            _list(newest_runs(database), ShopClock(settings.time_zone.key), as_json=as_json)
            return
        _tell(cancel_run(database, _number(database, run), now=present()), as_json=as_json)


def _number(database: Database, run: str) -> int:
    if run.isdigit():
        return int(run)
    newest = newest_runs(database, run)
    if not newest:
        launched = known_campaigns(database)
        raise UnknownName(f'no run of "{run}" was ever launched', remedy=suggestion(run, launched))
    return newest[0].run


def _tell(undone: Undone, *, as_json: bool) -> None:
    if as_json:
        show_json({"cancelled": undone.cancelled, "left": undone.run.left, "run": undone.run})
        return
    run, states = undone.run, undone.run.states
    left = ", ".join(
        f"{states[state]:,} {state.value.replace('_', ' ')}" for state in _HANDED_OVER if states.get(state)
    )
    screen.print(f"Run {run.run}, {run.campaign} {run.occurrence}: {undone.cancelled:,} cancelled.", highlight=False)
    screen.print(f"{run.left:,} had left already{f' ({left})' if left else ''}.", highlight=False)


_HANDED_OVER = (State.ACCEPTED, State.REJECTED, State.SENDING, State.IN_DOUBT, State.UNKNOWN)


def _list(stands: Iterable[RunStands], at: ShopClock, *, as_json: bool) -> None:
    stands = tuple(stands)
    if as_json:
        show_json(stands)
    for one in stands if not as_json else ():
        ended = " (cancelled)" if one.cancelled_at else ""
        screen.print(
            f"{one.run:>6}  {at(one.launched_at)}  {one.campaign} {one.occurrence}: "
            f"{one.left:,} left, {one.waiting:,} can be stopped{ended}",
            highlight=False,
        )


def _known(folder: Path, database: Database) -> tuple[str, ...] | None:
    """Every campaign that the rules have or that was ever launched; None where the rules cannot be read."""
    try:
        campaigns = load_workspace(folder).campaigns
    except RegularsError:
        return None
    return tuple(sorted({*campaigns, *known_campaigns(database)}))


def _named(campaign: str | None, everything: bool, known: Iterable[str] | None) -> str:
    if (campaign is None) is not everything:
        raise RegularsError("say which campaign, or --all")
    if campaign is None:
        return brakes.ALL
    if known is not None and campaign not in (known := tuple(known)):
        raise UnknownName(f'there is no campaign "{campaign}"', remedy=suggestion(campaign, known))
    return campaign


def whoever() -> str:
    """The name of whoever runs this command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return f"user {os.getuid()}"


def _spoken(name: str) -> str:
    return "Everything" if name == brakes.ALL else name
