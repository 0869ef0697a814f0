"""What keeps messages back before any gate of the policy is asked: a pause, a launch that is held, a canary of the message's run."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from engine.ledger import brakes
from engine.ledger.canaries import CanaryRun, Stage, undecided
from engine.ledger.holds import Hold, holding
from engine.model import Reason, State
from engine.questions.why.gates import Gate, Says
from engine.questions.why.history import Told
from engine.questions.why.reasons import REASONS
from engine.scalars import clock_time

PAUSE, LAUNCH, CANARY = "pause", "launch", "canary"


def stops(
    connection: Connection, campaign: str, waiting: Told | None, zone: ZoneInfo, *, later: bool = False
) -> tuple[Gate, ...]:
    """The pause's gate; the launch's where a guard holds one, but for a `later` start, which is counted anew; and the canary's
    where the message that is `waiting` waits for one. Times by the clocks of `zone`.
    """
    told = [_pause(connection, campaign, zone)]
    if not later:  # only the newest is let go
        free = waiting is None and told[0].says is Says.PASSES
        told += [_launch(one, zone, decides=free) for one in holding(connection, campaign)[:1]]
    if waiting is not None and waiting.state is State.PENDING and waiting.reason == Reason.CANARY:
        earlier = told[0].says is Says.HOLDS
        told += [
            _canary(one, zone, earlier)
            for one in undecided(connection, *Stage, campaign=campaign)
            if one.run == waiting.run
        ]
    return tuple(told)


def _pause(connection: Connection, campaign: str, zone: ZoneInfo) -> Gate:
    on = [brake for brake in brakes.on(connection) if brake.on_all or brake.campaign == campaign]
    each = (f"{one.whom} is paused since {clock_time(one.since, zone)}{one.why and f': {one.why}'}" for one in on)
    return Gate(
        name=PAUSE,
        says=Says.HOLDS if on else Says.PASSES,
        reason=Reason.PAUSED if on else None,
        why=REASONS[Reason.PAUSED] if on else "",
        until=None,
        facts="; ".join(each) or "neither the campaign nor everything is paused",
        decides=bool(on),
        remedy=" and ".join(f"`regulars resume {_RESUME.get(one.campaign, one.campaign)}`" for one in on),
    )


def _launch(one: Hold, zone: ZoneInfo, *, decides: bool) -> Gate:
    """decides: whether no message is there yet, which an earlier run would have owed."""
    start, since = clock_time(one.nominal_at, zone), clock_time(one.since, zone)
    return Gate(
        name=LAUNCH,
        says=Says.HOLDS,
        reason=None,
        why="a guard holds the launch until somebody has looked",
        until=None,
        facts=f"the launch of {start} is held since {since}: {one.why.removesuffix('.')}",
        decides=decides,
        remedy=f"`regulars launch {one.campaign} --confirm`",
    )


_RESUME: Mapping[str, str] = MappingProxyType({brakes.ALL: "--all", brakes.RESTORED: "--after-restore"})


def _canary(one: CanaryRun, zone: ZoneInfo, earlier: bool) -> Gate:
    decided = f", and is decided on {clock_time(one.decide_at, zone)}" if one.decide_at else ""
    return Gate(
        name=CANARY,
        says=Says.HOLDS,
        reason=Reason.CANARY,
        why=REASONS[Reason.CANARY],
        until=one.decide_at if one.stage is Stage.WATCHED else None,
        facts=_STAGES[one.stage].format(size=one.size, decided=decided, why=one.why),
        decides=not earlier,
        remedy=f"`regulars launch {one.campaign} --confirm`" if one.stage is Stage.STOPPED else "",
    )


_STAGES: Mapping[Stage, str] = MappingProxyType(
    {
        Stage.LEAVING: "the first part of its run, {size:,} messages, is leaving",
        Stage.WATCHED: "the first part of its run, {size:,} messages, has left{decided}",
        Stage.PASSED: "the first part of its run went well; the rest follows",
        Stage.OVER: "the first part of its run went well; the rest follows",
        Stage.STOPPED: "{why}; the rest of the run is stopped",
    }
)
"""What a canary's stage means for a message of the rest."""
