"""Campaigns that ask more of their providers than these promise."""

from __future__ import annotations

from collections.abc import Iterator

from engine.document import position_of
from engine.errors import Problem, RegularsError
from engine.model import DeliveryClass
from engine.provider import Http
from engine.rules.campaign import Campaign
from engine.rules.workspace import Survey
from engine.sending.providers import open_provider

REMEDY = "Name a provider that knows our key or can be asked (docs/channels.md says which), or write at_most_once."


def problems_of_promises(found: Survey) -> Iterator[Problem]:
    """Each at its place in the campaign's file."""
    for name, campaign in found.workspace.campaigns.items():
        if campaign.delivery_class is DeliveryClass.EXACTLY_ONCE:
            at = position_of(found.drafts[name], ("delivery",))
            for provider in sorted(_carriers(found, campaign)):
                if not _gives_evidence(found, provider):
                    what = f'the provider "{provider}" cannot tell what became of a message whose answer was lost.'
                    yield Problem(at=at, what=what, remedy=REMEDY)


def _carriers(found: Survey, campaign: Campaign) -> set[str]:
    route = found.workspace.settings.route(campaign.channel, campaign.message_class)
    return {hop.provider for hop in route.all_hops()} if route else set()


def _gives_evidence(found: Survey, name: str) -> bool:
    """One that cannot be opened is noted elsewhere."""
    definition = found.workspace.settings.providers.get(name, {})
    try:
        provider = open_provider(name, definition, Http(), found.workspace.folder)
    except (RegularsError, ImportError):
        return True
    try:
        return provider.capabilities.gives_evidence
    finally:
        provider.close()
