"""The table of transitions is what the documentation draws, and what it promises."""

from __future__ import annotations

import re
from pathlib import Path

from engine.ledger.keywords import Wish, wish, wish_of_part
from engine.model import FINAL, OPEN, TRANSITIONS, State

DOCS = Path(__file__).parents[2] / "docs" / "ledger.md"


def test_the_documentation_draws_the_table_of_the_code() -> None:
    """Each row of the table in docs/ledger.md is a transition of model.py, and the other way round."""
    rows = re.findall(r"^\| `(\w+)` \| ([\w, ]+) \| (\w+) \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    drawn = {name: (frozenset(map(str.strip, origins.split(","))), target) for name, origins, target in rows}
    coded = {t.name: (frozenset(map(str, t.origins)), str(t.target)) for t in TRANSITIONS.values()}
    assert drawn == coded


def test_only_proof_leaves_a_final_state_and_only_unknown() -> None:
    """A final state is final; an unknown may still become known by the provider's own word, or a person's."""
    leaving = {(t.name, origin) for t in TRANSITIONS.values() for origin in t.origins & FINAL}
    words = ("prove_accepted", "prove_rejected", "judge_accepted", "judge_rejected", "judge_resend")
    assert leaving == {(word, State.UNKNOWN) for word in words}


def test_every_open_state_has_a_way_to_a_final_one() -> None:
    """No message can be stuck by design."""
    reached = {State.PENDING}
    while grown := {t.target for t in TRANSITIONS.values() if t.origins & reached} - reached:
        reached |= grown
    assert reached == set(State)
    for state in OPEN:
        assert any(state in t.origins and t.target is not state for t in TRANSITIONS.values())


def test_nothing_in_doubt_goes_back_without_a_named_permission() -> None:
    """Only by `resend` (key or class), `retry` (it is proved that nobody has it) or `judge_resend` (a person's word)."""
    back = {t.name for t in TRANSITIONS.values() if State.IN_DOUBT in t.origins and t.target is State.PENDING}
    assert back == {"resend", "retry", "judge_resend"}


def test_every_end_that_says_nobody_has_it_gives_way_to_a_doubt() -> None:
    """Skipped, expired, dead, cancelled and refused deny a hand-over; with an earlier one in doubt they say unknown instead."""
    denying = {t.target for t in TRANSITIONS.values() if t.denies}
    assert denying == FINAL - {State.ACCEPTED, State.UNKNOWN}


def test_words_that_revoke_consent_are_understood() -> None:
    """The seven words of 47 CFR 64.1200(a)(10) in any dress, the vendors' and other languages' words, politeness around them."""
    out = [
        "STOP",
        "stop.",
        " Stop! ",
        "STOPALL",
        "Quit",
        "END",
        "revoke",
        "cancel",
        "unsubscribe",
        "opt out",
        "OPT-OUT",
        "optout",
        "REMOVE",
        "ARRET",
        "Arrêt",
        "TD",
        "STOP please",
        "please stop",
        "stop texting me",
        "please stop texting me",
        "S T O P",
        "s.t.o.p.",
        "ＳＴＯＰ",
        "Bitte abmelden!",
        "Stopp",
        "Désabonner, svp",
        "dar de baja",
        "Por favor, cancelar",
        "Cancellami",
        "sair",
        "Uitschrijven aub",
        "Rezygnuję",
        "СТОП",
        *(f"Opt{dash}out" for dash in "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"),
        "STOP ALL",
        "stop all messages",
        "unsub",
        "opt me out",
        "Opting out",
    ]
    review = [
        "stpo",
        "unsubscibe please",
        "ST0P",
        "keine Werbung mehr",
        "don't text me again",
        "No quiero más",
        "cancel my appointment",
        "don't stop",
        "when does it end?",
        "stop it or I will call my lawyer",
        "stoped",
        "Stopped, please",
        "STOP36105",
        "svp STOP36105 merci beaucoup madame",
        "delete my number",
        "take my number off your list",
        "I want out",
        "not interested",
        "Pas de SMS!",
        "Laß mich in Ruhe",
        "löschen",
        "Kein Interesse",
        "pas intéressée",
        "I opted out last week",
    ]
    assert {text: wish(text) for text in out} == dict.fromkeys(out, Wish.OPT_OUT)
    assert {text: wish(text) for text in review} == dict.fromkeys(review, Wish.REVIEW)
    said = ["my parcel stopped in Turku", "I am interested", "all of them, please", "a stop-over", "in ruhe lesen"]
    assert [text for text in said if wish(text) not in (Wish.NONE, Wish.REVIEW)] == []
    assert wish(said[0]) is wish("opting for the blue one") is wish("I want all of it") is Wish.NONE
    assert [wish(text) for text in ("HELP", "info", "START", "unstop", "yes", "thanks a lot", "")] == [
        Wish.HELP, Wish.HELP, Wish.OPT_IN, Wish.OPT_IN, Wish.NONE, Wish.NONE, Wish.NONE,
    ]  # fmt: skip


def test_a_part_of_a_long_text_is_no_word_of_command() -> None:
    """Who wrote so much wants to be read: a word, whole or halved by the cut, waits for a person, and START does nothing."""
    review = [
        "STOP",
        "stop it",
        "and so I want to unsub",
        "scribe, or can",
        "top",
        "unsubscr",
        "Please do not text me again",
    ]
    assert {text: wish_of_part(text) for text in review} == dict.fromkeys(review, Wish.REVIEW)
    none = [
        "START",
        "HELP",
        "",
        " ",
        "Thank you for the records, they came on ",
        "Tuesday, and my daughter loves them all",
    ]
    assert {text: wish_of_part(text) for text in none} == dict.fromkeys(none, Wish.NONE)
