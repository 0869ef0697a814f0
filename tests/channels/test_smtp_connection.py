"""An SMTP connection by itself, over a pair of sockets: replies in any pieces, and what is said too soon."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.smtp.connection import READ, Connection, OutOfStep, Refusal, Reply, Steps, T
from engine.testing.vendors.server import closed_port

Pair = tuple[Connection, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A connection, and the server's end of it."""
    connection, server = connected()
    yield connection, server
    connection.abandon()
    server.close()


def connected() -> Pair:
    connection = Connection(time.monotonic() + 5)
    connection.sock, server = socket.socketpair()
    connection.sock.setblocking(False)
    return connection, server


def finished(steps: Steps[T], *pieces: bytes, server: socket.socket) -> T:
    """The steps' end, where each wait for the server is answered with the next piece."""
    left = list(pieces)
    try:
        wanted = next(steps)
        while True:
            if wanted & READ and left:
                server.sendall(left.pop(0))
            wanted = steps.send(wanted)
    except StopIteration as end:
        ended: T = end.value
        return ended


@settings(deadline=None, max_examples=50)
@given(cuts=st.lists(st.integers(0, 90), max_size=12))
def test_a_reply_may_come_in_any_pieces(cuts: list[int]) -> None:
    """However the network cuts replies up, each comes out whole and none takes from the next."""
    whole = b"250-mail.example\r\n250-SIZE 10\r\n250 HELP\r\n354 go on\r\n550 5.1.1 gone\r\n25\r\n"
    places = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    pieces = [whole[start:end] for start, end in pairwise(places)]
    connection, server = connected()
    replies: list[Reply] = []

    def four() -> Steps[None]:
        for _ in range(4):
            replies.append((yield from connection.reply()))

    finished(four(), *pieces, server=server)
    assert replies == [(250, b"mail.example\nSIZE 10\nHELP"), (354, b"go on"), (550, b"5.1.1 gone"), (-1, b"")]
    connection.abandon()
    server.close()


@pytest.mark.parametrize("endless", [b"2" * 5000, b"250-x\r\n" * 10_000])
def test_a_reply_without_an_end_is_given_up(pair: Pair, endless: bytes) -> None:
    """A line, or a reply of many lines, that never ends is no reply: it does not fill the memory."""
    connection, server = pair
    with pytest.raises(OutOfStep):
        finished(
            connection.reply(),
            *[endless[start : start + 4096] for start in range(0, len(endless), 4096)],
            server=server,
        )


def test_half_a_reply_before_the_text_is_no_beginning_of_the_answer(pair: Pair) -> None:
    """What came before the text is never put together with what comes after the dot: `25` and `550 no` are no 255."""
    connection, server = pair
    steps = connection.reply()
    assert finished(steps, b"354 go on\r\n25", server=server) == (354, b"go on")
    with pytest.raises(OutOfStep):
        finished(connection.carry(b"text\r\n.\r\n"), b"550 no\r\n", server=server)
    assert connection.sock is None and not connection.dot_left
    server.setblocking(False)
    assert server.recv(100) == b""


def test_a_refusal_before_the_text_is_one(pair: Pair) -> None:
    """A server that says 354 and takes it back at once has refused, and gets no text."""
    connection, server = pair
    assert finished(connection.reply(), b"354 go on\r\n554 5.7.1 no\r\n", server=server) == (354, b"go on")
    with pytest.raises(Refusal) as caught:
        finished(connection.carry(b"text\r\n.\r\n"), server=server)
    assert (caught.value.code, connection.sock) == (554, None)


def test_the_next_address_is_tried() -> None:
    """A server with several addresses, of which the first does not answer, is reached by another."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ports = (closed_port(), listener.getsockname()[1])
        addresses = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port)) for port in ports]
        connection = Connection(time.monotonic() + 5)
        finished(connection.connect(addresses), server=listener)
        assert connection.sock is not None and connection.sock.getpeername()[1] == ports[1]
        connection.abandon()
        with pytest.raises(ConnectionRefusedError):
            finished(connection.connect(addresses[:1]), server=listener)
        with pytest.raises(OSError, match="no address"):
            finished(connection.connect([]), server=listener)
