"""`regulars test`: the marketer's own tests, on the live path; and what is said of a file that cannot be read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from engine.cli.app import app, notes, screen
from engine.errors import WorkspaceError
from engine.questions.check import check
from engine.questions.examples.compare import Verdict, run_tests
from engine.questions.examples.read import read_examples
from engine.questions.examples.schema import with_tests
from engine.rules.schema import rules_schema
from engine.rules.workspace import load_workspace
from engine.shipped import starter

NAMES = ("lapsing", "receipt", "second-purchase", "thank-the-best")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the starter workspace, without its own tests."""
    monkeypatch.setenv("REGULARS_API_KEYS", "k")
    shutil.copy(starter() / "config.yaml", tmp_path)
    for name in ("rules", "templates"):
        shutil.copytree(starter() / name, tmp_path / name)
    shutil.rmtree(tmp_path / "rules" / "tests")
    return tmp_path


def write(folder: Path, text: str, name: str = "one") -> Path:
    path = folder / "rules" / "tests" / f"{name}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def run(folder: Path) -> list[Verdict]:
    workspace = load_workspace(folder)
    examples, problems = read_examples(workspace)
    assert not problems, problems
    return list(run_tests(workspace, examples))


def differences(folder: Path, text: str) -> dict[str, tuple[str, str]]:
    """Customer → (expected, got) of one test's differences."""
    write(folder, text)
    (verdict,) = run(folder)
    assert not verdict.error, verdict.error
    return {each.customer: (each.expected, each.got) for each in verdict.differences}


def cli(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(words))
    return done.exit_code, done.stdout, done.stderr


# ---------------------------------------------------------------- what passes and what fails


def test_the_starter_s_own_tests_pass() -> None:
    """`regulars init` gives tests that pass on the first day."""
    status, out, err = cli("test", "-w", str(starter()))
    assert (status, "4 passed" in err) == (0, True), out + err


def test_a_changed_rule_fails_them_and_the_tree_says_which_line(folder: Path) -> None:
    """From 90 days to 95: who bought 91 days ago is not found any more, and the condition that fails is named."""
    shutil.copytree(starter() / "rules" / "tests", folder / "rules" / "tests")
    rules = folder / "rules" / "segments.yaml"
    rules.write_text(rules.read_text().replace("within: 90 days", "within: 95 days"))
    status, out, err = cli("test", "-w", str(folder))
    assert status == 1
    assert "1 failed" in err and "3 passed" in err
    told = " ".join(out.split())
    assert "ben and the segment lapsing" in told
    assert "expected in it got not in it" in told
    assert "91 days ago" in told, "the value that was looked at"
    assert "ben and the campaign win-back" in told


PEOPLE = """
test: it is as it says
now: 2026-03-02T10:00
customers:
  ana: {email: ana@customers.example, consents: {email: offers}}
  ben: {email: ben@customers.example, refuses: {email: [offers]}}
events:
  - {customer: ana, did: purchase, at: 300 days ago}
  - {customer: ana, did: purchase, at: 200 days ago}
  - {customer: ben, did: purchase, at: 300 days ago}
  - {customer: ben, did: purchase, at: 200 days ago}
"""


@pytest.mark.parametrize(
    ("expect", "found"),
    [
        ("segments: {lapsing: [ana, ben]}", {}),
        ("segments: {lapsing: [ana]}", {"ben": ("not in it", "in it")}),
        ("segments: {lapsing: {includes: ana}}", {}),
        ("segments: {lapsing: {excludes: [ben]}}", {"ben": ("not in it", "in it")}),
        ("segments: {bought-once: [ana]}", {"ana": ("in it", "not in it")}),
        ("segments: {bought-once: []}", {}),
        ("campaigns: {win-back: {sent: [ana], withheld: [ben]}}", {}),
        ("campaigns: {win-back: {sent: [ana], withheld: {ben: opted_out}}}", {}),
        ("campaigns: {win-back: {sent: [ana], withheld: {ben: no_consent}}}", {"ben": ("withheld: no_consent", "withheld: opted_out")}),
        ("campaigns: {win-back: {sent: [ana]}}", {"ben": ("nothing", "withheld: opted_out")}),
        ("campaigns: {win-back: {sent: [ana, ben]}}", {"ben": ("sent", "withheld: opted_out")}),
        ("campaigns: {win-back: {held: {ana: quiet_hours}, withheld: [ben]}}", {"ana": ("held: quiet_hours", "sent")}),
        ("campaigns: {second-purchase: {sent: [ana]}}", {"ana": ("sent", "nothing")}),
        ("campaigns: {new-releases: {sent: public}}", {}),
    ],
)  # fmt: skip
def test_each_customer_is_held_against_what_is_expected(
    folder: Path, expect: str, found: dict[str, tuple[str, str]]
) -> None:
    """Exactly the differences: who is named and came out otherwise, and who is not named and got something."""
    assert differences(folder, f"{PEOPLE}expect:\n  {expect}\n") == found


