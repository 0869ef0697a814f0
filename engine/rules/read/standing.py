"""Conditions on consent (`agreed_to: offers`), addresses (`reachable_by: sms`) and lists (`on_list: vip.txt`)."""

from __future__ import annotations

from collections.abc import Collection

from engine.document import Node, Pairs, Text
from engine.rules.read.parts import ON, channel_on, channel_under, known_name, name_under, no_others
from engine.rules.read.reading import Reading
from engine.rules.syntax import Consented, OnList, Reachable

AGREED = {"agreed_to": True, "refused": False}
PARTS = (ON,)


def read_consented(reading: Reading, pairs: Pairs, key: Text, node: Node, words: Collection[str]) -> Consented | None:
    """A yes or a no in force."""
    before = len(reading.problems)
    name = name_under(reading, node, key.value, "offers")
    vocabulary = reading.vocabulary
    if name is not None and not vocabulary.cannot_tell("purposes", name.value):
        where = "Purposes are declared in config.yaml under `purposes:`."
        known_name(reading, name, "purpose", vocabulary.purposes, where)
    channel = channel_on(reading, pairs)
    no_others(reading, pairs, key.value, PARTS, words)
    if name is None or len(reading.problems) > before or name.value not in vocabulary.purposes:
        return None
    return Consented(purpose=name.value, agreed=AGREED[key.value], channel=channel, at=pairs.at)


def read_reachable(reading: Reading, key: Text, node: Node) -> Reachable | None:
    channel = channel_under(reading, node, key.value)
    return None if channel is None else Reachable(channel=channel, at=key.at)


def read_on_list(reading: Reading, key: Text, node: Node) -> OnList | None:
    name = name_under(reading, node, key.value, "vip.txt")
    where = "A list is a file in rules/lists/, with one customer's id a line."
    if name is None or not known_name(reading, name, "list", reading.vocabulary.lists, where):
        return None
    return OnList(list=name.value, at=key.at)
