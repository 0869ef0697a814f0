"""`check` finds what would go wrong later: in providers, secrets, routes and templates, beside the rules."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from engine.errors import ProviderError, SecretMissing, Severity
from engine.provider import Http
from engine.questions.check import check
from engine.sending.providers import open_provider
from engine.shipped import starter


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the starter workspace, with its secrets in the environment."""
    monkeypatch.setenv("REGULARS_API_KEYS", "k")
    shutil.copy(starter() / "config.yaml", tmp_path)
    for name in ("rules", "templates"):
        shutil.copytree(starter() / name, tmp_path / name)
    return tmp_path


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def place_of(path: Path, word: str) -> str:
    """Line and column of a word in a file."""
    before = path.read_text().split(word)[0]
    return f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


def found(folder: Path) -> list[str]:
    return [str(problem) for problem in check(folder)]


def test_the_starter_workspace_is_clean(folder: Path) -> None:
    """Not even a warning on the first day."""
    assert found(folder) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("use: file,", "use: fil,", 'error: there is no provider called "fil". Did you mean "file"?'),
        ("use: file, folder", "use: file, foldr", 'error: unknown key "foldr". Did you mean "folder"?'),
        ("channel: sms}", "channel: fax}", '"channel" cannot be "fax". It is one of: email, sms, whatsapp, messenger, telegram, social, webhook.'),
        ("provider: outbox, from: Example Records <hello", "provider: screen-sms, from: Example Records <hello", 'the provider "screen-sms" carries sms, not email. Name a provider that carries email.'),
        ("provider: outbox, from: Example Records <hello", "provider: outbx, from: Example Records <hello", 'there is no provider "outbx". Did you mean "outbox"?'),
        ("${env:REGULARS_SECRET}", "${env:NOT_SET_HERE}", "error: the environment variable NOT_SET_HERE is not set. Set NOT_SET_HERE, or put it into .env beside config.yaml."),
        ("  # Your mail server:", "  spare: {use: console}", 'warning: nothing is sent through the provider "spare".'),
        ("receipts@shop", "hello@news.shop", "warning: commercial and transactional email have the same From address."),
        ("postal_address: Example Records, Example Street 1, 00100 Helsinki, Finland", "#", "warning: commercial email without a postal address is against the law"),
        ("consent: opt_in}\n  loyalty", "consent: none}\n  loyalty", 'a commercial campaign under the purpose "offers" asks nobody for consent.'),
    ],
)  # fmt: skip
def test_what_is_wrong_in_config_is_found(folder: Path, old: str, new: str, expected: str) -> None:
    """Each in its own words; the places are tested with config.yaml itself."""
    change(folder / "config.yaml", old, new)
    assert any(expected in line for line in found(folder)), found(folder)


def test_a_vendors_missing_secrets_are_named_where_they_are_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable and the line; a secret's value never. A provider that nothing uses needs none."""
    monkeypatch.delenv("SENDGRID_API_KEY", raising=False)
    vendor = 'outbox: {use: file, folder: outbox}\n  vendor: {use: sendgrid, api_key: "${env:SENDGRID_API_KEY}"}'
    change(folder / "config.yaml", "outbox: {use: file, folder: outbox}", vendor)
    assert not any("SENDGRID_API_KEY" in line for line in found(folder))
    change(folder / "config.yaml", "commercial: {provider: outbox", "commercial: {provider: vendor")
    (line,) = [line for line in found(folder) if "SENDGRID_API_KEY" in line]
    place = place_of(folder / "config.yaml", '"${env:SENDGRID_API_KEY}"')
    assert line.startswith(f"config.yaml:{place}: error: the environment variable SENDGRID_API_KEY is not set.")
    monkeypatch.setenv("SENDGRID_API_KEY", "a-secret-value")
    assert not any("SENDGRID_API_KEY" in line or "a-secret-value" in line for line in found(folder))