def test_earlier_messages_count_for_re_entry_and_for_the_frequency_cap(folder: Path) -> None:
    """Both are decided by the live code, from messages that the test only tells of."""
    before = "messages:\n  - {customer: ana, campaign: %s, at: %s ago}\n"
    expect = "expect:\n  campaigns: {win-back: {sent: [ana], withheld: [ben]}}\n"
    assert differences(folder, PEOPLE + before % ("win-back", "181 days") + expect) == {}
    (_, got) = differences(folder, PEOPLE + before % ("win-back", "179 days") + expect)["ana"]
    assert "reentry" in got
    (_, got) = differences(folder, PEOPLE + before % ("second-purchase", "19 hours") + expect)["ana"]
    assert got.startswith("withheld: frequency_cap")
    assert differences(folder, PEOPLE + before % ("second-purchase", "21 hours") + expect) == {}


def test_who_left_the_audience_may_have_it_again_on_a_rematch(folder: Path) -> None:
    """`left:` says that a start of the campaign saw the customer outside; without it, an earlier message keeps out."""
    rules = folder / "rules" / "campaigns" / "win-back.yaml"
    rules.write_text(rules.read_text().replace("reentry: {after: 180 days}", "reentry: on_rematch"))
    before = "messages:\n  - {customer: ana, campaign: win-back, at: 290 days ago%s}\n"
    expect = "expect:\n  campaigns: {win-back: {sent: [ana], withheld: [ben]}}\n"
    assert differences(folder, PEOPLE + before % ", left: 199 days ago" + expect) == {}
    (_, got) = differences(folder, PEOPLE + before % "" + expect)["ana"]
    assert "reentry" in got


def test_who_left_through_an_earlier_message_is_not_written_to(folder: Path) -> None:
    """What is reported of an earlier message has its live consequences."""
    before = "messages:\n  - {customer: ana, campaign: second-purchase, at: 9 days ago, opted_out: 8 days ago}\n"
    expect = "expect:\n  campaigns: {win-back: {withheld: {ana: opted_out, ben: opted_out}}}\n"
    assert differences(folder, PEOPLE + before + expect) == {}


def test_whoever_opened_an_earlier_message_is_a_person(folder: Path) -> None:
    """Also where the test gives both the same day, and so the same instant, at which only a machine could have."""
    (folder / "rules" / "openers.yaml").write_text("segments:\n  openers: {who: {opened: second-purchase}}\n")
    before = "messages:\n  - {customer: ana, campaign: second-purchase, at: 9 days ago, opened: 9 days ago}\n"
    assert differences(folder, PEOPLE + before + "expect:\n  segments: {openers: [ana]}\n") == {}


def test_campaigns_of_one_test_come_one_after_the_other(folder: Path) -> None:
    """The first in the file is sent first; the second meets the frequency cap that it left."""
    second = folder / "rules" / "campaigns" / "other.yaml"
    text = (folder / "rules" / "campaigns" / "win-back.yaml").read_text()
    second.write_text(text.replace("campaign: win-back", "campaign: other\ntemplate: win-back"))
    for first, then in (("win-back", "other"), ("other", "win-back")):
        expect = f"{first}: {{sent: [ana], withheld: [ben]}}\n    {then}: {{withheld: {{ana: frequency_cap, ben: opted_out}}}}"
        assert differences(folder, f"{PEOPLE}expect:\n  campaigns:\n    {expect}\n") == {}


