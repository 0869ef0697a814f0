"""Rendering: one template version and one message's values become the content that is sent, the same each time."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import TracebackType
from typing import Any

from jinja2 import Template, TemplateNotFound, TemplateSyntaxError

from engine.content import locales, sms
from engine.content.forms import Filled, Forms
from engine.content.meter import MissingValue, Refused
from engine.content.sandbox import Sandbox
from engine.content.versions import PARTS, TemplateVersion, Variant, variant
from engine.errors import ContentError
from engine.model import Channel, Plain
from engine.provider import ApprovedTemplate, Content, EmailContent, TextContent

LONGEST_PART = 250_000
CONTROLS = bytes(set(range(32)) - {9, 10}) + b"\x7f"
"""Control characters that no message carries; tab and line feed stay."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rendered:
    """What a message says. `path` is the folder under templates/ whose parts were used, with its locale. `page`: its HTML as the
    template's form and this message's values, where it can be told apart so. `files`: each part's file under templates/.
    """

    content: Content
    path: str
    page: Filled | None = field(default=None, compare=False)
    files: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def hash(self) -> str:
        """The content's hash."""
        return content_hash(self.content)


def content_hash(content: Content) -> str:
    """BLAKE2b-256, in hexadecimal, over every field of a content; two contents with the same hash read the same."""
    match content:
        case EmailContent():
            headers = (text for name, value in sorted(content.headers.items()) for text in (name, value))
            parts = ("email", content.subject, content.text, content.html, *headers)
        case TextContent():
            template = content.template
            blanks = (word for pair in sorted(template.variables.items()) for word in pair) if template else ()
            image = (
                ("image", content.image, *([content.image_alt] if content.image_alt else [])) if content.image else ()
            )
            parts = ("text", content.text, *((template.name, *blanks) if template else ()), *image)
    # each with its length before it, so that no two contents run together into the same bytes
    data = [None if part is None else part.encode("utf-8", "surrogatepass") for part in parts]
    written = b"".join([b"-:" if one is None else b"%d:%b" % (len(one), one) for one in data])
    return hashlib.blake2b(written, digest_size=32).hexdigest()


class Renderer:
    """One template version, compiled once and shared by all sender threads."""

    def __init__(self, version: TemplateVersion) -> None:
        self.version = version
        self._sandbox = Sandbox(version.sources)
        self._templates: dict[str, Template] = {}
        self._forms = Forms(self._sandbox.own_texts, longest=LONGEST_PART, is_clean=_is_clean)
        self._variant = lru_cache(maxsize=256)(self._find_variant)

    def render(self, channel: Channel, values: Mapping[str, Plain]) -> Rendered:
        """The content for one message. Values that are None count as missing; `values["customer"]["locale"]` chooses
        the variant. Raises ContentError, which names the file, the line and the missing value, for any failure.
        """
        customer = values.get("customer")
        locale = customer.get("locale") if isinstance(customer, dict) else None
        chosen = self._variant(channel, locale if isinstance(locale, str) else None)
        self._sandbox.meter.begin(
            locale=locales.formatting(
                chosen.language or str(values.get("locale") or locales.FALLBACK),
                locale if isinstance(locale, str) else None,
            ),
            currency=str(values.get("currency") or ""),
            time_zone=str(values.get("time_zone") or "UTC"),
        )
        given = {name: value for name, value in values.items() if value is not None}
        pieces = {part: self._pieces(path, given) for part, path in chosen.parts.items()}
        page = self._forms.filled(pieces["email.html"]) if "email.html" in pieces else None
        parts = {
            part: page.text if page is not None and part == "email.html" else _clean("".join(said), chosen.parts[part])
            for part, said in pieces.items()
        }
        content = _content(channel, parts, chosen.folder)
        return Rendered(content=content, path=chosen.folder, page=page, files=chosen.parts)

    def _find_variant(self, channel: Channel, locale: str | None) -> Variant:
        chosen = variant(self.version, channel, locale)
        for part, required in PARTS[channel].items():
            if required and part not in chosen.parts:
                raise ContentError("this part is missing", where=f"templates/{chosen.folder}/{part}")
        return chosen

    def _pieces(self, path: str, values: dict[str, Any]) -> list[str]:
        try:
            template = self._templates.get(path)
            if template is None:
                template = self._templates[path] = self._sandbox.get_template(path)
            else:
                self._sandbox.charge_for(path)
            return list(template.root_render_func(template.new_context(values)))
        except ContentError:
            raise
        except Exception as error:
            raise self._told(error, path, values) from error

    def _told(self, error: Exception, path: str, values: Mapping[str, Plain]) -> ContentError:
        """The failure in a marketer's words. Another error's own text may hold a customer's data: it is not repeated."""
        name, line = _place(error.__traceback__) or (path, 1)
        match error:
            case MissingValue():
                source = self.version.sources.get(name, "")
                what = _dotted(error, source, line, values)
                remedy = f'Give it a fallback: {{{{ {what} | default("…") }}}}' if what else ""
                what, remedy = f"{what or 'a value used here'} is missing", remedy
            case Refused():
                what, remedy = error.what, error.remedy
            case TemplateSyntaxError():
                name, line = error.name or name, error.lineno
                what, remedy = str(error.message).rstrip("."), ""
            case TemplateNotFound():
                what, remedy = f'there is no file "{error.name}"', ""
            case RecursionError():
                what, remedy = "this includes or calls itself without end", ""
            case ZeroDivisionError():
                what, remedy = "this divides by zero", ""
            case _:
                what, remedy = f"this cannot be worked out ({type(error).__name__})", ""
        return ContentError(what, where=f"templates/{name}:{line}", remedy=remedy)


