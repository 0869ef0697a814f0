"""What a marketer reads when a rule is wrong: the place, what is wrong, and what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import document
from engine.errors import WorkspaceError
from engine.rules.read import Reading, read_condition
from engine.rules.vocabulary import Vocabulary
from engine.rules.workspace import load_workspace, survey
from tests.rules import shop


def problems(condition: str) -> list[str]:
    """What is wrong in a condition, without the file's name."""
    reading = Reading(
        vocabulary=Vocabulary.of(
            shop.SETTINGS, frozenset({"lapsing", "regulars"}), campaigns=frozenset({"win-back"}), lists=("vip.txt",)
        )
    )
    read = read_condition(reading, document.parse(condition, "f"))
    assert (read is None) == bool(reading.problems)
    return [str(problem).removeprefix("f:") for problem in reading.problems]


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ("coutry: FI", '1:1: error: there is no attribute "coutry". Did you mean "country"? Attributes are declared in config.yaml under `attributes:`.'),
        ("country: {equals: FI}", '1:11: error: unknown operator "equals". Here it is called "is".'),
        ("age: {'>=': 2}", '1:7: error: unknown operator ">=". Here it is called "at_least".'),
        ("age: {at_lest: 2}", '1:7: error: unknown operator "at_lest". Did you mean "at_least"?'),
        ("country: {at_least: 2}", '1:11: error: "at_least" cannot be asked here: "country" is a text. It takes: is, is_not, is_like, in, not_in, contains, contains_like, starts_with, ends_with, present.'),
        ("country: [FI, SE]", '1:10: error: "country" needs an operator before a list. Write `country: {in: [FI, SE]}`.'),
        ("country: {in: FI}", '1:15: error: "in" takes a list of values. Write `in: [FI]`.'),
        ("country: {in: FI, SE}", '1:15: error: "in" takes a list of values. Write `in: [FI, SE]`.'),
        ("age: {between: 1, 5}", '1:16: error: "between" takes two values, [from, to]. Write `between: [1, 5]`.'),
        ("country: {is: [FI, SE]}", '1:15: error: "is" takes one value. For several, write "in".'),
        ("country:", '1:9: error: "country" has no value. Write for example `country: {is: FI}`.'),
        ('country: ""', "1:10: error: this text is empty. To ask whether there is any, write `{present: true}` or `{present: false}`."),
        ("age: 12,5", '1:6: error: "12,5" cannot be read: "age" is a number. A number is written 1000 or 12.50: a point, no thousands separators, nothing around it.'),
        ("age: {between: [30, 20]}", '1:16: error: "between" goes backwards: nothing lies between these two. Swap them.'),
        ("age: {between: [1, 2, 3]}", '1:16: error: "between" takes two values, [from, to]; here there are 3.'),
        ("vip: maybe", '1:6: error: "maybe" cannot be read: "vip" is true or false. Write true or false.'),
        ("vip: {present: perhaps}", '1:16: error: "perhaps" cannot be read: "present" is true or false. Write true or false.'),
        ("birthday: 1.2.1997", '1:11: error: "1.2.1997" cannot be read: "birthday" is a date. A date is written "2026-11-22" (year, month, day), "today", "90 days ago" or "in 30 days".'),
        ("birthday: 1997-02-30", '1:11: error: "1997-02-30" cannot be read: "birthday" is a date. The calendar has no such day.'),
        ("birthday: {before: 20 years ago}", 'Months and years have no fixed length: write days, like "7300 days ago".'),
        ("birthday: {before: in 2 months}", 'Months and years have no fixed length: write days, like "in 60 days".'),
        ("did: purchase\nbefore: 2 months ago", '2:9: error: "before": months and years have no fixed length: write days, like "60 days ago"'),
        ("did: purchase\nsum: {of: amount, at_least: 1,000}", '2:29: error: "1,000" cannot be read: the comma ends the number. Write `at_least: 1000`: a number has no thousands separators.'),
        ("age: {at_least: 1,000,000.50, less_than: 5}", '"1,000,000.50" cannot be read: the comma ends the number. Write `at_least: 1000000.50`'),
        ("birthday: 5 hours ago", "A date goes back or ahead by whole days or weeks."),
        ("seen: 1997-01-01", '1:7: error: "seen" needs an operator before "1997-01-01". Write for example `seen: {before: 90 days ago}`.'),
        ("seen: {before: 90 days}", 'Say how long ago: "90 days ago", or how far ahead: "in 90 days".'),
        ("seen: {after: 3 months ago}", 'Months and years have no fixed length: write days, like "90 days ago".'),
        ("seen: {after: 0001-01-01T00:00+14:00}", "The year must lie between 1900 and 2999."),
        ("tags: {contains: [a, b]}", '1:18: error: "contains" takes one value. For several, write "contains_any".'),
        ("did: purchse", '1:6: error: there is no event "purchse". Did you mean "purchase"? Events are declared in config.yaml under `events:`.'),
        ("did: [purchase, visit]", '1:6: error: "did" names one event. For several, put a `- did: …` for each under `any:` or `all:`.'),
        ("did: purchase\ntimes: 2", '2:8: error: "times" needs an operator before "2". Write for example `times: {at_least: 2}`.'),
        ("did: purchase\ntimes: {at_least: 1.5}", "A count is a whole number, like 0, 1 or 2."),
        ("did: purchase\nsum: {at_least: 2}", '2:6: error: "sum" does not say of which property. Add `of: amount`.'),
        ("did: purchase\nsum: {of: title, at_least: 2}", '2:11: error: "sum" needs a number, and the property "title" is a text. Known: amount.'),
        ("did: purchase\nlast: 90 days ago", 'Write for example `last: {before: 90 days ago}`.'),
        ("did: purchase\ntimes: {present: false}", "put `not:` before `did:` for customers who never did."),
        ("did: purchase\nwithin: 3 months", '2:9: error: "within": months and years have no fixed length: write days, like "90 days"'),
        ("did: purchase\nwithin: 0 days", "a duration is longer than nothing"),
        ("did: purchase\namount: {at_least: 3}", '2:1: error: "amount" is a property of the event. Put it under `where:`, as `where: {amount: …}`.'),
        ("did: purchase\ncountry: FI", '2:1: error: "country" is about the customer, not about the event. Make two conditions of it under `all:`, `- did: …` and `- country: …`.'),
        ("did: purchase\nanniversary_in: 7 days", '2:1: error: "anniversary_in" does not say of what. Write for example `last: {anniversary_in: …}`.'),
        ("did: purchase\nstarts_with: a", '2:1: error: "starts_with" does not say of what. Write for example `where: {PROPERTY: {starts_with: …}}`.'),
        ("did: purchase\nat_least: 2", '2:1: error: "at_least" does not say of what. Write for example `times: {at_least: …}`.'),
        ("did: purchase\ncount: {is: 2}", '2:1: error: unknown key "count" beside "did". Here it is called "times".'),
        ("did: visit\nwhere: {amount: 2}", '2:9: error: the event "visit" has no property "amount". Known: basket, page.'),
        ("did: purchase\ntimes: {is: 1}\nsum: {of: amount, is: 1}", '3:1: error: "times" and "sum" cannot stand in one condition. Put each under a `- did: …` of its own.'),
        ("within: 90 days", '1:1: error: "within" needs a "did" beside it. Put both into one condition, in the same column.'),
        ("and:\n  - country: FI", '1:1: error: unknown word "and". Here it is called "all".'),
        ("NOT: {country: FI}", '1:1: error: unknown word "NOT". Here it is written "not".'),
        ("any: {country: FI, vip: true}", '1:6: error: "any" takes a list of conditions. Put conditions under it, and begin each with `- `.'),
        ("all: []", '1:6: error: "all" has nothing under it.'),
        ("not:\n  - country: FI", '2:3: error: "not" takes one condition. For a list, write `none:` (no one of them holds).'),
        ("- country: FI", "1:1: error: a list of conditions needs a word above it. Put `all:` (each of them holds) or `any:` (one of them holds) above the list."),
        ("lapsing", '1:1: error: "lapsing" alone is no condition. Write `segment: lapsing`.'),
        ("lapsing: true", '1:1: error: "lapsing" is a segment, not an attribute. Write `segment: lapsing`.'),
        ("purchase: {at_least: 1}", '1:1: error: "purchase" is an event, not an attribute. Write `did: purchase`.'),
        ("segment: lapsin", '1:10: error: there is no segment "lapsin". Did you mean "lapsing"?'),
        ("never: purchase", '1:1: error: unknown word "never". Write `not: {did: purchase}`.'),
        ("{}", "1:1: error: a condition is missing here."),
        ("birthday: {anniversary_in: 7}", '"anniversary_in" takes a number of days, like `7 days`, not "7". A duration is a whole number and a unit'),
        ("age: {multiple_of: 0.5}", '1:20: error: "multiple_of" takes a whole number of at least 1, not "0.5". Write a step in whole numbers, like 5 or 100.'),
        ("did: purchase\nsum: {of: amount, multiple_of: 0}", '2:32: error: "multiple_of" takes a whole number of at least 1, not "0".'),
        ("did: purchase\ntimes: {multiple_of: -2}", '2:22: error: "multiple_of" takes a whole number of at least 1, not "-2".'),
        ("birthday: {anniversary_within: 200 days}", "An anniversary lies whole days ahead, at most 92"),
        ("tags: {contains_any: vinyl}", '1:22: error: "contains_any" takes a list of values. Write `contains_any: [vinyl]`.'),
        ("did: purchase\navg: {at_least: 2}", '2:6: error: "avg" does not say of which property. Add `of: amount`.'),
        ("did: purchase\ndistinct: {of: genres, at_least: 2}", '"distinct" needs a single value, and the property "genres" is a list.'),
        ("did: purchase\nshare: {at_least: 50}", '2:1: error: "share" needs a "where" beside it.'),
        ("did: purchase\ntrend: {of: amount, at_least: 50}", '2:1: error: "trend" needs a "within" beside it.'),
        ("did: purchase\ntimes: {among_best: 0 %}", '2:21: error: "among_best": a percentage lies between 0 and 100 (here: "0 %").'),
        ("did: purchase\nlast: {among_best: 5 %}", '2:8: error: unknown operator "among_best".'),
        ("did: purchase\nbetween: [30 days ago, 60 days ago]", '2:10: error: "between" goes backwards: nothing lies between these two. Swap them.'),
        ("did: purchase\nbetween: 30 days ago", '2:10: error: "between" takes two times, [from, to].'),
        ("did: purchase\nsince: {last: visti}", '2:15: error: there is no event "visti". Did you mean "visit"?'),
        ("did: purchase\nsince: {latest: visit}", '2:9: error: "since" takes a time, or the last or first of an event.'),
        ("did: visit\nthen_not: purchase", '2:11: error: "then_not" takes what was done next. Write for example `then_not: {did: purchase, within: 2 hours}`.'),
        ("did: visit\nthen: {did: purchse}", '2:13: error: there is no event "purchse".'),
        ("did: visit\nthen: {did: purchase, same: page}", 'the event "purchase" has no property "page".'),
        ("did: visit\nthen: {did: purchase, times: {is: 1}}", '2:23: error: unknown key "times" under "then".'),
        ("opened: win-bak", '1:9: error: there is no campaign "win-bak". Did you mean "win-back"? For a message of any campaign, write `opened: any`.'),
        ("opened: win-back\non: emial", '2:5: error: there is no channel "emial". Did you mean "email"?'),
        ("opened: win-back\ncount: {is: 2}", '2:1: error: unknown key "count" beside "opened". Here it is called "times".'),
        ("opened: any\ncountry: FI", '2:1: error: "country" cannot stand beside "opened". Make two conditions of it under `all:`, `- opened: …` and `- country: …`.'),
        ("opened: [a, b]", '1:9: error: "opened" takes one name.'),
        ("agreed_to: offer", '1:12: error: there is no purpose "offer". Did you mean "offers"?'),
        ("reachable_by: fax", '1:15: error: there is no channel "fax". Known: email, messenger, sms, social, telegram, webhook, whatsapp.'),
        ("on_list: vip", '1:10: error: there is no list "vip". Did you mean "vip.txt"? A list is a file in rules/lists/, with one customer\'s id a line.'),
        ("lot: {less_than: 10}", '1:6: error: "lot" does not say of which draw.'),
        ("lot: {of: spring, less_than: ten}", '"ten" cannot be read: "lot" is a number.'),
        ("lot: {of: spring}", '1:6: error: "lot" compares with nothing.'),
        ("rfm: purchase", '1:1: error: "rfm" asks for nothing. Add for example `band: champions`'),
        ("rfm: purchase\nband: champion", '2:7: error: there is no band "champion". Did you mean "champions"?'),
        ("rfm: purchase\nmonetary: 5", '2:1: error: "monetary" needs "money": the property that says how much.'),
        ("rfm: purchase\nmoney: title\ntotal: 15", '2:8: error: "money" needs a number, and the property "title" is a text.'),
    ],
)  # fmt: skip
def test_a_wrong_condition_is_told_with_its_place_and_remedy(condition: str, told: str) -> None:
    """One mistake, one message, in the marketer's words."""
    (problem,) = problems(condition)
    assert told in problem


