"""One SMTP connection on a socket that never blocks: set up, protected, logged in, and carrying one message at a time.

What may have to wait is a generator (`Steps`): it yields what it waits for, READ or WRITE, and is resumed with what is
ready. Where `until` passes first, it gets a TimeoutError instead. `channels.smtp.batch` drives many of them at once.
"""

from __future__ import annotations

import base64
import errno
import hmac
import ipaddress
import select
import socket
import ssl
import time
from collections.abc import Generator, Sequence
from typing import Any, TypeAlias, TypeVar

from engine.provider import time_left

READ, WRITE = select.POLLIN, select.POLLOUT
LONGEST_LINE, LONGEST_REPLY = 4096, 65_536  # RFC 5321 §4.5.3.1.5 says 512; some say more

T = TypeVar("T")
Steps: TypeAlias = Generator[int, int, T]
Reply: TypeAlias = tuple[int, bytes]
"""The code, -1 where there is none, and the text of all lines."""
Command: TypeAlias = tuple[str, bytes, tuple[int, ...]]
"""The step's name, its line, and the codes that let the conversation go on."""


class Refusal(Exception):
    """The server answered a step before the dot with a code that ends the hand-over."""

    def __init__(self, step: str, code: int, reply: bytes) -> None:
        super().__init__(step)
        self.step, self.code, self.reply = step, code, reply.decode("utf-8", "replace")


