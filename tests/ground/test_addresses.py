"""Addresses in their one normal form, channel by channel."""

from __future__ import annotations

import pytest

from engine.addresses import also_written, normalise
from engine.model import Channel


@pytest.mark.parametrize(
    ("channel", "written", "kept"),
    [
        (Channel.EMAIL, " Ana@Customer.Example ", "Ana@customer.example"),
        (Channel.SMS, "+358 40 123 4567", "+358401234567"),
        (Channel.WHATSAPP, "+358 40 123 4567", "+358401234567"),
        (Channel.WHATSAPP, "+5215512345678", "+525512345678"),
        (Channel.WHATSAPP, "+52 1 (55) 1234-5678", "+525512345678"),
        (Channel.SMS, "+52 155 1234 5678", "+525512345678"),
        (Channel.WHATSAPP, "+521234567890", "+521234567890"),
        (Channel.WHATSAPP, "+5491123456789", "+5491123456789"),
        (Channel.WHATSAPP, "+553187654321", "+553187654321"),
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
    ("channel", "address", "others"),
    [
        (Channel.WHATSAPP, "+553187654321", ("+5531987654321",)),
        (Channel.WHATSAPP, "+5531987654321", ("+553187654321",)),
        (Channel.WHATSAPP, "+553197654321", ("+5531997654321",)),
        (Channel.WHATSAPP, "+553134567890", ()),  # a landline
        (Channel.WHATSAPP, "+5511953456789", ()),  # it never was without its 9
        (Channel.WHATSAPP, "+358401234567", ()),
        (Channel.SMS, "+553187654321", ()),
        (Channel.EMAIL, "ana@customer.example", ()),
    ],
)
def test_a_brazilian_mobile_has_two_forms_on_whatsapp(channel: Channel, address: str, others: tuple[str, ...]) -> None:
    """With the 9 and without it, where it once was without."""
    assert also_written(channel, address) == others


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
