"""Who opened or clicked: a person, or a machine on the way. One versioned rule over all that is known of a message's links.

What came in is kept as it came; the verdict stands beside it, with the rule's version, and is made anew when the rule changes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from engine.model import EventName, Plain

Range = IPv4Network | IPv6Network

RULE = 4
"""The version of this rule, stored with each verdict: raise it whenever a table or a function here changes."""

TOO_FAST = timedelta(seconds=2)
"""Nobody reads a letter within this time of the provider's acceptance; gateways fetch its images and try its links."""

BURSTS = ((3, timedelta(seconds=3)), (5, timedelta(seconds=10)))
"""So many different links of one letter followed within such a time: a gateway tries them all, and nobody reads so fast."""

LONGEST_BURST = max(span for _, span in BURSTS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Agent:
    """A machine's sign in the User-Agent header, in lower case. `whole` where the header is nothing but the sign, `ends` where
    it ends a word; but: a name that holds the sign and is no machine's.
    """

    sign: str
    why: str
    source: str
    whole: bool = False
    ends: bool = False
    but: str = ""

    def shows(self, agent: str) -> bool:
        """Whether it stands in a header's text, which is in lower case."""
        if self.whole:
            return agent == self.sign
        said = agent.replace(self.but, "") if self.but else agent
        return re.search(re.escape(self.sign) + "(?![a-z])" * self.ends, said) is not None


AGENTS = (
    Agent(sign="", why="no_agent", whole=True, source="browsers and mail programs always send one (RFC 9110 §10.1.5)"),
    Agent(
        sign="mozilla/5.0",
        why="apple_mail_privacy",
        whole=True,
        source="https://github.com/ua-parser/uap-core/issues/509",
    ),
    Agent(
        sign="chrome/42.0.2311.135 safari/537.36 edge/12.246",
        why="gmail_prefetch",
        source="https://github.com/mautic/mautic/pull/10245",
    ),
    Agent(sign="barracuda", why="scanner", source="Barracuda Email Protection names itself"),
    Agent(sign="proofpoint", why="scanner", source="Proofpoint URL Defense names itself"),
    Agent(sign="mimecast", why="scanner", source="Mimecast URL Protect names itself"),
    Agent(
        sign="bingpreview",
        why="preview",
        source="https://www.bing.com/webmasters/help/which-crawlers-does-bing-use-8c184ec0",
    ),
    Agent(
        sign="bot",
        why="robot",
        ends=True,
        but="cubot",  # telephones
        source="the custom of crawlers: Googlebot, Slackbot, Twitterbot",
    ),
    Agent(sign="crawler", why="robot", source="the custom of crawlers"),
    Agent(sign="spider", why="robot", source="the custom of crawlers"),
    Agent(
        sign="facebookexternalhit",
        why="preview",
        source="https://developers.facebook.com/docs/sharing/webmasters/crawler",
    ),
    Agent(sign="headlesschrome", why="robot", source="Chrome without a screen names itself"),
    Agent(sign="curl/", why="program", source="the library names itself"),
    Agent(sign="wget/", why="program", source="the library names itself"),
    Agent(sign="python-", why="program", source="python-requests, python-httpx, Python-urllib name themselves"),
    Agent(sign="go-http-client", why="program", source="the library names itself"),
    Agent(sign="java/", why="program", source="the library names itself"),
)
"""GoogleImageProxy and YahooMailProxy are not here: they fetch when the person opens (matomo-org/device-detector#5359)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """One open or click as it came in. `agent` is None where nobody told it; `said` is the word of who told it, if that
    took it for a machine's. origin: the address it came from, None where none was kept.
    """

    key: str
    name: EventName
    at: datetime
    link: str
    agent: str | None
    method: str
    prefetch: bool
    said: str
    origin: str | None = None


def kept(properties: Mapping[str, Plain]) -> dict[str, Plain]:
    """An event's properties, with the verdict of the first rule as what was said: it did not keep the agent."""
    if properties.get("rule", 1) == 1 and properties.get("machine") and "said" not in properties:
        return {**properties, "said": properties.get("because", "vendor")}
    return dict(properties)


def hit(key: str, name: str, at: datetime, properties: Mapping[str, Plain]) -> Hit:
    """An event's raw side."""
    agent = properties.get("agent", properties.get("useragent"))
    return Hit(
        key=key,
        name=EventName(name),
        at=at,
        link=str(properties.get("link", properties.get("url", ""))),
        agent=None if agent is None else str(agent),
        method=str(properties.get("method", "")),
        prefetch=bool(properties.get("prefetch")),
        said=str(properties.get("said", "")),
        origin=str(properties["from"]) if properties.get("from") else None,
    )


def judge(
    hits: Sequence[Hit], *, letter: bool, sent_at: datetime | None, scanners: Sequence[Range] = ()
) -> dict[str, str]:
    """For each hit of one message, by its key: why it is a machine's, in one word; empty for a person's.

    letter: whether it is an email. A chat that is open is read at once, and no gateway stands before it. scanners: the
    addresses of those that the workspace knows.
    """
    verdicts = {one.key: _alone(one, letter=letter, sent_at=sent_at, scanners=scanners) for one in hits}
    if letter:
        clicks = sorted((one for one in hits if one.name is EventName.CLICKED and one.link), key=lambda one: one.at)
        for one in _bursts(clicks):
            verdicts[one.key] = verdicts[one.key] or "every_link"
    return verdicts


def ranges(written: Sequence[str]) -> tuple[Range, ...]:
    """Ranges of addresses as config.yaml has them."""
    return tuple(ip_network(one) for one in written)


def spelled(address: str) -> str:
    """An IP address as it is always written; empty for what is none."""
    try:
        return str(ip_address(address))
    except ValueError:
        return ""


def within(address: str, known: Sequence[Range]) -> bool:
    """Whether an address lies in one of these ranges; False for what is no address."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return any((mapped or found) in one for one in known)


def _alone(one: Hit, *, letter: bool, sent_at: datetime | None, scanners: Sequence[Range]) -> str:
    if one.said:
        return one.said
    if scanners and one.origin is not None and within(one.origin, scanners):
        return "scanner_address"
    if one.method == "HEAD":
        return "head"
    if one.prefetch:
        return "prefetch"
    if letter and sent_at is not None and one.at - sent_at < TOO_FAST:
        return "too_fast"
    if one.agent is None:
        return ""
    agent = one.agent.strip().lower()
    return next((a.why for a in AGENTS if a.shows(agent)), "")


def _bursts(clicks: Sequence[Hit]) -> list[Hit]:
    """The clicks, in the order of their times, that belong to some burst."""
    found: dict[str, Hit] = {}
    for most, span in BURSTS:
        for place, first in enumerate(clicks):
            within = [one for one in clicks[place : place + 100] if one.at - first.at <= span]
            if len({one.link for one in within}) >= most:
                found |= {one.key: one for one in within}
    return list(found.values())
