"""docs/channels.md says what the providers promise, and every one of their settings."""

from __future__ import annotations

from docs import make_channels as maker
from engine.sending.providers import installed, provider_class

PAGE = maker.PAGE.read_text(encoding="utf-8")


def test_the_page_is_the_code() -> None:
    """The table holds the flags and settings of today. Where it does not: python docs/make_channels.py."""
    assert maker.written(PAGE) == PAGE


def test_every_provider_is_on_the_page() -> None:
    """Whatever this repository installs has its row, and its words in the text."""
    ours = [name for name in installed() if provider_class(name).__module__.startswith("channels.")]
    assert sorted(maker.EXAMPLES) == sorted(ours)
