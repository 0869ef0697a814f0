"""Templates as the marketer has them: read one, and tell everything that is wrong in it before anything is sent."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from jinja2 import TemplateSyntaxError

from engine.content import locales, sayings, syntax
from engine.content.sandbox import Sandbox
from engine.content.versions import PARTS, TemplateVersion, Variant, locale_folders, read_template, variant
from engine.document import suggestion
from engine.errors import Position, Problem, Severity
from engine.model import Channel, MessageClass
from engine.settings import BUILT_IN_ATTRIBUTES, Settings

__all__ = ["Known", "TemplateVersion", "asks_for", "known_names", "locale_folders", "problems", "read_template"]

Known = Mapping[str, Collection[str] | None]
"""The values a template may use: each name with its attributes, or None where anything may follow."""

# ---------------------------------------------------------------- what templates may use


def known_names(
    settings: Settings,
    trigger_data: Collection[str] | None = None,
    *,
    customer: bool = True,
    variants: bool = False,
) -> dict[str, Collection[str] | None]:
    """The values that a template of this workspace sees.

    `trigger_data`: the names a trigger declares; None where the campaign has a schedule. `customer`: False for a post to
    everybody. `variants`: whether the campaign has variants.
    """
    return {
        "customer": {*BUILT_IN_ATTRIBUTES, *settings.attributes} if customer else frozenset(),
        "data": frozenset(trigger_data or ()),
        "links": frozenset({"unsubscribe", "invitation"}) if customer else frozenset(),
        "campaign": None,
        "purpose": None,
        "postal_address": None,
        "currency": None,
        "locale": None,
        "time_zone": None,
        "today": None,
        **({} if customer else {"provider": None}),
        **({"variant": None} if variants else {}),
    }


# ---------------------------------------------------------------- what is wrong


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What one file says by itself. `uses` is None where it cannot be used, for the reasons in `findings`."""

    uses: syntax.Uses | None
    findings: tuple[syntax.Finding, ...] = ()


Readings = dict[tuple[str, str], Reading]
"""What was read already, by path and text. Parsing costs most, and campaigns share their templates and layouts."""


def problems(
    version: TemplateVersion,
    *,
    channel: Channel,
    message_class: MessageClass,
    known: Known,
    readings: Readings | None = None,
) -> list[Problem]:
    """Everything wrong in a channel's parts, in every locale, in the order of the files; empty where all is well.

    With the same `readings` for several versions, a file that they share is parsed once.
    """
    files = _Files(version, known, {} if readings is None else readings)
    variants = [variant(version, channel, tag) for tag in (None, *sorted(locale_folders(version, channel)))]
    for one in variants:
        files.found += _missing_parts(version, one, channel)
        for part, path in one.parts.items():
            reached = files.reach(path)
            if part == "social.image.txt":
                files.found += _untold_image(path, version.sources[path])
            if reached and message_class is MessageClass.COMMERCIAL:
                files.found += _commercial(part, path, reached)
    files.found += _stray_files(version)
    return sorted(set(files.found), key=lambda problem: (problem.at.file, problem.at.line, problem.at.column))


def asks_for(version: TemplateVersion, channel: Channel, locale: str | None, value: str, *, readings: Readings) -> bool:
    """Whether the message that this locale (None: none of its own) gets depends on a value; True where that cannot be told, as a file is broken."""
    files = _Files(version, {}, readings)
    parts = variant(version, channel, locale).parts.values()
    reached = {path: files.reach(path) for path in parts}
    return any(
        uses is None or any(use.root == value for use in syntax.shown(path, uses)) for path, uses in reached.items()
    )


def _at(path: str, line: int = 1, column: int = 1) -> Position:
    return Position(file=f"templates/{path}", line=line, column=column)


def _missing_parts(version: TemplateVersion, one: Variant, channel: Channel) -> Iterator[Problem]:
    for part, required in PARTS[channel].items():
        path, own = one.parts.get(part), f"{one.folder}/{part}"
        if path is None and required:
            yield Problem(at=_at(own), what="is missing.", remedy=f"Every {channel} message needs this part.")
        elif path is not None and path != own:
            what = f"is missing: customers with this locale get {path} instead, perhaps in another language."
            yield Problem(at=_at(own), what=what, remedy="Translate it too.", severity=Severity.WARNING)