def _place(trace: TracebackType | None) -> tuple[str, int] | None:
    """The innermost template file and line that an error passed through."""
    place = None
    while trace is not None:
        template = trace.tb_frame.f_globals.get("__jinja_template__")
        if isinstance(template, Template) and template.name is not None:
            place = (template.name, template.get_corresponding_lineno(trace.tb_lineno))
        trace = trace.tb_next
    return place


def _dotted(error: MissingValue, source: str, line: int, values: Mapping[str, Plain]) -> str:
    """The missing value as the template writes it, like `customer.first_name`; empty where it stands nowhere in it."""
    name = str(error.name or "")
    lines = source.split("\n")
    here = lines[line - 1] if line <= len(lines) else ""
    word = rf"(?:[A-Za-z_]\w*\.)*{re.escape(name)}(?!\w)"
    if not name or not re.search(rf"(?<!\w){word}", source):
        return ""
    for root, value in values.items():
        if value is error.holder:
            return f"{root}.{name}"
    found = re.search(rf"(?<![\w.]){word}", here)
    return found[0] if found else name


def _is_clean(text: str) -> bool:
    try:
        return _clean(text, "") is text
    except ContentError:
        return False


def _clean(text: str, path: str) -> str:
    """The text without control characters. Raises ContentError where it is empty, too long or no Unicode."""
    if len(text) > LONGEST_PART:
        raise ContentError(f"the text is longer than {LONGEST_PART:,} characters", where=f"templates/{path}")
    try:
        raw = text.encode()
    except UnicodeEncodeError as error:
        raise ContentError("a value is not valid Unicode text", where=f"templates/{path}") from error
    clean = raw.translate(None, CONTROLS)
    if len(clean) != len(raw):
        text = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").translate(None, CONTROLS).decode()
    if not text or text.isspace():
        raise ContentError("this part came out empty", where=f"templates/{path}")
    return text


def _content(channel: Channel, parts: Mapping[str, str], folder: str) -> Content:
    """The parts, none of them empty, as the channel's content."""
    match channel:
        case Channel.EMAIL:
            subject = " ".join(parts["email.subject.txt"].split())
            return EmailContent(subject=subject, text=parts["email.txt"], html=parts.get("email.html"))
        case Channel.SMS:
            return TextContent(text=sms.tidy(parts["sms.txt"]).strip())
        case Channel.WHATSAPP:
            approved = parts.get("whatsapp.template.txt")
            template = (
                _approved(approved, f"templates/{folder}/whatsapp.template.txt") if approved is not None else None
            )
            return TextContent(text=parts["whatsapp.txt"].strip(), template=template)
        case Channel.SOCIAL:
            part = parts.get("social.image.txt")
            image, alt = _image(part, f"templates/{folder}/social.image.txt") if part is not None else (None, "")
            return TextContent(text=parts["social.txt"].strip(), image=image, image_alt=alt)
        case Channel.MESSENGER | Channel.TELEGRAM | Channel.WEBHOOK:
            return TextContent(text=parts[f"{channel}.txt"].strip())


_ADDRESS = re.compile(r"https://[^\s/]+/\S+")
LONGEST_ALT = 1000  # X's, the least that a network takes


def _image(part: str, path: str) -> tuple[str, str]:
    """An image's address, in the first line, and what it shows, in words, below it."""
    address, _, alt = part.strip().partition("\n")
    address, alt = address.strip(), " ".join(alt.split())
    if not _ADDRESS.fullmatch(address):
        remedy = "Write the image's address into the first line, like https://shop.example/new.jpg, and below it what it shows."
        raise ContentError("this is no image's address", where=path, remedy=remedy)
    if len(alt) > LONGEST_ALT:
        what = f"what the image shows is told in more than {LONGEST_ALT:,} characters"
        raise ContentError(what, where=path, remedy="Say it in a sentence or two.")
    return address, alt


def _approved(part: str, path: str) -> ApprovedTemplate:
    """The name of an approved template in the first line, and below it one blank a line: `1: Ana`."""
    name, *lines = [line.strip() for line in part.strip().splitlines()]
    blanks = [line.partition(":")[::2] for line in lines if line]
    if " " in name or not all(key.strip() and value.strip() for key, value in blanks):
        remedy = (
            "Write the approved template's name into the first line, and below it a line like `1: Ana` for each blank."
        )
        raise ContentError("this names no approved template", where=path, remedy=remedy)
    return ApprovedTemplate(name=name, variables={key.strip(): value.strip() for key, value in blanks})