def test_a_rate_holds_nobody_up_in_a_test(folder: Path) -> None:
    """A test asks who gets a message, not when: a campaign of one a day is sent to both."""
    rules = folder / "rules" / "campaigns" / "win-back.yaml"
    rules.write_text(rules.read_text() + 'rate: "1/day, burst 1"\n')
    people = PEOPLE.replace("refuses: {email: [offers]}", "consents: {email: offers}")
    assert differences(folder, people + "expect:\n  campaigns: {win-back: {sent: [ana, ben]}}\n") == {}


def test_a_template_s_mistake_shows(folder: Path) -> None:
    """The content is rendered as live: what would be withheld at night is withheld in the test."""
    part = folder / "templates" / "win-back" / "email.txt"
    part.write_text(part.read_text() + "{{ customer.first_name.upper() }}")
    (expected, got) = differences(
        folder, f"{PEOPLE}expect:\n  campaigns: {{win-back: {{sent: [ana], withheld: [ben]}}}}\n"
    )["ana"]
    assert expected == "sent"
    assert got.startswith("withheld: template_error (")


def test_tests_do_not_see_each_other_and_nothing_is_left_behind(folder: Path) -> None:
    """Each has a database of its own; the workspace's own is not even made, and no provider is called."""
    text = f"{PEOPLE}expect:\n  campaigns: {{win-back: {{sent: [ana], withheld: [ben]}}}}\n"
    write(folder, text, "one")
    write(folder, text, "two")
    files = {path for path in folder.rglob("*") if path.is_file()}
    assert [verdict.passed for verdict in run(folder)] == [True, True]
    assert {path for path in folder.rglob("*") if path.is_file()} == files


def test_json_and_the_choice_of_files(folder: Path) -> None:
    """A program gets the same: verdicts, differences with their places, and the tree."""
    write(folder, f"{PEOPLE}expect: {{segments: {{lapsing: [ana]}}}}\n", "wrong")
    write(folder, f"{PEOPLE}expect: {{segments: {{lapsing: [ana, ben]}}}}\n", "right")
    status, out, _ = cli("test", "-w", str(folder), "--json")
    told = json.loads(out)
    assert (status, told["passed"], told["failed"]) == (1, 1, 1)
    (difference,) = told["tests"][1]["differences"]
    assert (difference["customer"], difference["expected"], difference["got"]) == ("ben", "not in it", "in it")
    assert difference["at"] == {"file": "rules/tests/wrong.yaml", "line": 12, "column": 21}
    assert difference["why"]["verdict"] is True
    status, out, _ = cli("test", "right", "-w", str(folder), "--json")
    assert (status, [each["file"] for each in json.loads(out)["tests"]]) == (0, ["rules/tests/right.yaml"])
    assert cli("test", "-w", str(starter()), "rules/tests/lapsing.yaml")[0] == 0


def test_a_file_that_is_named_is_run_whatever_the_others_are(folder: Path) -> None:
    """One that cannot be read hides none that can; files of one name in several folders are all run, or the one whose folder is told."""
    right = f"{PEOPLE}expect: {{segments: {{lapsing: [ana, ben]}}}}\n"
    (folder / "rules" / "tests" / "deep").mkdir(parents=True)
    for name in ("one", "deep/one"):
        write(folder, right, name)
    write(folder, "expct: {}\n", "broken")

    def files(*words: str) -> tuple[int, list[str], int]:
        status, out, _ = cli("test", *words, "-w", str(folder), "--json")
        told = json.loads(out)
        return status, [each["file"].removeprefix("rules/tests/") for each in told["tests"]], len(told["problems"])

    assert files("one") == (0, ["deep/one.yaml", "one.yaml"], 0)
    assert files("deep/one") == files(str(folder / "rules/tests/deep/one.yaml")) == (0, ["deep/one.yaml"], 0)
    assert files("tests/one.yaml", "one") == (0, ["deep/one.yaml", "one.yaml"], 0)
    assert files("broken") == (1, [], 1)
    refused = CliRunner().invoke(app, ["test", "other/one", "-w", str(folder)]).exception
    assert str(refused).startswith('there is no test "other/one" in rules/tests/')


# ---------------------------------------------------------------- what cannot be read

