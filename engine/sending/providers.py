"""The vendors of config.yaml: found by entry point, their settings checked, opened once."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine import document
from engine.errors import ProviderError, RegularsError
from engine.provider import Capabilities, Http, Provider, ProviderSettings
from engine.settings import Settings

GROUP = "regulars.providers"
HOW = "docs/adding-a-provider.md"


def installed() -> tuple[str, ...]:
    """The names of all installed providers, ours and others'."""
    return tuple(sorted(entry_points(group=GROUP).names))


def provider_class(use: str) -> type[Provider]:
    """The provider that config.yaml calls by this name. Raises ProviderError with the names that are known, or what is broken."""
    for point in entry_points(group=GROUP, name=use):
        try:
            loaded: type[Provider] = point.load()
        except Exception as error:  # whatever a plugin's module does when it is read
            what = f'the provider "{use}" cannot be loaded: {type(error).__name__}: {error}'
            raise ProviderError(what, remedy=f"Mend its package, or install it anew ({point.value}).") from error
        if (flaw := _flaw(loaded)) is not None:
            raise ProviderError(f'the provider "{use}" {flaw}', remedy=f"Mend {point.value}: see {HOW}.")
        return loaded
    raise ProviderError(f'there is no provider called "{use}"', remedy=document.suggestion(use, installed()))


def _flaw(loaded: Any) -> str | None:
    """What keeps a class from being a provider, before it is made."""
    if not (isinstance(loaded, type) and issubclass(loaded, Provider)):
        return "is none: its entry point must name a subclass of Provider"
    if missing := sorted(loaded.__abstractmethods__):
        return f"lacks {', '.join(f'`{name}`' for name in missing)}"
    if not (isinstance(loaded.Settings, type) and issubclass(loaded.Settings, ProviderSettings)):
        return "has `Settings` that are no subclass of ProviderSettings"
    return None


def open_provider(name: str, definition: Mapping[str, Any], http: Http, folder: Path) -> Provider:
    """One provider, ready to send; relative paths in its settings lie in `folder`. Raises ProviderError or SecretMissing, naming the place in config.yaml."""
    where = f"config.yaml: providers.{name}"
    try:
        chosen = provider_class(str(definition.get("use", "")))
        rest = {key: value for key, value in definition.items() if key != "use"}
        return _made(chosen, chosen.Settings.model_validate(rest, context={"folder": folder}), http)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in error.errors())
        raise ProviderError(told, where=where, remedy="`regulars check` shows each place.") from error
    except RegularsError as error:
        error.where = error.where or where
        raise


def _made(chosen: type[Provider], settings: ProviderSettings, http: Http) -> Provider:
    who = f"{chosen.__module__}:{chosen.__qualname__}"
    try:
        provider = chosen(settings, http=http)
    except (RegularsError, ValidationError):
        raise
    except Exception as error:  # against its contract
        what = f"the provider cannot be made: {type(error).__name__}: {error}"
        raise ProviderError(what, remedy=f"Mend {who}: see {HOW}.") from error
    if not isinstance(getattr(provider, "capabilities", None), Capabilities):
        raise ProviderError("the provider has no `capabilities`", remedy=f"Mend {who}: see {HOW}.")
    return provider


def open_providers(settings: Settings, http: Http, folder: Path) -> dict[str, Provider]:
    """Every provider of config.yaml, by its name there; one without a route still hears its vendor's webhooks."""
    return {
        name: open_provider(name, definition, http, folder) for name, definition in sorted(settings.providers.items())
    }
