"""What is wrong with routes and limits: ways that lead nowhere, limits that nobody is under."""

from __future__ import annotations

from collections.abc import Iterator

from engine.document import position_of
from engine.errors import Problem, Severity
from engine.model import Channel, MessageClass
from engine.routing import PHONES, Branch, Path, Route
from engine.rules.workspace import Survey
from engine.sending.under import names_of

_KINDS = (("countries", PHONES, "phone numbers"), ("domains", frozenset({Channel.EMAIL}), "email"))


def problems_of_ways(found: Survey) -> Iterator[Problem]:
    """Each at its place in config.yaml."""
    for channel, routes in found.workspace.settings.channels.items():
        for kind in MessageClass:
            route = routes.of(kind)
            if route is not None:
                yield from _route(found, ("channels", channel.value, kind.value), channel, route)
        if routes.domains and channel is not Channel.EMAIL:
            at = position_of(found.config, ("channels", channel.value, "domains"), key=True)
            what = f"`domains` is for email, and this is {channel}."
            yield Problem(at=at, what=what, remedy="Take it away, or limit the provider with `rate`.")
    yield from _senders(found)


def _route(found: Survey, path: Path, channel: Channel, route: Route) -> Iterator[Problem]:
    seen: dict[str, set[str]] = {kind: set() for kind, *_ in _KINDS}
    for number, branch in enumerate(route.branches):
        for kind, channels, of in _KINDS:
            named: frozenset[str] = getattr(branch, kind)
            at = position_of(found.config, (*path, "for", number, kind), key=True)
            if named and channel not in channels:
                what = f"a route for {kind} is for {of}, and this is {channel}: it leads nowhere."
                yield Problem(at=at, what=what, remedy="Take it away.")
            elif named and named <= seen[kind]:
                what = f"this part leads nowhere: those before it have all of its {kind}."
                yield Problem(at=at, what=what, remedy="Take it away, or put it first.", severity=Severity.WARNING)
            seen[kind] |= named
        yield from _twice(found, (*path, "for", number), branch)
    yield from _twice(found, path, route)


def _twice(found: Survey, path: Path, carried: Route | Branch) -> Iterator[Problem]:
    names = [one.provider for one in carried.providers]
    for number, name in enumerate(names):
        if name in names[:number]:
            at = position_of(found.config, (*path, "providers", number))
            yield Problem(at=at, what=f'"{name}" stands here twice.', remedy="Once is enough: its turn comes again.")


def _senders(found: Survey) -> Iterator[Problem]:
    settings = found.workspace.settings
    routes = [routes.of(kind) for routes in settings.channels.values() for kind in MessageClass]
    used = {name for route in routes if route for hop in route.all_hops() for name in names_of(hop.sender)}
    for name in settings.senders:
        if name not in used:
            at = position_of(found.config, ("senders", name), key=True)
            remedy = "Name a From address of a route as it stands there, without its display name, or its domain."
            yield Problem(at=at, what=f'nothing is sent from "{name}".', remedy=remedy, severity=Severity.WARNING)