def test_every_mistake_is_told_at_once_at_any_depth() -> None:
    """A wrong line does not hide the next, inside groups, under `not`, in properties and in misused words."""
    text = """\
all:
  - coutry: FI
  - not:
      did: purchse
      within: 3 months
  - any:
      - age: old
      - did: purchase
        where: {amount: {at_lest: 2}, titel: x}
      - segment: nobody
  - and:
      - vip: true
"""
    assert [problem.split(" ")[0] for problem in problems(text)] == [
        "2:5:", "4:12:", "5:15:", "7:14:", "9:26:", "9:39:", "10:18:", "11:5:",
    ]  # fmt: skip


words = st.sampled_from(
    [
        "all",
        "any",
        "none",
        "not",
        "did",
        "segment",
        "country",
        "age",
        "vip",
        "tags",
        "seen",
        "purchase",
        "visit",
        "lapsing",
        "is",
        "at_least",
        "between",
        "in",
        "present",
        "times",
        "sum",
        "of",
        "last",
        "within",
        "where",
        "amount",
        "since",
        "before",
        "then",
        "then_not",
        "same",
        "opened",
        "any",
        "on",
        "email",
        "agreed_to",
        "offers",
        "reachable_by",
        "on_list",
        "lot",
        "rfm",
        "band",
        "money",
        "recency",
        "share",
        "trend",
        "gap",
        "among_best",
        "anniversary_in",
        "contains_any",
        "90",
        "days",
        "ago",
        "FI",
        "3",
        "true",
        "today",
        "null",
    ]
)
anything = st.recursive(
    st.one_of(words, st.none(), st.text(max_size=4)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=3)),
    max_leaves=12,
)


