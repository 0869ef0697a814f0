"""Campaigns that ask more of their providers than these promise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from engine.document import position_of
from engine.errors import Position, Problem, RegularsError, Severity
from engine.images import GIF, JPEG, NAMES, PNG, WEBP, ImageLimits
from engine.model import DeliveryClass
from engine.provider import Capabilities, Http
from engine.rules.campaign import Campaign
from engine.rules.workspace import Survey
from engine.scalars import spoken
from engine.sending.providers import open_provider

REMEDY = "Name a provider that knows our key or can be asked (docs/channels.md says which), or write at_most_once."


def problems_of_promises(found: Survey) -> Iterator[Problem]:
    """Each at its place in the campaign's file."""
    yield from _problems_of_posts(found)
    yield from _problems_of_windows(found)
    for name, campaign in found.workspace.campaigns.items():
        if campaign.delivery_class is DeliveryClass.EXACTLY_ONCE:
            at = position_of(found.drafts[name], ("delivery",))
            for provider in sorted(_carriers(found, campaign)):
                if not _gives_evidence(found, provider):
                    what = f'the provider "{provider}" cannot tell what became of a message whose answer was lost.'
                    yield Problem(at=at, what=what, remedy=REMEDY)


def _problems_of_windows(found: Survey) -> Iterator[Problem]:
    """Campaigns that write freely, at times of their own, where only who wrote lately may be written to so."""
    known: dict[str, Capabilities | None] = {}
    for name, campaign in found.workspace.campaigns.items():
        if campaign.schedule is None or campaign.is_public:
            continue
        for provider in sorted(_carriers(found, campaign)):
            if provider not in known:
                known[provider] = _promises(found, provider)
            can = known[provider]
            if can is None or can.reply_window is None:
                continue
            template = f"{campaign.channel}.template.txt"
            if any((found.workspace.folder / "templates" / campaign.template).rglob(template)):
                continue
            what = f'the provider "{provider}" takes free text only within {spoken(can.reply_window)} of a customer\'s own words: everybody else is withheld.'
            remedy = f"Add {template}." if can.templates else "Let an event start it, or a reply."
            at = position_of(found.drafts[name], ("channel",))
            yield Problem(at=at, what=what, remedy=remedy, severity=Severity.WARNING)


def _problems_of_posts(found: Survey) -> Iterator[Problem]:
    """Posts through providers that only write to one person, show no image, or publish nothing without one."""
    for name, campaign in found.workspace.campaigns.items():
        if not campaign.is_public:
            continue
        at = position_of(found.drafts[name], ("providers",) if campaign.providers else ("channel",))
        images = [*(found.workspace.folder / "templates" / campaign.template).rglob("social.image.txt")]
        image = bool(images)
        for provider in sorted(campaign.providers or _carriers(found, campaign)):
            can = _promises(found, provider)
            if can is None:
                continue
            for wrong, what, remedy in (
                (not can.posts, "cannot publish to everybody", "Name another provider, or a segment as the audience."),
                (image and not can.images, "cannot show an image", "Take social.image.txt out of the template."),
                (not image and not can.text_alone, "publishes no text without an image", "Add social.image.txt."),
            ):
                if wrong:
                    yield Problem(at=at, what=f'the provider "{provider}" {what}.', remedy=remedy)
            if can.image_limits is not None:
                for path in images:
                    yield from _other_types(found.workspace.folder, path, provider, can.image_limits)


_TYPES = {".jpg": JPEG, ".jpeg": JPEG, ".png": PNG, ".gif": GIF, ".webp": WEBP}


def _other_types(folder: Path, path: Path, provider: str, limits: ImageLimits) -> Iterator[Problem]:
    """An image that its name says is of a type which this provider does not take; what it is shows when it is fetched."""
    address = path.read_text(encoding="utf-8", errors="replace").strip().partition("\n")[0].strip()
    kind = _TYPES.get(PurePosixPath(address.partition("?")[0]).suffix.lower())
    if kind is not None and kind not in limits.types:
        takes = ", ".join(NAMES[each] for each in limits.types)
        at = Position(file=path.relative_to(folder).as_posix())
        what = f'the provider "{provider}" takes {takes}, and no {NAMES[kind]}.'
        yield Problem(at=at, what=what, remedy="Name another image.", severity=Severity.WARNING)


def _carriers(found: Survey, campaign: Campaign) -> set[str]:
    route = found.workspace.settings.route(campaign.channel, campaign.message_class)
    return {hop.provider for hop in route.all_hops()} if route else set()


def _gives_evidence(found: Survey, name: str) -> bool:
    can = _promises(found, name)
    return can is None or can.gives_evidence


def _promises(found: Survey, name: str) -> Capabilities | None:
    """None of one that cannot be opened: that is noted elsewhere."""
    definition = found.workspace.settings.providers.get(name, {})
    try:
        provider = open_provider(name, definition, Http(), found.workspace.folder)
    except RegularsError:
        return None
    try:
        return provider.capabilities
    finally:
        provider.close()
