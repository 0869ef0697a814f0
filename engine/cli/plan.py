"""`regulars plan`: what would happen if this were live. It only reads."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from engine.cli.app import HERE, AsJson, Now, Where, moment, notes, opened, screen, show_json
from engine.cli.shop_clock import ShopClock
from engine.cli.widths import fitting, whole
from engine.errors import RegularsError
from engine.model import Channel, Reason
from engine.questions.plan import Plan, Planned, SinceHead, file_of
from engine.questions.plan import plan as ask_plan
from engine.questions.plan.change import Change
from engine.questions.plan.cost import Cost
from engine.questions.plan.samples import Sample

Campaign = Annotated[str | None, typer.Argument(help="Only this campaign.")]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="FILE", help="Write the plan into a file that `regulars run --plan FILE` is held to."
    ),
]
MOST_HOURS = 12
LAST_RUN = "since\nlast run"


def register(app: typer.Typer) -> None:
    app.command()(plan)


def plan(
    campaign: Campaign = None,
    folder: Where = HERE,
    now: Now = None,
    out: Out = None,
    samples: Annotated[
        bool, typer.Option("--samples", help="Show three messages of every campaign, not only of the one named.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """What would happen if this were live: who, when, what the gates would say, in which words, at what cost.

    Exit status 1 where there is a warning.
    """
    with opened(folder) as (workspace, database):
        planned = ask_plan(workspace, database, campaign=campaign, now=moment(now, workspace.settings.time_zone))
        if out is not None:
            _write(out, file_of(planned, workspace).model_dump_json(indent=1) + "\n")
    if as_json:
        fields = (field.name for field in dataclasses.fields(planned) if field.name != "people")
        show_json({name: getattr(planned, name) for name in fields})
    else:
        plan_page(screen, planned, samples=samples or campaign is not None)
    if out is not None:
        notes.print(f"Written: {escape(str(out))}. Hold a run to it: regulars run --plan {escape(str(out))}")
    raise typer.Exit(1 if planned.warned else 0)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RegularsError(f"the plan cannot be written: {error.strerror}", where=str(path)) from error


# ---------------------------------------------------------------- the page


def plan_page(screen: Console, planned: Plan, *, samples: bool = False) -> None:
    """One line a campaign, then what there is to say about each. Fits 80 columns."""
    at = ShopClock(planned.time_zone)
    screen.print(f"[italic]Plan as of {at(planned.as_of)} ({planned.time_zone})[/italic]", highlight=False)
    if planned.since_head is not None:
        _say(screen, _changed(planned.since_head))
    screen.print(fitting(screen, lambda air: _table(planned, at, air=air)))
    for one in planned.campaigns:
        _say(screen, _about(one))
        if samples:
            for sample in one.samples:
                _say(screen, _sample(sample, one.channel))
    _say(screen, _totals(planned))


def _say(screen: Console, lines: Iterator[str]) -> None:
    for line in lines:
        screen.print(line, highlight=False)


def _changed(head: SinceHead) -> Iterator[str]:
    commit = head.commit[:9]
    if head.problem:
        yield f"[yellow]The version in git HEAD ({commit}) cannot be compared:[/yellow] {escape(head.problem)}"
        return
    if head.segments is None and not (head.new or head.removed):
        return
    yield f"[bold]Changed since git HEAD[/bold] ({commit})"
    for one in head.segments or ():
        yield f"  {one.segment}: {_plus_minus(one.change)}, now {one.now:,}"
    for what, names in (("new campaigns", head.new), ("campaigns taken away", head.removed)):
        if names:
            yield f"  {what}: {', '.join(names)}"
    if not (head.segments or head.new or head.removed):
        yield "  no segment asks another question"


def _table(planned: Plan, at: ShopClock, *, air: int) -> Table:
    """One line a campaign, no number broken. Columns that nobody has anything in are left out."""
    columns = {**_FIRST, "next": lambda one: _when(one, at), **_NUMBERS}
    if any(one.cost.amount is not None for one in planned.campaigns):
        columns[planned.currency] = lambda one: _money(one.cost)
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True, padding=(0, air))
    names = whole(one.campaign for one in planned.campaigns)
    for name in columns:
        justify: Literal["left", "right"] = "right" if name in _NUMBERS or name == planned.currency else "left"
        unbroken = names if name == "campaign" else name != LAST_RUN
        table.add_column(name, justify=justify, overflow="fold", no_wrap=unbroken)
    for one in planned.campaigns:
        table.add_row(*(cell(one) for cell in columns.values()))
    return table


def _when(one: Planned, at: ShopClock) -> str:
    if one.sends_at is not None:
        return at.soon(one.sends_at)
    return "triggered" if one.started_by == "trigger" else "never again"


def _plus_minus(change: Change | None) -> str:
    return f"+{change.entered:,} / −{change.left:,}" if change is not None else "·"


def _number(count: int) -> str:
    return f"{count:,}" if count else "·"


def _money(cost: Cost) -> str:
    return f"{cost.amount:,.2f}" if cost.amount is not None else "·"


_FIRST: Mapping[str, Callable[[Planned], str]] = {
    "campaign": lambda one: one.campaign,
    "channel": lambda one: one.channel,
}
_NUMBERS: Mapping[str, Callable[[Planned], str]] = {
    "audience": lambda one: f"{one.audience:,}" if one.audience is not None else "·",
    LAST_RUN: lambda one: _plus_minus(one.since_run),
    "sent": lambda one: _number(one.sent),
    "withheld": lambda one: _number(sum(one.withheld.values())),
}


def _about(one: Planned) -> Iterator[str]:
    """What the line in the table leaves open."""
    told = [
        f"{what}: {_words(counts)}"
        for what, counts in (("withheld", one.withheld), ("held, then sent", one.held))
        if counts
    ]
    if one.variants:
        told.append(f"sent, by variant: {', '.join(f'{name} {count:,}' for name, count in one.variants.items())}")
    if one.since_head is not None:
        told.append(f"by the change since git HEAD: {_plus_minus(one.since_head)}")
    if one.read is not None:
        told.append(f"written out: {one.read:,}, drawn evenly; SMS parts and what cannot be written are told from them")
    if one.kept_out:
        told.append(f"kept out by re-entry: {one.kept_out:,}")
    if one.channel is Channel.SMS and one.sent:
        told.append(f"{_parts(one.cost.parts)}{_countries(one.cost)}")
    if one.audience is not None and one.sent:
        told.append(f"by the recipients' clocks: {_hours(one.hours)}")
    if told or one.warnings:
        yield f"[bold]{one.campaign}[/bold]"
    yield from (f"  {line}" for line in told)
    yield from (f"  [yellow]warning[/yellow]: {escape(warning)}" for warning in one.warnings)


def _words(reasons: Mapping[Reason, int]) -> str:
    return ", ".join(f"{reason.value.replace('_', ' ')} {count:,}" for reason, count in reasons.items())


def _parts(count: int) -> str:
    return f"{count:,} part{'' if count == 1 else 's'}"


def _countries(cost: Cost) -> str:
    shown = ", ".join(f"{one.country} {one.parts:,}" for one in cost.countries[:6])
    return f" ({shown}{', …' if len(cost.countries) > 6 else ''})" if shown else ""


def _hours(hours: Mapping[str, int]) -> str:
    shown = [f"{datetime.strptime(hour, '%Y-%m-%dT%H'):%a %d %b %H}h {count:,}" for hour, count in hours.items()]  # noqa: DTZ007
    return ", ".join(shown[:MOST_HOURS]) + (f", and {len(shown) - MOST_HOURS} more" if len(shown) > MOST_HOURS else "")


def _sample(sample: Sample, channel: Channel) -> Iterator[str]:
    who = f"customer {sample.customer}" if sample.customer is not None else "to everybody"
    parts = f", {sample.parts} parts" if channel is Channel.SMS and sample.parts > 1 else ""
    variant = f", variant {sample.variant}" if sample.variant else ""
    template = escape(f" ({sample.template})") if sample.template else ""
    yield f"  [dim]── {sample.why}: {escape(who)}{template}{variant}{parts}[/dim]"
    if sample.problem:
        yield f"  [red]{escape(sample.problem)}[/red]"
        return
    if sample.subject:
        yield f"  [bold]{escape(sample.subject)}[/bold]"
    yield from (f"  {escape(line)}" for line in sample.text.strip().splitlines())
    if sample.image:
        yield f"  [dim]image[/dim] {escape(sample.image)}{escape(f': {sample.image_alt}') if sample.image_alt else ''}"


def _totals(planned: Plan) -> Iterator[str]:
    told = []
    for channel, cost in planned.channels.items():
        if cost.messages:
            parts = f" in {_parts(cost.parts)}" if channel is Channel.SMS else ""
            price = f", {cost.amount:,.2f} {planned.currency}" if cost.amount is not None else ""
            told.append(f"{cost.messages:,} by {channel}{parts}{price}")
    if told:
        yield f"[bold]Together[/bold] {'; '.join(told)}."
