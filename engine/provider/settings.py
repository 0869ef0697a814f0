"""What a provider is told in config.yaml: its settings, and references to secrets, which stand in no file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from engine.errors import SecretMissing
from engine.rate import RateText


@dataclass(frozen=True, slots=True)
class Secret:
    """A reference to an environment variable, written `${env:NAME}`; the value is read when it is needed and never shown."""

    variable: str

    def reveal(self) -> str:
        """The secret's value. Raises SecretMissing, naming the variable, where it is not set or empty."""
        value = os.environ.get(self.variable, "")
        if not value:
            raise SecretMissing(self.variable)
        return value


_REFERENCE = re.compile(r"^\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}$")


def _reference(value: object) -> Secret:
    if isinstance(value, Secret):
        return value
    match = _REFERENCE.match(str(value))
    if match is None:
        raise ValueError("a secret is not written into a file: put ${env:NAME} here and the value into the environment")
    return Secret(match.group(1))


def _text_or_reference(value: object) -> object:
    return _reference(value) if _REFERENCE.match(str(value)) else value


SecretRef = Annotated[Secret, BeforeValidator(_reference)]
TextOrSecret = Annotated[Secret | str, BeforeValidator(_text_or_reference)]
"""An account's name or a public key: no secret, but some keep it in the environment. Read it with `reveal`."""


def reveal(value: Secret | str) -> str:
    """The text of a setting, wherever it is kept. Raises SecretMissing."""
    return value.reveal() if isinstance(value, Secret) else value


class ProviderSettings(BaseModel):
    """Base of each provider's settings. Unknown keys are refused; secrets are `SecretRef`.

    connections: how many messages may be on their way to the vendor at once, and so how many a crash can leave in doubt.
    rate: how many messages the vendor takes within a time, from all senders together.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    connections: int = Field(default=8, ge=1, le=200)
    rate: RateText | None = None

    def secrets(self) -> tuple[Secret, ...]:
        """Every secret these settings refer to, in lists and inner blocks too, for `check` to report the missing ones."""
        return tuple(_secrets_in(self))


def _secrets_in(value: object) -> Iterator[Secret]:
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, BaseModel):
        for _, inner in value:
            yield from _secrets_in(inner)
    elif isinstance(value, list | tuple | frozenset | set):
        for inner in value:
            yield from _secrets_in(inner)
    elif isinstance(value, Mapping):
        yield from _secrets_in(list(value.values()))
