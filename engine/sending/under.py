"""Which limits one message is under: its campaign's, its provider's, its sender's, its recipient's domain's."""

from __future__ import annotations

from email.utils import parseaddr
from functools import lru_cache

from engine.ledger.buckets import Bucket, Daily, Free, Paced
from engine.model import Channel
from engine.provider import Provider
from engine.rules.campaign import Campaign
from engine.settings import Settings

Buckets = tuple[Bucket, ...]


def provider_key(name: str) -> str:
    """The bucket of a provider, by its name in config.yaml."""
    return f"provider {name}"


def of_provider(name: str, provider: Provider | None, *, closed: bool) -> Buckets:
    """The vendor's rate for our account; without one only whether it asked to wait."""
    if provider is not None and provider.rate is not None:
        return (Paced(key=provider_key(name), rate=provider.rate),)
    return (Free(key=provider_key(name)),) if closed else ()


def of_campaign(campaign: Campaign) -> Buckets:
    """What the marketer allows the campaign."""
    return (Paced(key=f"campaign {campaign.campaign}", rate=campaign.rate),) if campaign.rate is not None else ()


def of_sender(settings: Settings, sender: str) -> Buckets:
    """The rates of a From address and of its domain."""
    return tuple(
        Paced(key=f"sender {name}", rate=limits.rate)
        for name in names_of(sender)
        if (limits := settings.senders.get(name)) and limits.rate is not None
    )


def of_new_sender(settings: Settings, sender: str) -> Buckets:
    """Where a From address, or its domain, warms up: so many a day."""
    return tuple(
        Daily(key=f"warm-up {name}", warm_up=limits.warm_up, zone=settings.time_zone)
        for name in names_of(sender)
        if (limits := settings.senders.get(name)) and limits.warm_up is not None
    )


def of_recipient(settings: Settings, channel: Channel, address: str | None) -> Buckets:
    """What one mailbox provider gets: by the domain of the recipient's address."""
    routes = settings.channels.get(channel)
    if channel is not Channel.EMAIL or address is None or routes is None or not routes.domains:
        return ()
    domain = address.rpartition("@")[2].lower()
    rate = routes.domain_rate(domain)
    return (Paced(key=f"domain {domain}", rate=rate),) if rate is not None else ()


@lru_cache(maxsize=1024)
def names_of(sender: str) -> tuple[str, ...]:
    """By which names config.yaml may know a sender: the address alone, and its domain."""
    address = (parseaddr(sender)[1] if "@" in sender else sender).strip().lower()
    domain = address.rpartition("@")[2]
    return (address, domain) if domain not in ("", address) else (address,)