@dataclass(slots=True)
class _Files:
    """The files of a version as they are read, each once, with the problems found on the way."""

    version: TemplateVersion
    known: Known
    readings: Readings
    found: list[Problem] = field(default_factory=list)
    sandbox: Sandbox = field(init=False)
    _uses: dict[str, syntax.Uses | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sandbox = Sandbox(self.version.sources)

    def reach(self, path: str) -> dict[str, syntax.Uses] | None:
        """A part and every file it extends, includes or imports, by path; None where one of them cannot be read."""
        reached: dict[str, syntax.Uses] = {}
        waiting, whole = [path], True
        while waiting:
            name = waiting.pop()
            if name in reached:
                continue
            uses = self._read(name)
            if uses is None:
                whole = False
                continue
            reached[name] = uses
            for reference in uses.references:
                if reference.name in self.version.sources:
                    waiting.append(reference.name)
                elif not reference.optional:
                    whole = False
        if whole:
            self._check_values(reached)
        return reached if whole else None

    def _read(self, name: str) -> syntax.Uses | None:
        if name not in self._uses:
            self._uses[name] = self._noted(name)
        return self._uses[name]

    def _noted(self, name: str) -> syntax.Uses | None:
        key = (name, self.version.sources[name])
        if key not in self.readings:
            self.readings[key] = _parse(self.sandbox, *key)
        read = self.readings[key]
        for finding in read.findings:
            self._tell(name, finding.line, finding.word, finding.what, finding.remedy)
        for reference in read.uses.references if read.uses else ():
            if reference.name not in self.version.sources and not reference.optional:
                remedy = _remedy_for_file(reference.name, self.version.sources)
                self._tell(name, reference.line, reference.name, f'there is no file "{reference.name}".', remedy)
        return read.uses

    def _check_values(self, reached: Mapping[str, syntax.Uses]) -> None:
        made = frozenset[str]().union(*(uses.made for uses in reached.values()))
        for name, uses in reached.items():
            for use in uses.values:
                if use.root not in self.known:
                    if use.root not in made:
                        self._tell(name, use.line, use.root, *_unknown(use.root, self.known))
                    continue
                attributes = self.known[use.root]
                if use.attribute is not None and attributes is not None and use.attribute not in attributes:
                    what, remedy = _unknown(use.attribute, attributes, of=use.root)
                    self._tell(name, use.line, use.attribute, what, remedy, after=use.root)

    def _tell(self, name: str, line: int, word: str, what: str, remedy: str = "", *, after: str = "") -> None:
        column = _column(self.version.sources[name], line, word, after)
        self.found.append(Problem(at=_at(name, line, column), what=what, remedy=remedy))


def _parse(sandbox: Sandbox, name: str, source: str) -> Reading:
    try:
        tree = sandbox.tree(source, name)
        findings = sandbox.forbidden(tree)
        if findings:
            return Reading(uses=None, findings=tuple(findings))
        sandbox.compile(source, name)
        return Reading(uses=syntax.uses(tree))
    except TemplateSyntaxError as error:
        return Reading(uses=None, findings=(sayings.finding(error.message or "", error.lineno),))
    except (RecursionError, SyntaxError, MemoryError):
        what, remedy = "is nested too deeply.", "Split it into several files."
        return Reading(uses=None, findings=(syntax.Finding(line=1, word="", what=what, remedy=remedy),))


def _column(source: str, line: int, word: str, after: str = "") -> int:
    """Where a word stands in its line, as an attribute `after` a name; Jinja itself knows lines alone."""
    lines = source.split("\n")
    text = lines[line - 1] if line <= len(lines) else ""
    begin = max(text.find("{"), 0)  # before it the line is plain text, where the word may stand by chance
    before = rf"{re.escape(after)}\s*[.\[]\s*['\"]?" if after else ""
    edges = [r"(?<!\w)" if (after or word)[:1].isalnum() else "", r"(?!\w)" if word[-1:].isalnum() else ""]
    found = re.compile(f"{edges[0]}{before}(?={re.escape(word)}{edges[1]})").search(text, begin) if word else None
    return found.end() + 1 if found else len(text) - len(text.lstrip()) + 1


def _unknown(name: str, known: Collection[str], *, of: str = "") -> tuple[str, str]:
    if not of:
        return f'there is no value "{name}".', suggestion(name, known)
    return f'"{of}" has no "{name}".', suggestion(name, known) or f'This campaign gives "{of}" no values.'


def _remedy_for_file(name: str, sources: Collection[str]) -> str:
    if not name.startswith("_"):
        return "Shared files live in a folder whose name begins with _, and are named from templates/ on."
    return suggestion(name, [path for path in sources if path.startswith("_")])


_LOGIC = re.compile(r"\{%.*?%\}|\{#.*?#\}", re.DOTALL)


def _untold_image(path: str, source: str) -> Iterator[Problem]:
    """An image of which nobody says what it shows."""
    lines = [line for line in _LOGIC.sub("", source).splitlines() if line.strip()]
    if len(lines) == 1:
        what = "nobody says what this image shows."
        remedy = "Write it below the address, in a sentence: people who do not see the image hear that instead."
        yield Problem(at=_at(path), what=what, remedy=remedy, severity=Severity.WARNING)


# ---------------------------------------------------------------- what a commercial message must have

_REPLY = re.compile(r"^\s*(re|fwd?|aw|wg|vs|sv)\s*:", re.IGNORECASE)
_STOP = re.compile(r"\b(stop|arr[eê]t)\b", re.IGNORECASE)
_OPT_OUT = "{{ links.unsubscribe }}"


def _commercial(part: str, path: str, reached: Mapping[str, syntax.Uses]) -> Iterator[Problem]:
    """CAN-SPAM and the mailbox providers' rules for bulk senders, as far as a template can show that it keeps them."""
    used = {(use.root, use.attribute) for use in syntax.shown(path, reached)}
    words = "".join(uses.words for uses in reached.values())
    opt_out = ("links", "unsubscribe") in used
    if part in ("email.html", "email.txt"):
        if not opt_out:
            what = "a commercial email needs its unsubscribe link in both parts."
            yield Problem(at=_at(path), what=what, remedy=f"Write {_OPT_OUT} where the reader looks for it.")
        if ("postal_address", None) not in used:
            what = "a commercial email must show your postal address."
            yield Problem(at=_at(path), what=what, remedy="Write {{ postal_address }}.", severity=Severity.WARNING)
    elif part == "email.subject.txt" and _REPLY.match(words):
        what = "the subject pretends to be a reply."
        yield Problem(at=_at(path), what=what, remedy="Leave Re: and Fwd: out.", severity=Severity.WARNING)
    elif part == "sms.txt" and not opt_out and not _STOP.search(words):
        what = "a commercial SMS should say how to opt out."
        yield Problem(at=_at(path), what=what, remedy=f"Add: Reply STOP, or {_OPT_OUT}.", severity=Severity.WARNING)


def _stray_files(version: TemplateVersion) -> Iterator[Problem]:
    """Files of the template's own folder that no message will ever be made of."""
    parts = {part for channel in PARTS.values() for part in channel}
    for path in version.sources:
        owner, *middle, part = path.split("/")
        if owner != version.name or part.startswith("_") or _mentioned(path, version):
            continue
        if part not in parts:
            what = "is not a part of any message."
            yield Problem(at=_at(path), what=what, remedy=suggestion(part, parts), severity=Severity.WARNING)
        elif middle and (len(middle) > 1 or not locales.is_locale(middle[0])):
            what = f'is never used: "{"/".join(middle)}" is no locale.'
            remedy = "Name the folder like fi or pt-BR."
            yield Problem(at=_at(path), what=what, remedy=remedy, severity=Severity.WARNING)


def _mentioned(path: str, version: TemplateVersion) -> bool:
    return any(f'"{path}"' in text or f"'{path}'" in text for text in version.sources.values())
