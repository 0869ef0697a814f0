"""Guards: how much may go wrong before somebody is asked. In config.yaml for all campaigns, in a campaign's file for it alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from engine.scalars import Duration, Share


class Guarding(BaseModel):
    """Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


# ---------------------------------------------------------------- rates


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """What became of some messages so far: how many were handed over, and of those how many ended how.

    errors: refused by the provider, given up, without an answer, or impossible to write.
    """

    begun: int = 0
    errors: int = 0
    bounces: int = 0
    complaints: int = 0


ALONE = 1
"""One bad end, whatever its share, stops nobody's campaign."""


class Rates(Guarding):
    """Shares of the messages that were handed over. What is left out is not looked at."""

    bounces: Share | None = Field(
        default=None, description="Addresses that do not exist, as the provider reports them."
    )
    complaints: Share | None = Field(
        default=None, description="Recipients who called it spam. Gmail's own limit is 0.3 %."
    )
    errors: Share | None = Field(
        default=None, description="Refused by the provider, given up, without an answer, or impossible to write."
    )

    def exceeded(self, seen: Tally) -> str:
        """What is too much, in words; empty where nothing is."""
        for name in ("bounces", "complaints", "errors"):
            allowed, count = getattr(self, name), getattr(seen, name)
            if allowed is not None and count > ALONE and count > allowed * max(seen.begun, count):
                rate = count / max(seen.begun, count)
                return (
                    f"{count:,} {name} of {max(seen.begun, count):,} messages ({rate:.1%}); {allowed:.1%} are allowed"
                )
        return ""


class Stop(Rates):
    """A campaign is paused when a rate is too high among the messages that left within a span."""

    within: Duration = Field(default=timedelta(hours=6), description="Of how recent messages, like `6 hours`.")
    at_least: int = Field(default=200, ge=1, description="With fewer messages than this, no rate means anything.")


class Canary(Rates):
    """A first part of a run leaves by itself; the others wait until it has gone well for a while."""

    share: Share = Field(description="How many of the run leave first, like `5 %`.")
    wait: Duration = Field(
        default=timedelta(hours=2), description="How long after they left it is decided, like `2 hours`."
    )
    smallest: int = Field(default=1000, ge=1, description="Runs for fewer people than this leave as one.")
    bounces: Share | None = Field(default=Decimal("0.05"), json_schema_extra={"default": "5 %"})
    complaints: Share | None = Field(default=Decimal("0.003"), json_schema_extra={"default": "0.3 %"})
    errors: Share | None = Field(default=Decimal("0.1"), json_schema_extra={"default": "10 %"})


# ---------------------------------------------------------------- money

Money = Annotated[Decimal, Field(gt=0, le=10_000_000)]


class Spend(Guarding):
    """So much money, in the workspace's currency and by its `prices`; what is left out is not limited."""

    a_run: Money | None = Field(
        default=None, description="For one run, like `50`. When it is spent, the campaign is paused."
    )
    a_day: Money | None = Field(
        default=None,
        description="For one day: in config.yaml of all campaigns together, in a campaign's file of that one. What does not fit waits for tomorrow.",
    )


# ---------------------------------------------------------------- all of them


class OwnGuards(Guarding):
    """What a campaign says for itself; what it leaves out is as in config.yaml."""

    audience_at_most: int | None = Field(
        default=None,
        ge=1,
        description="A launch that would owe more messages than this is held until somebody confirms it.",
    )
    audience_jump: Share | None = Field(
        default=None,
        description="A launch is held, and a plan warns, when its audience grew by more than this since the last run.",
    )
    canary: Canary | None = Field(
        default=None, description="A first part of each run leaves ahead: `{share: 5 %, wait: 2 hours}`."
    )
    stop: Stop | None = Field(
        default=None,
        description="A running campaign is paused when too much goes wrong: `{bounces: 8 %, complaints: 0.3 %, errors: 20 %}`.",
    )
    spend: Spend | None = Field(
        default=None, description="No more money than this: `{a_run: 50, a_day: 200}`, by the `prices` of config.yaml."
    )


class Guards(OwnGuards):
    """How far an audience may change, and how badly a run may go, before somebody should look."""

    audience_jump: Share = Field(
        default=Decimal("0.5"),
        description="A plan warns when an audience grew by more than this since its last run, and a launch is held.",
        json_schema_extra={"default": "50 %"},
    )
    jump_from: int = Field(
        default=1000,
        ge=0,
        description="Launches for fewer people than this are not held for a jump; a plan warns of them, too.",
    )
    plan_drift: Share = Field(
        default=Decimal("0.1"),
        description="`run --plan` launches nothing whose audience changed by more than this since the plan.",
        json_schema_extra={"default": "10 %"},
    )

    @property
    def watching(self) -> bool:
        """Whether what becomes of messages has to be counted."""
        return self.stop is not None or self.canary is not None

    def of(self, own: OwnGuards) -> Guards:
        """As they are for a campaign that says something for itself."""
        said = {name: getattr(own, name) for name in own.model_fields_set}
        said = {name: value for name, value in said.items() if value is not None}
        return self.model_copy(update=said) if said else self