@settings(max_examples=400, deadline=None)
@given(anything)
def test_no_condition_breaks_the_reader(value: object) -> None:
    """Whatever stands there is read, or refused with at least one problem that has words."""
    reading = Reading(vocabulary=Vocabulary.of(shop.SETTINGS, frozenset({"lapsing"})))
    read = read_condition(reading, document.node(value, document.Position(file="f")))
    assert (read is None) == bool(reading.problems)
    assert all(problem.what.endswith((".", "…")) or ")" in problem.what for problem in reading.problems)


# ---------------------------------------------------------------- whole workspaces

CONFIG = """\
workspace: shop
time_zone: Europe/Helsinki
secret: ${env:REGULARS_SECRET}
attributes: {country: text, age: number}
events:
  purchase: {amount: number}
purposes:
  offers: {title: Offers}
providers:
  outbox: {use: file}
channels:
  email:
    commercial: {provider: outbox, from: shop@example.com}
"""
SEGMENTS = "segments:\n  lapsing:\n    who: {country: FI}\n"
CAMPAIGN = """\
campaign: win-back
audience: lapsing
schedule: {cron: "0 10 * * mon"}
channel: email
class: commercial
purpose: offers
goal: {event: purchase, within: 14 days, value: amount}
"""


def told(folder: Path, **files: str) -> list[str]:
    """What load_workspace says of these files; `rules` are named a, b, c…"""
    (folder / "rules").mkdir()
    for name, text in {"config": CONFIG, **files}.items():
        path = folder / "config.yaml" if name == "config" else folder / "rules" / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
    try:
        load_workspace(folder)
    except WorkspaceError as error:
        return [str(problem) for problem in error.problems]
    return []


