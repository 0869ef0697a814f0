"""What would this say: one customer's message as a sender would write it now, or a post as each provider would publish it. Read-only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, select

from engine.campaigns import called
from engine.campaigns.launch import campaign_of
from engine.content import sms
from engine.document import suggestion
from engine.errors import ContentError, IntakeError, RegularsError, UnknownName
from engine.ledger.brakes import braked
from engine.ledger.spending import money
from engine.model import Channel, MessageClass, Plain
from engine.policy import Facts
from engine.provider import Content, Outgoing
from engine.questions.plan.gates import Asked
from engine.questions.plan.posting import posting, publishers, refused
from engine.questions.plan.warnings import no_way
from engine.questions.plan.writing import Writing, writing_of
from engine.questions.why.answer import fate
from engine.questions.why.gates import Says, gates
from engine.questions.why.question import customer_of
from engine.rules.campaign import Campaign
from engine.rules.compile import audience
from engine.rules.workspace import Workspace
from engine.sending.cost import price_of
from engine.sending.routes import in_order
from engine.sending.runs import runs_before
from engine.store import Database
from engine.store.tables import contact_points, customers

SUGGESTED = 2
"""So many customers are named to whoever names none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """One message as a sender would hand it over.

    provider, sender: by the route; `then`: who has it where that one fails, in order. to: its address, where addresses are
    asked for; else empty. variant: which of the campaign's texts, where it has several. template: the folder under templates/, with its locale;
    files: each part's own file there. parts, encoding: of an SMS, as it is billed. price: None where config.yaml has none.
    problem: why it cannot be written; then there is no content. refusal: why no provider would take it.
    """

    provider: str = ""
    sender: str = ""
    then: tuple[str, ...] = ()
    to: str = ""
    variant: str = ""
    template: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    content: Content | None = None
    parts: int | None = None
    encoding: str | None = None
    price: Decimal | None = None
    problem: str = ""
    refusal: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """A campaign's content as of an instant (UTC); `time_zone` is the shop's, by whose clocks words tell times.

    customer: an external id, and `locale` what they read; None for a post to everybody, which has a message for each who
    publishes it. sent: whether they would get it, now or after a wait; `fate` says so in a sentence.
    """

    campaign: str
    channel: Channel
    message_class: MessageClass
    as_of: datetime
    time_zone: str
    currency: str
    customer: str | None
    locale: str | None
    sent: bool
    fate: str
    messages: tuple[Shown, ...]

    @property
    def good(self) -> bool:
        """Whether everything could be written, and would be taken."""
        return not any(one.problem or one.refusal for one in self.messages)


