"""docs/channels.md says what the providers promise, and every one of their settings."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from channels.webhook import WORDS
from docs import make_channels as maker
from engine.model import Channel
from engine.provider import Http
from engine.routing import Route, Routes
from engine.sending.providers import installed, open_provider, provider_class

PAGE = maker.PAGE.read_text(encoding="utf-8")


def test_the_page_is_the_code() -> None:
    """The table holds the flags and settings of today. Where it does not: python docs/make_channels.py."""
    assert maker.written(PAGE) == PAGE


def test_every_provider_is_on_the_page() -> None:
    """Whatever this repository installs has its row."""
    assert sorted(maker.EXAMPLES) == sorted(OURS)


OURS = [name for name in installed() if provider_class(name).__module__.startswith("channels.")]
WORDS_OF_THE_PAGE = PAGE.partition("<!-- providers")[0] + PAGE.partition("<!-- end of providers -->")[2]


@pytest.mark.parametrize("name", OURS)
def test_every_provider_has_its_contract(name: str) -> None:
    """What is installed and in no class of the suite would pass it by."""
    suites = [(Path(__file__).parent / file).read_text("utf-8") for file in ("test_contract.py", "test_apprise.py")]
    assert any(f"{provider_class(name).__name__}(" in suite for suite in suites)


@pytest.mark.parametrize("name", OURS)
def test_every_setting_of_every_provider_is_explained(name: str) -> None:
    """Beside the table, in words or in an example that can be copied; of all but those for development an example."""
    settings = provider_class(name).Settings.model_fields
    assert [each for each in settings if not re.search(rf"\b{each}\b", WORDS_OF_THE_PAGE)] == []
    assert f"use: {name}" in WORDS_OF_THE_PAGE or name in ("console", "file")


def blocks() -> Iterator[dict[str, Any]]:
    """The page's YAML, each block as it could stand in config.yaml."""
    for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL):
        told = yaml.safe_load(textwrap.dedent(block))
        yield told if set(told) & {"providers", "channels", "answers", "tracking"} else {"providers": told}


def test_what_the_page_shows_can_be_copied(tmp_path: Path) -> None:
    """Every provider in its examples opens with just these settings, and carries the channel that it is named for there."""
    shown: dict[str, Channel] = {}
    for block in blocks():
        for name, definition in block.get("providers", {}).items():
            shown[name] = open_provider(name, definition, Http(), tmp_path).capabilities.channel
        for channel, routes in block.get("channels", {}).items():
            for hop in (
                hop
                for _, route in Routes.model_validate(routes)
                if isinstance(route, Route)
                for hop in route.all_hops()
            ):
                assert shown[hop.provider] == channel, hop.provider
    assert len(shown) >= 10


def test_the_page_names_every_report_that_a_webhook_may_make() -> None:
    """As they stand behind `message.`."""
    assert all(f"`{kind.removeprefix('message.')}`" in PAGE for kind in WORDS)
