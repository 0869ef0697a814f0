"""`regulars preview CAMPAIGN --customer ID`: the content, rendered, as a sender would write it now. It only reads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from engine.cli.app import HERE, AsJson, Now, Where, moment, notes, opened, screen, show_json
from engine.cli.html_words import words_of
from engine.cli.shop_clock import ShopClock
from engine.errors import RegularsError
from engine.intake.cells import locale as locale_of
from engine.provider import EmailContent, TextContent
from engine.questions.preview import Preview, Shown
from engine.questions.preview import preview as ask_preview

Data = Annotated[
    list[str] | None,
    typer.Option("--data", metavar="NAME=VALUE", help="A value that a call would bring; once for each."),
]
DataFile = Annotated[
    Path | None, typer.Option("--data-file", metavar="FILE", help="The same from a file: one JSON object.")
]
Html = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="Write the HTML part into a file, to open in a browser."),
]
LABEL = 10


def register(app: typer.Typer) -> None:
    app.command()(preview)


def preview(
    campaign: Annotated[str, typer.Argument(help="A campaign's name.")],
    customer: Annotated[
        str | None, typer.Option("--customer", metavar="ID", help="The customer's id, as in your import.")
    ] = None,
    data: Data = None,
    data_file: DataFile = None,
    locale: Annotated[
        str | None, typer.Option("--locale", help="As if the customer's locale were this one: fi, pt-BR.")
    ] = None,
    variant: Annotated[
        str | None, typer.Option("--variant", metavar="NAME", help="As if the customer had drawn this variant.")
    ] = None,
    html: Html = None,
    folder: Where = HERE,
    now: Now = None,
    show_addresses: Annotated[bool, typer.Option("--show-addresses", help="Show the customer's address, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """What a campaign's message says: for one customer, or as each provider publishes a post to everybody.

    Exit status 1 where it cannot be written, or no provider would take it.
    """
    given = _data(data, data_file)
    with opened(folder) as (workspace, database):
        found = ask_preview(
            workspace,
            database,
            campaign,
            now=moment(now, workspace.settings.time_zone),
            customer=customer,
            data=given,
            locale=_locale(locale),
            variant=variant,
            addresses=show_addresses,
        )
    if as_json:
        show_json(found)
    else:
        preview_page(screen, found)
    if html is not None:
        _write(html, found)
    raise typer.Exit(0 if found.good else 1)


def _data(words: Sequence[str] | None, path: Path | None) -> dict[str, Any] | None:
    """What a call would bring: the file's values, and those of the command line before them."""
    given: dict[str, Any] = _object(path) if path is not None else {}
    for word in words or ():
        name, equals, value = word.partition("=")
        if not equals or not name.strip():
            raise RegularsError(f'"{word}" is no value with its name', where="--data", remedy="Write it NAME=VALUE.")
        given[name.strip()] = value
    return given if words or path is not None else None


def _object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise RegularsError(f"this is no JSON: {error.msg}", where=f"{path}:{error.lineno}:{error.colno}") from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise RegularsError("this is no JSON in UTF-8", where=str(path)) from error
    if not isinstance(value, dict):
        raise RegularsError("this is no JSON object", where=str(path), remedy='Write it like {"order": "4711"}.')
    return value


def _locale(given: str | None) -> str | None:
    try:
        return locale_of(given) if given is not None else None
    except ValueError as error:
        raise RegularsError(str(error), where="--locale") from error


def _write(path: Path, found: Preview) -> None:
    pages = [one.content.html for one in found.messages if isinstance(one.content, EmailContent) and one.content.html]
    if not pages:
        if found.good:
            raise RegularsError("there is no HTML part to write", where="--html", remedy="Leave --html out.")
        return
    # with a byte order mark, by which a browser knows UTF-8 whatever the page says (HTML §13.2.3.2)
    path.write_text(pages[0], encoding="utf-8-sig", newline="")
    notes.print(
        Text(f"Written: {path}. Its way out leads nowhere; the other links are the template's own."), soft_wrap=True
    )


# ---------------------------------------------------------------- the page


def preview_page(screen: Console, found: Preview) -> None:
    """Who gets it and whether, then each message: what is beside the words, and the words as they are."""
    at = ShopClock(found.time_zone)
    whom = f"for customer {found.customer}" if found.customer is not None else "to everybody"
    reads = f", locale {found.locale}" if found.locale else ""
    _line(screen, f"Preview of {found.campaign} {whom}{reads}", "bold")
    _line(screen, f"{found.message_class} {found.channel}, as of {at(found.as_of)} {found.time_zone}", "dim")
    see = f" See `regulars why {found.customer} {found.campaign}`." if found.customer is not None else ""
    if found.fate:
        _line(screen, f"{found.fate}{see}", "" if found.sent else "yellow")
    for one in found.messages:
        _line(screen, "")
        _message(screen, found, one)


def _message(screen: Console, found: Preview, one: Shown) -> None:
    for label, value in _beside(found, one):
        screen.print(Text.assemble((f"{label:<{LABEL}}", "dim"), value), soft_wrap=True)
    if one.problem:
        _line(screen, one.problem, "red")
    if one.refusal:
        _line(screen, f"{one.provider} will not take it: {one.refusal}" if one.provider else one.refusal, "red")
    if one.content is None:
        return
    _part(screen, "text", one, one.content.text)
    if isinstance(one.content, EmailContent) and one.content.html:
        size = f"HTML, {len(one.content.html):,} characters, its words; --html FILE writes it for a browser"
        _part(screen, size, one, words_of(one.content.html), "email.html")


def _beside(found: Preview, one: Shown) -> Iterator[tuple[str, str]]:
    """What is to be known beside the words, each with its label."""
    if one.provider:
        yield "provider", one.provider + (f" (if it fails: {', '.join(one.then)})" if one.then else "")
        yield "from", one.sender
    if one.to:
        yield "to", one.to
    if one.template:
        yield "template", f"templates/{one.template}"
    if one.variant:
        yield "variant", one.variant
    if one.parts is not None:
        yield "parts", f"{one.parts} ({one.encoding})"
    if one.price is not None:
        yield "price", f"{one.price.normalize():f} {found.currency}"
    match one.content:
        case EmailContent(subject=subject, headers=headers):
            yield "subject", subject
            yield from (("header", f"{name}: {value}") for name, value in headers.items())
        case TextContent(template=approved, image=image, image_alt=alt):
            if approved is not None:
                yield "approved", approved.name
                yield from (("", f"{name}: {value}") for name, value in approved.variables.items())
            if image is not None:
                yield "image", image
                yield "it shows", alt or "nobody says what (second line of social.image.txt)"


def _part(screen: Console, title: str, one: Shown, words: str, part: str = "") -> None:
    name = part or next((name for name in one.files if name.endswith(".txt") and name.count(".") == 1), "")
    place = f" (templates/{one.files[name]})" if name in one.files else ""
    _line(screen, f"\n── {title}{place}", "dim")
    _line(screen, words.strip("\n"))


def _line(screen: Console, words: str, style: str = "") -> None:
    """As it is: nothing in it is markup or an emoji's name, and no line is broken."""
    screen.print(Text(words, style=style), soft_wrap=True)
