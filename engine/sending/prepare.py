"""One message, decided and written: hops 5 and 6 of its path. Nothing is stored here and nothing leaves."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from engine.content.forms import Filled
from engine.content.links import Links
from engine.content.render import Rendered, content_hash
from engine.content.tracking import shows, track, unsubscribe_headers
from engine.content.values import values_for
from engine.errors import ContentError, ProviderError, StoreError
from engine.ledger.hand_over import Doubted, Held, Intent, Kept, Withheld
from engine.ledger.replies import wrote_after
from engine.model import Channel, DeliveryClass, Message, MessageClass, Plain, Reason
from engine.policy import Facts, Hold, Send, Withhold, decide
from engine.policy.facts import applicable_caps
from engine.provider import Content, EmailContent, Outgoing, Provider, TextContent, refuse_what_is_not_promised
from engine.routing import Hop
from engine.rules.workspace import Workspace
from engine.sending.limits import Expected, Limits
from engine.sending.retry import spared
from engine.sending.routes import pick
from engine.sending.runs import Launched
from engine.sending.slots import Slots
from engine.sending.witness import Witness
from engine.store import Database

log = structlog.get_logger()

FAULT_PAUSE = timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """What senders work with: the rules and settings in force, the open providers, the maker of links."""

    workspace: Workspace
    providers: Mapping[str, Provider]
    links: Links


@dataclass(frozen=True, kw_only=True, slots=True)
class Means:
    """What a message is written with. `link_number`: the number of an address for its click link."""

    setup: Setup
    database: Database
    link_number: Callable[[str], int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Desk(Means):
    """One sender's surroundings. `now` tells the time; after `guard` (a `time.monotonic()`) and after `until` nothing may
    leave under this lease: the one clock stands still while the machine is suspended, the other may be set; `stopping`
    tells that the sender should end. `slots`: how much may be on its way at once, over all senders of this process; `bulk`
    leaves one of them free. `limits`: how fast, of which `expected` is what this claim may take. `witness` sees what leaves.
    """

    now: Callable[[], datetime]
    guard: float
    until: datetime
    stopping: Callable[[], bool]
    jitter: random.Random
    slots: Slots
    limits: Limits
    expected: Expected
    bulk: bool
    witness: Witness | None = None

    @property
    def too_late(self) -> bool:
        """Whether somebody else may soon have what this sender claimed."""
        return time.monotonic() > self.guard or self.now() > self.until


@dataclass(frozen=True, kw_only=True, slots=True)
class Leaving:
    """A message ready to leave: by whom, what, and what is written down about it first."""

    provider: Provider
    outgoing: Outgoing
    intent: Intent

    @property
    def message(self) -> Message:
        return self.intent.message


def prepare(desk: Desk, message: Message, run: Launched, facts: Facts) -> Leaving | Kept:
    """Decide about one claimed message and, where it may leave, write it.

    A fault of ours costs this one message some time, not the others theirs: it is put back, and logged, until its time to
    be retried is over.
    """
    now = desk.now()
    try:
        verdict = decide(facts, desk.setup.workspace.settings, now=now)
        match verdict:
            case Hold(until=until, reason=reason):
                return Held(message=message, until=until, reason=reason)
            case Withhold(reason=reason, detail=detail):
                return Withheld(message=message, reason=reason, detail=detail)
            case Send():
                return _write(desk, message, run, facts, now)
    except StoreError:
        raise
    except Exception as error:
        log.exception("a message could not be prepared", message=message.id, run=message.run_id)
        if now < _given_up_at(desk, message, run, now):
            return Held(message=message, until=now + FAULT_PAUSE, reason=Reason.FAULT)
        return Withheld(message=message, reason=Reason.FAULT, detail=type(error).__name__)


def _given_up_at(desk: Desk, message: Message, run: Launched, now: datetime) -> datetime:
    """When a message that cannot be prepared has had its time; outages of those who may carry it do not count."""
    settings = desk.setup.workspace.settings
    route = settings.route(message.channel, run.campaign.message_class)
    names = {hop.provider for hop in route.all_hops()} if route else ()
    own = spared(desk.database, names, [message], settings.sending, now=now)
    return max(message.owed_at, own.until) + settings.sending.retry_for


def _write(desk: Desk, message: Message, run: Launched, facts: Facts, now: datetime) -> Leaving | Kept:
    if message.doubt_since is not None and not message.suspect:
        if not _may_repeat(desk.setup, message, now):
            return Doubted(message=message, reason=Reason.KEY_FORGOTTEN)
        if message.sent_to != facts.address:
            return Withheld(message=message, reason=Reason.CONTACT_CHANGED)
    try:
        hop = pick(
            desk.setup.workspace.settings,
            desk.limits.breakers,
            message,
            run.campaign.message_class,
            _address(message, facts.address),
            now,
        )
        return hop if isinstance(hop, Held) else _leaving(desk, message, run, facts, hop, now)
    except ContentError as error:
        return Withheld(message=message, reason=Reason.TEMPLATE_ERROR, detail=str(error))
    except ProviderError as error:
        return Withheld(message=message, reason=Reason.REFUSED, detail=str(error))


def _leaving(desk: Desk, message: Message, run: Launched, facts: Facts, hop: Hop, now: datetime) -> Leaving | Kept:
    """Values and content, by this way. While an earlier hand-over is in doubt all is as it was then, to the byte, but for a marked
    one whose key nobody knows any more, where a setting that every message carries was changed since; after a sure refusal all is
    made anew. Raises ContentError or ProviderError.
    """
    provider = desk.setup.providers.get(hop.provider)
    if provider is None:
        raise ProviderError(f'the provider "{hop.provider}" is not open', where="config.yaml: providers")
    frozen = message.values if message.doubt_since is not None else None
    values = dict(frozen) if frozen is not None else _values(desk.setup, message, run, facts, hop, now)
    rendered = run.renderer.render(message.channel, values)
    outgoing = _outgoing(desk, message, run, facts.address, hop.provider, values, rendered, now)
    refuse_what_is_not_promised(provider, outgoing)
    if _outside_window(desk.database, message, provider.capabilities.reply_window, outgoing.content, now):
        return Withheld(message=message, reason=Reason.OUTSIDE_WINDOW)
    if run.campaign.delivery_class is DeliveryClass.EXACTLY_ONCE and not provider.capabilities.gives_evidence:
        raise ProviderError(f'the provider "{hop.provider}" cannot promise exactly_once', where="config.yaml: channels")
    written = content_hash(outgoing.content)
    frozen_as = message.content_hash if message.doubt_since is not None and not message.suspect else None
    if frozen_as not in (None, written) and (not message.possible_duplicate or _remembered(desk.setup, message, now)):
        return Doubted(message=message, reason=Reason.CONTENT_CHANGED)
    intent = Intent(
        message=message,
        provider=hop.provider,
        at=outgoing.at,
        sent_to=outgoing.to,
        contact_point_id=facts.contact_point_id,
        values=values,
        template_path=rendered.path,
        content_hash=written,
        revision=facts.revision,
        bump=message.customer_id is not None and bool(applicable_caps(desk.setup.workspace.settings, run.terms)),
        watched=run.watched(desk.setup.workspace.settings.guards),
        cost=desk.limits.cost(run, outgoing, now),
    )
    return Leaving(provider=provider, outgoing=outgoing, intent=intent)


def _outside_window(
    database: Database, message: Message, window: timedelta | None, content: Content, now: datetime
) -> bool:
    """Whether it is free text to somebody who has not written to us lately, which their medium would refuse (Meta, for WhatsApp
    and Messenger). What is in doubt has been handed over before.
    """
    approved = isinstance(content, TextContent) and content.template is not None
    if window is None or approved or message.customer_id is None or message.doubt_since is not None:
        return False
    return not wrote_after(database, message.customer_id, Channel(message.channel), now - window)


def _may_repeat(setup: Setup, message: Message, now: datetime) -> bool:
    """Whether a message in doubt may be handed over again at this instant: it is the one marked re-send of its class, or
    the same provider still remembers the key.
    """
    return message.possible_duplicate or _remembered(setup, message, now)


def _remembered(setup: Setup, message: Message, now: datetime) -> bool:
    """Whether its provider still knows its key."""
    provider = setup.providers.get(message.provider or "")
    window = provider.capabilities.repeatable_for if provider else None
    return window is not None and message.first_sent_at is not None and now < message.first_sent_at + window


def _values(setup: Setup, message: Message, run: Launched, facts: Facts, hop: Hop, now: datetime) -> dict[str, Plain]:
    """What the template is given, with the sender beside it: all that a second, equal hand-over needs."""
    campaign, links = run.campaign, setup.links.of_reader(message.id) if message.customer_id is not None else {}
    values = values_for(
        settings=setup.workspace.settings,
        campaign=campaign.campaign,
        purpose=campaign.purpose,
        now=now,
        customer=facts.customer,
        data=run.data,
        links=links,
        provider="" if message.customer_id is not None else hop.provider,
        variant=campaign.reads(str(facts.customer["id"]))
        if facts.customer is not None
        else campaign.posted(hop.provider, earlier=run.earlier),
    )
    return {**values, "sender": hop.sender}


def rebuild(means: Means, message: Message, run: Launched) -> Outgoing:
    """The message as it was handed over, to the byte, from what was frozen then. Raises ContentError where it can not be
    made again: a setting that every message carries (the public URL, tracking) was changed since.
    """
    values, handed_over_at = message.values or {}, message.first_sent_at or message.owed_at
    rendered = run.renderer.render(message.channel, values)
    outgoing = _outgoing(means, message, run, None, message.provider or "", values, rendered, handed_over_at)
    if content_hash(outgoing.content) != message.content_hash:
        raise ContentError("the message cannot be made again as it was handed over")
    return outgoing


def _outgoing(
    means: Means,
    message: Message,
    run: Launched,
    address: str | None,
    provider: str,
    values: Mapping[str, Plain],
    rendered: Rendered,
    now: datetime,
) -> Outgoing:
    setup, campaign = means.setup, run.campaign
    content = rendered.content
    if isinstance(content, EmailContent) and message.customer_id is not None:
        leave = _unsubscribe(values)
        content = _email(means, message, campaign.message_class, content, leave=leave, page=rendered.page)
    not_after, at = message.not_after, _first_at(message) or now
    key = means.database.message_key(message.id)
    return Outgoing(
        key=key,
        seal=means.database.seal(key),
        channel=Channel(message.channel),
        message_class=campaign.message_class,
        campaign=message.campaign,
        to=_address(message, address),
        sender=str(values["sender"]),
        content=content,
        at=at,
        valid_for=not_after - at if not_after else None,
        callback_url=f"{setup.workspace.settings.public_url.rstrip('/')}/v1/webhooks/{provider}",
    )


def _address(message: Message, address: str | None) -> str | None:
    """Where it went, while an earlier hand-over is in doubt and that is known; else where the customer is reached now."""
    return message.sent_to or address if message.doubt_since else address


def _first_at(message: Message) -> datetime | None:
    """When it was handed over first, while that is in doubt; of a suspect the earliest moment at which that may have been."""
    return (message.first_sent_at or message.doubt_since) if message.doubt_since else None


def _unsubscribe(values: Mapping[str, Plain]) -> str:
    links = values["links"]
    return str(links["unsubscribe"]) if isinstance(links, dict) else ""


def _email(
    means: Means,
    message: Message,
    message_class: MessageClass,
    content: EmailContent,
    *,
    leave: str,
    page: Filled | None,
) -> EmailContent:
    """An email to one person: tracked as config.yaml says; a commercial one with its way out, in the text and in the headers.

    Raises ContentError where the way out does not show: what `check` cannot see is an `if` around it.
    """
    tracking = means.setup.workspace.settings.tracking
    commercial = message_class is MessageClass.COMMERCIAL
    if commercial and not shows(content, leave):
        raise ContentError(
            "the unsubscribe link does not show in every part",
            where=f"templates of {message.campaign}",
            remedy="Take the `if` around it away.",
        )
    headers = {**content.headers, **unsubscribe_headers(leave)} if commercial else content.headers
    return EmailContent(
        subject=content.subject,
        text=content.text,
        html=track(
            content.html,
            links=means.setup.links,
            message_id=message.id,
            link_id=means.link_number,
            opens=tracking.opens,
            clicks=tracking.clicks,
            filled=page,
        ),
        headers=headers,
    )
