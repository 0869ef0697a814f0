"""Templates and values for the tests of content, made from a few words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.content.render import Renderer
from engine.content.templates import TemplateVersion
from engine.model import Channel
from engine.provider import EmailContent, TextContent

VALUES: Mapping[str, Any] = {
    "customer": {"id": "C-1", "locale": None, "time_zone": None, "first_name": "Ana", "age": 41, "company": None},
    "data": {
        "amount": 1234.5,
        "items": [{"name": "Tea", "price": 4}, {"name": "Cup", "price": 9}],
        "at": "2026-03-02T22:30Z",
    },
    "links": {"unsubscribe": "https://shop.example/u/1"},
    "campaign": "win-back",
    "purpose": "offers",
    "postal_address": "Shop, Street 1, 1000 Ljubljana",
    "currency": "EUR",
    "locale": "en",
    "time_zone": "Europe/Ljubljana",
    "today": "2026-03-02",
}


def version(**files: str) -> TemplateVersion:
    """A version of the template `t`; names are given with `__` for `/` and `_` for `.`: `fi__email_html`."""
    return of({_path(name): text for name, text in files.items()})


def _path(name: str) -> str:
    *folders, last = name.split("__")
    return "/".join(["t", *(folder.replace("_", "-") for folder in folders), last.replace("_", ".")])


def of(sources: Mapping[str, str]) -> TemplateVersion:
    """A version of the template `t` from its files."""
    return TemplateVersion(name="t", hash="-", sources=dict(sources))


def text(template: str, /, *shared: tuple[str, str], **values: Any) -> str:
    """What a post renders to; `values` are laid over VALUES, `shared` are further files."""
    rendered = Renderer(of({"t/social.txt": template, **dict(shared)})).render(Channel.SOCIAL, {**VALUES, **values})
    assert isinstance(rendered.content, TextContent)
    return rendered.content.text


def html(template: str, /, *shared: tuple[str, str], **values: Any) -> str:
    """What an email's HTML part renders to."""
    sources = {"t/email.subject.txt": "s", "t/email.txt": "t", "t/email.html": template, **dict(shared)}
    rendered = Renderer(of(sources)).render(Channel.EMAIL, {**VALUES, **values})
    assert isinstance(rendered.content, EmailContent)
    assert rendered.content.html is not None
    return rendered.content.html
