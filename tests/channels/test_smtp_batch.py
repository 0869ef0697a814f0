"""SMTP in batches: each message's own outcome, whatever happens to the others, pipelined and not."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from channels.smtp import Smtp
from engine.model import SuppressionReason
from engine.provider import Accepted, Ambiguous, NotSent, Outcome, Outgoing, Rejected
from engine.testing.vendors.server import Reset, Silence, closed_port
from engine.testing.vendors.smtp import DotFault, Refusal, SmtpVendor
from tests.channels.certificates import authority
from tests.channels.messages import EMAIL, letter, soon
from tests.channels.test_smtp import LONG, opened, password
from tests.channels.tiny_smtp import CLOSE, HELD, PIPELINING, RESET, RIGHT, SILENT, TinySmtp

__all__ = ["password"]

RETURN_PATH = "bounces+{key}@shop.example"
OFFERS = pytest.mark.parametrize("offers", [RIGHT["EHLO"], PIPELINING], ids=["one by one", "pipelined"])
FAULTS: Mapping[str, str] = {
    "close": CLOSE,
    "reset": RESET,
    "421": "421 4.3.2 leaving",
    "450": "450 4.2.0 later",
    "550": "550 5.7.1 no",
    "word": "hello",
}
STEPS = ("MAIL", "RCPT", "DATA", "dot")


def expected(step: str, fault: str) -> type[Outcome]:
    """What the fault at this step proves about its message."""
    if fault == "550":
        return NotSent if step == "MAIL" else Rejected
    return Ambiguous if step == "dot" and fault != "450" else NotSent


def letters(*keys: str) -> list[Outgoing]:
    return [replace(EMAIL, key=key, to=f"{key}@customer.example") for key in keys]


def good(count: int) -> list[Outgoing]:
    return letters(*(f"good-{number}" for number in range(count)))


def telling(provider: Smtp, batch: Sequence[Outgoing], deadline: float) -> Iterator[tuple[Outgoing, Outcome]]:
    """What is told, without the pauses."""
    return filter(None, provider.send_many(batch, deadline=deadline))


def outcomes(provider: Smtp, batch: Sequence[Outgoing], *, within: float = 30) -> dict[str, Outcome]:
    """How each message ended, in the order in which that became known; each is told once."""
    told = [(outgoing.key, outcome) for outgoing, outcome in telling(provider, batch, soon(within))]
    assert sorted(key for key, _ in told) == sorted(outgoing.key for outgoing in batch)
    assert all("@customer" not in repr(outcome) for _, outcome in told)
    return dict(told)


def taken(server: TinySmtp) -> Counter[str]:
    """How often the server was given each message, by its key."""
    found = (re.search(rb"X-Regulars-Message: (\S+)", message) for message in server.messages)
    return Counter(match[1].decode() for match in found if match)


# ---------------------------------------------------------------- outcomes


@OFFERS
@pytest.mark.parametrize("connections", [1, 6, 60])
def test_each_message_ends_as_its_own_conversation_did(offers: str, connections: int) -> None:
    """Every fault at every step, among good messages: each gets its own outcome, and nothing is given to the server twice."""
    special = {f"{step}-{fault}": {step: reply} for step in STEPS for fault, reply in FAULTS.items()}
    batch = letters(*special)
    for place, outgoing in enumerate(good(30)):
        batch.insert(place * 2, outgoing)
    with TinySmtp({"EHLO": offers}, special=special) as server:
        with opened(server.port, connections=connections, return_path=RETURN_PATH) as provider:
            ended = outcomes(provider, batch)
        for key, outcome in ended.items():
            kind = expected(*key.split("-")) if key in special else Accepted
            assert isinstance(outcome, kind), (key, outcome)
        assert taken(server) == Counter([key for key in ended if key.startswith(("good", "dot"))])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    plan=st.lists(st.none() | st.tuples(st.sampled_from(STEPS), st.sampled_from(sorted(FAULTS))), max_size=12),
    connections=st.integers(1, 5),
    share=st.integers(1, 4),
    pipelined=st.booleans(),
)
def test_any_batch_on_any_number_of_connections(
    plan: list[tuple[str, str] | None], connections: int, share: int, pipelined: bool
) -> None:
    """Whatever goes wrong where, in whatever order: the outcome says what the server was given, and a second batch works."""
    special = {str(place): {one[0]: FAULTS[one[1]]} for place, one in enumerate(plan) if one is not None}
    offers = PIPELINING if pipelined else RIGHT["EHLO"]
    with TinySmtp({"EHLO": offers}, special=special) as server:
        limits = {"connections": connections, "messages_per_connection": share}
        with opened(server.port, return_path=RETURN_PATH, **limits) as provider:
            ended = outcomes(provider, letters(*map(str, range(len(plan)))))
            for place, one in enumerate(plan):
                assert isinstance(ended[str(place)], expected(*one) if one else Accepted)
            again = outcomes(provider, good(3))
            assert all(isinstance(outcome, Accepted) for outcome in again.values())
        reached = [key for key, outcome in ended.items() if not special.get(key) or "dot" in special[key]]
        assert taken(server) == Counter([*reached, *again])


def test_one_of_each_among_twenty_on_a_real_server() -> None:
    """aiosmtpd: one refused, one put off, one whose connection dies, one without an answer, each taken or not; sixteen go."""
    faults: Mapping[str | None, DotFault] = {
        "later": Refusal(reply="451 4.3.0 later"),
        "dies": Reset(taken=True),
        "silent": Silence(taken=False),
    }
    kinds = {"gone": Rejected, "later": NotSent, "dies": Ambiguous, "silent": Ambiguous}
    with SmtpVendor(
        refuse=lambda address: "550 5.1.1 no such user" if address.startswith("gone") else None,
        misbehave=lambda received: faults.get(received.key),
    ) as vendor:
        with opened(vendor.port, connections=5) as provider:
            ended = outcomes(provider, [*good(8), *letters(*kinds), *good(16)[8:]], within=5)
        for key, outcome in ended.items():
            assert isinstance(outcome, kinds.get(key, Accepted)), (key, outcome)
        assert list(ended)[-1] == "silent"
        taken_keys = Counter(received.key for received in vendor.accepted)
        assert taken_keys == Counter(["dies", *(outgoing.key for outgoing in good(16))])


@OFFERS
def test_those_that_stall_hold_up_nobody(offers: str) -> None:
    """With a message stalled at each step on connections of their own, all the others end first; then the deadline decides."""
    special = {step: {step: SILENT} for step in STEPS}
    batch = [*letters(*STEPS), *good(16)]
    with TinySmtp({"EHLO": offers}, special=special) as server:
        with opened(server.port, connections=6, return_path=RETURN_PATH) as provider:
            ended = outcomes(provider, batch, within=4)
        assert [key for key in ended if key in special] == list(ended)[-4:]
        assert all(isinstance(outcome, Accepted) for key, outcome in ended.items() if key not in special)
        assert all(isinstance(ended[step], Ambiguous if step == "dot" else NotSent) for step in STEPS)
        assert taken(server) == Counter([key for key in ended if key.startswith(("good", "dot"))])


def test_an_answer_counts_when_it_came_not_when_it_was_looked_at() -> None:
    """Whoever takes the outcomes may take long: a reply that lay there before the deadline is read after it."""
    with (
        TinySmtp(special={"held": {"dot": HELD}}) as server,
        opened(server.port, connections=2, return_path=RETURN_PATH) as provider,
    ):
        deadline = soon(3)
        told = telling(provider, [*letters("held"), *good(20)], deadline)
        while not taken(server)["held"]:
            assert isinstance(next(told)[1], Accepted)
        server.let_go.set()
        time.sleep(max(0.0, deadline - time.monotonic()) + 0.2)
        ended = {outgoing.key: outcome for outgoing, outcome in told}
        assert isinstance(ended["held"], Accepted)


@OFFERS
def test_nothing_more_leaves_after_the_deadline(offers: str) -> None:
    """A message whose turn comes after the deadline is not sent, even where the server said long ago that it is ready."""
    with TinySmtp({"EHLO": offers}) as server, opened(server.port, connections=1) as provider:
        deadline = soon(1)
        told = telling(provider, good(3), deadline)
        assert isinstance(next(told)[1], Accepted)
        time.sleep(max(0.0, deadline - time.monotonic()) + 0.1)
        assert all(isinstance(outcome, NotSent) for _, outcome in told)
        assert taken(server) == Counter(["good-0"])


@OFFERS
def test_a_refused_message_is_told_before_the_line_is_clear(offers: str) -> None:
    """A refusal at RCPT is the outcome; a server that then hangs at the pipelined DATA cannot take it back or hold it up."""
    special = {"gone": {"RCPT": "550 5.1.1 no such user", "DATA": SILENT}}
    with TinySmtp({"EHLO": offers}, special=special) as server:
        with opened(server.port, connections=1, return_path=RETURN_PATH) as provider:
            told = telling(provider, letters("gone", "good"), soon(20))
            outgoing, outcome = next(told)
            assert outgoing.key == "gone" and isinstance(outcome, Rejected)
            assert outcome.suppress is SuppressionReason.BOUNCED
            assert isinstance(next(told)[1], Accepted)
        assert taken(server) == Counter(["good"])


def test_a_data_taken_up_after_a_refusal_is_left() -> None:
    """A server that answers 354 although it refused the only recipient gets no text: the connection is given up."""
    special = {"gone": {"RCPT": "550 5.1.1 no such user"}}
    with TinySmtp({"EHLO": PIPELINING}, special=special) as server:
        with opened(server.port, connections=1, return_path=RETURN_PATH) as provider:
            ended = outcomes(provider, letters("gone", "good"))
        assert isinstance(ended["gone"], Rejected) and isinstance(ended["good"], Accepted)
        assert (taken(server), server.connections) == (Counter(["good"]), 2)


def test_a_refused_group_ends_with_a_reset() -> None:
    """After a pipelined refusal the same connection goes on, and the next transaction begins with RSET in the same write."""
    special = {"gone": {"RCPT": "550 5.1.1 no such user", "DATA": "554 5.5.1 no valid recipients"}}
    with TinySmtp({"EHLO": PIPELINING}, special=special) as server:
        with opened(server.port, connections=1, return_path=RETURN_PATH) as provider:
            ended = outcomes(provider, letters("gone", "good", "fine"))
        assert [type(outcome) for outcome in ended.values()] == [Rejected, Accepted, Accepted]
        verbs = [command.split(" ")[0] for command in server.commands]
        once = ["MAIL", "RCPT", "DATA"]
        assert verbs == ["EHLO", *once, "RSET", *once, *once, "QUIT"] and server.connections == 1


@OFFERS
def test_a_reply_that_comes_too_soon_is_no_answer(offers: str) -> None:
    """A 250 said together with the 354 is not the reply to a dot that nobody has sent yet."""
    with TinySmtp({"EHLO": offers, "DATA": "354 go on\r\n250 2.0.0 ok"}) as server, opened(server.port) as provider:
        assert isinstance(provider.send(EMAIL, deadline=soon()), NotSent)
        assert not server.messages and not provider.pool.idle


@pytest.mark.parametrize(("reply", "kind"), [("451 4.3.0 full", NotSent), ("552 5.3.4 too big", Rejected)])
def test_a_server_may_speak_before_the_text_has_ended(reply: str, kind: type[Outcome]) -> None:
    """A server that answers and stops reading in the middle of the text is heard at once: the dot never left."""
    with TinySmtp({"body": reply}) as server, opened(server.port) as provider:
        outcome = provider.send(letter(text=LONG), deadline=soon(20))
        assert isinstance(outcome, kind) and getattr(outcome, "code", None) == reply.split(" ")[1]
        assert not server.messages and not provider.pool.idle


def test_while_nothing_ends_it_says_so() -> None:
    """As long as all is waiting None comes again and again, so that whoever takes the outcomes can write down the others."""
    with (
        TinySmtp(special={"held": {"dot": HELD}}) as server,
        opened(server.port, connections=2, return_path=RETURN_PATH) as provider,
    ):
        told = list(provider.send_many(letters("held"), deadline=soon(1)))
        assert told[:-1] == [None] * (len(told) - 1) and len(told) > 3 and told[-1] is not None


# ---------------------------------------------------------------- connections


@OFFERS
def test_connections_are_as_many_as_are_asked_for_and_kept(offers: str) -> None:
    """A batch uses at most `connections` of them, and the next batch the same ones."""
    with TinySmtp({"EHLO": offers}) as server, opened(server.port, connections=4) as provider:
        for _ in range(3):
            ended = outcomes(provider, good(20))
            assert all(isinstance(outcome, Accepted) for outcome in ended.values())
        assert server.connections <= 4 and len(provider.pool.idle) == server.connections
        assert provider.batch_limit == 4


def test_a_wrong_password_is_tried_once(password: str) -> None:
    """Until one log-in went well the other connections wait: a batch of twenty costs one failure, not one a connection."""
    offers = {"EHLO": "250-tiny\r\n250 AUTH PLAIN", "AUTH": "535 5.7.8 no"}
    with TinySmtp(offers) as server, opened(server.port, username="u", password=password) as provider:
        ended = outcomes(provider, good(20))
        assert set(ended.values()) == {NotSent(code="connect_535", detail="5.7.8 no", no_access=True)}
        assert len([command for command in server.commands if command.startswith("AUTH")]) == 1


def test_a_server_that_lets_few_in_is_used_by_few() -> None:
    """Where further connections are turned away, those that were let in carry the whole batch."""
    with TinySmtp(most=2) as server, opened(server.port, connections=8) as provider:
        ended = outcomes(provider, good(20))
        assert all(isinstance(outcome, Accepted) for outcome in ended.values())


def test_without_a_server_nothing_is_sent() -> None:
    """Nobody listens: every message is told so, once."""
    with opened(closed_port(), connections=5) as provider:
        ended = outcomes(provider, good(20))
        assert set(ended.values()) == {NotSent(code="not_connected", detail="ConnectionRefusedError")}
        assert not list(provider.send_many([], deadline=soon()))


@OFFERS
def test_a_connection_lost_before_the_dot_costs_nothing(offers: str) -> None:
    """Connections that a server closed meanwhile, or closes after some messages, are replaced within the same batch."""
    with TinySmtp({"EHLO": offers}) as server, opened(server.port, connections=3) as provider:
        outcomes(provider, good(6))
        for connection in provider.pool.idle:
            assert connection.sock
            connection.sock.shutdown(2)
        ended = outcomes(provider, good(6))
        assert all(isinstance(outcome, Accepted) for outcome in ended.values())
        assert set(taken(server).values()) == {2}


def test_a_batch_that_is_dropped_leaves_its_connections() -> None:
    """Whoever stops taking outcomes half-way: a connection in the middle of a message is never used again."""
    with (
        TinySmtp(special={"held": {"dot": HELD}}) as server,
        opened(server.port, connections=2, return_path=RETURN_PATH) as provider,
    ):
        told = provider.send_many(letters("first", "held"), deadline=soon(20))
        assert next(told) is not None
        told.close()  # type: ignore[attr-defined]
        assert len(provider.pool.idle) == 1
        server.let_go.set()
        assert all(isinstance(outcome, Accepted) for outcome in outcomes(provider, good(5)).values())


def test_threads_share_what_is_idle() -> None:
    """Several threads hand over batches through one provider: none of the messages is mixed up or sent twice."""
    with TinySmtp({"EHLO": PIPELINING}) as server, opened(server.port, connections=3) as provider:
        ended: list[Outcome] = []

        def work(thread: int) -> None:
            for turn in range(5):
                batch = letters(*(f"{thread}-{turn}-{number}" for number in range(7)))
                ended.extend(outcomes(provider, batch).values())

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(ended) == 140 and all(isinstance(outcome, Accepted) for outcome in ended)
        assert set(taken(server).values()) == {1} and len(taken(server)) == 140
        assert server.connections <= 12
        for message in server.messages:
            (key,) = re.findall(rb"X-Regulars-Message: (\S+)", message)
            assert b"To: %b@customer.example" % key in message


@pytest.mark.parametrize("security", ["starttls", "tls"])
@OFFERS
def test_batches_over_tls(tmp_path: Path, offers: str, security: str) -> None:
    """Protected, the same holds: every fault at every step among good messages, and large ones that fill every buffer."""
    ca_file, context = authority(tmp_path)
    special = {f"{step}-{fault}": {step: reply} for step in STEPS for fault, reply in FAULTS.items()}
    batch = [*letters(*special), *good(10)]
    batch += [replace(letter(text=LONG[:3_000_000]), key=f"good-large-{number}") for number in range(3)]
    steps = {"EHLO": offers.replace("250 SIZE 1000000", "250-STARTTLS\r\n250 SIZE 9000000"), "STARTTLS": "220 go"}
    with TinySmtp(steps, tls=context, implicit_tls=security == "tls", special=special) as server:
        asked = {"host": "localhost", "security": security, "ca_file": ca_file, "return_path": RETURN_PATH}
        with opened(server.port, connections=5, **asked) as provider:
            ended = outcomes(provider, batch)
        for key, outcome in ended.items():
            kind = expected(*key.split("-")) if key in special else Accepted
            assert isinstance(outcome, kind), (key, outcome)
        assert taken(server) == Counter([key for key in ended if key.startswith(("good", "dot"))])
