"""A trigger is on disk when it is answered, and however often it is sent, it is one message."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import requests

from engine.rules.workspace import Workspace
from engine.store import Database, open_database
from engine.store.tables import consents, contact_points, customers, idempotency, messages, runs
from engine.web.app import create_app
from engine.web.server import Background
from tests.conftest import SECRET
from tests.web.conftest import KEY, OTHER_KEY, Shop, open_shop

RECEIPT = "/v1/trigger/receipt"


def test_an_answered_trigger_is_on_disk_and_the_sender_is_woken(shop: Shop) -> None:
    """202 promises a message that is owed, to the customer that came along, under the key that vendors will see."""
    answer = shop.post(RECEIPT, shop.order(first_name="Ana", locale="fi"))
    assert answer.status_code == 202
    told = answer.json()
    [message] = shop.rows(messages)
    [run] = shop.rows(runs)
    [customer] = shop.rows(customers)
    assert told == {
        "run": run["id"],
        "message": message["id"],
        "key": shop.database.message_key(message["id"]),
        "status_url": f"/v1/messages/{message['id']}",
    }
    assert (message["state"], message["customer_id"], message["lane"]) == ("pending", customer["id"], 0)
    assert run["data"] == {"order": "4711", "amount": 29.9}
    assert (customer["external_id"], customer["locale"], customer["attributes"]) == ("c1", "fi", {"first_name": "Ana"})
    assert [point["address"] for point in shop.rows(contact_points)] == ["c1@mail.example"]
    assert len(shop.woken) == 1


def test_a_known_customer_is_named_by_id_alone(shop: Shop) -> None:
    """The second time, the id is enough; what is known of the customer stays."""
    shop.post(RECEIPT, shop.order(first_name="Ana"))
    assert shop.post(RECEIPT, shop.order() | {"customer": "c1"}).status_code == 202
    assert shop.count(messages) == 2
    assert shop.rows(customers)[0]["attributes"] == {"first_name": "Ana"}


DATA = {"order": "1", "amount": 1}
WRONG: tuple[tuple[str, object, int, str], ...] = (
    ("/v1/trigger/reciept", {"customer": "c1"}, 404, 'Did you mean \\"receipt\\"?'),
    ("/v1/trigger/weekly", {"customer": "c1"}, 422, "schedule"),
    (RECEIPT, {"customer": "nobody", "data": DATA}, 404, "no customer"),
    (RECEIPT, {"data": DATA}, 422, "customer is missing"),
    (RECEIPT, {"customer": 17, "data": DATA}, 422, "a customer is an id"),
    (RECEIPT, {"customer": " ", "data": DATA}, 422, '"where":"customer"'),
    (RECEIPT, {"customer": {"email": "a@b.example"}, "data": DATA}, 422, "customer.id"),
    (RECEIPT, {"customer": "c1", "dta": {}}, 422, "dta is not known here"),
    (RECEIPT, {"customer": {"id": "c2", "frist_name": "A"}, "data": DATA}, 422, "frist_name"),
    (RECEIPT, {"customer": {"id": "c2", "email": "no"}, "data": DATA}, 422, "email"),
    (RECEIPT, {"customer": {"id": "c2", "consent.email.offers": True}, "data": DATA}, 422, "customer.consent_proof"),
    (RECEIPT, [], 422, "body"),
)


def test_a_wrong_request_is_refused_with_its_place_and_leaves_nothing(shop: Shop) -> None:
    """Nothing of a refused request stays, and its Idempotency-Key is free for the right one."""
    for path, body, status, words in WRONG:
        answer = shop.post(path, body, key="k1")
        assert (answer.status_code, words in answer.text) == (status, True), answer.text
        assert set(answer.json()["error"]) == {"what", "where", "remedy", "problems"}
        assert [shop.count(each) for each in (customers, messages, runs, idempotency)] == [0, 0, 0, 0], answer.text
    assert shop.woken == []
    assert shop.post(RECEIPT, shop.order(), key="k1").status_code == 202


def test_a_consent_comes_along_with_its_proof(shop: Shop) -> None:
    """Who said yes in the shop is known to have done so, how, and by which way it came here."""
    yes: dict[str, Any] = {"consent.email.offers": True, "consent_proof": "sign-up form"}
    assert shop.post(RECEIPT, shop.order(**yes)).status_code == 202
    [row] = shop.rows(consents)
    assert (row["purpose"], row["status"], row["source"], row["proof"]) == ("offers", "opted_in", "api", "sign-up form")


def test_everything_wrong_with_the_data_is_told_at_once(shop: Shop) -> None:
    """A caller puts right in one go what is missing, unknown and of the wrong type."""
    answer = shop.post(RECEIPT, shop.order() | {"data": {"amount": "a lot", "oder": "1"}})
    assert answer.status_code == 422
    problems = answer.json()["error"]["problems"]
    assert [problem["where"] for problem in problems] == ["data.amount", "data.oder", "data.order"]
    assert problems[1]["remedy"] == 'Did you mean "order"?'
    assert shop.count(customers) == 0


UNUSABLE = (
    b"",
    b"{",
    b"\xff",
    b'{"customer": "a\\u0000"}',
    b'{"customer": "\\ud800"}',
    b'{"data": {"amount": 1e999}}',
    b'{"data": {"amount": NaN}}',
    b"[" * 100_000,
)


def test_what_no_database_can_hold_is_refused_before_one_is_asked(shop: Shop) -> None:
    """NUL, half characters, infinities and bottomless nesting answer 400 on both databases."""
    for raw in UNUSABLE:
        assert shop.client.post(RECEIPT, content=raw, headers={"X-Api-Key": KEY}).status_code == 400, raw[:40]


def test_a_body_over_the_limit_is_refused(shop: Shop) -> None:
    """Announced or not, a megabyte is enough."""
    headers = {"X-Api-Key": KEY}
    pieces = (b" " * 100_000 for _ in range(11))
    assert shop.client.post(RECEIPT, content=b" " * 1_000_001, headers=headers).status_code == 413
    assert shop.client.post(RECEIPT, content=pieces, headers=headers).status_code == 413


def test_the_same_key_and_request_get_the_same_answer(shop: Shop) -> None:
    """A repeat is told as such, is no second message, and does not take the customer's older data in again."""
    first = shop.post(RECEIPT, shop.order(first_name="Ana"), key="order-4711")
    shop.post(RECEIPT, shop.order(first_name="Anna"), key="another")
    body = dict(reversed(shop.order(first_name="Ana").items()))
    again = shop.post(RECEIPT, body, key="order-4711")
    assert (again.status_code, again.json()) == (202, first.json())
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert shop.count(messages) == 2
    assert shop.rows(customers)[0]["attributes"] == {"first_name": "Anna"}


