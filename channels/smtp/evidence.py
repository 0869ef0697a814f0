"""One message over one SMTP connection, and what its end proves.

Until the final dot has left, a message surely was not taken; a reply code to the dot says what became of it; silence, a
closed connection or 421 after it says nothing (RFC 5321 §4.2.5, §4.5.3.2).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from channels.enhanced import BAD_ADDRESS
from channels.mime import Letter
from channels.smtp.connection import Command, Connection, NotOffered, Refusal, Steps
from engine.errors import RegularsError
from engine.model import SuppressionReason
from engine.provider import NOT_CONNECTED, Accepted, Ambiguous, NotSent, Outcome, Outgoing, Rejected

OUR_SET_UP = frozenset({502, 503, 530, 534, 535, 538})
"""Replies about commands and logging in, whatever they are given to (RFC 5321 §4.2.2, RFC 4954 §6)."""

REFUSES_US = frozenset({530, 534, 535, 538})
"""Of these: we are not logged in, or not let in."""

_DATA: Command = ("DATA", b"DATA\r\n", (354,))
_DOT = re.compile(rb"\n\.")
_ENHANCED = re.compile(r"^\s*([245]\.\d{1,3}\.\d{1,3})\b")

Words = Callable[[object, Outgoing], str]
"""A server's own words about a message, fit for a log."""


Sign = Callable[[bytes, datetime], bytes]
"""The DKIM-Signature header of a whole message, made at this time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """A message that is ready to go: the letter, and the address that bounces go to."""

    outgoing: Outgoing
    origin: str
    letter: Letter
    sign: Sign | None = None

    def at(self, features: Mapping[str, str]) -> tuple[tuple[Command, ...], bytes]:
        """The commands and the text for a server that offers these features. Raises NotOffered.

        A message that is signed goes in seven bits, so that nobody on its way has to encode it anew (RFC 6376 §5.3).
        """
        international = not ((self.origin + self.letter.to).isascii() and self.letter.head.isascii())
        if international and "smtputf8" not in features:
            raise NotOffered("the server cannot take an address that is not ASCII")
        text = self.letter.wire(eight_bit="8bitmime" in features and self.sign is None)
        if self.sign is not None:
            text = self.sign(text, self.outgoing.at) + text
        mail = f"MAIL FROM:<{self.origin}>"
        if "size" in features:
            mail += f" SIZE={len(text)}"
        if international:
            mail += " SMTPUTF8"
        if not text.isascii():
            mail += " BODY=8BITMIME"
        commands = (
            ("MAIL", f"{mail}\r\n".encode(), (250,)),
            ("RCPT", f"RCPT TO:<{self.letter.to}>\r\n".encode(), (250, 251)),
            _DATA,
        )
        if _DOT.search(text):  # RFC 5321 §4.5.2; the first line is a header, and the last one has its end
            text = text.replace(b"\r\n.", b"\r\n..")
        return commands, text + b".\r\n"


def hand_over(connection: Connection, envelope: Envelope, words: Words) -> Steps[Outcome]:
    """Returns as soon as the outcome is known; the connection is then closed or has to `recover`."""
    outgoing, connection.dot_left = envelope.outgoing, False
    try:
        commands, text = envelope.at(connection.features)
        yield from connection.announce(commands)
        code, said = yield from connection.carry(text)
    except Refusal as refusal:
        if refusal.code == 421 or refusal.code < 400 or refusal.step == "RSET":
            connection.abandon()
        return _before_the_dot(refusal, words(refusal.reply, outgoing))
    except NotOffered as error:
        return Rejected(code="smtputf8", detail=str(error))
    except (OSError, ValueError) as error:
        connection.abandon()
        if connection.dot_left:
            return Ambiguous(code="no_answer", detail=f"{type(error).__name__} after the final dot")
        return NotSent(code="disconnected", detail=f"{type(error).__name__} before the final dot")
    if code == 421 or not 200 <= code < 600 or 300 <= code < 400:
        connection.abandon()
    reply = said.decode("utf-8", "replace")
    return _after_the_dot(code, reply, words(reply, outgoing))


def _before_the_dot(refusal: Refusal, detail: str) -> Outcome:
    """A 5xx at MAIL blames our set-up (but for the message's size), at RCPT and DATA most often the message."""
    code = _code(refusal.code, refusal.reply)
    about_it = (refusal.step in ("RCPT", "DATA") and refusal.code not in OUR_SET_UP) or refusal.code == 552
    if not (500 <= refusal.code < 600 and about_it):
        return NotSent(code=code, detail=detail, no_access=refusal.code in REFUSES_US)
    bad = refusal.step == "RCPT" and code in BAD_ADDRESS
    return Rejected(code=code, detail=detail, suppress=SuppressionReason.BOUNCED if bad else None)


def _after_the_dot(code: int, reply: str, detail: str) -> Outcome:
    """The reply to the dot decides; 421 only says that the server is leaving."""
    if 200 <= code < 300:
        return Accepted(detail=detail)
    if code == 421 or not 400 <= code < 600:
        return Ambiguous(code=_code(code, ""), detail=detail)
    word = _code(code, reply)
    if code < 500:
        return NotSent(code=word, detail=detail)
    return Rejected(code=word, detail=detail, suppress=SuppressionReason.BOUNCED if word in BAD_ADDRESS else None)


def not_set_up(error: Exception, words: Words, outgoing: Outgoing) -> NotSent:
    """What the failure to get a connection says about a message that would have gone over it."""
    match error:
        case RegularsError():
            return NotSent(code="set_up", detail=error.what)
        case Refusal():
            code, detail = f"{error.step.lower()}_{error.code}", words(error.reply, outgoing)
            refused, later = (
                error.code in REFUSES_US,
                400 <= error.code < 500,
            )  # it serves nobody now (RFC 5321 §3.1, §3.8)
            return NotSent(code=code, detail=detail, no_access=refused, down=later and not refused)
        case NotOffered():
            return NotSent(code="set_up", detail=str(error))
    return NotSent(code=NOT_CONNECTED, detail=type(error).__name__)


def _code(code: int, reply: str) -> str:
    """The enhanced code where the server gave one (RFC 2034), else the plain one."""
    match = _ENHANCED.match(reply)
    return match[1] if match else str(code) if code > 0 else "garbled"
