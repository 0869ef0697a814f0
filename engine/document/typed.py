"""Giving a document its types: what pydantic finds wrong, at its place in the file and in the words of its writer."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from engine.document.tree import Node, plain, position_of
from engine.errors import Problem, WorkspaceError

MAX_SHOWN = 12
"""How many known names an error lists where none is near."""


def suggestion(word: str, known: Iterable[str]) -> str:
    """`Did you mean "x"?`, or the list of what is known where nothing is near."""
    names = sorted(set(known))
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f'Did you mean "{near[0]}"?'
    shown = ", ".join(names[:MAX_SHOWN])
    rest = f" and {len(names) - MAX_SHOWN} more" if len(names) > MAX_SHOWN else ""
    return f"Known: {shown}{rest}." if names else ""


M = TypeVar("M", bound=BaseModel)


def validate(model: type[M], node: Node, **context: Any) -> M:
    """Give a document its types. Raises WorkspaceError with every problem, each at its place."""
    try:
        return model.model_validate(plain(node), context=context)
    except ValidationError as error:
        details = error.errors()
        told = [detail for detail in details if not _follows(detail, details)]
        raise WorkspaceError([_problem(model, node, detail) for detail in told]) from error


def _follows(detail: Any, details: Sequence[Any]) -> bool:
    """Whether an error only follows from another: a default that could not be made, a key missing because it is misspelt."""
    if detail["type"] != "missing":
        return bool(detail["type"] == "default_factory_not_called")
    *parent, name = detail["loc"]
    unknown = [other["loc"] for other in details if other["type"] == "extra_forbidden"]
    misspelt = [str(key) for *around, key in unknown if around == parent]
    return bool(difflib.get_close_matches(name, misspelt, n=1))


_WORDS: dict[str, str] = {
    "int_parsing": "is not a whole number",
    "int_type": "takes a whole number",
    "float_parsing": "is not a number",
    "bool_parsing": "is neither true nor false",
    "bool_type": "takes true or false",
    "string_type": "takes one text",
    "string_too_short": "must not be empty",
    "dict_type": "takes keys with values under it",
    "mapping_type": "takes keys with values under it",
    "model_type": "takes keys with values under it",
    "list_type": "takes a list",
    "tuple_type": "takes a list",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "greater_than": "must be more than {gt}",
    "string_pattern_mismatch": "does not look right",
}
"""pydantic's kinds of error, in the words of somebody who edits the file."""


def _problem(model: type[BaseModel], node: Node, detail: Any) -> Problem:
    path = [step for step in detail["loc"] if not (isinstance(step, str) and step.startswith("function-"))]
    of_key = bool(path) and path[-1] == "[key]"
    path = path[:-1] if of_key else path
    name = path[-1] if path else ""
    if detail["type"] == "extra_forbidden":
        at = position_of(node, path, key=True)
        return Problem(at=at, what=f'unknown key "{name}".', remedy=suggestion(str(name), _fields(model, path[:-1])))
    if detail["type"] == "missing":
        at = position_of(node, path[:-1], key=True)
        return Problem(at=at, what=f'"{name}" is missing.', remedy=_meaning(model, path))
    at, given, context = position_of(node, path, key=of_key), detail.get("input"), detail.get("ctx", {})
    subject = _subject(path)
    if given is None:
        return Problem(at=at, what=f"{subject} has no value.", remedy=_meaning(model, path))
    if detail["type"] in ("enum", "literal_error") and isinstance(given, str):
        choices = [part.strip(" '") for part in str(context["expected"]).replace(" or ", ", ").split(",")]
        return Problem(at=at, what=f'{subject} cannot be "{given}".', remedy=_choice(given, choices))
    what = str(detail["msg"]).removeprefix("Value error, ")
    if detail["type"] in _WORDS:
        what = _WORDS[detail["type"]].format(**context)
        return Problem(at=at, what=f"{subject} {what}{_shown(given)}.", remedy=_meaning(model, path))
    shown = "" if "secret" in what else _shown(given)
    return Problem(at=at, what=f"{subject}: {what}{shown}." if name != "" else f"{what}.")


def _subject(path: Sequence[str | int]) -> str:
    match path:
        case []:
            return "this"
        case [*_, str(before), int(index)]:
            return f'"{before}", item {index + 1},'
        case _:
            return f'"{path[-1]}"'


def _shown(given: object) -> str:
    return f' (here: "{given}")' if isinstance(given, str) and len(given) < 80 else ""


def _choice(given: str, choices: list[str]) -> str:
    near = difflib.get_close_matches(given, choices, n=1, cutoff=0.75)
    return f'Did you mean "{near[0]}"?' if near else f"It is one of: {', '.join(choices)}."


def _meaning(model: Any, path: Sequence[str | int]) -> str:
    """What the field at `path` is for: its description in the model."""
    fields = _fields(model, path[:-1])
    return (fields[str(path[-1])].description or "") if path and str(path[-1]) in fields else ""


def _fields(model: Any, path: Sequence[str | int]) -> dict[str, FieldInfo]:
    """The fields a model has at `path`, by their names in the file; empty where the path leaves what can be followed."""
    for step in path:
        named = _named(model)
        model = named[str(step)].annotation if str(step) in named else model
    return _named(model)


def _named(annotation: Any) -> dict[str, FieldInfo]:
    model = _inner(annotation)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return {}
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _inner(annotation: Any) -> Any:
    """The model inside Optional[…], dict[str, …], list[…] or Annotated[…]; the annotation itself where there is none."""
    origin = typing.get_origin(annotation)
    if origin is None:
        return annotation
    arguments = [a for a in typing.get_args(annotation) if a is not types.NoneType]
    models = [a for a in map(_inner, arguments) if isinstance(a, type) and issubclass(a, BaseModel)]
    return models[-1] if models else annotation