def test_the_same_key_for_another_request_is_refused(shop: Shop) -> None:
    """Another body, or another campaign, under a used key is a mistake of the caller's, never an answer to it."""
    shop.post(RECEIPT, shop.order(), key="k")
    assert shop.post(RECEIPT, shop.order("c2"), key="k").status_code == 422
    assert shop.post("/v1/trigger/welcome", shop.order(), key="k").status_code == 422
    assert shop.count(messages) == shop.count(customers) == 1


def test_a_key_belongs_to_the_api_key_that_used_it(shop: Shop) -> None:
    """Two programs may number their orders alike."""
    shop.post(RECEIPT, shop.order(), key="k")
    other = shop.post(RECEIPT, shop.order(), key="k", api_key=OTHER_KEY)
    assert "Idempotent-Replayed" not in other.headers
    assert shop.count(messages) == 2


def test_without_a_key_every_call_is_an_occurrence_of_its_own(shop: Shop) -> None:
    """Two orders may look alike."""
    assert [shop.post(RECEIPT, shop.order()).status_code for _ in range(3)] == [202] * 3
    assert shop.count(messages) == shop.count(runs) == 3


def test_a_key_has_one_to_255_characters(shop: Shop) -> None:
    """What is longer would not be told apart by everybody."""
    for key, status in (("k" * 255, 202), ("k" * 256, 422), (" ", 422)):
        assert shop.post(RECEIPT, shop.order(), key=key).status_code == status


