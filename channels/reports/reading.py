"""What one mail in the inbox reports: a delivery that failed, waits or went well (RFC 3464), a complaint (RFC 5965), or
what a person answered.

Anybody may write to the address that bounces go to. So a report counts only where it shows the sealed key of the message
that it is about, in the address it came to (VERP) or in the message that it returns; whoever has that had the message.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, message_from_string
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.utils import parseaddr, parsedate_to_datetime
from itertools import islice

from flufl.bounce import all_failures

from channels import enhanced
from channels.reports.words import letters, said, text_of
from engine.model import EventName, Plain, SuppressionReason
from engine.provider import Fetched, KeyOf, ProviderEvent, storable, without_personal

_E = EventName

ACTIONS: Mapping[str, EventName] = {
    "failed": _E.BOUNCED,
    "delayed": _E.DEFERRED,
    "delivered": _E.DELIVERED,
    "relayed": _E.ACCEPTED,
    "expanded": _E.ACCEPTED,
}
"""RFC 3464 §2.3.3 in our words; every other word is kept as `other`."""

FEEDBACK: Mapping[str, EventName] = {
    "abuse": _E.COMPLAINED,
    "fraud": _E.COMPLAINED,
    "opt-out": _E.OPTED_OUT,
    "opt-out-list": _E.OPTED_OUT,
}
"""RFC 5965 §7.3 and draft-shafranovich; not-spam, virus and the others are kept as `other`: nobody complained."""

STATUS = ("message/delivery-status", "message/global-delivery-status")  # the second: RFC 6533
ARRIVED_AT = ("Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To", "X-Delivered-To", "To")
POINTERS = ("Message-ID", "Return-Path", "In-Reply-To", "References", "Original-Mail-From", "Original-Envelope-Id")
ANSWERED = ("In-Reply-To", "References")
SUBJECTS = re.compile(
    r"^\W*(?:auto(?:matic|mated)?[- ]?(?:reply|response)|out of (?:the )?office|abwesenheit|automatische antwort"
    r"|réponse automatique|respuesta automática|risposta automatica|resposta automática|automatisch antwoord"
    r"|autosvar|automaattinen vastaus|autom\w* odpowied)",
    re.IGNORECASE,
)
PROGRAMS = ("", "mailer-daemon", "postmaster", "mail-daemon", "noreply", "no-reply", "donotreply", "do-not-reply")
MOST_PARTS, MOST_RECIPIENTS, MOST_KEYS = 50, 20, 200
LONGEST_DELAY = timedelta(days=30)

_COMMENT, _WORD = re.compile(r"\([^()]*\)"), re.compile(r"[\w-]+")
_ENCODED_WORD = re.compile(r"=\?[^?]*\?[bq]\?[^?]*\?=", re.IGNORECASE)
_KEY = re.compile(r"[0-9a-z]{1,32}-\d{1,18}-[0-9a-f]{12}(?![0-9a-z])", re.IGNORECASE)


def read(raw: bytes, key_of: KeyOf, *, now: datetime) -> Fetched:
    """Never raises: what breaks while it is read is put aside like what says nothing."""
    try:
        return _read(raw, key_of, now)
    except Exception as error:
        return Fetched(problem=f"it cannot be read ({type(error).__name__})")


def _read(raw: bytes, key_of: KeyOf, now: datetime) -> Fetched:
    mail = message_from_bytes(raw)
    parts = list(islice(mail.walk(), MOST_PARTS))
    told, text = list(islice(_told(mail, parts), MOST_RECIPIENTS)), ""
    if not told:
        if _automatic(mail):
            return Fetched()
        text = "" if _from_a_program(mail) else said(parts) or _new_subject(mail)
        if not text:
            return Fetched(problem="it is neither a bounce nor a complaint nor an answer")
        told = [(_E.REPLIED, None, {})]
    showing = _keys(_headers(mail, (*ARRIVED_AT, *ANSWERED))) if text else _sealed(mail)
    key = next((key for sealed in islice(showing, MOST_KEYS) if (key := key_of(sealed))), None)
    if key is None:
        return Fetched(problem="nothing in it proves which message it is about")
    at, name = _date(mail, now), _header(mail, "Message-ID") or hashlib.sha256(raw).hexdigest()
    return Fetched(
        events=[
            ProviderEvent(
                name=event,
                at=at,
                dedupe=hashlib.sha256(f"{name}\n{key}\n{event}\n{number}".encode()).hexdigest(),
                message_key=key,
                suppress=suppress,
                text=text,
                detail=detail,
            )
            for number, (event, suppress, detail) in enumerate(told)
        ]
    )


Told = tuple[EventName, SuppressionReason | None, Mapping[str, Plain]]


def _told(mail: Message, parts: list[Message]) -> Iterator[Told]:
    """What it reports, one a recipient; nothing where it is no report."""
    for part in parts:
        kind = part.get_content_type()
        if kind == "message/feedback-report":
            yield _complaint(_blocks(part))
            return
        if kind in STATUS:
            yield from (_delivery(block) for block in _blocks(part) if block["Action"] or block["Status"])
            return
    if _report_type(mail) or (
        _automatic(mail) and not mail["X-Failed-Recipients"]
    ):  # Exim marks its bounces as automatic
        return
    later, failed = all_failures(mail)  # qmail, old Exchange and others that speak in sentences
    if failed:
        plain = [part for part in parts if part.get_content_type() == "text/plain"]
        yield _failed("\n".join(map(text_of, plain)))
    elif later:
        yield _E.DEFERRED, None, {"action": "delayed"}


_SAID = re.compile(r"(?:\(#|\b5\d\d[ -])(5\.\d{1,3}\.\d{1,3})\b")
"""A code as qmail writes it, or in the reply of another server; not just anything with two dots in it."""


def _failed(words: str) -> Told:
    """What a server that speaks in sentences says of its one recipient."""
    found = _SAID.search(words[:2000])
    status = found[1] if found else ""
    detail: dict[str, Plain] = {"action": "failed", **({"status": status} if status else {})}
    if status == enhanced.MAILBOX_FULL:
        return _E.BOUNCED_SOFT, None, detail
    return _E.BOUNCED, SuppressionReason.BOUNCED if status in enhanced.BAD_ADDRESS else None, detail


def _delivery(block: Message) -> Told:
    """One recipient's fields. Only a permanent code that blames the address suppresses it; an unknown one never does."""
    action, said = _word(block, "Action"), _header(block, "Diagnostic-Code")
    status = enhanced.find(_header(block, "Status"))
    if status.endswith(".0.0") or not status:  # the server's own words often know more
        status = enhanced.find(said) or status
    detail: dict[str, Plain] = {
        name: without_personal(value)
        for name, value in (("action", action), ("status", status), ("diagnostic", said.partition(";")[2] or said))
        if value
    }
    name = ACTIONS.get(action, _E.OTHER)
    if name is not _E.BOUNCED:
        return name, None, detail
    if status.startswith("4.") or status == enhanced.MAILBOX_FULL:
        return _E.BOUNCED_SOFT, None, detail
    return name, SuppressionReason.BOUNCED if status in enhanced.BAD_ADDRESS else None, detail


