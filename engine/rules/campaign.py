"""A campaign: who, when, what, with which goal. One YAML file each; kept with every run as it was launched."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal

from cronsim import CronSim, CronSimError
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from engine.guards import OwnGuards
from engine.model import AttributeType, Channel, DeliveryClass, MessageClass
from engine.rate import RateText
from engine.rules import arms
from engine.scalars import Duration, Share, Slug, WallTime, Zone, duration

PUBLIC = "public"
"""The audience of a social post to everybody: it has no customers."""

SHORTEST = timedelta(minutes=1)
_CRON_FIELDS = (
    "minute (0-59)",
    "hour (0-23)",
    "day of the month (1-31)",
    "month (1-12)",
    "day of the week (0-7, or mon to sun)",
)


class Block(BaseModel):
    """A mapping in a campaign's file. Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class CatchUp(StrEnum):
    """What is done on start with occurrences that were missed: the newest alone, every one, or none."""

    LATEST = "latest"
    ALL = "all"
    NONE = "none"


def cron_of(value: Any) -> str:
    """A cron of five fields, as Debian's cron reads it. Raises ValueError naming the field that is wrong."""
    fields = str(value).split()
    if len(fields) != len(_CRON_FIELDS) or len(str(value)) > 200:
        raise ValueError('a cron has five fields, minute hour day month weekday, like "0 10 * * mon"')
    for index, (written, name) in enumerate(zip(fields, _CRON_FIELDS, strict=True)):
        alone = " ".join(written if at == index else "*" for at in range(len(fields)))
        if not _understood(alone):
            raise ValueError(f'the cron\'s {name} cannot be read: "{written}"')
    if not _understood(" ".join(fields)):
        raise ValueError("this cron never comes: no month has such a day")
    return " ".join(fields)


def _understood(expression: str) -> bool:
    """Whether the cron can be read, and comes at least once. 2000 begins the longest rhythm of the calendar."""
    try:
        next(CronSim(expression, datetime(2000, 1, 1)))  # noqa: DTZ001  (a wall clock's time)
    except (CronSimError, StopIteration, ValueError, IndexError, AssertionError):
        return False
    return True


Cron = Annotated[str, BeforeValidator(cron_of), WithJsonSchema({"type": "string", "examples": ["0 10 * * mon"]})]


class Schedule(Block):
    """When a campaign starts: by a cron, every so often from an anchor, or once. Times are the wall clock's of `time_zone`."""

    cron: Cron | None = Field(default=None, description='Minute, hour, day, month, weekday, like `"0 10 * * mon"`.')
    every: Duration | None = Field(default=None, description="A duration, like `14 days`, counted from `from`.")
    at: WallTime | None = Field(default=None, description="Once, like `2026-12-01T09:00`.")
    start: WallTime | None = Field(
        default=None, alias="from", description="Not before this time, like `2026-12-01T09:00`."
    )
    until: WallTime | None = Field(default=None, description="Not after this time, like `2026-12-31T23:59`.")
    time_zone: Zone = Field(description="An IANA name, like `Europe/Helsinki`; the workspace's where it is left out.")

    @model_validator(mode="before")
    @classmethod
    def _in_the_workspace_zone(cls, given: Any, info: ValidationInfo) -> Any:
        if isinstance(given, Mapping) and "time_zone" not in given and info.context:
            return {**given, "time_zone": info.context["time_zone"]}
        return given

    @model_validator(mode="after")
    def _one_rhythm(self) -> Schedule:
        if sum(rhythm is not None for rhythm in (self.cron, self.every, self.at)) != 1:
            raise ValueError("a schedule says exactly one of cron, every and at")
        if self.at and (self.start or self.until):
            raise ValueError("a schedule with `at` happens once: leave `from` and `until` out")
        if self.every is not None and self.start is None:
            raise ValueError("a schedule with `every` counts from a time: add `from: 2026-12-01T09:00`")
        if self.every is not None and self.every < SHORTEST:
            raise ValueError("a schedule comes at most once a minute")
        if self.start and self.until and self.until < self.start:
            raise ValueError("the schedule's `until` lies before its `from`")
        return self


class Trigger(Block):
    """Started by a call, for one customer. `data`: what the call must bring, with types; templates say `data.order`."""

    data: Mapping[Slug, AttributeType] = Field(default_factory=dict)


class Goal(Block):
    """What the campaign is measured by: an event within a span after the message; `value` is summed as revenue."""

    event: Slug = Field(description="The event that counts, like `purchase`.")
    within: Duration = Field(description="How long after the message it counts, like `14 days`.")
    value: Slug | None = Field(default=None, description="A numeric property of the event, summed as revenue.")


class ReentryAfter(Block):
    """May be written to again when so long has passed since this campaign's last message was owed."""

    after: Duration


def _reentry(value: Any) -> Any:
    match value:
        case "never" | "on_rematch" | "always" | ReentryAfter():
            return value
        case {"after": after, **rest} if not rest:
            return ReentryAfter(after=duration(after))
        case _:
            raise ValueError("write never, on_rematch, always or {after: 180 days}")


def _audience(value: Any) -> Any:
    if value is None or isinstance(value, Mapping) or (isinstance(value, str) and value):
        return value
    raise ValueError("write a segment's name, a condition, or public")


