"""A plan as a file, and whether the world is still as it was planned: what `run --plan` holds every launch against."""

from __future__ import annotations

import hashlib
import heapq
import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import Connection, Select
from sqlalchemy.dialects import sqlite

from engine.content.templates import read_template
from engine.errors import RegularsError
from engine.rules.campaign import Campaign
from engine.rules.compile import audience
from engine.rules.workspace import Workspace
from engine.scalars import clock_time
from engine.store import Database
from engine.store.tables import customers

CHUNK = 5_000
SKETCH = 512
"""So many of an audience's people are kept in its digest: with fewer, every difference is counted; with more, it is estimated."""

_MASK = (1 << 64) - 1


class People(BaseModel):
    """An audience's digest: how many, a hash over all their ids, and the SKETCH smallest of the ids' own hashes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: int
    hash: str
    sketch: tuple[int, ...]


class PlannedCampaign(BaseModel):
    """One campaign of a plan. `audience` is None where there are no customers to count: a public post, a trigger."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rules: str
    audience: People | None


class PlanFile(BaseModel):
    """What `regulars plan --out` writes. It names no customer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    regulars_plan: Literal[1]
    workspace: str
    as_of: datetime
    fingerprint: str
    commit: str | None
    campaigns: Mapping[str, PlannedCampaign]


def read_plan(path: Path, workspace: Workspace) -> PlanFile:
    """Raises RegularsError where there is no plan in the file, or another workspace's."""
    again = "Write one with `regulars plan --out FILE`."
    try:
        read = PlanFile.model_validate_json(path.read_bytes())
    except OSError as error:
        raise RegularsError(f"the plan cannot be read: {error.strerror}", where=str(path), remedy=again) from error
    except ValidationError as error:
        raise RegularsError("this is not a plan", where=str(path), remedy=again) from error
    if read.workspace != workspace.settings.workspace:
        what = f'this is a plan of the workspace "{read.workspace}", not of "{workspace.settings.workspace}"'
        raise RegularsError(what, where=str(path), remedy=again)
    return read


# ---------------------------------------------------------------- an audience's digest


class Tally:
    """Counts an audience as it comes by, chunk after chunk, in the order of the ids."""

    def __init__(self) -> None:
        self.count = 0
        self._hash = hashlib.blake2b(digest_size=16)
        self._smallest: list[int] = []

    def add(self, ids: Sequence[int]) -> list[int]:
        """Gives the ids' own hashes."""
        self.count += len(ids)
        self._hash.update(struct.pack(f"<{len(ids)}q", *ids))
        hashes = [_scattered(one) for one in ids]
        self._smallest = heapq.nsmallest(SKETCH, chain(self._smallest, hashes))
        return hashes

    def people(self) -> People:
        return People(count=self.count, hash=self._hash.hexdigest(), sketch=tuple(self._smallest))


def tally(connection: Connection, chosen: Select[tuple[int]]) -> People:
    """The digest of everybody whom a query of ids chooses."""
    counted = Tally()
    found = connection.execute(chosen.order_by(customers.c.id), execution_options={"yield_per": CHUNK})
    for part in found.partitions():
        ids: list[Any] = [row[0] for row in part]
        counted.add(ids)
    return counted.people()


def _scattered(number: int) -> int:
    """An id's own hash (splitmix64), short enough for every reader of JSON."""
    z = (number + 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return (z ^ (z >> 31)) >> 12


def changed(planned: People, now: People) -> float:
    """How many came or went, as a share of those who were planned: 0.0 is nobody. Exact for small audiences, and where
    nobody changed; for large ones within some percent.
    """
    if (planned.count, planned.hash) == (now.count, now.hash):
        return 0.0
    before, after = set(planned.sketch), set(now.sketch)
    whole = max(planned.count, now.count) <= SKETCH
    seen = sorted(before | after)[: None if whole else SKETCH]
    alike = _share(sum(one in before and one in after for one in seen), len(seen))
    both = alike * (planned.count + now.count) / (1 + alike)
    return round((planned.count + now.count - 2 * both) / max(planned.count, 1), 6)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


# ---------------------------------------------------------------- a campaign's rules


def rules_of(workspace: Workspace, campaign: Campaign) -> str:
    """A hash of everything that decides who gets what: the campaign, the segments behind it, its template, the gates' settings."""
    settings = workspace.settings
    gates = settings.model_dump(
        mode="json", by_alias=True, include={"time_zone", "locale", "quiet_hours", "pressure", "purposes", "channels"}
    )
    chosen = audience(workspace, campaign, now=datetime(2000, 1, 1, tzinfo=UTC), dialect="sqlite")
    parts = [
        campaign.model_dump(mode="json", by_alias=True),
        written(chosen) if chosen is not None else None,
        read_template(workspace.folder / "templates", campaign.template).hash,
        gates,
    ]
    return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).hexdigest()


def written(chosen: Select[tuple[int]]) -> str:
    """A query as text with its values in it: the same text is the same question."""
    compiled = chosen.compile(dialect=sqlite.dialect())
    return f"{compiled} {sorted((name, repr(value)) for name, value in compiled.params.items())}"


# ---------------------------------------------------------------- drift


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """A campaign that was due and not launched: the world is not as it was planned, or the launch failed."""

    campaign: str
    why: str


def objection(
    plan: PlanFile, workspace: Workspace, database: Database, campaign: Campaign, *, now: datetime
) -> Refused | None:
    """Why a campaign may not be launched by this plan; None where it may."""
    planned = plan.campaigns.get(campaign.campaign)
    if planned is None:
        return Refused(campaign=campaign.campaign, why="it is not in the plan")
    since = f"the plan of {clock_time(plan.as_of, workspace.settings.time_zone)}"
    if planned.rules != rules_of(workspace, campaign):
        return Refused(
            campaign=campaign.campaign,
            why=f"its rules, its template or the settings it is sent by were changed since {since}",
        )
    chosen = audience(workspace, campaign, now=now, dialect=database.dialect)
    if chosen is None or planned.audience is None:
        return None
    with database.reading() as connection:
        people = tally(connection, chosen)
    share, allowed = changed(planned.audience, people), workspace.settings.guards.plan_drift
    if share <= float(allowed):
        return None
    sizes = f"{planned.audience.count:,} then, {people.count:,} now"
    return Refused(
        campaign=campaign.campaign,
        why=f"its audience changed by {share:.0%} since {since} ({sizes}); guards.plan_drift allows {allowed:.0%}",
    )


def plan_file(workspace: Workspace, audiences: Iterable[tuple[Campaign, People | None]], *, now: datetime) -> PlanFile:
    """A plan of these campaigns, to be written as JSON."""
    return PlanFile(
        regulars_plan=1,
        workspace=workspace.settings.workspace,
        as_of=now,
        fingerprint=workspace.fingerprint,
        commit=workspace.version,
        campaigns={
            campaign.campaign: PlannedCampaign(rules=rules_of(workspace, campaign), audience=people)
            for campaign, people in audiences
        },
    )
