"""The vendors of config.yaml: found by entry point, their settings checked, opened once."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine import document
from engine.errors import ProviderError, RegularsError
from engine.provider import Http, Provider
from engine.settings import Settings

GROUP = "regulars.providers"


def installed() -> tuple[str, ...]:
    """The names of all installed providers, ours and others'."""
    return tuple(sorted(entry_points(group=GROUP).names))


def provider_class(use: str) -> type[Provider]:
    """The provider that config.yaml calls by this name. Raises ProviderError with the names that are known."""
    for point in entry_points(group=GROUP, name=use):
        loaded = point.load()
        if isinstance(loaded, type) and issubclass(loaded, Provider):
            return loaded
        raise ProviderError(
            f'the entry point "{use}" is no provider', remedy="Its package must point it at a subclass of Provider."
        )
    raise ProviderError(f'there is no provider called "{use}"', remedy=document.suggestion(use, installed()))


def open_provider(name: str, definition: Mapping[str, Any], http: Http, folder: Path) -> Provider:
    """One provider, ready to send; relative paths in its settings lie in `folder`. Raises ProviderError or SecretMissing, naming the place in config.yaml."""
    where = f"config.yaml: providers.{name}"
    try:
        chosen = provider_class(str(definition.get("use", "")))
        rest = {key: value for key, value in definition.items() if key != "use"}
        return chosen(chosen.Settings.model_validate(rest, context={"folder": folder}), http=http)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in error.errors())
        raise ProviderError(told, where=where, remedy="`regulars check` shows each place.") from error
    except RegularsError as error:
        error.where = error.where or where
        raise


def open_providers(settings: Settings, http: Http, folder: Path) -> dict[str, Provider]:
    """Every provider of config.yaml, by its name there; one without a route still hears its vendor's webhooks."""
    return {
        name: open_provider(name, definition, http, folder) for name, definition in sorted(settings.providers.items())
    }