BROKEN = [
    ("expct: {}", "unknown key \"expct\". Did you mean \"expect\"?"),
    ("expect: {segmnts: {}}", 'unknown key "segmnts". Did you mean "segments"?'),
    ("expect: {segments: {lapsin: [ana]}}", 'there is no segment "lapsin". Did you mean "lapsing"?'),
    ("expect: {segments: {lapsing: [anna]}}", 'this test has no customer "anna". Did you mean "ana"?'),
    ("expect: {segments: {lapsing: [ana, ana]}}", '"ana" stands here twice.'),
    ("expect: {segments: {lapsing: {include: [ana]}}}", 'unknown key "include". Did you mean "includes"?'),
    ("expect: {campaigns: {winback: {sent: [ana]}}}", 'there is no campaign "winback". Did you mean "win-back"?'),
    ("expect: {campaigns: {win-back: {send: [ana]}}}", 'unknown key "send". Did you mean "sent"?'),
    ("expect: {campaigns: {win-back: {withheld: {ana: optedout}}}}", 'there is no reason "optedout". Did you mean "opted_out"?'),
    ("expect: {campaigns: {win-back: {sent: {ana: opted_out}}}}", '"sent" takes a list.'),
    ("expect: {campaigns: {win-back: {sent: [ana], held: [ana]}}}", '"ana" is sent already.'),
    ("expect: {campaigns: {win-back: [ana]}}", "say what becomes of whom."),
    ("expect: {campaigns: {new-releases: {sent: [ana]}}}", '"new-releases" is a post to everybody. Write `{sent: public}`.'),
    ("expect: {campaigns: {receipt: {sent: [ana]}}}", 'nobody calls for "receipt" in this test.'),
    ("expect:", "this test expects nothing."),
    ("events: [{customer: ana, did: purchas, at: 1 day ago}]", 'there is no event in config.yaml "purchas". Did you mean "purchase"?'),
    ("events: [{customer: ana, did: purchase, at: 1 day}]", 'say how long ago: "1 day ago"'),
    ("events: [{customer: ana, did: purchase, at: 1 day ago, amout: 3}]", 'the event "purchase" has no "amout". Did you mean "amount"?'),
    ("events: [{customer: ana, did: purchase, at: 1 day ago, amount: much}]", '"amount": a number is written 12 or 12.50'),
    ("events: [{did: purchase, at: 1 day ago}]", '"customer" is missing.'),
    ("events: {customer: ana}", '"events" takes a list.'),
    ("messages: [{customer: ana, campaign: win-back, at: 2026-04-01}]", "this message was sent after the test's moment."),
    ("messages: [{customer: ana, campaign: win-back, at: 1 day ago, open: 1 hour ago}]", 'a message has no "open". Did you mean "opened"?'),
    ("messages: [{customer: ana, campaign: win-back, at: 9 days ago, left: 8 days ago}]", 'nothing rests on "left": the campaign "win-back" has another re-entry rule than on_rematch.'),
    ("messages: [{customer: ana, campaign: win-back, at: 9 days ago, left: 10 days ago}]", '"left" lies between the message and the test\'s moment.'),
    ("triggers: [{customer: ana, campaign: win-back}]", 'the campaign "win-back" is started by its schedule, not by a call.'),
    ("triggers: [{customer: ana, campaign: receipt, data: {ordr: 1}}]", 'a call for "receipt" has no "ordr". Did you mean "order"?'),
    ("triggers: [{customer: ana, campaign: receipt, data: {order: 1, cds: 2}}]", '"amount" (number) is missing in `data:`.'),
]  # fmt: skip
CUSTOMERS = [
    ("{contry: FI}", 'a customer has no "contry". Did you mean "country"?'),
    ("{email: ana}", '"email": this is not an email address (here: "ana").'),
    ("{consents: {email: [offers]}}", "this customer has no email address. Give one: `email: …`."),
    ("{email: a@b.example, consents: {email: [ofers]}}", 'there is no purpose "ofers". Did you mean "offers"?'),
    ("{email: a@b.example, consents: [offers]}", "Write for example `{email: [offers]}`."),
    ("{email: a@b.example, suppressed: {email: bounce}}", 'there is no reason to suppress an address "bounce". Did you mean "bounced"?'),
    ("{time_zone: Helsinki}", "a time zone has an IANA name"),
    ("{created_at: 700 days}", 'say how long ago: "700 days ago"'),
    ("[FI]", '"ana" takes keys with values under it.'),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), BROKEN)