def test_a_secret_inside_a_vendors_setting_is_named_too(folder: Path) -> None:
    """Of a key that a setting of several parts refers to, the place is its own line."""
    config = folder / "config.yaml"
    smtp = (
        "{use: smtp, host: mail.shop.example, dkim: {domain: shop.example, selector: s1, private_key: '${env:NO_KEY}'}}"
    )
    change(config, "outbox: {use: file, folder: outbox}", f"outbox: {smtp}")
    (line,) = [line for line in found(folder) if "NO_KEY" in line]
    place = place_of(config, "'${env:NO_KEY}'")
    assert line.startswith(f"config.yaml:{place}: error: the environment variable NO_KEY is not set.")


def test_a_secret_in_a_list_of_them_is_named_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several keys, the place is that of the one that is missing."""
    monkeypatch.setenv("A_KEY", "a-secret-value")
    config = folder / "config.yaml"
    hook = (
        "{use: webhook, url: 'https://h.example', channel: email, signing_secrets: ['${env:A_KEY}', '${env:NO_KEY}']}"
    )
    change(config, "outbox: {use: file, folder: outbox}", f"outbox: {hook}")
    (line,) = [line for line in found(folder) if "environment variable" in line]
    place = place_of(config, "'${env:NO_KEY}'")
    assert line.startswith(f"config.yaml:{place}: error: the environment variable NO_KEY is not set.")


def test_a_missing_template_is_told_where_the_campaign_names_it(folder: Path) -> None:
    """By its `template`, or by its own name where it leaves that out."""
    shutil.rmtree(folder / "templates" / "win-back")
    (line,) = found(folder)
    named = folder / "rules/campaigns/win-back.yaml"
    place = place_of(named, "win-back\n")
    assert line.startswith(f'rules/campaigns/win-back.yaml:{place}: error: there is no template "win-back".')
    assert "templates/win-back/" in line
    change(named, "channel: email", "template: second-purchas\nchannel: email")
    (line,) = found(folder)
    wanted = f"rules/campaigns/win-back.yaml:{place_of(named, 'second-purchas')}: error: there is no template"
    assert line.startswith(f'{wanted} "second-purchas". Did you mean "second-purchase"?')


def test_what_is_wrong_in_a_template_is_found(folder: Path) -> None:
    """A syntax error, an unknown value, and a commercial mail without the way out; each in its file and line."""
    change(folder / "templates/win-back/email.txt", "{{ customer.first_name", "{{ customer.frist_name")
    lines = found(folder)
    assert lines and all(line.startswith("templates/win-back/email.txt:") for line in lines)
    assert any("frist_name" in line and 'first_name"' in line for line in lines)


def test_a_template_that_nobody_uses_is_a_warning(folder: Path) -> None:
    """It may be a misspelt name; it harms nobody."""
    (folder / "templates" / "old-offer").mkdir()
    (problem,) = check(folder)
    assert str(problem.at.file) == "templates/old-offer" and problem.severity is Severity.WARNING


def test_an_interval_of_days_warns_of_the_clock_change_and_utc_silences_it(folder: Path) -> None:
    """`every: 14 days` counts hours: by the clock it moves twice a year, which nobody expects."""
    path = folder / "rules/campaigns/win-back.yaml"
    change(path, '{cron: "0 10 * * mon"}', "{every: 14 days, from: 2026-01-05T10:00}")
    (problem,) = check(folder)
    assert problem.severity is Severity.WARNING and "an hour earlier or later" in problem.what
    change(path, "from: 2026-01-05T10:00", "from: 2026-01-05T10:00, time_zone: UTC")
    assert check(folder) == []


def test_mistakes_in_all_places_come_in_one_list_in_order(folder: Path) -> None:
    """config.yaml first, then rules, then templates; nothing hides anything."""
    change(folder / "config.yaml", "use: file,", "use: fil,")
    change(folder / "rules/segments.yaml", "times: {is: 1}", "times: {iss: 1}")
    change(folder / "templates/receipt/email.txt", "{{", "{% if %}{{")
    assert [line.split(":")[0] for line in found(folder)] == [
        "config.yaml",
        "rules/segments.yaml",
        "templates/receipt/email.txt",
    ]


def test_a_folder_that_is_no_workspace_has_one_problem(tmp_path: Path) -> None:
    """And no stack of calls."""
    (problem,) = check(tmp_path)
    assert "there is no config.yaml here" in problem.what


def test_a_campaigns_mistake_does_not_hide_that_its_template_is_not_there(folder: Path) -> None:
    """Both in one run, the template by the place that names it."""
    campaign = folder / "rules" / "campaigns" / "win-back.yaml"
    change(campaign, "channel: email", "channel: emial\ntemplate: win-bak")
    told = [line for line in found(folder) if "win-back.yaml" in line]
    assert any('"channel" cannot be "emial"' in line for line in told)
    assert any(
        line.startswith(f"rules/campaigns/win-back.yaml:{place_of(campaign, 'win-bak')}")
        and 'there is no template "win-bak". Did you mean "win-back"?' in line
        for line in told
    ), told


PLUGIN = """
from engine.errors import SecretMissing
from engine.model import Channel
from engine.provider import Accepted, Capabilities, Provider