def preview(
    workspace: Workspace,
    database: Database,
    campaign: str,
    *,
    now: datetime,
    customer: str | None = None,
    data: Mapping[str, Any] | None = None,
    locale: str | None = None,
    variant: str | None = None,
    addresses: bool = False,
) -> Preview:
    """Ask for a campaign's content, for a customer's external id where it has customers.

    data: what a call would bring; None for none. locale: as if the customer read this one; variant: as if they had drawn this
    one. addresses: whether the answer may hold an address. Raises UnknownName with the nearest that exists, IntakeError for data
    that the trigger does not declare.
    """
    one = campaign_of(workspace, campaign)
    with database.reading() as connection:
        asking = _Asking(workspace=workspace, connection=connection, campaign=one, now=now)
        if one.is_public:
            asking.refuse_a_reader(customer, locale, variant)
            brings = asking.data(data)
            return asking.answer(asking.posts(brings), sent=not asking.paused, fate=asking.pause)
        if customer is None:
            raise asking.nobody()
        asking.refuse_unknown(variant)
        customer_id = customer_of(connection, customer)
        facts, shown = asking.message(customer_id, asking.data(data), locale, variant, addresses=addresses)
        sent, told = asking.fate(customer_id, shown)
        reads = facts.customer.get("locale") if facts.customer else None
        found = asking.answer((shown,), sent=sent, fate=told)
        return replace(found, customer=customer, locale=locale or (str(reads) if reads else None))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asking:
    """One question: its surroundings, for the parts of the answer."""

    workspace: Workspace
    connection: Connection
    campaign: Campaign
    now: datetime

    def answer(self, shown: tuple[Shown, ...], *, sent: bool, fate: str) -> Preview:
        one, settings = self.campaign, self.workspace.settings
        return Preview(
            campaign=one.campaign,
            channel=one.channel,
            message_class=one.message_class,
            as_of=self.now,
            time_zone=settings.time_zone.key,
            currency=settings.currency,
            customer=None,
            locale=None,
            sent=sent and not any(each.problem or each.refusal for each in shown),
            fate=fate,
            messages=shown,
        )

    # ---------------------------------------------------------------- what is asked with

    def refuse_a_reader(self, customer: str | None, locale: str | None, variant: str | None) -> None:
        if variant is not None:
            what = f'the variants of "{self.campaign.campaign}" take turns: each of its posts is shown in its own'
            raise RegularsError(what, where="--variant", remedy="Leave --variant out.")
        for option, given in (("--customer", customer), ("--locale", locale)):
            if given is not None:
                what = f'the campaign "{self.campaign.campaign}" is a post to everybody: nobody in particular reads it'
                raise RegularsError(what, where=option, remedy=f"Leave {option} out.")

    def refuse_unknown(self, variant: str | None) -> None:
        known = self.campaign.variants
        if variant is not None and variant not in known:
            what = f'the campaign "{self.campaign.campaign}" has no variant "{variant}"'
            remedy = suggestion(variant, known) if known else "It has one text: leave --variant out."
            raise UnknownName(what, where="--variant", remedy=remedy)

    def nobody(self) -> RegularsError:
        """The refusal where no customer was named, with some to try."""
        chosen = audience(self.workspace, self.campaign, now=self.now, dialect=self.connection.dialect.name)
        reached = (
            select(customers.c.id)
            .join(contact_points, contact_points.c.customer_id == customers.c.id)
            .where(contact_points.c.channel == self.campaign.channel.value)
        )
        for whom, query in (("of its audience", chosen), (f"with {self.campaign.channel}", reached)):
            some = query.with_only_columns(customers.c.external_id) if query is not None else None
            found = self._first(some.order_by(customers.c.id)) if some is not None else []
            if found:
                remedy = f"Name one {whom}: {' or '.join(f'--customer {one}' for one in found)}."
                break
        else:
            remedy = "Import customers first: `regulars import customers FILE`."
        what = f'the campaign "{self.campaign.campaign}" writes to customers, and each reads a message of their own'
        return RegularsError(what, where="--customer", remedy=remedy)

    def _first(self, query: Any) -> list[str]:
        return [str(one) for one in self.connection.execute(query.limit(SUGGESTED)).scalars()]

    def data(self, given: Mapping[str, Any] | None) -> dict[str, Plain]:
        """What a call would bring, checked as the HTTP door does."""
        if given is None and self.campaign.trigger is None:
            return {}
        wanted = called.declared(self.campaign)
        data, wrong = called.brought(self.workspace.settings, wanted, given or {})
        if wrong:
            what = "; ".join(f"{one.what}. {one.remedy}".removesuffix(". ") for one in wrong)
            fields = ", ".join(f"{name} ({kind})" for name, kind in wanted.items()) or "no values"
            where = wrong[0].where if len(wrong) == 1 else "data"
            remedy = f"A call of this campaign brings {fields}: give each as --data NAME=VALUE, or all in --data-file FILE.json."
            raise IntakeError(what, where=where, remedy=remedy)
        return data

    # ---------------------------------------------------------------- what becomes of it

    @property
    def paused(self) -> bool:
        return braked(self.connection)(self.campaign.campaign)

    @property
    def pause(self) -> str:
        return "The campaign is paused: nothing leaves until it is resumed." if self.paused else ""

    def fate(self, customer_id: int, shown: Shown) -> tuple[bool, str]:
        """Whether the customer would get it, and the first thing that speaks against it."""
        if self.paused:
            return False, self.pause
        if not self._chosen(customer_id):
            return False, "The customer would not get it now: the rule does not hold, or re-entry keeps them out."
        lasts, settings = self.campaign.not_later_than, self.workspace.settings
        told = gates(
            self.connection,
            self.campaign,
            settings,
            customer_id,
            now=self.now,
            not_after=self.now + lasts if lasts is not None else None,
        )
        sent = not any(gate.decides and gate.says is Says.WITHHOLDS for gate in told)
        if sent and (shown.problem or shown.refusal):
            return False, "The customer would not get it: see below."
        return sent, f"A message now {fate(told, now=self.now, zone=settings.time_zone)}."

    def _chosen(self, customer_id: int) -> bool:
        """Whether the customer is in the audience; whoever calls chooses them, where a call starts it."""
        dialect = self.connection.dialect.name
        ids = audience(self.workspace, self.campaign, now=self.now, dialect=dialect, everybody=False)
        return ids is None or self.connection.execute(ids.where(customers.c.id == customer_id)).first() is not None

    # ---------------------------------------------------------------- the content

    def message(
        self,
        customer_id: int,
        data: Mapping[str, Plain],
        locale: str | None,
        variant: str | None,
        *,
        addresses: bool,
    ) -> tuple[Facts, Shown]:
        """One customer's message; in this `variant`, where it is not the customer's own that is asked for."""
        writing, problem = writing_of(self.connection, self.workspace, self.campaign, at=self.now, data=data)
        asked = Asked(
            campaign=self.campaign,
            settings=self.workspace.settings,
            at=self.now,
            writing=writing,
            folder=self.workspace.folder,
        )
        facts = asked.facts(self.connection, [customer_id])[customer_id]
        shown = self._way(facts, writing.message_id if writing else 0, addresses=addresses)
        if writing is None:
            return facts, replace(shown, problem=problem)
        reader = {**(facts.customer or {}), **({"locale": locale} if locale is not None else {})}
        mine = replace(shown, variant=self.campaign.reads(str(reader["id"])) if variant is None else variant)
        return facts, self._written(mine, writing, reader, facts.address)

    def _way(self, facts: Facts, message_id: int, *, addresses: bool) -> Shown:
        """By whom it would go."""
        route = self.workspace.settings.route(self.campaign.channel, self.campaign.message_class)
        to = (facts.address or "") if addresses else ""
        if route is None:
            return Shown(to=to, refusal=no_way(self.campaign))
        first, *others = in_order(route.hops(self.campaign.channel, facts.address), message_id)
        return Shown(provider=first.provider, sender=first.sender, then=tuple(hop.provider for hop in others), to=to)

    def _written(self, shown: Shown, writing: Writing, reader: Mapping[str, Plain], address: str | None) -> Shown:
        try:
            rendered = writing.render(reader, variant=shown.variant)
        except ContentError as error:
            return replace(shown, problem=str(error))
        settings, content = self.workspace.settings, rendered.content
        outgoing = Outgoing(
            key="a preview's message",
            channel=self.campaign.channel,
            message_class=self.campaign.message_class,
            campaign=self.campaign.campaign,
            to=address or "",
            sender=shown.sender,
            content=content,
            at=self.now,
        )
        counted = sms.segments(content.text) if self.campaign.channel is Channel.SMS else None
        return replace(
            shown,
            template=rendered.path,
            files=rendered.files,
            content=content,
            parts=counted.count if counted else None,
            encoding=counted.encoding if counted else None,
            price=money(price_of(settings, outgoing)) or None,
            refusal=shown.refusal or refused(settings, self.workspace.folder, shown.provider, outgoing),
        )

    def posts(self, data: Mapping[str, Plain]) -> tuple[Shown, ...]:
        """What each who publishes a post would publish."""
        settings, folder, one = self.workspace.settings, self.workspace.folder, self.campaign
        writing, problem = writing_of(self.connection, self.workspace, one, at=self.now, data=data)
        names = publishers(settings, one)
        if writing is None:
            return (Shown(problem=problem),)
        if not names:
            return (Shown(refusal=no_way(one)),)
        earlier = runs_before(self.connection, one.campaign) if one.variants else 0
        found = (posting(settings, folder, one, writing, name, self.now, earlier=earlier) for name in names)
        return tuple(
            Shown(
                provider=post.provider,
                sender=post.sender,
                variant=post.variant,
                template=post.template,
                files=post.files,
                content=post.content,
                problem=post.problem,
                refusal=post.refusal,
            )
            for post in found
        )


__all__ = ["Preview", "Shown", "preview"]
