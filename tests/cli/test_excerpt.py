"""The line and the carets under a problem: at the exact place, on any line, on any terminal, and without a secret."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from typer.testing import CliRunner

from engine.cli import app as door
from engine.cli.excerpt import excerpt
from engine.errors import Position, WorkspaceError
from engine.settings import load_settings
from engine.shipped import starter

NAME = "rules/a.yaml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules" / "lists").mkdir(parents=True)
    (tmp_path / "templates").mkdir()
    return tmp_path


def shown(folder: Path, text: str, line: int, column: int, *, file: str = NAME, width: int = 80) -> tuple[str, str]:
    (folder / file).write_text(text, encoding="utf-8")
    found = excerpt(Position(file=file, line=line, column=column), folder, width=width)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("who: {contry: FI}", "contry"),
        ("who: {country: {in: [FI, SE]}}", "[FI, SE]"),
        ("who: {country: {in: [FI, SE]}}", "{in: [FI, SE]}"),
        ("within: 3 months", "3 months"),
        ("within: 3 months   # too long", "3 months"),
        ('description: "Say: #1, [x]"  # y', '"Say: #1, [x]"'),
        ("where: {title: it's, other: x}", "it's"),
        ("at: 2026-12-01T09:00", "2026-12-01T09:00"),
        ("a: &anchor [x]", "&anchor"),
        ("at_least: -5", "-5"),
        ('description: "never closed', '"never closed'),
        ("who: {country: {in: [FI, SE}", "["),
        ("- lapsing", "-"),
    ],
)
def test_the_carets_stand_under_the_whole_word(folder: Path, line: str, word: str) -> None:
    """A key, a value of several words, a quoted text, a list: what stands at the place, no more and no less."""
    text, carets = shown(folder, f"a: b\n{line}\n", 2, line.index(word) + 1)
    assert text == line
    assert carets == " " * line.index(word) + "^" * len(word)


def test_the_end_of_a_line_is_a_place_too(folder: Path) -> None:
    """Where something is missing behind the last character."""
    assert shown(folder, "who\n  country: FI\n", 1, 4) == ("who", "   ^")


def test_a_template_s_names_are_marked_with_their_dots(folder: Path) -> None:
    """Jinja has other words than YAML, and `: ` ends none of them."""
    text = "Dear {{ customer.first_nam }}: {% fi %}"
    for word in ("customer.first_nam", "{{", "{%", "fi"):
        _, carets = shown(folder, text, 1, text.rindex(word) + 1, file="templates/email.txt")
        assert carets == " " * text.rindex(word) + "^" * len(word)


def test_tabs_and_wide_characters_move_the_carets(folder: Path) -> None:
    """The carets stand where the terminal shows the word: a tab is four columns, 日 is two, a combining accent none."""
    for before in ("\t\t", "城市: 東京, ", "🎵🎵: x, ", "Åse\u0301: x, "):
        text, carets = shown(folder, f"{before}contry: FI\n", 1, len(before) + 1)
        assert "\t" not in text
        assert cell_len(text[: text.index("contry")]) == cell_len(carets) - len("contry")
    text, carets = shown(folder, "\twho: FI\n", 1, 1)
    assert (text, carets) == ("    who: FI", "^^^^")
    _, carets = shown(folder, "{a: 東京}\n", 1, 5)
    assert carets == "    ^^^^"


@pytest.mark.parametrize("at", [0, 500, 998])
def test_of_a_very_long_line_the_part_around_the_place_is_shown(folder: Path, at: int) -> None:
    """Cut on both sides as needed; the word and its carets are in what is left."""
    words = [f"w{number:03}" for number in range(999)]
    line = "in: [" + ", ".join(words) + "]"
    text, carets = shown(folder, line, 1, line.index(words[at]) + 1, width=60)
    assert cell_len(text) <= 60 and cell_len(carets) <= 60
    assert text[len(carets) - 4 : len(carets)] == words[at]
    assert text.startswith("…") is (at > 0) and text.endswith("…") is (at < 998)


def test_a_line_of_any_length_is_cut_at_once(folder: Path) -> None:
    """Ten times as long takes ten times as long: ids pasted into one line are shown in no time, wherever the mistake is."""
    line = "in: [" + ", ".join(f"customer-{number}" for number in range(40_000)) + "]"
    began = time.perf_counter()
    for place in (5, line.index("customer-20000"), len(line) - 1):
        text, _ = shown(folder, line, 1, place + 1)
        assert cell_len(text) <= 80
    assert time.perf_counter() - began < 20  # it was minutes


def test_a_word_longer_than_the_terminal_ends_with_it(folder: Path) -> None:
    """The carets go no further than the text."""
    text, carets = shown(folder, "x: " + "y" * 500, 1, 4, width=40)
    assert cell_len(text) <= 40 and carets == "   " + "^" * (cell_len(text) - 4)


def test_no_terminal_is_moved_by_what_stands_in_a_file(folder: Path) -> None:
    """Escape sequences, bells and marks that turn the direction are shown as �."""
    text, _ = shown(folder, "a\x1b[31m\x07\u202eb: x", 1, 1)
    assert text == "a\N{REPLACEMENT CHARACTER}[31m" + "\N{REPLACEMENT CHARACTER}" * 2 + "b: x"


@pytest.mark.parametrize(
    "config",
    [
        "secret: hunter2\n",
        "secrt: hunter2\n",
        'providers:\n  mail: {use: sendgrid, api_key: "hunter2", foldr: x}\n',
        "providers:\n  mail: {use: sendgrid, apikey: hunter2}\n",
        "auth_token: 'hunter2\n",
        "secret:\n  hunter2\n",
        "secret: |\n  hunter2\n",
        "database: postgresql://regulars:hunter2@db.example/shop\n",
        "password: {x: hunter2}\n",
        'api_keys: ["${env:KEY}", hunter2, "hunter2, too", \'hunter2: x\']\n',
        'password: {x: "${env:KEY}hunter2"}\n',
        "api_keys:\n  - ${env:KEY}\n  - hunter2\n",
    ],
)
def test_no_secret_is_shown(folder: Path, config: str) -> None:
    """Whatever in config.yaml is wrong, and wherever: a secret in the same line is dots, and the columns stay."""
    lines = config.splitlines()
    for number, line in enumerate(lines, 1):
        for column in range(1, len(line) + 1):
            text, _ = shown(folder, config, number, column, file="config.yaml")
            assert "hunter2" not in text and len(text) == len(line)


def test_what_is_no_secret_is_shown(folder: Path) -> None:
    """The name of a variable helps, and so does everything else."""
    for line in ("secret: ${env:REGULARS_SECRET}", "  points: integer", "database: sqlite:///regulars.db"):
        assert shown(folder, line, 1, 1, file="config.yaml")[0] == line
    for line in (
        'signing_secrets: ["${env:OLD_KEY}", "${env:NEW_KEY}"]',
        "auth: {api_key: ${env:KEY}, token: ${env:TOKEN}}",
        'pigeon_keys: {use: pigeon, api_key: "${env:KEY}"}',
    ):
        shown_line = shown(folder, line, 1, 1, file="config.yaml")[0]
        assert shown_line == line.replace("use: pigeon", "use: ••••••")
    assert shown(folder, 'secrets:\n  - "${env:KEY}"', 2, 5, file="config.yaml")[0] == '  - "${env:KEY}"'
    assert shown(folder, "api_key: x", 1, 1)[0] == "api_key: x", "rules hold no secrets"


def test_what_cannot_be_shown_is_left_out(folder: Path) -> None:
    """No such file, a folder, no text, no such line, customers' ids: the message stands alone."""
    (folder / "rules" / "latin.yaml").write_bytes(b"\xff\xfe\x00")
    (folder / "rules" / "lists" / "vip.txt").write_text("ana\n")
    (folder / NAME).write_text("one line")
    for file, line in (
        ("gone.yaml", 1), ("rules", 1), ("rules/latin.yaml", 1), (NAME, 2), ("rules/lists/vip.txt", 1), ("campaign x", 1),
    ):  # fmt: skip
        assert excerpt(Position(file=file, line=line), folder, width=80) is None


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=60), line=st.integers(1, 4), column=st.integers(1, 70), width=st.integers(20, 200))
def test_any_place_in_any_text_is_shown_or_left_out(
    folder: Path, text: str, line: int, column: int, width: int
) -> None:
    """No text and no place breaks it, and nothing is wider than it may be."""
    for name in (NAME, "config.yaml", "templates/email.html"):
        (folder / name).write_bytes(text.encode("utf-8", "surrogatepass"))
        found = excerpt(Position(file=name, line=line, column=column), folder, width=width)
        if found is not None:
            text_shown, carets = found
            assert cell_len(text_shown) <= width and set(carets) <= {" ", "^"} and "^" in carets


