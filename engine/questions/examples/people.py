"""The invented part of a test: customers, what they did, the messages they were sent before, and calls for a trigger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime

from engine.document import Items, Node, Text, suggestion
from engine.intake import cells
from engine.intake.customers import CONSENT, PROOF, cell_readers
from engine.model import AttributeType, Channel, EventName, Plain, SuppressionReason
from engine.questions.examples.example import Call, EarlierMessage, InventedCustomer, InventedEvent
from engine.questions.examples.ground import Ground

OWN_WORDS: Mapping[str, str] = {
    "consents": "What the customer said yes to, like `{email: [offers]}`.",
    "refuses": "What the customer said no to, like `{sms: [offers]}`.",
    "suppressed": "An address that must not be written to, and why, like `{email: bounced}`.",
}
"""What can be said of a customer beside addresses and attributes."""

REPORTED: Mapping[str, EventName] = {
    name.value: name
    for name in (
        EventName.DELIVERED,
        EventName.OPENED,
        EventName.CLICKED,
        EventName.REPLIED,
        EventName.BOUNCED,
        EventName.COMPLAINED,
        EventName.OPTED_OUT,
    )
}
"""What can be told of an earlier message, each with its time."""

LEFT = "left"
"""When the customer had left the campaign's audience, as far as its starts saw."""


# ---------------------------------------------------------------- customers


def customer(ground: Ground, name: Text, node: Node) -> InventedCustomer:
    """`ana: {country: FI, email: ana@customers.example, consents: {email: [offers]}}`."""
    row: dict[str, Plain] = {"id": name.value, "created_at": ground.now.isoformat()}
    suppressed: dict[Channel, SuppressionReason] = {}
    example = f"{name.value}: {{email: {name.value}@customers.example}}"
    pairs = list(ground.pairs(node, f'"{name.value}"', example=example))
    for key, value in pairs:
        if key.value not in OWN_WORDS:
            row.update(_cell(ground, key, value))
    for key, value in pairs:
        if key.value == "suppressed":
            suppressed |= dict(_suppressed(ground, value, row))
        elif key.value in OWN_WORDS:
            row.update(_consents(ground, value, row, yes=key.value == "consents"))
    return InventedCustomer(name=name.value, at=name.at, row=row, suppressed=suppressed)


def _cell(ground: Ground, key: Text, node: Node) -> dict[str, Plain]:
    settings = ground.workspace.settings
    readers = cell_readers(settings)
    known = [name for name in readers if not name.startswith(CONSENT) and name not in ("id", PROOF)]
    if key.value not in known:
        near = suggestion(key.value, [*known, *OWN_WORDS])
        if ground.whole:
            ground.error(key.at, f'a customer has no "{key.value}".', near)
        return {}
    kind = AttributeType.TIME if key.value == "created_at" else settings.attributes.get(key.value)
    return _value(ground, key, node, kind, readers[key.value])


def _value(ground: Ground, key: Text, node: Node, kind: AttributeType | None, read: object) -> dict[str, Plain]:
    """One cell, checked as an import checks it. An empty one says nothing."""
    if isinstance(node, Text) and node.empty:
        return {}
    if isinstance(node, Items) and kind is AttributeType.LIST:
        words = [ground.word(item, item.at, key.value) for item in node.items]
        return {key.value: [word.value for word in words if word]}
    word = ground.word(node, node.at, key.value)
    if word is None:
        return {}
    if kind in (AttributeType.DATE, AttributeType.TIME):
        found = ground.read(word, kind)
        return {key.value: found.isoformat()} if isinstance(found, (date, datetime)) else {}
    try:
        assert callable(read)
        read(word.value)
    except ValueError as error:
        ground.error(word.at, f'"{key.value}": {error} (here: "{word.value[:60]}").')
        return {}
    return {key.value: word.value}


