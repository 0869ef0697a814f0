"""Guards: how much may go wrong before somebody is asked. In config.yaml for all campaigns, in a campaign's file for it alone."""

from __future__ import annotations

from decimal import Decimal
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field

from engine.scalars import Share

Given = TypeVar("Given")


class Guarding(BaseModel):
    """Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


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

    def of(self, own: OwnGuards) -> Guards:
        """As they are for a campaign that says something for itself."""
        return self.model_copy(update=own.model_dump(exclude_none=True, include=own.model_fields_set))
