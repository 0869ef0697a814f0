"""The expecting part of a test: who is in a segment, and what becomes of a campaign's messages."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from engine.document import Items, Node, Pairs, Position, Text, suggestion
from engine.model import Reason
from engine.questions.examples.example import ExpectedFate, ExpectedMembers, ExpectedMessages, Fate
from engine.questions.examples.ground import Ground
from engine.rules.campaign import PUBLIC

IN_SEGMENT: Mapping[str, str] = {
    "includes": "They are in the segment; of the others nothing is said.",
    "excludes": "They are not in the segment.",
}
FATES: Mapping[str, str] = {
    Fate.SENT: "Their message is handed to the provider.",
    Fate.HELD: "Their message waits, like `{ana: quiet_hours}`.",
    Fate.WITHHELD: "Their message is not sent, and why, like `{ben: opted_out}`.",
}


def members(ground: Ground, name: Text, node: Node) -> ExpectedMembers | None:
    """`lapsing: [ana]` (exactly these), or `lapsing: {includes: [ana], excludes: [ben]}`."""
    segments = ground.workspace.segments
    if name.value not in segments:
        ground.unknown(name, segments, "segment")
        return None
    if not isinstance(node, Pairs):
        these = _customers(ground, node, f'"{name.value}"')
        return ExpectedMembers(segment=name.value, at=name.at, includes=these, excludes={}, whole=True)
    said = {key.value: _customers(ground, value, f'"{key.value}"') for key, value in _known(ground, node, IN_SEGMENT)}
    includes, excludes = said.get("includes", {}), said.get("excludes", {})
    for both in includes.keys() & excludes.keys():
        ground.error(excludes[both], f'"{both}" is included already.', "Keep one of the two.")
    return ExpectedMembers(segment=name.value, at=name.at, includes=includes, excludes=excludes, whole=False)


def messages(ground: Ground, name: Text, node: Node, called: Collection[str]) -> ExpectedMessages | None:
    """`win-back: {sent: [ana], held: {cara: quiet_hours}, withheld: {ben: opted_out}}`. `called`: campaigns with a call."""
    campaigns = ground.workspace.campaigns
    if name.value not in campaigns:
        ground.unknown(name, campaigns, "campaign")
        return None
    campaign = campaigns[name.value]
    if campaign.trigger and name.value not in called:
        remedy = f"Add to the test: `triggers: [{{campaign: {name.value}, customer: …, data: {{…}}}}]`."
        ground.error(name.at, f'nobody calls for "{name.value}" in this test.', remedy)
    if not isinstance(node, Pairs):
        ground.error(node.at, "say what becomes of whom.", f"Write for example `{name.value}: {{sent: [ana]}}`.")
        return None
    if campaign.is_public:
        return _post(ground, name, node)
    fates: dict[str, ExpectedFate] = {}
    for key, value in _known(ground, node, FATES):
        for customer, fate in _fates(ground, Fate(key.value), value):
            if customer in fates:
                ground.error(fate.at, f'"{customer}" is {fates[customer].fate} already.', "Keep one of the two.")
            fates[customer] = fate
    return ExpectedMessages(campaign=name.value, at=name.at, fates=fates, public=False)


def _post(ground: Ground, name: Text, node: Pairs) -> ExpectedMessages | None:
    """A post to everybody is sent, or not."""
    sent = node.get(Fate.SENT)
    if len(node.pairs) != 1 or not isinstance(sent, Text) or sent.value != PUBLIC:
        ground.error(node.at, f'"{name.value}" is a post to everybody.', f"Write `{{sent: {PUBLIC}}}`.")
        return None
    return ExpectedMessages(campaign=name.value, at=name.at, fates={}, public=True)


def _known(ground: Ground, node: Pairs, known: Mapping[str, str]) -> Iterator[tuple[Text, Node]]:
    for key, value in node:
        if key.value in known:
            yield key, value
        else:
            ground.error(key.at, f'unknown key "{key.value}".', suggestion(key.value, known))


def _customers(ground: Ground, node: Node, noun: str) -> dict[str, Position]:
    """`[ana, ben]`, or one alone."""
    if isinstance(node, Text) and not node.empty:
        node = Items((node,), node.at)
    found: dict[str, Position] = {}
    for item in ground.items(node, noun, example="[ana, ben]"):
        customer = ground.customer(ground.word(item, item.at, "customer"))
        if customer in found:
            ground.error(item.at, f'"{customer}" stands here twice.', "Keep one of the two.")
        elif customer:
            found[customer] = item.at
    return found


def _fates(ground: Ground, fate: Fate, node: Node) -> Iterator[tuple[str, ExpectedFate]]:
    """`[ana]`, or with the reasons `{ana: opted_out}`."""
    if not isinstance(node, Pairs):
        for customer, at in _customers(ground, node, f'"{fate}"').items():
            yield customer, ExpectedFate(fate=fate, at=at)
        return
    if fate is Fate.SENT:
        ground.error(node.at, '"sent" takes a list.', "What is sent needs no reason: write `[ana, ben]`.")
        return
    for key, value in node:
        known, reason = ground.customer(key), ground.choice(value, [each.value for each in Reason], "reason")
        if known and reason:
            yield known, ExpectedFate(fate=fate, at=key.at, reason=Reason(reason))
