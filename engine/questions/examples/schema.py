"""JSON Schema for the files of rules/tests/, from the same tables as their reader."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from engine.model import AttributeType, Channel, Reason, SuppressionReason
from engine.questions.examples.expectations import FATES, IN_SEGMENT
from engine.questions.examples.people import LEFT, OWN_WORDS, REPORTED
from engine.questions.examples.read import EXPECTED, KEYS
from engine.rules import values
from engine.rules.campaign import PUBLIC
from engine.rules.workspace import Workspace
from engine.settings import BUILT_IN_ATTRIBUTES

Schema = dict[str, Any]

_NAME: Schema = {"type": ["string", "number", "boolean"]}
_NAMES: Schema = {"anyOf": [_NAME, {"type": "array", "items": _NAME, "uniqueItems": True}, {"type": "null"}]}
_TIME = values.schema(AttributeType.TIME)


def with_tests(rules: Schema, workspace: Workspace) -> Schema:
    """The schema of every file under rules/: one that begins with `test` is a test, every other is as `rules` says."""
    top = {key: rules[key] for key in ("if", "then", "else")}
    return {
        **{key: value for key, value in rules.items() if key not in top},
        "if": {"type": "object", "required": ["test"]},
        "then": {"$ref": "#/$defs/test"},
        "else": top,
        "$defs": {**rules["$defs"], "test": test_schema(workspace)},
    }


def test_schema(workspace: Workspace) -> Schema:
    """The schema of one test, with the workspace's own names."""
    shapes: Mapping[str, Schema] = {
        "test": {"type": "string", "minLength": 1},
        "description": {"type": "string"},
        "now": {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}", "examples": ["1998-01-05T10:00"]},
        "customers": {"type": ["object", "null"], "additionalProperties": _customer(workspace)},
        "events": _list({"anyOf": _events(workspace)} if workspace.settings.happenings else {"not": {}}),
        "messages": _list(_message(workspace)),
        "triggers": _list(_call(workspace)),
        "expect": _expect(workspace),
    }
    return _closed(
        {name: {**shapes[name], "description": says} for name, says in KEYS.items()}, "test", "now", "expect"
    )


def _closed(properties: Mapping[str, Schema], *required: str) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def _list(item: Schema) -> Schema:
    return {"type": ["array", "null"], "items": item}


def _any_of(known: Iterable[str]) -> Schema:
    return {"enum": sorted(known)}


def _value(kind: AttributeType) -> Schema:
    one = values.schema(kind)
    return {"anyOf": [one, {"type": "array", "items": one}]} if kind is AttributeType.LIST else one


def _customer(workspace: Workspace) -> Schema:
    settings = workspace.settings
    purposes = _any_of(settings.purposes)
    said = {"anyOf": [purposes, {"type": "array", "items": purposes}]}
    inner: Mapping[str, Schema] = {
        "consents": said,
        "refuses": said,
        "suppressed": _any_of(reason.value for reason in SuppressionReason),
    }
    kinds = {**settings.attributes, **BUILT_IN_ATTRIBUTES}
    properties = {name: _value(kind) for name, kind in kinds.items() if name != "id"}
    properties |= {channel.value: {"type": "string"} for channel in Channel}
    for word, says in OWN_WORDS.items():
        by_channel = _closed({channel.value: inner[word] for channel in Channel})
        properties[word] = {**by_channel, "description": says}
    return {**_closed(properties), "type": ["object", "null"]}


def _events(workspace: Workspace) -> list[Schema]:
    own = {"customer": _NAME, "at": _TIME}
    return [
        _closed(
            {**{each: _value(kind) for each, kind in declared.items()}, **own, "did": {"const": name}},
            "customer",
            "did",
            "at",
        )
        for name, declared in sorted(workspace.settings.happenings.items())
    ]


def _message(workspace: Workspace) -> Schema:
    """Of a campaign that goes by it, a message may also say when the customer left the audience."""
    rematched = [name for name, campaign in workspace.campaigns.items() if campaign.reentry == "on_rematch"]
    kinds = [(workspace.campaigns, REPORTED), (rematched, (LEFT, *REPORTED))]
    shapes = [
        _closed(
            {"customer": _NAME, "campaign": _any_of(campaigns), "at": _TIME, **dict.fromkeys(words, _TIME)},
            "customer",
            "campaign",
            "at",
        )
        for campaigns, words in kinds
        if campaigns
    ]
    return {"anyOf": shapes} if shapes else {"not": {}}


def _call(workspace: Workspace) -> Schema:
    triggered = [name for name, campaign in workspace.campaigns.items() if campaign.trigger]
    return _closed(
        {"customer": _NAME, "campaign": _any_of(triggered), "data": {"type": "object"}}, "customer", "campaign"
    )


def _expect(workspace: Workspace) -> Schema:
    partly = _closed({name: {**_NAMES, "description": says} for name, says in IN_SEGMENT.items()})
    members = {"anyOf": [_NAMES, partly]}
    reasons = {"type": "object", "additionalProperties": _any_of(reason.value for reason in Reason)}
    fates = {name: {"anyOf": [_NAMES, reasons], "description": says} for name, says in FATES.items()}
    fates["sent"] = {**_NAMES, "description": f"{FATES['sent']} A post: `{PUBLIC}`."}
    inner = {
        "segments": _closed(dict.fromkeys(workspace.segments, members)),
        "campaigns": _closed(dict.fromkeys(workspace.campaigns, _closed(fates))),
    }
    return {
        **_closed({name: {**inner[name], "description": says} for name, says in EXPECTED.items()}),
        "minProperties": 1,
    }