def test_a_right_workspace_has_no_errors(tmp_path: Path) -> None:
    """The ground of all the tests below."""
    assert told(tmp_path, a=SEGMENTS, b=CAMPAIGN) == []


def test_all_files_are_told_at_once_in_their_order(tmp_path: Path) -> None:
    """A mistake in config.yaml, one in a segment and two in a campaign come in one list; none follows from another."""
    found = told(
        tmp_path,
        config=CONFIG.replace("age: number", "age: nmber").replace("Offers}", "Offers, consnt: opt_in}"),
        a=SEGMENTS.replace("country: FI", "countri: FI, age: {at_least: 3}"),
        b=CAMPAIGN.replace("email", "emial").replace("audience: lapsing", "audience: lapsin"),
    )
    assert found == [
        'config.yaml:4:34: error: "age" cannot be "nmber". Did you mean "number"?',
        'config.yaml:8:27: error: unknown key "consnt". Did you mean "consent"?',
        'rules/a.yaml:3:11: error: there is no attribute "countri". Did you mean "country"? Attributes are declared in config.yaml under `attributes:`.',
        'rules/b.yaml:2:11: error: there is no segment "lapsin". Did you mean "lapsing"?',
        'rules/b.yaml:4:10: error: "channel" cannot be "emial". Did you mean "email"?',
    ]


