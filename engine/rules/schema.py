"""JSON Schemas for editors: they complete and check while one types. Made from the tables the checks themselves use.

A schema helps, and `regulars check` judges: what depends on two places of a file, or on two files, only the latter sees.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from engine.model import AttributeType
from engine.rules import values
from engine.rules.campaign import PUBLIC, Campaign
from engine.rules.measures import MEASURES, Measure
from engine.rules.operators import OPERATORS, Operator, Takes
from engine.rules.read.condition import CONDITIONS, Holds, Word
from engine.rules.read.tests import MOST_VALUES
from engine.settings import BUILT_IN_ATTRIBUTES, Settings

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]

_SPAN: Schema = {"type": "string", "pattern": r"^\d+ *(second|minute|hour|day|week)s?$", "examples": ["90 days"]}
_NAME: Schema = {"type": "string", "pattern": r"^[a-z][a-z0-9_-]*$"}


def rules_schema(settings: Settings, segments: Iterable[str] = ()) -> Schema:
    """The schema of a file of rules, with the workspace's own attributes, events, purposes and, where given, segments."""
    campaign = Campaign.model_json_schema(by_alias=True, ref_template="#/$defs/{model}")
    definitions = campaign.pop("$defs")
    campaign["properties"].update(_workspace_keys(settings, segments))
    campaign["title"] = "A campaign"
    definitions["Schedule"]["oneOf"] = [{"required": [rhythm]} for rhythm in ("cron", "every", "at")]
    definitions["Schedule"]["required"] = []  # the time zone is the workspace's where it is left out
    definitions |= {
        "condition": _condition(settings),
        "segment-name": _names(segments),
        "segments": _segments_file(),
        "campaign": campaign,
        **{f"{kind}-tests": _tests(kind) for kind in AttributeType},
        **{f"event-{name}": _event(name, properties) for name, properties in settings.events.items()},
    }
    return {
        "$schema": DIALECT,
        "title": "Rules",
        "description": "A file holds segments, or one campaign.",
        "if": {"type": "object", "required": ["segments"]},
        "then": {"$ref": "#/$defs/segments"},
        "else": {
            "if": {"type": "object", "required": ["campaign"]},
            "then": {"$ref": "#/$defs/campaign"},
            "else": _beginning(),
        },
        "$defs": definitions,
    }


def config_schema() -> Schema:
    """The schema of config.yaml. What a provider takes beside `use` is its own matter, and not checked here."""
    schema = Settings.model_json_schema(by_alias=True)
    secret = {"type": "string", "pattern": r"^\$\{env:[A-Za-z_][A-Za-z0-9_]*\}$", "examples": ["${env:NAME}"]}
    schema["$defs"]["Secret"] = {**secret, "description": "A secret stands in the environment, never in a file."}
    return {"$schema": DIALECT, **schema, "title": "config.yaml"}


def _beginning() -> Schema:
    """An empty file, or its first word being typed."""
    return {"type": ["object", "null"], "properties": {"segments": {}, "campaign": {}}, "additionalProperties": False}


