"""Three messages to look at before they are sent: the worst first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from engine.content import sms
from engine.errors import ContentError
from engine.model import Channel, Plain
from engine.provider import Content, EmailContent, TextContent
from engine.questions.plan.gates import FIRST, OTHERS, Asked
from engine.questions.plan.posting import Posting
from engine.questions.plan.writing import Writing

MOST = 3
_ORDER = ("cannot be written", "most values missing", "longest", FIRST, *OTHERS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One message as it would be. `why` it is shown; `customer` is an external id, None for a post to everybody. `variant`: which
    of several texts, where there are some.

    `problem`: why it cannot be written; then the rest is empty. `template`: the folder under templates/, with its locale.
    `image`, `image_alt`: the address of the image that a post shows, and what that shows.
    """

    why: str
    customer: str | None
    variant: str = ""
    template: str = ""
    subject: str = ""
    text: str = ""
    parts: int = 0
    problem: str = ""
    image: str = ""
    image_alt: str = ""


def samples_of(
    connection: Connection, asked: Asked, writing: Writing, picks: Mapping[str, int | None]
) -> tuple[Sample, ...]:
    """The picked customers' messages, each customer once."""
    chosen: dict[int | None, str] = {}
    for why in _ORDER:
        if why in picks:
            chosen.setdefault(picks[why], why)
    some = dict(list(chosen.items())[:MOST])
    facts = asked.facts(connection, list(some))
    return tuple(_sample(asked, writing, facts[customer].customer, why) for customer, why in some.items())


def posts_of(posts: Sequence[Posting]) -> tuple[Sample, ...]:
    """What each who publishes a post would publish."""
    return tuple(
        Sample(
            why=f"by {post.provider}",
            customer=None,
            variant=post.variant,
            template=post.template,
            text=post.content.text if post.content else "",
            parts=1 if post.content else 0,
            problem=post.problem or post.refusal,
            **_image(post.content),
        )
        for post in posts
    )


def _sample(asked: Asked, writing: Writing, customer: Mapping[str, Plain] | None, why: str) -> Sample:
    known = str(customer["id"]) if customer is not None else None
    variant = asked.campaign.reads(known) if known is not None else ""
    try:
        rendered = writing.render(customer, variant=variant)
    except ContentError as error:
        return Sample(why=why, customer=known, variant=variant, problem=str(error))
    content: Content = rendered.content
    return Sample(
        why=why,
        customer=known,
        variant=variant,
        template=rendered.path,
        subject=content.subject if isinstance(content, EmailContent) else "",
        text=content.text,
        parts=sms.segments(content.text).count if asked.campaign.channel is Channel.SMS else 1,
        **_image(content),
    )


def _image(content: Content | None) -> dict[str, str]:
    if not isinstance(content, TextContent) or content.image is None:
        return {}
    return {"image": content.image, "image_alt": content.image_alt}
