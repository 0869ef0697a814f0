"""What a campaign's recipients would read: rendered for each, and kept for all who would read the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.content import sms
from engine.content.links import Links
from engine.content.render import Rendered, Renderer
from engine.content.templates import TemplateVersion
from engine.content.tracking import shows
from engine.content.values import values_for
from engine.errors import ContentError
from engine.model import Channel, MessageClass, Plain
from engine.provider import Content, EmailContent
from engine.questions.plan.needs import needs
from engine.rules.campaign import Campaign
from engine.settings import BUILT_IN_ATTRIBUTES, Settings

REMEMBERED = 100_000
"""So many different texts are kept; then they are forgotten and rendered anew."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """One rendering. `size`: characters. `parts`: of an SMS, as it is billed; else 1. `problem`: why it cannot be rendered.
    `missing`: how many of the values that the template may ask for are not known.
    """

    size: int = 0
    parts: int = 0
    missing: int = 0
    problem: str = ""


class Writing:
    """One campaign's template over its recipients. `message_id` is one that a message of it would have: links have its length."""

    def __init__(
        self, settings: Settings, campaign: Campaign, version: TemplateVersion, *, message_id: int, at: datetime
    ) -> None:
        self._settings, self._campaign, self._at = settings, campaign, at
        self._renderer, self._needs = Renderer(version), needs(version, campaign.channel)
        # signed with no key of this workspace: a link in a plan opens nothing
        self._links = Links("a plan's links lead nowhere", settings.public_url).of_reader(message_id)
        self._known: dict[str, Written] = {}
        self.columns = self._columns()

    def _columns(self) -> tuple[str, ...]:
        """The columns that `key` wants, of those that `policy.recipients` has."""
        asked = self._needs.attributes
        columns = ["locale"]
        if asked is None or asked - set(BUILT_IN_ATTRIBUTES):
            columns.append("attributes")
        columns += [column for column, name in _OWN.items() if asked is None or name in asked]
        return tuple(columns)

    def key(self, values: tuple[Any, ...], time_zone: str | None) -> str:
        """The same for all who would read the same. `values` are those of `columns`."""
        if "attributes" in self.columns and self._needs.attributes is not None:
            attributes = values[1]
            asked = [attributes.get(name) for name in sorted(self._needs.attributes)]
            values = (values[0], *values[2:], *asked)
        return repr((time_zone if self._needs.clock else None, values))  # 1, 1.0, True and "1" are not the same

    def known(self, key: str) -> Written | None:
        return self._known.get(key)

    def write(self, key: str, customer: Mapping[str, Plain] | None) -> Written:
        """Render for one customer, and remember it for all with this key."""
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        asked = self._needs.attributes or frozenset()
        missing = sum((customer or {}).get(name) is None for name in asked)
        try:
            content = self.render(customer).content
        except ContentError as error:
            written = Written(missing=missing, problem=str(error))
        else:
            parts = sms.segments(content.text).count if self._campaign.channel is Channel.SMS else 1
            written = Written(size=size_of(content), parts=parts, missing=missing)
        self._known[key] = written
        return written

    def render(self, customer: Mapping[str, Plain] | None, *, provider: str = "") -> Rendered:
        """As a sender would; a post to everybody as its `provider` publishes it. Raises ContentError for whatever a sender would withhold the message for."""
        campaign = self._campaign
        values = values_for(
            settings=self._settings,
            campaign=campaign.campaign,
            purpose=campaign.purpose,
            now=self._at,
            customer=customer,
            links=self._links if customer is not None else {},
            provider=provider,
        )
        rendered = self._renderer.render(campaign.channel, values)
        commercial = campaign.message_class is MessageClass.COMMERCIAL and customer is not None
        if (
            commercial
            and isinstance(rendered.content, EmailContent)
            and not shows(rendered.content, self._links["unsubscribe"])
        ):
            raise ContentError("the unsubscribe link does not show in every part", where=f"templates/{rendered.path}")
        return rendered


_OWN = {"external_id": "id", "created_at": "created_at"}
"""Columns of a customer beside the attributes, and what a template calls them."""


def size_of(content: Content) -> int:
    """The characters of all parts."""
    match content:
        case EmailContent():
            return len(content.subject) + len(content.text) + len(content.html or "")
        case _:
            return len(content.text)


__all__ = ["Writing", "Written", "size_of"]
