"""Before any network: does a message ask for more than its provider promises?"""

from __future__ import annotations

from functools import lru_cache

from engine.errors import ProviderError
from engine.model import Channel
from engine.provider.base import Provider
from engine.provider.capabilities import Capabilities
from engine.provider.outgoing import Content, EmailContent, Outgoing, TextContent


def refuse_what_is_not_promised(provider: Provider, outgoing: Outgoing) -> None:
    """Raises ProviderError, before any network, where a message asks for what the provider does not promise."""
    content = outgoing.content
    email = content if isinstance(content, EmailContent) else None
    what = _not_promised(
        provider.capabilities,
        outgoing.channel,
        public=outgoing.to is None,
        email=email is not None,
        html=email is not None and email.html is not None,
        headers=email is not None and bool(email.headers),
        template=isinstance(content, TextContent) and content.template is not None,
        long=too_long(provider, content) is not None,
        image=isinstance(content, TextContent) and content.image is not None,
    )
    if what is not None:
        what = f"{type(provider).__name__} {what}"
        raise ProviderError(what, remedy="Route this campaign to a provider that can: see docs/channels.md.")


def too_long(provider: Provider, content: Content) -> int | None:
    """A text's length where it is longer than the provider promises to carry; else None."""
    most = provider.capabilities.longest_text
    if most is None or not isinstance(content, TextContent):
        return None
    length = provider.length(content.text)
    return length if length > most else None


@lru_cache(maxsize=256)  # the messages of a run all ask for the same
def _not_promised(
    can: Capabilities,
    channel: Channel,
    *,
    public: bool,
    email: bool,
    html: bool,
    headers: bool,
    template: bool,
    long: bool,
    image: bool,
) -> str | None:
    checks = (
        (channel is can.channel, f"sends {can.channel}, not {channel}"),
        (can.posts or not public, "cannot publish to everybody"),
        (can.direct or public, "cannot write to one person"),
        ((can.channel is Channel.EMAIL) == email, "was given another channel's content"),
        (can.html or not html, "cannot carry HTML"),
        (can.headers or not headers, "cannot carry headers of ours"),
        (can.templates or not template, "cannot send an approved template"),
        (can.images or not image, "cannot show an image"),
        (can.text_alone or image, "publishes no text without an image"),
        (not long, f"takes texts of at most {can.longest_text or 0:,} letters"),
    )
    return next((what for holds, what in checks if not holds), None)