def _segments_file() -> Schema:
    segment = {
        "type": "object",
        "properties": {
            "description": {"type": "string", "description": "One sentence on who this is."},
            "who": {"$ref": "#/$defs/condition", "description": "The condition."},
        },
        "required": ["who"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "title": "Segments",
        "properties": {
            "segments": {"type": ["object", "null"], "propertyNames": _NAME, "additionalProperties": segment}
        },
        "additionalProperties": False,
    }


def _workspace_keys(settings: Settings, segments: Iterable[str]) -> Schema:
    """What a campaign's keys take in this workspace."""
    described = Campaign.model_fields
    known = sorted({PUBLIC, *segments})
    audience = {"anyOf": [{"enum": known}, _NAME, {"$ref": "#/$defs/condition"}]}
    return {
        "audience": {**audience, "description": described["audience"].description},
        "purpose": {"enum": sorted(settings.purposes), "description": described["purpose"].description},
    }


def _names(segments: Iterable[str]) -> Schema:
    known = sorted(segments)
    return {"anyOf": [{"enum": known}, _NAME]} if known else _NAME


def _condition(settings: Settings) -> Schema:
    """A mapping that begins with `did` is an event's; any other holds words and attributes."""
    attributes = {**BUILT_IN_ATTRIBUTES, **settings.attributes}
    words = {name: _word(word) for name, word in CONDITIONS.items() if word.holds is not Holds.EVENT}
    words |= {name: {"$ref": f"#/$defs/{kind}-tests"} for name, kind in attributes.items()}
    did = {"enum": sorted(settings.events), "description": CONDITIONS["did"].says}
    events = [{"$ref": f"#/$defs/event-{name}"} for name in sorted(settings.events)]
    return {
        "type": "object",
        "minProperties": 1,
        "if": {"required": ["did"]},
        "then": {"properties": {"did": did}, "anyOf": events} if events else False,
        "else": {"properties": {**words, "did": did}, "additionalProperties": False},
    }


def _word(word: Word) -> Schema:
    shapes: Mapping[Holds, Schema] = {
        Holds.CONDITIONS: {"type": "array", "items": {"$ref": "#/$defs/condition"}, "minItems": 1},
        Holds.CONDITION: {"$ref": "#/$defs/condition"},
        Holds.SEGMENT: {"$ref": "#/$defs/segment-name"},
    }
    return {**shapes[word.holds], "description": word.says}


def _event(name: str, properties: Mapping[str, AttributeType]) -> Schema:
    where = {key: {"$ref": f"#/$defs/{kind}-tests"} for key, kind in properties.items()}
    return {
        "type": "object",
        "properties": {
            "did": {"const": name},
            **{measure.name: _measure(measure, properties) for measure in MEASURES.values()},
            "within": {**_SPAN, "description": "Only events at most so old count."},
            "where": {
                "type": "object",
                "properties": where,
                "minProperties": 1,
                "additionalProperties": False,
                "description": "Only events with these properties count.",
            },
        },
        "required": ["did"],
        "additionalProperties": False,
    }


def _measure(measure: Measure, properties: Mapping[str, AttributeType]) -> Schema:
    tests = {name: shape for name, shape in _operators(measure.type, whole=measure.whole).items() if name != "present"}
    of = sorted(name for name, kind in properties.items() if kind is measure.of)
    return {
        "type": "object",
        "properties": {**({"of": {"enum": of}} if measure.of else {}), **tests},
        "required": ["of"] if measure.of else [],
        "minProperties": 2 if measure.of else 1,
        "additionalProperties": False,
        "description": measure.says,
    }


def _tests(kind: AttributeType) -> Schema:
    """`{operator: value}`, or a plain value where that is short for `is`."""
    tests = {"type": "object", "properties": _operators(kind), "minProperties": 1, "additionalProperties": False}
    return {"anyOf": [values.schema(kind), tests]} if ("is", kind) in OPERATORS else tests


def _operators(kind: AttributeType, *, whole: bool = False) -> Schema:
    one: Schema = (
        {"type": ["integer", "string"], "minimum": 0, "pattern": r"^[0-9]+$"} if whole else values.schema(kind)
    )
    return {name: _operator(row, one) for (name, taken), row in OPERATORS.items() if taken is kind}


def _operator(operator: Operator, one: Schema) -> Schema:
    shapes: Mapping[Takes, Schema] = {
        Takes.ONE: one,
        Takes.TWO: {"type": "array", "items": one, "minItems": 2, "maxItems": 2},
        Takes.MANY: {"type": "array", "items": one, "minItems": 1, "maxItems": MOST_VALUES},
        Takes.YES_NO: values.schema(AttributeType.BOOLEAN),
    }
    return {**shapes[operator.takes], "description": operator.says}
