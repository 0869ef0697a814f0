"""The JSON Schemas say what the checks say: made from the same tables, they pass what is right and mark what is wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from docs import make_errors
from engine.rules.files import rule_files
from engine.rules.measures import MEASURES
from engine.rules.operators import NAMES
from engine.rules.read import CONDITIONS
from engine.rules.schema import config_schema, rules_schema
from engine.settings import load_settings
from engine.shipped import starter
from tests.rules import shop
from tests.rules.language import Rule, rules
from tests.rules.test_errors import CAMPAIGN

SCHEMA = rules_schema(shop.SETTINGS, shop.SEGMENTS)
RULES = Draft202012Validator(SCHEMA)


class _Editor(yaml.SafeLoader):
    """YAML as editors read it: numbers and truth values have types, dates are text."""


_Editor.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith("timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def marked(text: str) -> list[str]:
    return [error.message for error in RULES.iter_errors(yaml.load(text, Loader=_Editor))]


def test_the_schemas_are_schemas() -> None:
    """They hold to their own standard."""
    Draft202012Validator.check_schema(SCHEMA)
    Draft202012Validator.check_schema(config_schema())
    Draft202012Validator.check_schema(rules_schema(shop.SETTINGS.model_copy(update={"events": {}, "attributes": {}})))


def test_the_starter_workspace_passes_its_schemas() -> None:
    """Nothing that ships is underlined in red."""
    validator = Draft202012Validator(rules_schema(load_settings(starter())))
    for path in rule_files(starter()):
        written = yaml.load(path.read_text(), Loader=_Editor)
        assert list(validator.iter_errors(written)) == [], path
    config = yaml.load((starter() / "config.yaml").read_text(), Loader=_Editor)
    assert list(Draft202012Validator(config_schema()).iter_errors(config)) == []


@settings(max_examples=60, deadline=None)
@given(rule=rules(), typed=st.booleans())
def test_every_rule_of_the_language_passes(rule: Rule, typed: bool) -> None:
    """Whatever the checks take, the schema takes, whether its values are quoted or an editor gives them types."""
    assert list(RULES.iter_errors({"segments": {"x": {"who": _typed(rule) if typed else rule}}})) == []


def _typed(value: Any) -> Any:
    """As an editor reads it where nothing is quoted."""
    match value:
        case dict():
            return {key: _typed(inner) for key, inner in value.items()}
        case list():
            return [_typed(inner) for inner in value]
        case str() if re.fullmatch(r"-?\d+(\.\d+)?|true|false", value):
            return json.loads(value)
        case _:
            return value


@pytest.mark.parametrize(
    "segment",
    [
        "who: {coutry: FI}",
        "who: {country: {at_least: 3}}",
        "who: {country: {in: FI}}",
        "who: {age: old}",
        "who: {vip: maybe}",
        "who: {birthday: 1.2.1997}",
        "who: {all: {country: FI}}",
        "who: {all: []}",
        "who: {not: [{country: FI}]}",
        "who: {did: purchse}",
        "who: {did: purchase, times: 2}",
        "who: {did: purchase, times: {at_least: 1.5}}",
        "who: {did: purchase, times: {multiple_of: 0}}",
        "who: {age: {multiple_of: 0.5}}",
        "who: {did: purchase, sum: {at_least: 3}}",
        "who: {did: purchase, sum: {of: title, at_least: 3}}",
        "who: {did: purchase, within: 3 months}",
        "who: {did: purchase, where: {titel: x}}",
        "who: {did: purchase, country: FI}",
        "who: {did: visit, where: {amount: 3}}",
        "whom: {country: FI}",
        "country: FI",
        "description: no condition",
    ],
)
def test_a_mistake_in_a_segment_is_marked(segment: str) -> None:
    """While it is typed, not only when it is checked."""
    assert marked("segments:\n  x:\n    description: right\n    who: {country: FI}\n") == []
    assert marked(f"segments:\n  x: {{{segment}}}\n") != []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("email", "emial"),
        ("commercial", "promo"),
        ("offers", "offer"),
        ("schedule", "schedul"),
        ("channel: email\n", ""),
        ("14 days", "14 moons"),
        ('cron: "0 10 * * mon"', "time_zone: UTC"),
        ("audience: lapsing", "audience: {countri: FI}"),
        ("goal", "reentry: sometimes\ngoal"),
    ],
)
def test_a_mistake_in_a_campaign_is_marked(old: str, new: str) -> None:
    """As in a segment."""
    assert marked(CAMPAIGN) == []
    assert marked(CAMPAIGN.replace(old, new, 1)) != []


ONLY_CHECK_CAN_TELL = {
    "The same key twice", "The same segment twice in one file", "Anchors and aliases", "A tag",  # an editor's YAML tells
    "`on` is no value of true or false",  # to an editor it is a text, to this test's reader a truth value
    "A misspelt segment", "Segments that contain each other", "A template that is not there",  # what stands in other files
    "A range that goes backwards", "An hour that does not exist",
    "A time zone that is none", "A provider that is not installed", "Tickets without PostgreSQL",
}  # fmt: skip
"""Of the gallery of broken files; and all conditions that can never hold."""


def test_every_broken_file_is_marked_but_for_what_only_check_can_tell() -> None:
    """While it is typed: of the gallery of errors, whatever is a matter of one file's shape."""
    known = load_settings(make_errors.GALLERY / "workspace")
    schemas = {"config.yaml": config_schema(), "rules": rules_schema(known, ["lapsing"])}
    passed = set()
    for case in make_errors.cases():
        if not case.file.endswith(".yaml") or case.chapter == "Conditions that can never hold":
            continue
        try:
            written = yaml.load(case.text, Loader=_Editor)
        except yaml.YAMLError:
            continue
        schema = schemas[case.file if case.file in schemas else "rules"]
        if Draft202012Validator(schema).is_valid(written):
            passed.add(case.title)
    assert passed == ONLY_CHECK_CAN_TELL


def test_every_row_of_the_tables_can_be_completed() -> None:
    """A word, operator or measure that is added to its table is in the schema without another line."""
    keys: set[str] = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            keys.update(value.get("properties", {}))
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(SCHEMA)
    assert {*CONDITIONS, *NAMES, *MEASURES, *shop.SETTINGS.attributes, "within", "where"} <= keys


def test_the_config_schema_marks_mistakes() -> None:
    """An unknown key, a wrong type of attribute, a secret in the open."""
    config = yaml.safe_load(Path(starter() / "config.yaml").read_text())
    validator = Draft202012Validator(config_schema())
    mistakes: tuple[dict[str, Any], ...] = (
        {"attributs": {}},
        {"attributes": {"x": "txt"}},
        {"secret": "hunter2"},
        {"quiet_hours": {"sms": {"from": "9pm", "to": "08:00"}}},
    )
    for wrong in mistakes:
        assert list(validator.iter_errors({**config, **wrong})) != [], wrong
