"""A post to everybody before it leaves: by whom, what it would say there, and what speaks against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from engine.errors import ContentError, ProviderError, RegularsError
from engine.provider import Content, Http, Outgoing, refuse_what_is_not_promised
from engine.questions.plan.writing import Writing
from engine.rules.campaign import Campaign
from engine.sending.providers import open_provider
from engine.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Posting:
    """One provider's post, from its `sender`, in a `variant` (empty where there are none). `problem`: why it cannot be written;
    `refusal`: why the provider would not take it.
    """

    provider: str
    sender: str = ""
    variant: str = ""
    content: Content | None = None
    template: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
    refusal: str = ""


def publishers(settings: Settings, campaign: Campaign) -> tuple[str, ...]:
    """Who publishes a post: all that the campaign names, or the first that carries its channel."""
    route = settings.route(campaign.channel, campaign.message_class)
    return campaign.providers or tuple(hop.provider for hop in (route.all_hops()[:1] if route else ()))


def posting(
    settings: Settings, folder: Path, campaign: Campaign, writing: Writing, name: str, at: datetime, *, earlier: int
) -> Posting:
    """What one of them would publish at that instant (UTC), after so many `earlier` runs."""
    variant, sender = campaign.posted(name, earlier=earlier), _sender(settings, campaign, name)
    try:
        rendered = writing.render(None, provider=name, variant=variant)
    except ContentError as error:
        return Posting(provider=name, sender=sender, variant=variant, problem=str(error))
    content = rendered.content
    post = Outgoing(
        key="a plan's post",
        channel=campaign.channel,
        message_class=campaign.message_class,
        campaign=campaign.campaign,
        to=None,
        sender=sender,
        content=content,
        at=at,
    )
    return Posting(
        provider=name,
        sender=sender,
        variant=variant,
        content=content,
        template=rendered.path,
        files=rendered.files,
        refusal=refused(settings, folder, name, post),
    )


def _sender(settings: Settings, campaign: Campaign, name: str) -> str:
    route = settings.route(campaign.channel, campaign.message_class)
    return next((hop.sender for hop in (route.all_hops() if route else ()) if hop.provider == name), "")


def refused(settings: Settings, folder: Path, name: str, post: Outgoing) -> str:
    """Why a provider would not take it, as it does not promise to; else empty. One that cannot be opened is noted elsewhere."""
    try:
        provider = open_provider(name, settings.providers.get(name, {}), Http(), folder)
    except RegularsError:
        return ""
    try:
        refuse_what_is_not_promised(provider, post)
    except ProviderError as error:
        return error.what
    finally:
        provider.close()
    return ""
