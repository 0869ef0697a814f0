"""Who opened or clicked: a person, or a machine on the way. One versioned rule; the verdict is kept, the agent is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

RULE = 1
"""The version of this rule, stored with each verdict: raise it whenever the table or the function changes."""

TOO_FAST = timedelta(seconds=2)
"""Nobody reads a message and clicks within this time of the provider's acceptance; security gateways do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Agent:
    """A machine's sign in the User-Agent header, in lower case. `whole` where the header is nothing but the sign."""

    sign: str
    why: str
    source: str
    whole: bool = False


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
    Agent(sign="bot", why="robot", source="the custom of crawlers: Googlebot, Slackbot, Twitterbot"),
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


def machine(method: str, headers: Mapping[str, str], *, since_acceptance: timedelta | None = None) -> str:
    """Why a request for a link or pixel is a machine's, as one word; empty for a person's."""
    if method == "HEAD":
        return "head"
    if "prefetch" in headers.get("purpose", "") + headers.get("sec-purpose", ""):
        return "prefetch"
    if since_acceptance is not None and since_acceptance < TOO_FAST:
        return "too_fast"
    agent = headers.get("user-agent", "").strip().lower()
    return next((a.why for a in AGENTS if (agent == a.sign if a.whole else a.sign in agent)), "")
