"""`opened: win-back` and what stands beside it: on which channel, when, how often."""

from __future__ import annotations

from collections.abc import Collection

from engine.document import Node, Pairs, Text
from engine.rules import measures
from engine.rules.messages import ANY
from engine.rules.read import window
from engine.rules.read.measured import WITHOUT_PROPERTIES, read_measured
from engine.rules.read.parts import ON, channel_on, known_name, name_under, no_others
from engine.rules.read.reading import Reading
from engine.rules.read.window import read_window
from engine.rules.syntax import Got

PARTS = (ON, *WITHOUT_PROPERTIES, *window.PARTS)


def read_got(reading: Reading, pairs: Pairs, key: Text, node: Node, words: Collection[str]) -> Got | None:
    """The whole mapping that a word on messages stands in."""
    before = len(reading.problems)
    name = name_under(reading, node, key.value, ANY)
    if name is not None and name.value != ANY:
        campaigns = reading.vocabulary.campaigns
        if campaigns is not None and not reading.vocabulary.cannot_tell("campaigns", name.value):
            hint = f"For a message of any campaign, write `{key.value}: {ANY}`."
            known_name(reading, name, "campaign", campaigns, hint)
    channel = channel_on(reading, pairs)
    seen = read_window(reading, pairs)
    measured = read_measured(reading, pairs, None, None, WITHOUT_PROPERTIES)
    no_others(reading, pairs, key.value, PARTS, words, measures.ALSO_CALLED)
    if name is None or len(reading.problems) > before:
        return None
    campaign = None if name.value == ANY else name.value
    return Got(
        word=key.value,
        campaign=campaign,
        channel=channel,
        window=seen,
        measured=measured,
        at=pairs.at,
        places={part.value: part.at for part, _ in pairs},
    )