def _consents(ground: Ground, node: Node, row: Mapping[str, Plain], *, yes: bool) -> Iterator[tuple[str, Plain]]:
    purposes = ground.workspace.settings.purposes
    for channel, value in _by_channel(ground, node, row, '"consents"', example="{email: [offers]}"):
        for item in value.items if isinstance(value, Items) else (value,):
            word = ground.word(item, item.at, "purpose")
            if word and word.value not in purposes:
                ground.unknown(word, purposes, "purpose")
            elif word:
                yield f"{CONSENT}{channel}.{word.value}", "yes" if yes else "no"


def _suppressed(ground: Ground, node: Node, row: Mapping[str, Plain]) -> Iterator[tuple[Channel, SuppressionReason]]:
    reasons = [reason.value for reason in SuppressionReason]
    for channel, value in _by_channel(ground, node, row, '"suppressed"', example="{email: bounced}"):
        reason = ground.choice(value, reasons, "reason to suppress an address")
        if reason:
            yield channel, SuppressionReason(reason)


def _by_channel(
    ground: Ground, node: Node, row: Mapping[str, Plain], noun: str, *, example: str
) -> Iterator[tuple[Channel, Node]]:
    """What is said for each channel; the customer must have an address there."""
    for key, value in ground.pairs(node, noun, example=example):
        channel = ground.choice(key, [channel.value for channel in Channel], "channel")
        if channel is None:
            continue
        if channel not in row:
            ground.error(key.at, f"this customer has no {channel} address.", f"Give one: `{channel}: …`.")
        else:
            yield Channel(channel), value


# ---------------------------------------------------------------- what they did


def event(ground: Ground, node: Node) -> InventedEvent | None:
    """`{customer: ana, did: purchase, at: 200 days ago, amount: 30}`."""
    events = ground.workspace.settings.happenings
    example = "- {customer: ana, did: purchase, at: 200 days ago}"
    entries = dict(_entries(ground, node, "an event", example))
    name = ground.word(_take(entries, "did"), node.at, "did")
    who = ground.customer(ground.word(_take(entries, "customer"), node.at, "customer"))
    at = ground.moment(ground.word(_take(entries, "at"), node.at, "at"))
    if name is not None and name.value not in events:
        ground.unknown(name, events, "event in config.yaml")
        return None
    if name is None:
        return None
    row: dict[str, Plain] = {"name": name.value}
    for key, value in entries.values():
        row |= _declared(ground, key, value, events[name.value], f'the event "{name.value}"')
    if who is None or at is None:
        return None
    return InventedEvent(at=node.at, row={**row, "customer": who, "at": at.isoformat()})


def _entries(ground: Ground, node: Node, noun: str, example: str) -> Iterator[tuple[str, tuple[Text, Node]]]:
    if isinstance(node, Text) and node.empty:
        ground.error(node.at, f"{noun} is missing here.", f"Write for example `{example}`.")
    return ((key.value, (key, value)) for key, value in ground.pairs(node, noun, example=example))


def _take(entries: dict[str, tuple[Text, Node]], name: str) -> Node | None:
    found = entries.pop(name, None)
    return found[1] if found else None


def _declared(
    ground: Ground, key: Text, node: Node, declared: Mapping[str, AttributeType], owner: str
) -> dict[str, Plain]:
    """A property of an event, or a value of a trigger."""
    kind = declared.get(key.value)
    if kind is None:
        if ground.whole:
            ground.error(key.at, f'{owner} has no "{key.value}".', suggestion(key.value, declared))
        return {}
    return _value(ground, key, node, kind, cells.converters(ground.workspace.settings.time_zone)[kind])


# ---------------------------------------------------------------- what they were sent before, and calls


