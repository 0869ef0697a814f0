"""JSON Schemas for editors: they complete and check while one types. Made from the tables the checks themselves use.

A schema helps, and `regulars check` judges: what depends on two places of a file, or on two files, only the latter sees.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from engine.model import AttributeType, Channel
from engine.rules import values
from engine.rules.arms import HOLDOUT
from engine.rules.campaign import PUBLIC, Campaign
from engine.rules.measures import MEASURES, Measure
from engine.rules.messages import ANY
from engine.rules.operators import OPERATORS, Operator, Takes
from engine.rules.read.condition import CONDITIONS, Holds, Word
from engine.rules.read.event import FOLLOWED
from engine.rules.read.measured import BEST, WITHOUT_PROPERTIES
from engine.rules.read.parts import ON
from engine.rules.read.ranked import BAND, MONEY
from engine.rules.read.tests import MOST_VALUES
from engine.rules.read.window import EDGES
from engine.rules.rfm import BANDS, SCORES
from engine.settings import BUILT_IN_ATTRIBUTES, Settings

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]

_SPAN: Schema = {
    "type": "string",
    "pattern": r"^(\d+ *(second|minute|hour|day|week)s?|today)$",
    "examples": ["90 days"],
}
_STEP: Schema = {"type": ["integer", "string"], "minimum": 1, "pattern": r"^0*[1-9][0-9]*$"}
_NAME: Schema = {"type": "string", "pattern": r"^[a-z][a-z0-9_-]*$"}
_CHANNEL: Schema = {"enum": sorted(Channel)}
_PERCENT: Schema = {"type": ["number", "string"], "pattern": r"^[0-9.]+ *%?$", "examples": ["5 %"]}


def rules_schema(settings: Settings, segments: Iterable[str] = ()) -> Schema:
    """The schema of a file of rules, with the workspace's own attributes, events, purposes and, where given, segments."""
    campaign = Campaign.model_json_schema(by_alias=True, ref_template="#/$defs/{model}")
    definitions = campaign.pop("$defs")
    campaign["properties"].update(_workspace_keys(settings, segments))
    campaign["title"] = "A campaign"
    campaign["oneOf"] = [{"required": [start]} for start in ("schedule", "trigger")]
    offered = {"class": {"const": "commercial"}, "audience": {"not": {"const": PUBLIC}}}
    campaign["if"] = {"required": list(offered), "properties": offered}
    campaign["then"] = {"required": ["goal"]}
    campaign["allOf"] = [{"if": {"required": ["holdout"]}, "then": {"properties": offered}}]
    campaign["properties"]["holdout"]["pattern"] = r"^\d{1,2}(\.\d{1,2})? *%$"
    _variants(campaign["properties"]["variants"])
    definitions["Goal"]["properties"] |= _goal(definitions["Goal"]["properties"], settings)
    definitions["Schedule"]["oneOf"] = [{"required": [rhythm]} for rhythm in ("cron", "every", "at")]
    definitions["Schedule"]["required"] = []  # the time zone is the workspace's where it is left out
    definitions |= {
        "condition": _condition(settings),
        "segment-name": _names(segments),
        "segments": _segments_file(),
        "campaign": campaign,
        **{f"{kind}-tests": _tests(kind) for kind in AttributeType},
        **{f"event-{name}": _event(name, properties, settings) for name, properties in settings.happenings.items()},
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


def _variants(names: Schema) -> None:
    names |= {"minItems": 2, "uniqueItems": True}
    names["items"] |= {"not": {"const": HOLDOUT}}


def _goal(properties: Mapping[str, Any], settings: Settings) -> Schema:
    """The events that there are, and the numbers that can be summed."""
    numbers = _numbers(settings)
    return {
        "event": {"enum": sorted(settings.happenings), "description": properties["event"]["description"]},
        "value": {"enum": [*numbers, None], "description": properties["value"]["description"]},
    }


def _numbers(settings: Settings) -> list[str]:
    """The properties of any event that are numbers."""
    return sorted(
        {name for of in settings.happenings.values() for name, kind in of.items() if kind is AttributeType.NUMBER}
    )


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
    """A mapping with a word that takes parts beside it is that word's; any other holds words and attributes."""
    attributes = {**BUILT_IN_ATTRIBUTES, **settings.attributes}
    words = {name: _word(word, settings) for name, word in CONDITIONS.items()}
    words |= {name: {"$ref": f"#/$defs/{kind}-tests"} for name, kind in attributes.items()}
    schema: Schema = {"properties": words, "additionalProperties": False}
    for name, word in reversed(tuple(CONDITIONS.items())):
        if word.parts:
            schema = {"if": {"required": [name]}, "then": _headed(word, settings), "else": schema}
    return {"type": "object", "minProperties": 1, **schema}


def _headed(word: Word, settings: Settings) -> Any:
    """The mapping of a word that has it for itself."""
    match word.holds:
        case Holds.EVENT:
            events = [{"$ref": f"#/$defs/event-{name}"} for name in sorted(settings.happenings)]
            return {"properties": {word.name: _word(word, settings)}, "anyOf": events} if events else False
        case Holds.CAMPAIGN:
            measures = {name: _measure(MEASURES[name], {}) for name in WITHOUT_PROPERTIES}
            parts = {ON: _CHANNEL, **measures, **_window(settings)}
        case Holds.RFM:
            parts = _rfm(settings)
        case _:
            parts = {ON: _CHANNEL}
    return {"properties": {word.name: _word(word, settings), **parts}, "additionalProperties": False}


def _word(word: Word, settings: Settings) -> Schema:
    lot = {"of": {"type": "string"}, **_operators(AttributeType.NUMBER, one=_PERCENT)}
    shapes: Mapping[Holds, Schema] = {
        Holds.CONDITIONS: {"type": "array", "items": {"$ref": "#/$defs/condition"}, "minItems": 1},
        Holds.CONDITION: {"$ref": "#/$defs/condition"},
        Holds.SEGMENT: {"$ref": "#/$defs/segment-name"},
        Holds.EVENT: {"enum": sorted(settings.happenings)},
        Holds.CAMPAIGN: {**_NAME, "examples": [ANY]},
        Holds.PURPOSE: {"enum": sorted(settings.purposes)},
        Holds.CHANNEL: _CHANNEL,
        Holds.LIST: {"type": "string", "pattern": r"\.txt$"},
        Holds.LOT: {"type": "object", "properties": lot, "required": ["of"], "minProperties": 2, "additionalProperties": False},
        Holds.RFM: {"enum": sorted(settings.happenings)},
    }  # fmt: skip
    return {**shapes[word.holds], "description": word.says}


def _window(settings: Settings) -> Schema:
    moment = values.schema(AttributeType.TIME)
    event = {"enum": sorted(settings.happenings)}
    edge = {
        "type": "object",
        "properties": dict.fromkeys(EDGES, event),
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
    }
    return {
        "within": {**_SPAN, "description": "Only events at most so old count."},
        "since": {"anyOf": [moment, edge], "description": "Only events from this time on, or later than the last or first of an event, count."},
        "before": {**moment, "description": "Only events earlier than this count."},
        "between": {"type": "array", "items": moment, "minItems": 2, "maxItems": 2, "description": "Only events between these two times count."},
    }  # fmt: skip


def _event(name: str, properties: Mapping[str, AttributeType], settings: Settings) -> Schema:
    return {
        "type": "object",
        "properties": {
            "did": {"const": name},
            **{measure.name: _measure(measure, properties) for measure in MEASURES.values()},
            **_window(settings),
            "where": _where(properties, "Only events with these properties count."),
            **{word: _then(settings, happened=happened) for word, happened in FOLLOWED.items()},
        },
        "required": ["did"],
        "dependentRequired": {measure.name: [measure.needs] for measure in MEASURES.values() if measure.needs},
        "additionalProperties": False,
    }


def _where(properties: Mapping[str, AttributeType], says: str) -> Schema:
    where = {key: {"$ref": f"#/$defs/{kind}-tests"} for key, kind in properties.items()}
    return {
        "type": "object",
        "properties": where,
        "minProperties": 1,
        "additionalProperties": False,
        "description": says,
    }


def _then(settings: Settings, *, happened: bool) -> Schema:
    """What must, or must not, have followed. Which properties its event has is `check`'s to tell."""
    properties = {key: kind for of in settings.happenings.values() for key, kind in of.items()}
    known = {"enum": sorted(properties)}
    return {
        "type": "object",
        "properties": {
            "did": {"enum": sorted(settings.happenings)},
            "within": {**_SPAN, "description": "So soon after it."},
            "where": _where(properties, "Only a following event with these properties counts."),
            "same": {
                "anyOf": [known, {"type": "array", "items": known}],
                "description": "Properties in which both events agree.",
            },
        },
        "required": ["did"],
        "additionalProperties": False,
        "description": "What was done next." if happened else "What was not done next, though its time is over.",
    }


def _rfm(settings: Settings) -> Schema:
    score = {"anyOf": [{"type": ["integer", "string"]}, _whole_tests()]}
    band = {"enum": list(BANDS)}
    return {
        **{name: {**score, "description": says} for name, says in SCORES.items()},
        BAND: {"anyOf": [band, {"type": "array", "items": band, "minItems": 1}], "description": "In one of these bands."},
        MONEY: {"enum": _numbers(settings), "description": "The property that says how much was spent."},
        "within": {**_SPAN, "description": "Only events at most so old count."},
    }  # fmt: skip


def _whole_tests() -> Schema:
    operators = _operators(AttributeType.NUMBER, whole=True)
    return {"type": "object", "properties": operators, "minProperties": 1, "additionalProperties": False}


def _measure(measure: Measure, properties: Mapping[str, AttributeType]) -> Schema:
    tests = {name: shape for name, shape in _operators(measure.type, whole=measure.whole).items() if name != "present"}
    ranked = {**_PERCENT, "description": "Among so many percent of those who have such events, the highest first."}
    best = {BEST: ranked} if measure.type is AttributeType.NUMBER else {}
    of = sorted(name for name, kind in properties.items() if kind in measure.of)
    return {
        "type": "object",
        "properties": {**({"of": {"enum": of}} if measure.of else {}), **best, **tests},
        "required": ["of"] if measure.of else [],
        "minProperties": 2 if measure.of else 1,
        "additionalProperties": False,
        "description": measure.says,
    }


def _tests(kind: AttributeType) -> Schema:
    """`{operator: value}`, or a plain value where that is short for `is`."""
    tests = {"type": "object", "properties": _operators(kind), "minProperties": 1, "additionalProperties": False}
    return {"anyOf": [values.schema(kind), tests]} if ("is", kind) in OPERATORS else tests


def _operators(kind: AttributeType, *, whole: bool = False, one: Schema | None = None) -> Schema:
    """`one`: the shape of a value, where it is not every one of the type."""
    count: Schema = {"type": ["integer", "string"], "minimum": 0, "pattern": r"^[0-9]+$"}
    one = one or (count if whole else values.schema(kind))
    return {name: _operator(row, one) for (name, taken), row in OPERATORS.items() if taken is kind}


def _operator(operator: Operator, one: Schema) -> Schema:
    shapes: Mapping[Takes, Schema] = {
        Takes.ONE: one,
        Takes.TWO: {"type": "array", "items": one, "minItems": 2, "maxItems": 2},
        Takes.MANY: {"type": "array", "items": one, "minItems": 1, "maxItems": MOST_VALUES},
        Takes.YES_NO: values.schema(AttributeType.BOOLEAN),
        Takes.DAYS: _SPAN,
        Takes.STEP: _STEP,
    }
    return {**shapes[operator.takes], "description": operator.says}
