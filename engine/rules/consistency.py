"""Whether a campaign agrees with itself, with config.yaml and with the segments: one check a function, one table."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass

from engine.document import Items, Pairs, Text, suggestion
from engine.model import POSTS, AttributeType, Channel, MessageClass
from engine.rules.arms import HOLDOUT
from engine.rules.campaign import PUBLIC, Campaign
from engine.rules.read import Reading, read_condition
from engine.rules.read.condition import check_segment
from engine.rules.read.measured import property_type
from engine.rules.read.window import check_event
from engine.settings import Settings

KEYS = frozenset(field.alias or name for name, field in Campaign.model_fields.items())
"""The keys of a campaign."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A campaign's mapping as it was written, whether or not it could be given its types."""

    pairs: Pairs
    settings: Settings

    def has(self, key: str) -> bool:
        node = self.pairs.get(key)
        return node is not None and not (isinstance(node, Text) and node.empty)

    def misses(self, key: str) -> bool:
        """Whether a key is left out, and not merely misspelt: that is noted already."""
        unknown = [name for name in self.pairs.keys() if name not in KEYS]  # noqa: SIM118  (Pairs is no dict)
        return not self.has(key) and not difflib.get_close_matches(key, unknown, n=1)

    def text(self, key: str) -> Text | None:
        """A key's plain value; None where it is left out, empty, or no text."""
        node = self.pairs.get(key)
        return node if isinstance(node, Text) and not node.empty else None

    def says(self, key: str, value: str) -> bool:
        node = self.text(key)
        return node is not None and node.value == value


def check_campaign(reading: Reading, pairs: Pairs, settings: Settings) -> None:
    """Note every disagreement. What pydantic notes by itself (types, unknown and missing keys) is not repeated."""
    draft = Draft(pairs=pairs, settings=settings)
    for check in CHECKS:
        check(reading, draft)


def _start(reading: Reading, draft: Draft) -> None:
    if draft.has("schedule") and draft.has("trigger"):
        at = _key(draft, "trigger").at
        reading.error(
            at,
            "a campaign has a schedule or a trigger, not both.",
            "Make two campaigns of it; they may share a template.",
        )
    elif draft.misses("schedule") and draft.misses("trigger"):
        remedy = (
            'Add `schedule: {cron: "0 10 * * mon"}`, or `trigger: {data: {order: text}}` for a campaign that is called.'
        )
        reading.error(draft.pairs.at, "nothing starts this campaign.", remedy)


def _audience(reading: Reading, draft: Draft) -> None:
    node = draft.pairs.get("audience")
    if draft.has("trigger") and draft.has("audience"):
        at = _key(draft, "audience").at
        reading.error(at, "a triggered campaign has no audience: the call names the customer.", "Leave `audience` out.")
    elif not draft.has("audience"):
        if draft.has("schedule") and draft.misses("audience"):
            remedy = "Add `audience:` with a segment's name, or `public` for a social post to everybody."
            reading.error(draft.pairs.at, "this campaign has no audience.", remedy)
    elif isinstance(node, Pairs):
        read_condition(reading, node)
    elif isinstance(node, Text) and node.value != PUBLIC:
        check_segment(reading, node)


def _public(reading: Reading, draft: Draft) -> None:
    audience, channel = draft.text("audience"), draft.text("channel")
    if audience and audience.value == PUBLIC and channel and channel.value in set(Channel) - POSTS:
        remedy = "Name a segment as its audience, or set `channel: social`."
        reading.error(audience.at, f"a campaign by {channel.value} cannot go to the public.", remedy)


def _purpose(reading: Reading, draft: Draft) -> None:
    purpose = draft.text("purpose")
    known = draft.settings.purposes
    if purpose is None or purpose.value in known or reading.vocabulary.cannot_tell("purposes", purpose.value):
        return
    hint = suggestion(purpose.value, known) or "config.yaml declares no purposes."
    reading.error(
        purpose.at,
        f'there is no purpose "{purpose.value}".',
        f"{hint} Purposes are declared in config.yaml under `purposes:`.",
    )


def _route(reading: Reading, draft: Draft) -> None:
    channel, kind = draft.text("channel"), draft.text("class")
    if channel is None or kind is None or channel.value not in set(Channel) or kind.value not in set(MessageClass):
        return
    if reading.vocabulary.cannot_tell("channels", channel.value):
        return
    if draft.settings.route(Channel(channel.value), MessageClass(kind.value)) is None:
        remedy = f"Add `{kind.value}: {{provider: …, from: …}}` in config.yaml under `channels:`, `{channel.value}:`."
        reading.error(channel.at, f"no provider carries {kind.value} {channel.value}.", remedy)