def test_a_file_that_is_no_yaml_hides_no_other_and_blames_no_other(tmp_path: Path) -> None:
    """Segments may stand in the file that cannot be read: that others mention them is no second mistake."""
    found = told(tmp_path, a="segments:\n  lapsing: 'x\n", b=CAMPAIGN.replace("goal", "gaol"))
    assert found == [
        "rules/a.yaml:2:12: error: this quote is never closed. Close it with the same kind of quote.",
        'rules/b.yaml:7:1: error: unknown key "gaol". Did you mean "goal"?',
    ]


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("[one, two]", []),
        (
            "[one, three]",
            [
                'rules/b.yaml:5:18: error: "three" does not carry commercial social. Known: one, two. Name it in config.yaml under `channels:`, `social:`, among `providers:`.'
            ],
        ),
        (
            "[one, too]",
            [
                'rules/b.yaml:5:18: error: "too" does not carry commercial social. Did you mean "two"? Name it in config.yaml under `channels:`, `social:`, among `providers:`.'
            ],
        ),
        ("[one, two, one]", ['rules/b.yaml:5:23: error: "one" stands here twice. Once is one post.']),
    ],
)
def test_who_publishes_a_post_carries_its_channel(tmp_path: Path, named: str, expected: list[str]) -> None:
    """Each is among the providers of the channel's route, and named once."""
    config = CONFIG.replace("channels:\n", "channels:\n  social: {commercial: {providers: [one, two], from: Shop}}\n")
    campaign = CAMPAIGN.replace("channel: email", f"channel: social\nproviders: {named}").replace("lapsing", "public")
    found = told(tmp_path, config=config, a=SEGMENTS, b=campaign)
    assert [line for line in found if line.startswith("rules/b")] == expected


def test_a_post_has_no_goal(tmp_path: Path) -> None:
    """Nobody knows who reads it: it needs none, and one that is there counts nothing."""
    config = CONFIG.replace("channels:\n", "channels:\n  social: {commercial: {provider: one, from: Shop}}\n")
    campaign = CAMPAIGN.replace("channel: email", "channel: social").replace("lapsing", "public")
    goal = "goal: {event: purchase, within: 14 days, value: amount}\n"
    found = told(tmp_path, config=config, a=SEGMENTS, b=campaign.replace(goal, ""))
    assert not [line for line in found if "rules/b" in line]
    (tmp_path / "rules/b.yaml").write_text(campaign, encoding="utf-8")
    said = [str(one) for one in survey(tmp_path).problems if "rules/b" in str(one.at)]
    assert said == [
        "rules/b.yaml:7:1: warning: nobody knows who reads a post, so its goal counts nothing. Leave `goal` out: `regulars report` shows how posts fare."
    ]


@pytest.mark.parametrize(
    "config", ["", "- a\n", "attributes: [\n", "attributes: 3\nevents: {purchase: 4}\npurposes: x\nchannels: y\n"]
)
def test_a_broken_config_blames_no_rule(tmp_path: Path, config: str) -> None:
    """What config.yaml was to declare cannot be told; only its own mistakes are."""
    found = told(tmp_path, config=config, a=SEGMENTS, b=CAMPAIGN)
    assert found and all("config.yaml" in line for line in found)


