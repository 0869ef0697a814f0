"""The starter workspace is right as it ships, with its commented-out parts taken in, and in every language it speaks."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine import shipped
from engine.content.render import Renderer
from engine.content.values import values_for
from engine.content.versions import read_template
from engine.demo import workspace as demo
from engine.model import Plain
from engine.provider import EmailContent
from engine.questions.check import check
from engine.rules.workspace import load_workspace

_COMMENTED_OUT = re.compile(r"^  # ( *(?:- )?[a-z_-]+:.*)$", re.MULTILINE)
_SECRETS = re.compile(r"\$\{env:([A-Z_]+)\}")


@pytest.fixture
def starter(tmp_path: Path) -> Path:
    shutil.copy(shipped.starter() / "config.yaml", tmp_path)
    for part in ("rules", "templates"):
        shutil.copytree(shipped.starter() / part, tmp_path / part)
    return tmp_path


def set_secrets(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _SECRETS.findall((folder / "config.yaml").read_text(encoding="utf-8")):
        monkeypatch.setenv(name, "a secret for tests, long enough")


def test_the_starter_has_no_problem(starter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`regulars check` says "All good." on the first day."""
    set_secrets(starter, monkeypatch)
    assert check(starter) == []


@pytest.mark.parametrize("file", ["config.yaml", "rules/segments.yaml"])
def test_what_is_commented_out_is_right_too(file: str, starter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever takes the # away gets a vendor or a segment that works, with the settings' real names."""
    path = starter / file
    text, count = _COMMENTED_OUT.subn(r"  \1", path.read_text(encoding="utf-8"))
    path.write_text(text, encoding="utf-8")
    set_secrets(starter, monkeypatch)
    assert count > 5
    assert [problem for problem in check(starter) if "nothing is sent through the provider" not in problem.what] == []


def test_the_demo_s_workspace_has_no_problem_during_and_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither with the vendors' stand-ins nor, after they are gone, with the starter's own providers."""
    at = demo.StandIns(
        door="http://127.0.0.1:1",
        smtp_port=2,
        sendgrid="http://127.0.0.1:3",
        twilio="http://127.0.0.1:4",
        mastodon="http://127.0.0.1:5",
    )
    demo.build(tmp_path / "shop", at, {})
    set_secrets(tmp_path / "shop", monkeypatch)
    during = load_workspace(tmp_path / "shop")
    assert check(tmp_path / "shop") == []
    demo.quieten(tmp_path / "shop")
    after = load_workspace(tmp_path / "shop")
    assert check(tmp_path / "shop") == []
    assert during.settings.providers.keys().isdisjoint(after.settings.providers)
    assert after.settings.purposes == during.settings.purposes


@pytest.mark.parametrize("first_name", ["Väinö", None])
@pytest.mark.parametrize("locale", ["en-US", "fi-FI", "de-DE", "pt-BR", None])
@pytest.mark.parametrize("campaign", ["second-purchase", "win-back", "thank-the-best", "new-releases", "receipt"])
def test_every_message_can_be_written_to_everybody(
    campaign: str, locale: str | None, first_name: str | None, starter: Path
) -> None:
    """With a name and without, in each language and in those that the shop does not speak."""
    workspace = load_workspace(starter)
    one = workspace.campaigns[campaign]
    customer = {"id": "1", "locale": locale, "time_zone": None, "first_name": first_name, "city": None, "country": None}
    values: dict[str, Plain] = values_for(
        settings=workspace.settings,
        campaign=campaign,
        purpose=one.purpose,
        now=datetime(2026, 12, 1, 9, tzinfo=UTC),
        customer=None if one.is_public else customer,
        data={"order": "4711", "amount": 29.9, "cds": 2} if one.trigger else None,
        links={} if one.is_public else {"unsubscribe": "https://shop.example/u/x"},
    )
    rendered = Renderer(read_template(starter / "templates", one.template)).render(one.channel, values)
    text = rendered.content.text
    assert "None" not in text
    assert (first_name or "") in text or one.is_public
    if isinstance(rendered.content, EmailContent):
        assert rendered.content.html is not None
        assert ("https://shop.example/u/x" in text) == (one.trigger is None)
        assert {"fi-FI": "Hei", "de-DE": "Guten Tag"}.get(str(locale), "Hello") in text or campaign == "win-back"