def _no_reentry(data: dict[str, Any]) -> Literal["never", "always"]:
    """A trigger is the caller's own decision, each time; a schedule writes to a customer once unless it says otherwise."""
    return "never" if data.get("trigger") is None else "always"


def _delivery(data: dict[str, Any]) -> DeliveryClass:
    """Rather two receipts than none; rather no offer than two. A text message costs money and comes with a ring."""
    receipt = data["message_class"] is MessageClass.TRANSACTIONAL and data["channel"] is Channel.EMAIL
    return DeliveryClass.AT_LEAST_ONCE if receipt else DeliveryClass.AT_MOST_ONCE


def _some_are_left(share: Decimal) -> Decimal:
    if share >= 1:
        raise ValueError("a holdout is less than everybody: at most 99.99 %")
    return share


Audience = Annotated[str | dict[str, Any] | None, BeforeValidator(_audience)]
Reentry = Annotated[
    Literal["never", "on_rematch", "always"] | ReentryAfter,
    BeforeValidator(_reentry),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": ["never", "on_rematch", "always"]},
                {
                    "type": "object",
                    "properties": {"after": {"type": "string", "examples": ["180 days"]}},
                    "required": ["after"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]


class Campaign(Block):
    """One campaign. It says either `schedule` and `audience`, or `trigger`; `consistency` holds it against the workspace.

    `model_dump(mode="json", by_alias=True)` and `model_validate` are each other's opposites.
    """

    campaign: Slug = Field(description="The campaign's name.")
    description: str = Field(default="", description="One sentence on who gets what, and why.")
    audience: Audience = Field(
        default=None, description="A segment's name, a condition, or `public` for a social post to everybody."
    )
    schedule: Schedule | None = Field(default=None, description='When it starts, like `{cron: "0 10 * * mon"}`.')
    trigger: Trigger | None = Field(
        default=None, description="Instead of a schedule: started by a call, like `{data: {order: text}}`."
    )
    catch_up: CatchUp = Field(
        default=CatchUp.LATEST, description="Missed while the daemon was down: latest, all or none are made up for."
    )
    max_lateness: Duration = Field(
        default=timedelta(hours=6), description="What was missed longer ago than this is let go."
    )
    channel: Channel = Field(description="Write email, sms or social.")
    providers: tuple[Slug, ...] = Field(
        default=(),
        description="Of a post: which of its route's providers publish it, each as a post of its own, like `[bluesky, linkedin]`.",
    )
    variants: tuple[Slug, ...] = Field(
        default=(),
        description="Names of its texts, like `[plain, question]`; templates ask for `variant`. Customers draw lots for them, once and for all; as posts they take turns, on each network.",
    )
    holdout: Annotated[Share, AfterValidator(_some_are_left)] = Field(
        default=Decimal(0),
        description="So many of the audience, drawn by lot once and for all, get nothing, like `10 %`: the report sets what they did beside what the others did.",
        json_schema_extra={"default": "0 %"},
    )
    template: Slug = Field(
        default_factory=lambda data: data["campaign"],
        description="A folder in templates/; named as the campaign where it is left out.",
    )
    message_class: MessageClass = Field(
        alias="class",
        description="Write commercial (needs consent, carries an unsubscribe link, waits in quiet hours) or transactional.",
    )
    purpose: Slug = Field(description="Write one of the purposes of config.yaml: what the customer agreed to.")
    goal: Goal | None = Field(
        default=None,
        description="What the campaign is measured by, like `{event: purchase, within: 14 days, value: amount}`; a commercial one must have it, but for a post, of which nobody knows who read it.",
    )
    reentry: Reentry = Field(
        default_factory=_no_reentry,
        description="Whether a customer may get it again: never, on_rematch (after leaving the audience and coming back), always or {after: 180 days}.",
    )
    not_later_than: Duration | None = Field(
        default=None, description="A message not sent so long after it was owed expires."
    )
    rate: RateText | None = Field(
        default=None, description="At most so many messages of it within a time, like `10/second` or `5000/hour`."
    )
    delivery_class: DeliveryClass = Field(
        alias="delivery",
        default_factory=_delivery,
        description="When nothing tells whether a message arrived: at_most_once leaves it, at_least_once sends again, ask waits for a person; exactly_once needs a provider that can always tell.",
    )

    guards: OwnGuards = Field(
        default=OwnGuards(),
        description="Its own limits, where those of config.yaml do not fit: `{audience_at_most: 5000}`.",
    )

    @property
    def is_public(self) -> bool:
        """A post to everybody, without any customer."""
        return self.audience == PUBLIC

    @property
    def has_arms(self) -> bool:
        """Whether its customers are drawn apart."""
        return bool(self.holdout or self.variants) and not self.is_public

    def holds_out(self, customer: str) -> bool:
        """Whether it sends a customer (by external id) nothing, by lot."""
        return arms.held_out(self.campaign, self.holdout, customer)

    def reads(self, customer: str) -> str:
        """Which variant a customer (by external id) reads, if they are not held out; empty where there are none."""
        return arms.variant_of(self.campaign, self.variants, customer)

    def posted(self, provider: str, *, earlier: int) -> str:
        """Which variant of a post this provider publishes in a run that has so many `earlier` ones: they take turns, and where
        several providers publish it each begins with another. Empty where there are none.
        """
        if not self.variants:
            return ""
        place = self.providers.index(provider) if provider in self.providers else 0
        return self.variants[(earlier + place) % len(self.variants)]