class NotOffered(Exception):
    """The server lacks something without which nothing can be sent; the remedy is empty where only the server can help."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what)
        self.remedy = remedy


class OutOfStep(ValueError):
    """The server said what is no reply, or more than it was asked."""


class Connection:
    """`deadline` ends everything, `until` the wait at hand; both are `time.monotonic()` instants.

    dot_left: whether all of the final dot was given to the network: before that nothing is taken.
    owed: replies to a pipelined group that were not read yet. unfinished: a transaction has to be reset first.
    sock: None once it is closed. messages: begun on it so far.
    """

    def __init__(self, deadline: float) -> None:
        self.sock: socket.socket | None = None
        self.features: dict[str, str] = {}
        self.deadline = self.until = deadline
        self.dot_left, self.unfinished, self.owed = False, False, 0
        self.messages, self.used_at = 0, time.monotonic()
        self._unread = b""

    # ------------------------------------------------------------ set-up

    def connect(self, addresses: Sequence[Any]) -> Steps[None]:
        """To the first address that answers; each has an equal share of the time. Raises OSError."""
        failed: OSError = OSError(errno.EADDRNOTAVAIL, "no address")
        for place, (family, kind, protocol, _, where) in enumerate(addresses):
            self.within(time_left(self.deadline) / (len(addresses) - place))
            try:
                self.sock = socket.socket(family, kind, protocol)
                self.sock.setblocking(False)
                self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                problem = self.sock.connect_ex(where)
                if problem in (errno.EINPROGRESS, errno.EWOULDBLOCK):
                    yield WRITE
                    problem = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if problem:
                    raise OSError(problem, "connect")
            except OSError as error:
                self.abandon()
                failed = error
            else:
                self.within()
                return
        raise failed

    def protect(self, context: ssl.SSLContext, host: str) -> Steps[None]:
        """TLS from here on. What was said before it does not count (RFC 3207 §4.2)."""
        assert self.sock is not None
        self._unread, self.features = b"", {}
        self.sock = tls = context.wrap_socket(self.sock, server_hostname=host, do_handshake_on_connect=False)
        while True:
            try:
                return tls.do_handshake()
            except ssl.SSLWantReadError:
                yield READ
            except ssl.SSLWantWriteError:
                yield WRITE

    def greet(self) -> Steps[None]:
        """EHLO, and what the server offers."""
        assert self.sock is not None
        own = ipaddress.ip_address(self.sock.getsockname()[0].partition("%")[0])
        name = f"[{own}]" if own.version == 4 else f"[IPv6:{own}]"
        text = yield from self.say("EHLO", f"EHLO {name}", 250)
        for line in text.split("\n")[1:]:
            word, _, rest = line.strip().replace("=", " ", 1).partition(" ")
            self.features[word.lower()] = f"{self.features.get(word.lower(), '')} {rest}".strip()

    def log_in(self, user: str, password: str) -> Steps[None]:
        """One mechanism, tried once: a wrong password that is tried in three ways counts three times (RFC 4954)."""
        offered = self.features.get("auth", "").upper().split()
        chosen = next((name for name in ("PLAIN", "LOGIN", "CRAM-MD5") if name in offered), None)
        if chosen is None:
            raise NotOffered("the server offers no way to log in that is known here")
        if chosen == "PLAIN":
            yield from self.say("connect", f"AUTH PLAIN {_base64(f'{chr(0)}{user}{chr(0)}{password}')}", 235, 503)
            return
        challenge = yield from self.say("connect", f"AUTH {chosen}", 334)
        if chosen == "LOGIN":
            yield from self.say("connect", _base64(user), 334)
            answer = password
        else:
            asked = base64.b64decode(challenge)
            answer = f"{user} {hmac.new(password.encode(), asked, 'md5').hexdigest()}"  # RFC 2195
        yield from self.say("connect", _base64(answer), 235, 503)

    # ------------------------------------------------------------ one message

    def announce(self, commands: Sequence[Command]) -> Steps[None]:
        """Everything before the text: in one write where the server takes that (RFC 2920), else one by one.

        Raises Refusal for the first answer that is none of the good ones; `owed` answers are then still to come.
        """
        self.messages += 1
        if self.unfinished:
            commands = [("RSET", b"RSET\r\n", (250,)), *commands]
        for group in [commands] if "pipelining" in self.features else [[command] for command in commands]:
            yield from self.write(b"".join([line for _, line, _ in group]))
            self.owed = len(group)
            for name, _, good in group:
                code, text = yield from self.reply()
                self.owed -= 1
                if code not in good:
                    self.unfinished = True
                    raise Refusal(name, code, text)
        self.unfinished = False

    def carry(self, text: bytes) -> Steps[Reply]:
        """The text with its dot, and the reply to it. `dot_left` tells on which side of the dot an error fell."""
        self._interrupted()
        yield from self.write(text, listening=True)
        self.dot_left = True
        return (yield from self.reply())

    def recover(self) -> Steps[None]:
        """After a refusal: hear what is still owed, for a second at most, so that the next message finds the line clear.

        A DATA that is taken up after all is left: whatever came next would be the text of a message without a recipient.
        """
        self.within(1)
        try:
            while self.owed:
                code, _ = yield from self.reply()
                self.owed -= 1
                if code in (354, 421) or code < 200:
                    self.abandon()
                    return
        except (OSError, ValueError):
            self.abandon()

    # ------------------------------------------------------------ being kept

    def alive(self) -> Steps[bool]:
        """Whether the server still answers; it is not asked for long."""
        self.within(2)
        try:
            yield from self.say("NOOP", "NOOP", 250)
        except (Refusal, OSError, ValueError):
            return False
        return True

    def quit(self) -> Steps[None]:
        """Say goodbye if the server listens; a second is enough."""
        self.deadline = self.until = time.monotonic() + 1
        try:
            yield from self.say("QUIT", "QUIT", 221)
        except (Refusal, OSError, ValueError):
            pass
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close a connection that broke or that cannot be trusted any more."""
        self.owed = 0
        if self.sock is not None:
            self.sock.close()
            self.sock = None

    # ------------------------------------------------------------ reading and writing

    def within(self, seconds: float | None = None) -> None:
        """The waits from here on end after so many seconds, and never later than the deadline."""
        self.until = self.deadline if seconds is None else min(self.deadline, time.monotonic() + seconds)

    def say(self, step: str, line: str, *good: int) -> Steps[str]:
        """One command and the text of its answer. Raises Refusal."""
        yield from self.write(f"{line}\r\n".encode())
        return (yield from self.hear(step, *good))

    def hear(self, step: str, *good: int) -> Steps[str]:
        """The next answer, which has to be one of the good ones. Raises Refusal."""
        code, text = yield from self.reply()
        if code not in good:
            raise Refusal(step, code, text)
        return text.decode("utf-8", "replace")

    def reply(self) -> Steps[Reply]:
        """The next whole reply (RFC 5321 §4.2.1). Raises OutOfStep for one that has no end, OSError."""
        while not self._unread or (found := self._whole_reply()) is None:
            if not (isinstance(self.sock, ssl.SSLSocket) and self.sock.pending()):
                yield READ
            self._read()
        return found

    def write(self, data: bytes, *, listening: bool = False) -> Steps[None]:
        """All of it; never after the deadline. With `listening`, a server that answers meanwhile is heard: Refusal."""
        assert self.sock is not None
        sent = 0
        while sent < len(data):
            time_left(self.deadline)
            try:
                sent += self.sock.send(memoryview(data)[sent:] if sent else data)
            except ssl.SSLWantReadError:
                yield READ
            except (BlockingIOError, ssl.SSLWantWriteError):
                if (yield WRITE | (READ if listening else 0)) & READ:
                    self._read()
                    self._interrupted()

    def _interrupted(self) -> None:
        """Whatever the server says before the text has ended is no reply to the dot: it ends the hand-over and the connection."""
        if self._unread:
            found = self._whole_reply()
            self.abandon()
            raise Refusal("DATA", *found) if found else OutOfStep

    def _read(self) -> None:
        assert self.sock is not None
        try:
            data = self.sock.recv(LONGEST_LINE)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        if not data:
            raise ConnectionResetError("closed by the server")
        self._unread += data

    def _whole_reply(self) -> Reply | None:
        unread, start, texts = self._unread, 0, []
        while (end := unread.find(b"\n", start)) >= 0:
            texts.append(unread[start + 4 : end].strip())
            if unread[start + 3 : start + 4] != b"-":
                code, self._unread = unread[start : start + 3], unread[end + 1 :]
                return (int(code) if code.isdigit() else -1), b"\n".join(texts)
            start = end + 1
        if len(unread) - start >= LONGEST_LINE or start > LONGEST_REPLY:
            raise OutOfStep
        return None


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")