def _publishers(reading: Reading, draft: Draft) -> None:
    """Only a post names who publishes it, and each of them once; they carry its channel."""
    named, channel, kind = draft.pairs.get("providers"), draft.text("channel"), draft.text("class")
    if not isinstance(named, Items):
        return
    if not draft.says("audience", PUBLIC):
        remedy = "Leave `providers` out: config.yaml says under `channels:` who carries them."
        reading.error(named.at, "only a post to everybody names who publishes it.", remedy)
        return
    if channel is None or kind is None or channel.value not in set(Channel) or kind.value not in set(MessageClass):
        return
    route = draft.settings.route(Channel(channel.value), MessageClass(kind.value))
    carriers = [hop.provider for hop in route.all_hops()] if route else []
    seen: set[str] = set()
    for item in named.items:
        if not isinstance(item, Text):
            continue
        if item.value in seen:
            reading.error(item.at, f'"{item.value}" stands here twice.', "Once is one post.")
        elif carriers and item.value not in carriers:
            hint = suggestion(item.value, carriers)
            remedy = f"{hint} Name it in config.yaml under `channels:`, `{channel.value}:`, among `providers:`."
            reading.error(item.at, f'"{item.value}" does not carry {kind.value} {channel.value}.', remedy)
        seen.add(item.value)


def _variants(reading: Reading, draft: Draft) -> None:
    """Variants are two or more, each of them once, and none called as an arm of the holdout."""
    named = draft.pairs.get("variants")
    if not isinstance(named, Items):
        return
    names = [item.value for item in named.items if isinstance(item, Text)]
    if len(set(names)) != len(named.items) or len(names) < 2:
        remedy = "Name two or more, or leave `variants` out."
        reading.error(named.at, "variants are two or more, each with a name of its own.", remedy)
    for item in named.items:
        if isinstance(item, Text) and item.value == HOLDOUT:
            remedy = "Those who get nothing have a key of their own: `holdout: 10 %`."
            reading.error(item.at, f'no variant is called "{HOLDOUT}".', remedy)


def _holdout(reading: Reading, draft: Draft) -> None:
    """Only from a commercial message to customers may anybody be held out."""
    if not draft.has("holdout"):
        return
    at = _key(draft, "holdout").at
    if draft.says("audience", PUBLIC):
        reading.error(at, "nobody can be held out of a post to everybody.", "Leave `holdout` out.")
    elif draft.says("class", "transactional"):
        what = "a transactional message is owed to each customer: nobody can be held out."
        reading.error(at, what, "Leave `holdout` out, or make the campaign commercial.")


def _goal(reading: Reading, draft: Draft) -> None:
    goal = draft.pairs.get("goal")
    if isinstance(goal, Pairs):
        _goal_names(reading, goal)
        if draft.says("audience", PUBLIC):
            remedy = "Leave `goal` out: `regulars report` shows how posts fare."
            reading.warn(_key(draft, "goal").at, "nobody knows who reads a post, so its goal counts nothing.", remedy)
    elif draft.says("audience", PUBLIC):
        return
    elif draft.says("class", "commercial") and draft.misses("goal"):
        remedy = "Add for example `goal: {event: purchase, within: 14 days, value: amount}`."
        reading.error(draft.pairs.at, "a commercial campaign needs a goal, so that its worth can be told.", remedy)


def _goal_names(reading: Reading, goal: Pairs) -> None:
    event, value = goal.get("event"), goal.get("value")
    if not isinstance(event, Text) or event.empty:
        return
    check_event(reading, event)
    known = reading.vocabulary.events.get(event.value)
    if isinstance(value, Text) and not value.empty:
        kind = property_type(reading, value, event.value, known)
        if kind and kind is not AttributeType.NUMBER:
            remedy = suggestion(
                value.value, [name for name, other in (known or {}).items() if other is AttributeType.NUMBER]
            )
            reading.error(value.at, f'a goal\'s value is a number, and "{value.value}" is a {kind}.', remedy)


def _reentry(reading: Reading, draft: Draft) -> None:
    without = (
        "a triggered campaign" if draft.has("trigger") else "a public post" if draft.says("audience", PUBLIC) else ""
    )
    if without and draft.has("reentry"):
        reading.error(_key(draft, "reentry").at, f"{without} has no reentry rule.", "Leave it out.")


def _late(reading: Reading, draft: Draft) -> None:
    for key in ("catch_up", "max_lateness"):
        if draft.has("trigger") and draft.has(key):
            reading.error(
                _key(draft, key).at, f'"{key}" is about schedules, and this campaign is triggered.', "Leave it out."
            )


def _key(draft: Draft, name: str) -> Text:
    return next(key for key, _ in draft.pairs if key.value == name)


CHECKS: tuple[Callable[[Reading, Draft], None], ...] = (
    _start, _audience, _public, _purpose, _route, _publishers, _variants, _holdout, _goal, _reentry, _late,
)  # fmt: skip