def earlier(ground: Ground, node: Node) -> EarlierMessage | None:
    """`{customer: ana, campaign: win-back, at: 100 days ago, opened: 99 days ago}`."""
    example = "- {customer: ana, campaign: win-back, at: 100 days ago}"
    entries = dict(_entries(ground, node, "a message", example))
    who = ground.customer(ground.word(_take(entries, "customer"), node.at, "customer"))
    campaign = _campaign(ground, ground.word(_take(entries, "campaign"), node.at, "campaign"))
    sent = ground.word(_take(entries, "at"), node.at, "at")
    at = ground.moment(sent)
    if sent and at and at > ground.now:
        ground.error(sent.at, "this message was sent after the test's moment.", "Leave it out, or put `now:` later.")
    left = _take(entries, LEFT)
    left_at = _left(ground, left, campaign, at) if left else None
    reported = dict(_reported(ground, entries))
    if who is None or campaign is None or at is None:
        return None
    return EarlierMessage(at=node.at, customer=who, campaign=campaign, sent_at=at, reported=reported, left_at=left_at)


def _left(ground: Ground, node: Node, campaign: str | None, sent_at: datetime | None) -> datetime | None:
    """When a start of the campaign saw the customer outside its audience."""
    word = ground.word(node, node.at, LEFT)
    at = ground.moment(word)
    if campaign and ground.workspace.campaigns[campaign].reentry != "on_rematch":
        what = f'nothing rests on "{LEFT}": the campaign "{campaign}" has another re-entry rule than on_rematch.'
        ground.error(node.at, what, "Leave it out.")
    if at and sent_at and not sent_at < at <= ground.now:
        ground.error(
            node.at, f'"{LEFT}" lies between the message and the test\'s moment.', "Put it later, or leave it out."
        )
    return at


def _reported(ground: Ground, entries: Mapping[str, tuple[Text, Node]]) -> Iterator[tuple[EventName, datetime]]:
    for key, value in entries.values():
        if key.value not in REPORTED:
            remedy = suggestion(key.value, ("customer", "campaign", "at", LEFT, *REPORTED))
            ground.error(key.at, f'a message has no "{key.value}".', remedy)
        elif at := ground.moment(ground.word(value, value.at, key.value)):
            yield REPORTED[key.value], at


def call(ground: Ground, node: Node) -> Call | None:
    """`{campaign: receipt, customer: ana, data: {order: "4711"}}`."""
    entries = dict(_entries(ground, node, "a call", "- {campaign: receipt, customer: ana, data: {order: 4711}}"))
    who = ground.customer(ground.word(_take(entries, "customer"), node.at, "customer"))
    word = ground.word(_take(entries, "campaign"), node.at, "campaign")
    given = _take(entries, "data")
    for key, _ in entries.values():
        remedy = suggestion(key.value, ("customer", "campaign", "data"))
        ground.error(key.at, f'a call has no "{key.value}".', remedy)
    name = _campaign(ground, word)
    if name is None or word is None:
        return None
    trigger = ground.workspace.campaigns[name].trigger
    if trigger is None:
        what = f'the campaign "{name}" is started by its schedule, not by a call.'
        ground.error(word.at, what, "Expect its messages under `expect: campaigns:` alone.")
        return None
    data = _data(ground, node, given, trigger.data, name)
    return Call(at=node.at, campaign=name, customer=who, data=data) if who is not None else None


def _data(
    ground: Ground, node: Node, given: Node | None, declared: Mapping[str, AttributeType], name: str
) -> dict[str, Plain]:
    data: dict[str, Plain] = {}
    convert = cells.converters(ground.workspace.settings.time_zone)
    pairs = list(ground.pairs(given, '"data"', example="data: {order: 4711}")) if given else []
    for key, value in pairs:
        for found, raw in _declared(ground, key, value, declared, f'a call for "{name}"').items():
            data[found] = convert[declared[found]](raw)
    told = {key.value for key, _ in pairs}
    for missing in (each for each in declared if each not in told):
        ground.error(given.at if given else node.at, f'"{missing}" ({declared[missing]}) is missing in `data:`.')
    return data


def _campaign(ground: Ground, word: Text | None) -> str | None:
    campaigns = ground.workspace.campaigns
    if word is not None and word.value not in campaigns:
        ground.unknown(word, campaigns, "campaign")
        return None
    return word.value if word else None
