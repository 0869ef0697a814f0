"""Addresses in their one normal form, channel by channel."""

from __future__ import annotations

import pytest

from engine.addresses import normalise
from engine.model import Channel


@pytest.mark.parametrize(
    ("channel", "written", "kept"),
    [
        (Channel.EMAIL, " Ana@Customer.Example ", "Ana@customer.example"),
        (Channel.SMS, "+358 40 123 4567", "+358401234567"),
        (Channel.WHATSAPP, "+358 40 123 4567", "+358401234567"),
        (Channel.MESSENGER, " 1234567890123456 ", "1234567890123456"),
        (Channel.TELEGRAM, " 1234567890 ", "1234567890"),
        (Channel.WEBHOOK, " Device: 17/ä ", "Device: 17/ä"),
        (Channel.SOCIAL, "Ana@Social.example", "@ana@social.example"),
    ],
)
def test_each_channel_has_one_form(channel: Channel, written: str, kept: str) -> None:
    """However an address was written, it is stored in one form, which stays as it is."""
    assert normalise(channel, written) == kept
    assert normalise(channel, kept) == kept


@pytest.mark.parametrize(
    ("channel", "wrong"),
    [
        (Channel.EMAIL, "ana"),
        (Channel.SMS, "040 123 4567"),
        (Channel.WHATSAPP, "ana"),
        (Channel.MESSENGER, "+358401234567"),
        (Channel.MESSENGER, "ana"),
        (Channel.TELEGRAM, "-1001234567890"),
        (Channel.TELEGRAM, "@ana"),
        (Channel.WEBHOOK, "a\nb"),
        (Channel.WEBHOOK, "x" * 501),
        (Channel.MESSENGER, "１２３４５６７８"),
        (Channel.SOCIAL, "ana bob"),
    ],
)
def test_what_is_no_address_is_refused(channel: Channel, wrong: str) -> None:
    """Nothing that the channel's vendor could not reach is stored."""
    with pytest.raises(ValueError, match=r"address|number|handle"):
        normalise(channel, wrong)