def _complaint(blocks: list[Message]) -> Told:
    kind = next((word for block in blocks if (word := _word(block, "Feedback-Type"))), "")
    return FEEDBACK.get(kind, _E.OTHER), None, {"feedback": without_personal(kind) or "unknown"}


def _blocks(part: Message) -> list[Message]:
    """The fields of a report, block by block; encoded (RFC 6533 allows it, others do it) or as they are."""
    inside = part.get_payload()
    told = inside if isinstance(inside, list) else [inside]
    text = "\n\n".join(each.as_string() if isinstance(each, Message) else str(each) for each in told)
    if _header(part, "Content-Transfer-Encoding").lower() in ("base64", "quoted-printable"):
        encoded = Message()
        encoded["Content-Transfer-Encoding"] = part["Content-Transfer-Encoding"]
        encoded.set_payload(text.strip())
        decoded = encoded.get_payload(decode=True)
        text = decoded.decode("utf-8", "replace") if isinstance(decoded, bytes) else text
    paragraphs = re.split(r"\r?\n[ \t]*\r?\n", text.strip())
    return [message_from_string(each) for each in islice(paragraphs, MOST_PARTS)]


def _sealed(mail: Message) -> Iterator[str]:
    """What may be a sealed key: in the address it came to, else in the message that it returns, else in its words."""
    yield from _keys(_headers(mail, ARRIVED_AT))
    parts = list(islice(mail.walk(), MOST_PARTS))
    for part in parts:
        yield from _keys(_headers(part, POINTERS))
    for part in parts:
        words = part.get_payload(decode=True)
        if isinstance(words, bytes):
            yield from _keys([words.decode("utf-8", "replace")])
        elif part.get_content_type() in (*STATUS, "message/feedback-report"):
            yield from _keys(value for block in _blocks(part) for value in _headers(block, POINTERS))