class Mute(Provider):
    capabilities = Capabilities(channel=Channel.EMAIL)

class Silent(Provider):
    def send(self, outgoing, *, deadline):
        return Accepted()

class Failing(Silent):
    def __init__(self, settings, *, http):
        raise KeyError("region")

class Eager(Silent):
    def __init__(self, settings, *, http):
        raise SecretMissing("PLUTO_KEY")

class Loose(Silent):
    Settings = dict
"""


@pytest.mark.parametrize(
    ("point", "words"),
    [
        ("pluto:Gone", "the provider \"pluto\" cannot be loaded: AttributeError: module 'pluto' has no attribute 'Gone'. Mend its package, or install it anew (pluto:Gone)."),
        ("plutarch:Gone", "the provider \"pluto\" cannot be loaded: ModuleNotFoundError: No module named 'plutarch'."),
        ("fuming:Any", 'the provider "pluto" cannot be loaded: ZeroDivisionError: division by zero.'),
        ("pluto:PLAIN", 'the provider "pluto" is none: its entry point must name a subclass of Provider.'),
        ("pluto:Mute", 'the provider "pluto" lacks `send`. Mend pluto:Mute: see docs/adding-a-provider.md.'),
        ("pluto:Loose", 'the provider "pluto" has `Settings` that are no subclass of ProviderSettings.'),
        ("pluto:Silent", "the provider has no `capabilities`. Mend pluto:Silent: see docs/adding-a-provider.md."),
        ("pluto:Eager", "the environment variable PLUTO_KEY is not set. Set PLUTO_KEY"),
        ("pluto:Failing", "the provider cannot be made: KeyError: 'region'. Mend pluto:Failing"),
    ],
)  # fmt: skip
def test_a_broken_plugin_is_told_among_all_else(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str, words: str
) -> None:
    """Whatever is wrong with a package: at its name, and what else is wrong is found all the same. Nothing opens it."""
    plugins = tmp_path / "plugins"
    described = plugins / "pluto-1.dist-info"
    described.mkdir(parents=True)
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: pluto\nVersion: 1\n")
    (described / "entry_points.txt").write_text(f"[regulars.providers]\npluto = {point}\n")
    (plugins / "pluto.py").write_text(PLUGIN + "\nPLAIN = 1\n")
    (plugins / "fuming.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(str(plugins))
    monkeypatch.delitem(sys.modules, "pluto", raising=False)
    change(folder / "config.yaml", "use: file,", "use: pluto} #")
    change(folder / "config.yaml", "consent: opt_in}\n  loyalty", "consent: maybe}\n  loyalty")
    place = place_of(folder / "config.yaml", "pluto} #")
    assert any(line.startswith(f"config.yaml:{place}: error: {words}") for line in found(folder)), found(folder)
    assert any('"maybe"' in line for line in found(folder))
    with pytest.raises((ProviderError, SecretMissing), match=r"config\.yaml: providers\.outbox"):
        open_provider("outbox", {"use": "pluto"}, Http(), folder)