def test_no_api_key_and_no_customers_data_are_kept_for_idempotency(shop: Shop) -> None:
    """A stolen database tells neither."""
    shop.post(RECEIPT, shop.order(first_name="Ana"), key="k")
    [row] = shop.rows(idempotency)
    assert KEY not in str(dict(row))
    assert "Ana" not in str(dict(row))


def test_a_repeat_while_the_first_still_runs_is_told_to_wait(workspace: Workspace, database: Database) -> None:
    """409 with Retry-After, and the answer afterwards."""
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        assert go_on.wait(30)

    shop = open_shop(workspace, database, wake=slow)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(shop.post, RECEIPT, shop.order(), key="k")
        assert begun.wait(30)
        early = shop.post(RECEIPT, shop.order(), key="k")
        go_on.set()
        answer = first.result()
    assert (early.status_code, early.headers["Retry-After"]) == (409, "1")
    assert shop.post(RECEIPT, shop.order(), key="k").json() == answer.json()


def test_a_crash_between_the_commit_and_the_answer_does_not_double(workspace: Workspace, database: Database) -> None:
    """The caller saw a failure, sends again to a new process, and gets the message that is there."""

    def crash() -> None:
        raise RuntimeError("the process ends here")

    crashed = open_shop(workspace, database, wake=crash).post(RECEIPT, open_shop(workspace, database).order(), key="k")
    assert crashed.status_code == 500
    restarted = open_shop(workspace, database)
    again = restarted.post(RECEIPT, restarted.order(), key="k")
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (202, "true")
    assert restarted.count(messages) == 1


def test_fifty_parallel_identical_requests_to_two_servers_owe_one_message(
    workspace: Workspace, database: Database, database_url: str
) -> None:
    """However they race, at one server or at two that share the database alone, there is one message; every 202 names it."""
    second = open_database(database_url, secret=SECRET)
    shops = [open_shop(workspace, each) for each in (database, second)]
    together = threading.Barrier(50)

    def send(url: str) -> requests.Response:
        together.wait()
        headers = {"X-Api-Key": KEY, "Idempotency-Key": "k"}
        return requests.post(url + RECEIPT, json=shops[0].order(), headers=headers, timeout=60)

    with (
        Background(create_app(shops[0].door), "127.0.0.1", 0) as one,
        Background(create_app(shops[1].door), "127.0.0.1", 0) as two,
        ThreadPoolExecutor(50) as pool,
    ):
        answers = list(pool.map(send, [one.url, two.url] * 25))
    assert {answer.status_code for answer in answers} <= {202, 409}
    taken = [answer.json()["message"] for answer in answers if answer.status_code == 202]
    assert taken
    assert set(taken) == {shops[0].rows(messages)[0]["id"]}
    assert shops[0].count(messages) == shops[0].count(runs) == shops[0].count(customers) == 1
    assert len(shops[0].woken) + len(shops[1].woken) == 1
    second.close()


def test_an_answer_is_kept_a_week_and_goes_after_a_month(shop: Shop) -> None:
    """Within the time promised a repeat is answered; afterwards the table does not grow for ever, and still nothing doubles."""
    first = shop.post(RECEIPT, shop.order(), key="old").json()
    shop.clock.set(shop.clock.now() + timedelta(days=8))
    shop.post(RECEIPT, shop.order(), key="between")
    assert shop.post(RECEIPT, shop.order(), key="old").headers["Idempotent-Replayed"] == "true"
    shop.clock.set(shop.clock.now() + timedelta(days=23))
    shop.post(RECEIPT, shop.order(), key="new")
    assert [row["key"] for row in shop.rows(idempotency)] == ["between", "new"]
    assert shop.post(RECEIPT, shop.order(), key="old").json() == first
    shop.clock.set(shop.clock.now() + timedelta(days=31))
    shop.post(RECEIPT, shop.order(), key="newer")
    assert shop.post(RECEIPT, shop.order("c2"), key="old").json()["message"] not in (first["message"], None)