def test_what_is_wrong_is_told_at_its_place(folder: Path, text: str, expected: str) -> None:
    """With the file, the line, and what was probably meant; by `regulars check`, too."""
    expect = "" if text.startswith("expect") else "expect: {segments: {lapsing: []}}\n"
    write(folder, f"test: wrong\nnow: 2026-03-02T10:00\ncustomers: {{ana: {{}}}}\n{expect}{text}\n")
    found = [str(problem) for problem in check(folder)]
    assert any(expected in line for line in found), found
    line = 5 if expect else 4
    assert all(
        each.startswith((f"rules/tests/one.yaml:{line}:", "rules/tests/one.yaml:1:1: error: this test expects"))
        for each in found
    ), found


@pytest.mark.parametrize(("customer", "expected"), CUSTOMERS)
def test_what_is_wrong_with_a_customer_is_told_at_its_place(folder: Path, customer: str, expected: str) -> None:
    """By the import's own reading of each cell, before anything is taken in."""
    write(
        folder, f"test: wrong\nnow: 2026-03-02\ncustomers:\n  ana: {customer}\nexpect: {{segments: {{lapsing: []}}}}\n"
    )
    (line,) = [str(problem) for problem in check(folder)]
    assert line.startswith("rules/tests/one.yaml:4:")
    assert expected in line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now: 2026-03-02\nexpect: {}", "a test begins with its name. Begin the file with `test: what it shows`."),
        ("segments: {}", "this file holds rules. Move it out of rules/tests/: here are tests alone."),
        ("test: x\nexpect: {segments: {lapsing: []}}", '"now" is missing.'),
        ("test: x\nnow: 3 days ago\nexpect: {segments: {lapsing: []}}", "a time of the calendar"),
        ("test:\nnow: 2026-03-02\nexpect: {segments: {lapsing: []}}", "this test has no name."),
        ('test: "x', "this quote is never closed."),
    ],
)
def test_a_file_that_is_no_test_is_told_so(folder: Path, text: str, expected: str) -> None:
    """One error, and it does not hide what the other files say."""
    write(folder, text)
    (line,) = [str(problem) for problem in check(folder)]
    assert expected in line
    status, _, err = cli("test", "-w", str(folder))
    assert (status, "1 error in its file" in err) == (1, True)


def test_all_errors_come_at_once(folder: Path) -> None:
    """Of one file and of several."""
    for name in ("one", "two"):
        write(
            folder,
            "test: x\nnow: 2026-03-02\ncustomers: {ana: {contry: FI}}\nexpect: {segments: {nobody: [eva]}}\n",
            name,
        )
    found = [str(problem) for problem in check(folder)]
    assert [line.split(": ")[0] for line in found] == [
        f"rules/tests/{name}.yaml:{place}" for name in ("one", "two") for place in ("3:19", "4:21")
    ]


@pytest.mark.parametrize("now", ["yesterday", "90 days ago", "''"])
def test_a_moment_that_cannot_be_read_hides_nothing_else(folder: Path, now: str) -> None:
    """Nor is anything said to be too late for it."""
    events = "events: [{customer: ana, did: purchase, at: 2999-01-01}, {customer: ana, did: purchse, at: 3 days ago}]"
    write(
        folder,
        f"test: x\nnow: {now}\ncustomers: {{ana: {{contry: FI}}}}\n{events}\nexpect: {{segments: {{nobody: [ana]}}}}\n",
    )
    found = [str(problem).split(": ")[0].rpartition(".yaml:")[2] for problem in check(folder)]
    assert [place.partition(":")[0] for place in found] == ["2", "3", "4", "5"], found


def test_a_test_among_the_rules_is_sent_to_its_folder(folder: Path) -> None:
    """And the files in rules/tests/ are never read as rules."""
    write(folder, "campaign: nonsense\n")
    load_workspace(folder)
    (folder / "rules" / "stray.yaml").write_text("test: x\nnow: 2026-03-02\n")
    with pytest.raises(
        WorkspaceError, match=r"stray.yaml:1:1: error: this is a test.*Move the file into rules/tests/\."
    ):
        load_workspace(folder)