def test_a_missing_config_says_what_to_do(tmp_path: Path) -> None:
    """A folder that is no workspace is told so."""
    with pytest.raises(WorkspaceError, match=r"there is no config.yaml here. Run `regulars init DIR`"):
        load_workspace(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("audience: lapsing\n", "", "b.yaml:1:1: error: this campaign has no audience."),
        ("lapsing", "public", 'b.yaml:2:11: error: a campaign by email cannot go to the public. Name a segment as its audience, or set `channel: social`.'),
        ("lapsing", "lapsing\nproviders: [relay]", "b.yaml:3:12: error: only a post to everybody names who publishes it."),
        ("lapsing", "{countri: FI}", 'b.yaml:2:12: error: there is no attribute "countri".'),
        ("lapsing", "[lapsing]", "b.yaml:2:11: error: \"audience\": write a segment's name, a condition, or public."),
        ('schedule: {cron: "0 10 * * mon"}\n', "", "b.yaml:1:1: error: nothing starts this campaign."),
        ("schedule", "trigger: {}\nschedule", "b.yaml:3:1: error: a campaign has a schedule or a trigger, not both."),
        ('schedule: {cron: "0 10 * * mon"}', "trigger: {}", "b.yaml:2:1: error: a triggered campaign has no audience: the call names the customer. Leave `audience` out."),
        ('"0 10 * * mon"', '"0 25 * * mon"', 'the cron\'s hour (0-23) cannot be read: "25"'),
        ("class: commercial\n", "", '"class" is missing. Write commercial (needs consent'),
        ("commercial", "transactional", "no provider carries transactional email. Add `transactional: {provider: …, from: …}` in config.yaml under `channels:`, `email:`."),
        ("email", "sms", "no provider carries commercial sms."),
        ("offers", "offer", 'b.yaml:6:10: error: there is no purpose "offer". Did you mean "offers"?'),
        ("goal: {event: purchase, within: 14 days, value: amount}\n", "", "a commercial campaign needs a goal"),
        ("event: purchase", "event: purchse", 'b.yaml:7:15: error: there is no event "purchse". Did you mean "purchase"?'),
        ("value: amount", "value: amout", 'the event "purchase" has no property "amout". Did you mean "amount"?'),
        ("goal:", "reentry: sometimes\ngoal:", 'b.yaml:7:10: error: "reentry": write never, on_rematch, always or {after: 180 days} (here: "sometimes").'),
        ("goal:", "delivery: once\ngoal:", '"delivery" cannot be "once". It is one of: at_most_once, at_least_once, exactly_once, ask.'),
        ("win-back", "Win Back", 'a name has only small letters, digits, - and _'),
        ("goal:", "not_later_than: 2 months\ngoal:", 'months and years have no fixed length: write days, like "60 days"'),
        ("campaign: win-back\n", "", "b.yaml:1:1: error: this campaign has no name. Begin the file with `campaign: name`."),
        ("campaign: win-back\n", "campain: win-back\n", 'b.yaml:1:1: error: unknown key "campain". Did you mean "campaign"?'),
        ("goal:", "segments: {}\ngoal:", "cannot stand in a file of segments. Give the campaign a file of its own."),
    ],
)  # fmt: skip
def test_a_wrong_campaign_is_told_with_its_place_and_remedy(tmp_path: Path, old: str, new: str, expected: str) -> None:
    """One mistake in a campaign leads to its message."""
    assert old in CAMPAIGN
    found = told(tmp_path, a=SEGMENTS, b=CAMPAIGN.replace(old, new, 1))
    assert any(expected in line for line in found), found


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        ("lapsing:\n  who: {country: FI}\n", "a.yaml:1:1: error: these segments need a word above them. Put `segments:` above them"),
        ("segment:\n  lapsing: {who: {country: FI}}\n", 'a.yaml:1:1: error: unknown key "segment". Did you mean "segments"?'),
        ("segments:\n  - lapsing\n", 'a.yaml:2:3: error: "segments" holds names.'),
        ("segments:\nlapsing: {who: {country: FI}}\n", 'unknown key "lapsing" beside "segments". If this is a segment, indent it'),
        ("segments:\n  lapsing:\n    country: FI\n", 'a.yaml:3:5: error: unknown key "country" in the segment "lapsing". Put the condition under `who:`.'),
        ("segments:\n  lapsing:\n    who:\n", "a condition is missing here."),
        ("segments:\n  lapsing:\n", 'the segment "lapsing" has no condition.'),
        ("segments:\n  Lapsing One: {who: {country: FI}}\n", '"Lapsing One" cannot be a name: a name has only small letters'),
        ("segments:\n  public: {who: {country: FI}}\n", 'a segment cannot be called "public".'),
        ("hello\n", "a file of rules holds segments or one campaign."),
    ],
)  # fmt: skip
def test_a_wrong_file_of_segments_is_told(tmp_path: Path, segments: str, expected: str) -> None:
    """Each wrong shape has its own advice."""
    found = told(tmp_path, a=segments)
    assert any(expected in line for line in found), found


