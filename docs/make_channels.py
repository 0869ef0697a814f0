"""Writes the table of what each provider promises into docs/channels.md, from their flags. `--check` only compares."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

sys.path.insert(0, str(Path(__file__).parents[1]))

from engine.images import NAMES, ImageLimits
from engine.model import Channel
from engine.provider import Capabilities, Http, Provider, ProviderSettings
from engine.sending.providers import installed, provider_class

PAGE = Path(__file__).parent / "channels.md"
BEGIN, END = "<!-- providers: made by docs/make_channels.py -->\n", "<!-- end of providers -->\n"
KEY = "${env:KEY}"
COMMON = ProviderSettings.model_fields
EXAMPLES: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "bluesky": ({"handle": "records.bsky.social", "app_password": KEY},),
    "apprise": ({"url": KEY}, {"url": KEY, "channel": "sms"}),
    "console": tuple({"channel": channel.value} for channel in Channel),
    "facebook": ({"page_id": "1", "access_token": KEY},),
    "file": tuple({"channel": channel.value} for channel in Channel),
    "instagram": ({"account_id": "1", "access_token": KEY},),
    "linkedin": tuple({"author": f"urn:li:{who}:1", "access_token": KEY} for who in ("organization", "person")),
    "mastodon": ({"server": "https://s.example", "access_token": KEY},),
    "sendgrid": ({"api_key": KEY},),
    "ses": ({"region": "eu-west-1"},),
    "smtp": ({"host": "mail.shop.example"},),
    "telegram": ({"bot_token": KEY, "webhook_secret": KEY},),
    "twilio": tuple(
        {"account_sid": "AC1", "auth_token": KEY, "medium": medium} for medium in ("sms", "whatsapp", "messenger")
    ),
    "vonage": ({"api_key": "k", "api_secret": KEY},),
    "webhook": tuple(
        {"url": "https://h.example", "signing_secrets": [KEY], "report_secrets": [KEY], "channel": channel.value}
        for channel in Channel
    ),
    "x": ({"oauth2_token": KEY},),
}
"""Settings with which each of ours can be made; several, where what it promises depends on them."""


def written(page: str) -> str:
    """The page with the table of today between its two marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def table() -> str:
    head = (
        "`use`",
        "channel",
        "carries, beside text",
        "knows our key",
        "can be asked after",
        "reports back",
        "settings",
    )
    rows = [head, ("---",) * len(head)]
    for use in installed():
        if use in EXAMPLES:
            kind = provider_class(use)
            rows += together([row(use, kind, definition) for definition in EXAMPLES[use]])
    common = ", ".join(setting(name, one) for name, one in COMMON.items())
    words = "Settings in bold must be there; what the others are where you leave them out stands in brackets."
    return "\n".join(f"| {' | '.join(one)} |" for one in rows) + f"\n\n{words} Each of them takes {common} besides.\n"


def setting(name: str, field: FieldInfo) -> str:
    """A setting by its name, bold where it is required, with its default where it has one."""
    if field.is_required():
        return f"**`{name}`**"
    default = field.get_default(call_default_factory=True)
    written = str(default).lower() if isinstance(default, bool) else default
    return f"`{name}` ({written})" if default not in (None, ()) and "://" not in str(default) else f"`{name}`"


def together(rows: list[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """The rows of one provider, one for all channels on which it promises the same; its settings stand in the first."""
    settings = rows[0][-1]
    channels: dict[tuple[str, ...], list[str]] = {}
    for use, channel, *promises, _ in rows:
        channels.setdefault((use, *promises), []).append(channel)
    for number, ((use, *promises), named) in enumerate(channels.items()):
        yield use, ", ".join(named), *promises, "as above" if number else settings


def row(use: str, kind: type[Provider], definition: Mapping[str, Any]) -> tuple[str, ...]:
    can = kind(kind.Settings.model_validate(definition), http=Http()).capabilities
    own = [setting(name, one) for name, one in kind.Settings.model_fields.items() if name not in COMMON]
    return (
        f"`{use}`",
        can.channel.value,
        ", ".join(carries(can)) or "–",
        knows(can),
        span(can.settle_time) if can.settle_time else "–",
        ", ".join(back(use, can)) or "–",
        ", ".join(own),
    )


def carries(can: Capabilities) -> Iterator[str]:
    if can.html:
        yield "HTML"
    if can.headers:
        yield "one-click unsubscribe"
    if can.posts:
        yield "posts"
    if can.posts and can.direct:
        yield "direct messages"
    if can.images:
        yield f"an image{of_which(can.image_limits)}" if can.text_alone else "an image, always"
    if can.longest_text:
        yield f"up to {can.longest_text:,} letters"
    if can.engagement:
        yield "how posts fare"
    if can.templates:
        yield "approved templates"
    if can.reply_window:
        yield f"free text within {span(can.reply_window)} of a reply"


def of_which(limits: ImageLimits | None) -> str:
    if limits is None:
        return ""
    return f" ({', '.join(NAMES[kind] for kind in limits.types)}, up to {limits.most_bytes // 1_000_000} MB)"


SHOWS_A_SECRET = frozenset({"telegram"})
"""Whose webhooks bring a secret, and are not signed."""


def back(use: str, can: Capabilities) -> Iterator[str]:
    if can.webhooks:
        yield "webhooks that show a secret" if use in SHOWS_A_SECRET else "signed webhooks"
    if can.inboxes:
        yield "mailboxes" if can.channel is Channel.EMAIL else "notifications, fetched"


def knows(can: Capabilities) -> str:
    words = [f"for {span(can.idempotency_window)}"] if can.idempotency_window else []
    return ", ".join([*words, "echoes it"] if can.echoes_key else words) or "no"


def span(time: timedelta) -> str:
    if time > timedelta(days=3650):
        return "ever"
    for unit, name in ((timedelta(hours=1), "hour"), (timedelta(minutes=1), "minute")):
        if time >= unit and not time % unit:
            count = time // unit
            return f"{count} {name}" if count == 1 else f"{count} {name}s"
    return str(time)


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    if "--check" in sys.argv:
        sys.exit(written(page) != page)
    PAGE.write_text(written(page), encoding="utf-8")