def test_broken_rules_do_not_make_the_names_in_tests_wrong(folder: Path) -> None:
    """A segment that cannot be read is not unknown for that."""
    write(folder, f"{PEOPLE}expect: {{segments: {{lapsing: [ana, ben]}}}}\n")
    rules = folder / "rules" / "segments.yaml"
    rules.write_text(rules.read_text().replace("times: {at_least: 2}", "times: {at_lest: 2}"))
    assert [problem.at.file for problem in check(folder)] == ["rules/segments.yaml"]


# ---------------------------------------------------------------- the editor's schema


def schema(folder: Path) -> Any:
    workspace = load_workspace(folder)
    return jsonschema.Draft202012Validator(with_tests(rules_schema(workspace.settings), workspace))


def loaded(text: str) -> Any:
    """As an editor reads it: YAML's own types, times as text."""
    return json.loads(json.dumps(yaml.safe_load(text), default=lambda when: when.isoformat()))


@pytest.mark.parametrize("name", NAMES)
def test_the_editor_takes_what_is_right(folder: Path, name: str) -> None:
    """Every test of the starter, and every file of rules beside them."""
    text = (starter() / "rules" / "tests" / f"{name}.yaml").read_text()
    assert [error.message for error in schema(folder).iter_errors(loaded(text))] == []
    for path in (folder / "rules").rglob("*.yaml"):
        assert schema(folder).is_valid(loaded(path.read_text())), path


SEEN_BY_CHECK_ALONE = (
    "anna",
    "held: [ana]",
    "receipt: {sent",
    "amount: much",
    "new-releases",
    "sent: {ana",
    "04-01",
    "data:",
    "10 days ago",
)


@pytest.mark.parametrize("text", [text for text, _ in BROKEN if not any(word in text for word in SEEN_BY_CHECK_ALONE)])
def test_the_editor_marks_what_is_wrong(folder: Path, text: str) -> None:
    """What can be seen in one place of one file: unknown names, keys and reasons."""
    expect = "" if text.startswith("expect") else "expect: {segments: {lapsing: []}}\n"
    whole = f"test: wrong\nnow: '2026-03-02T10:00'\ncustomers: {{ana: {{}}}}\n{expect}{text}\n"
    assert not schema(folder).is_valid(loaded(whole))


def test_the_guide_s_test_passes(folder: Path) -> None:
    """docs/testing-rules.md shows a test that works in the starter workspace."""
    guide = (Path(__file__).parents[2] / "docs" / "testing-rules.md").read_text(encoding="utf-8")
    blocks = [block.split("```")[0] for block in guide.split("```yaml\n")[1:]]
    whole = [block for block in blocks if block.startswith("test:")]
    assert whole
    for number, block in enumerate(whole):
        write(folder, block, f"guide-{number}")
    assert [verdict for verdict in run(folder) if not verdict.passed] == []


def test_the_guide_s_failure_is_what_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/testing-rules.md shows what `regulars test` says, to the letter, where the segment is not what was meant."""
    monkeypatch.setattr(screen, "_width", 110)  # the terminal's, which tests share
    monkeypatch.setattr(notes, "_width", 110)
    monkeypatch.setenv("REGULARS_API_KEYS", "k")
    shop = tmp_path / "shop"
    assert CliRunner().invoke(app, ["init", str(shop)]).exit_code == 0
    guide = (Path(__file__).parents[2] / "docs" / "testing-rules.md").read_text(encoding="utf-8")
    write(shop, guide.split("```yaml\n")[1].split("```")[0], "lapsing")
    segments = shop / "rules/segments.yaml"
    rules = segments.read_text(encoding="utf-8")
    segments.write_text(rules.replace("within: 90 days", "within: 95 days"), encoding="utf-8")
    told = CliRunner().invoke(app, ["test", "-w", str(shop)]).output.splitlines()
    shown = guide.split("$ regulars test\n")[1].split("```")[0].splitlines()
    assert [line.rstrip() for line in told] == shown