def test_a_name_stands_once(tmp_path: Path) -> None:
    """Two segments or two campaigns of one name: the second is told where the first is."""
    found = told(tmp_path, a=SEGMENTS, b=CAMPAIGN, c=SEGMENTS, d=CAMPAIGN)
    assert found == [
        'rules/c.yaml:2:3: error: there is another segment called "lapsing", at rules/a.yaml:2:3. Rename one of the two.',
        'rules/d.yaml:1:11: error: there is another campaign called "win-back", at rules/b.yaml:1:11. Rename one of the two.',
    ]


def test_a_ring_of_segments_is_shown_whole(tmp_path: Path) -> None:
    """Each ring once, with its path, however deep the mention that closes it."""
    text = """\
segments:
  a: {who: {segment: b}}
  b:
    who:
      any:
        - segment: c
        - not: {segment: a}
  c: {who: {all: [{country: FI}, {segment: c}]}}
  d: {who: {segment: a}}
"""
    assert told(tmp_path, a=text) == [
        'rules/a.yaml:7:26: error: the segment "a" would contain itself: a → b → a. Take one of these mentions out.',
        'rules/a.yaml:8:44: error: the segment "c" would contain itself: c → c. Take one of these mentions out.',
    ]


def test_a_ring_hides_no_other_mistake(tmp_path: Path) -> None:
    """What stands outside a ring is looked at all the same: every mistake is told at once."""
    text = """\
segments:
  a: {who: {segment: b}}
  b: {who: {segment: a}}
  never: {who: {lot: {of: draw, less_than: 0}}}
"""
    ring, never = told(tmp_path, a=text)
    assert "a → b → a" in ring and "can never hold" in never


def test_segments_that_grow_beyond_measure_are_refused(tmp_path: Path) -> None:
    """Doubling ten times over is told, before a database chokes on it; and a campaign's own condition counts like any."""
    lines = [
        f"  s{level}: {{who: {{any: [{{segment: s{level - 1}}}, {{segment: s{level - 1}}}]}}}}"
        for level in range(1, 11)
    ]
    text = "segments:\n  s0: {who: {country: FI}}\n" + "\n".join(lines) + "\n"
    found = told(tmp_path, a=text, b=CAMPAIGN.replace("lapsing", "{any: [{segment: s8}, {segment: s8}]}"))
    assert [line.split(" with")[0] for line in found] == [
        'rules/a.yaml:11:3: error: the segment "s9" comes to 512 conditions,',
        'rules/a.yaml:12:3: error: the segment "s10" comes to 1,024 conditions,',
        "rules/b.yaml:2:11: error: this audience comes to 512 conditions,",
    ]


def test_a_very_long_chain_of_segments_is_refused(tmp_path: Path) -> None:
    """Neither the reader nor the database is brought down by segments that mention each other a thousand deep."""
    links = "\n".join(f"  s{level}: {{who: {{not: {{segment: s{level + 1}}}}}}}" for level in range(1000))
    found = told(tmp_path, a=f"segments:\n{links}\n  s1000: {{who: {{country: FI}}}}\n")
    assert "levels of nesting" in found[0]


def test_an_attribute_cannot_take_a_word_of_the_language(tmp_path: Path) -> None:
    """`segment: x` would be ambiguous for ever after."""
    (line,) = told(tmp_path, config=CONFIG.replace("country: text", "country: text, segment: text"))
    assert 'config.yaml:4:29: error: an attribute cannot be called "segment"' in line