def _keys(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        yield from (match[0] for match in _KEY.finditer(text))


def _headers(mail: Message, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        yield from (str(value) for value in mail.get_all(name, []))


def _header(mail: Message, name: str) -> str:
    return " ".join(storable(mail.get(name, "")).split())


def _word(mail: Message, name: str) -> str:
    """A field that is one word, in lower case: without the comments and parameters that may stand about it."""
    said = _WORD.search(_COMMENT.sub(" ", _header(mail, name)))
    return said[0].lower() if said else ""


def _report_type(mail: Message) -> str:
    return (
        storable(mail.get_param("report-type") or "").lower() if mail.get_content_type() == "multipart/report" else ""
    )


def _automatic(mail: Message) -> bool:
    """Whether nobody wrote it: an out-of-office note, an automatic answer (RFC 3834), a receipt that something was read."""
    if _report_type(mail) == "disposition-notification":
        return True
    submitted = _word(mail, "Auto-Submitted")
    marked = submitted not in ("", "no") or any(mail[name] for name in ("X-Autoreply", "X-Autorespond", "X-Auto-Reply"))
    bulk = _header(mail, "Precedence").lower() in ("auto_reply", "auto-reply")
    return marked or bulk or bool(SUBJECTS.match(_decoded(_header(mail, "Subject"))))


def _from_a_program(mail: Message) -> bool:
    """Whether it is no person's, though it does not say so: from a mail server, a list, or a program that writes to many."""
    sender = parseaddr(_header(mail, "From"))[1].partition("@")[0].lower()
    to_many = _header(mail, "Precedence").lower() in ("bulk", "list", "junk") or mail["List-Id"] is not None
    return _header(mail, "Return-Path") == "<>" or sender in PROGRAMS or to_many


def _new_subject(mail: Message) -> str:
    """The subject, where it is all that somebody wrote: of an answer it is ours."""
    subject = _decoded(_header(mail, "Subject"))
    return "" if re.match(r"^\s*\w{2,3}\s?:", subject) else storable(subject).strip()


def _decoded(subject: str) -> str:
    """Its words, as far as they can be read: what is broken, or in letters that nobody knows, costs only itself."""
    try:
        words = decode_header(subject[:500])
    except HeaderParseError:
        return _ENCODED_WORD.sub("", subject[:500])
    return "".join(word if isinstance(word, str) else letters(word, charset or "latin-1") for word, charset in words)


def _date(mail: Message, now: datetime) -> datetime:
    """When the report was written, as far as that can be believed."""
    try:
        at = parsedate_to_datetime(_header(mail, "Date"))
    except (TypeError, ValueError, OverflowError):
        return now
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return at.astimezone(UTC) if now - LONGEST_DELAY <= at <= now else now