# ---------------------------------------------------------------- from the commands


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The starter with a misspelt attribute, in a folder that is not the present one."""
    monkeypatch.setenv("REGULARS_API_KEYS", "k")
    made = tmp_path / "shop"
    shutil.copytree(starter() / "rules", made / "rules")
    shutil.copytree(starter() / "templates", made / "templates")
    shutil.copy(starter() / "config.yaml", made)
    (made / NAME).write_text("segments:\n  finns:\n    who: {contry: FI}\n")
    return made


MARKED = "    {line}\n    {carets}\n".format(line="    who: {contry: FI}", carets="          ^^^^^^")


def test_every_command_shows_the_place(broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`check`, and whatever else cannot start because of it."""
    checked = CliRunner().invoke(door.app, ["check", "-w", str(broken)])
    assert checked.exit_code == 1 and MARKED in checked.stderr
    for command in (["plan"], ["audience", "lapsing"], ["explain"], ["test"]):
        failed = CliRunner().invoke(door.app, [*command, "-w", str(broken)])
        assert isinstance(failed.exception, WorkspaceError)
        assert door.fail(failed.exception) == 1
        assert MARKED in capsys.readouterr().err, command


def test_config_alone_shows_it_too(broken: Path) -> None:
    """`report` reads nothing but config.yaml."""
    config = broken / "config.yaml"
    config.write_text(config.read_text().replace("time_zone: ", "time_zone: Mars/"))
    with pytest.raises(WorkspaceError) as refused:
        load_settings(broken)
    assert refused.value.folder == broken


def test_a_program_gets_the_columns_and_no_excerpt(broken: Path) -> None:
    """`--json`: file, line and column, as an editor's plug-in needs them."""
    told = json.loads(CliRunner().invoke(door.app, ["check", "--json", "-w", str(broken)]).stdout)
    (problem,) = told["problems"]
    assert problem["at"] == {"file": NAME, "line": 3, "column": 11}
    assert set(problem) == {"at", "what", "remedy", "severity"}
