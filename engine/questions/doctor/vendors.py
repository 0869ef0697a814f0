"""Secrets that should be in the environment, and vendors that should know us."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

from engine.errors import RegularsError, SecretMissing
from engine.provider import Http, Provider, Secret, Verified
from engine.questions.doctor.finding import Finding, good, skipped, warning, wrong
from engine.sending.providers import open_provider
from engine.settings import Settings

AT_ONCE = 8
NOTICE = timedelta(days=14)
"""So long before credentials end, that is told as a warning."""

RENEW = "Make new ones at the vendor, put them into the environment, and start anew: docs/channels.md says how."


def opened(settings: Settings, folder: Path) -> tuple[dict[str, Provider], list[Finding]]:
    """Every provider of config.yaml that can be opened, and what is wrong with the others."""
    providers, findings, http = {}, list[Finding](), Http()
    for name, definition in sorted(settings.providers.items()):
        try:
            providers[name] = open_provider(name, definition, http, folder)
        except RegularsError as error:
            findings.append(wrong("providers", f"{name} cannot be opened: {error}"))
    return providers, findings


def secrets(settings: Settings, providers: dict[str, Provider]) -> Iterator[Finding]:
    """Each secret that config.yaml refers to, by the name of its variable; never its value."""
    wanted = {settings.secret, *([settings.api_keys] if settings.api_keys else [])}
    wanted |= {secret for provider in providers.values() for secret in provider.settings.secrets()}
    missing = [secret for secret in sorted(wanted, key=lambda one: one.variable) if not _there(secret)]
    for secret in missing:
        remedy = f"Set {secret.variable}, or put it into .env beside config.yaml."
        yield wrong("secrets", f"{secret.variable} is not set", remedy)
    if not missing:
        yield good("secrets", f"all {len(wanted)} that config.yaml refers to are set")


def _there(secret: Secret) -> bool:
    try:
        return bool(secret.reveal())
    except SecretMissing:
        return False


def vendors(providers: dict[str, Provider], *, patience: timedelta, now: datetime) -> Iterator[Finding]:
    """Ask every vendor whether it knows us, and until when; all at once, nothing is sent."""
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="verify") as crew:
        yield from crew.map(lambda item: _asked(item[0], item[1], patience, now), providers.items())


def _asked(name: str, provider: Provider, patience: timedelta, now: datetime) -> Finding:
    try:
        verified = provider.verify(deadline=time.monotonic() + patience.total_seconds())
    except Exception as error:  # against its contract
        return wrong("providers", f"{name} broke down ({type(error).__name__})", "Tell whoever wrote this provider.")
    if verified is None:
        return skipped("providers", f"{name} cannot be asked whether it knows us")
    if verified.good:
        return _known(name, verified, now)
    return wrong("providers", f"{name}: {verified.detail}", verified.remedy or f"See providers.{name} in config.yaml.")


def _known(name: str, verified: Verified, now: datetime) -> Finding:
    told = f"{name} answers{f': {verified.detail}' if verified.detail else ''}"
    if verified.ends is not None:
        told += f"; its access ends on {verified.ends:%Y-%m-%d}, in {max((verified.ends - now).days, 0)} days"
    if verified.ends is not None and verified.ends <= now + NOTICE:
        return warning("providers", told, verified.remedy or RENEW)
    return (
        warning("providers", told, verified.remedy)
        if verified.remedy and not verified.ends
        else good("providers", told)
    )
