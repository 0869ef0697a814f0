"""What a campaign's recipients would read: rendered for each, and kept for all who would read the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, literal, select

from engine.content import sms
from engine.content.links import Links
from engine.content.render import Rendered, Renderer
from engine.content.templates import TemplateVersion, read_template
from engine.content.tracking import shows, unsubscribe_headers
from engine.content.values import values_for
from engine.errors import ContentError, UnknownName, WorkspaceError
from engine.model import Channel, MessageClass, Plain
from engine.provider import Content, EmailContent
from engine.questions.plan.needs import needs
from engine.rules.campaign import Campaign
from engine.rules.workspace import Workspace
from engine.settings import BUILT_IN_ATTRIBUTES, Settings
from engine.store.expressions import any_in_json
from engine.store.tables import customers, messages

REMEMBERED = 20_000
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
    """One campaign's template over its recipients. `message_id` is one that a message of it would have: links have its length.
    `data`: what a call brought, where one starts the campaign.
    """

    def __init__(
        self,
        settings: Settings,
        campaign: Campaign,
        version: TemplateVersion,
        *,
        message_id: int,
        at: datetime,
        data: Mapping[str, Plain] | None = None,
    ) -> None:
        self._settings, self._campaign, self._at, self._data = settings, campaign, at, data
        self._renderer, self._needs = Renderer(version), needs(version, campaign.channel)
        # signed with no key of this workspace: a link in a plan opens nothing
        self._links = Links("a plan's links lead nowhere", settings.public_url).of_reader(message_id)
        self.message_id = message_id
        self._known: dict[str, Written] = {}

    def looks(self, dialect: str) -> tuple[tuple[ColumnElement[Any], ...], ColumnElement[int]]:
        """In SQL, what tells customers apart who are written different things: the locale, and which values are known, and
        of what type. And how long those values are together.
        """
        asked = self._needs.attributes if self._needs.attributes is not None else self._settings.attributes.keys()
        own = sorted(asked - set(BUILT_IN_ATTRIBUTES))
        seen = [any_in_json(customers.c.attributes, name, dialect=dialect) for name in own]
        lengths = (func.coalesce(func.length(each.text), 0) for each in seen)
        return (customers.c.locale, *(each.type for each in seen)), sum(lengths, start=literal(0))

    def key(self, customer: Mapping[str, Plain] | None) -> str:
        """The same for all who would read the same."""
        if customer is None:
            return ""
        asked = self._needs.attributes
        names = [
            "locale",
            *(customer if asked is None else sorted(asked)),
            *(["time_zone"] if self._needs.clock else ()),
        ]
        return repr([(name, customer.get(name)) for name in names])  # 1, 1.0, True and "1" are not the same

    def write(self, customer: Mapping[str, Plain] | None, variant: str = "") -> Written:
        """Render for one customer in their variant, or remember what was rendered for another who reads the same."""
        key = f"{variant} {self.key(customer)}"
        if key not in self._known:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[key] = self._written(customer, variant)
        return self._known[key]

    def _written(self, customer: Mapping[str, Plain] | None, variant: str) -> Written:
        asked = self._needs.attributes or frozenset()
        missing = sum((customer or {}).get(name) is None for name in asked)
        try:
            content = self.render(customer, variant=variant).content
        except ContentError as error:
            return Written(missing=missing, problem=str(error))
        parts = sms.segments(content.text).count if self._campaign.channel is Channel.SMS else 1
        return Written(size=size_of(content), parts=parts, missing=missing)

    def render(self, customer: Mapping[str, Plain] | None, *, provider: str = "", variant: str = "") -> Rendered:
        """As a sender would, in this variant; a post to everybody as its `provider` publishes it. Raises ContentError for whatever
        a sender would withhold the message for.
        """
        campaign = self._campaign
        values = values_for(
            settings=self._settings,
            campaign=campaign.campaign,
            purpose=campaign.purpose,
            now=self._at,
            customer=customer,
            data=self._data,
            links=self._links if customer is not None else {},
            provider=provider,
            variant=variant,
        )
        rendered = self._renderer.render(campaign.channel, values)
        if campaign.message_class is not MessageClass.COMMERCIAL or customer is None:
            return rendered
        if not isinstance(rendered.content, EmailContent):
            return rendered
        leave = self._links["unsubscribe"]
        if not shows(rendered.content, leave):
            raise ContentError("the unsubscribe link does not show in every part", where=f"templates/{rendered.path}")
        return replace(rendered, content=replace(rendered.content, headers=unsubscribe_headers(leave)))


def writing_of(
    connection: Connection,
    workspace: Workspace,
    campaign: Campaign,
    *,
    at: datetime,
    data: Mapping[str, Plain] | None = None,
) -> tuple[Writing | None, str]:
    """With the template as it stands in the folder; without one, why the campaign cannot be launched."""
    try:
        version = read_template(workspace.folder / "templates", campaign.template)
    except (UnknownName, WorkspaceError) as error:
        return None, f"It cannot be launched: {error}"
    newest = connection.execute(select(func.max(messages.c.id))).scalar() or 0
    return Writing(workspace.settings, campaign, version, message_id=newest + 1, at=at, data=data), ""


def size_of(content: Content) -> int:
    """The characters of all parts."""
    match content:
        case EmailContent():
            return len(content.subject) + len(content.text) + len(content.html or "")
        case _:
            return len(content.text)


__all__ = ["Writing", "Written", "size_of", "writing_of"]
