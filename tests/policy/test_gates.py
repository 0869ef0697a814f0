"""Each gate objects exactly where it should, and the first objection decides."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from engine.model import Channel, ConsentRule, ConsentStatus, MessageClass, Reason, SuppressionReason
from engine.policy import Facts, Hold, Send, Withhold, decide
from engine.provider import Secret
from engine.settings import Cap, Settings

HELSINKI = ZoneInfo("Europe/Helsinki")
NIGHT = {"from": "21:00", "to": "08:00"}
SETTINGS = Settings.model_validate(
    {
        "workspace": "shop",
        "time_zone": "Europe/Helsinki",
        "secret": Secret("X"),
        "quiet_hours": {"sms": NIGHT, "email": {"from": "12:00", "to": "13:00"}},
    }
)
NOON = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)  # 16:00 in Helsinki
GOOD = Facts(
    channel=Channel.SMS,
    message_class=MessageClass.COMMERCIAL,
    consent_rule=ConsentRule.OPT_IN,
    not_after=None,
    customer={"id": "c1"},
    revision=0,
    zone=HELSINKI,
    contact_point_id=1,
    address="+358401234567",
    consent=ConsentStatus.OPTED_IN,
    suppressed=None,
    reply_waits=False,
    held_out=False,
    counted=(),
)


def verdict(now: datetime = NOON, **changes: object) -> object:
    return decide(replace(GOOD, **changes), SETTINGS, now=now)  # type: ignore[arg-type]


def reason(**changes: object) -> Reason | None:
    found = verdict(**changes)  # type: ignore[arg-type]
    return found.reason if isinstance(found, Withhold | Hold) else None


def test_with_nothing_against_it_a_message_is_sent() -> None:
    """Consent given, daytime, no cap reached."""
    assert verdict() == Send()


@pytest.mark.parametrize(
    ("rule", "status", "channel", "message_class", "expected"),
    [
        (ConsentRule.OPT_IN, ConsentStatus.OPTED_IN, Channel.EMAIL, MessageClass.COMMERCIAL, None),
        (ConsentRule.OPT_IN, None, Channel.EMAIL, MessageClass.COMMERCIAL, Reason.NO_CONSENT),
        (ConsentRule.OPT_IN, ConsentStatus.OPTED_OUT, Channel.EMAIL, MessageClass.COMMERCIAL, Reason.OPTED_OUT),
        (ConsentRule.OPT_OUT, None, Channel.EMAIL, MessageClass.COMMERCIAL, None),
        (ConsentRule.OPT_OUT, None, Channel.SMS, MessageClass.COMMERCIAL, Reason.NO_CONSENT),
        (ConsentRule.OPT_OUT, ConsentStatus.OPTED_OUT, Channel.EMAIL, MessageClass.COMMERCIAL, Reason.OPTED_OUT),
        (ConsentRule.NONE, None, Channel.EMAIL, MessageClass.TRANSACTIONAL, None),
        (ConsentRule.NONE, ConsentStatus.OPTED_OUT, Channel.EMAIL, MessageClass.TRANSACTIONAL, None),
        (ConsentRule.NONE, ConsentStatus.OPTED_OUT, Channel.EMAIL, MessageClass.COMMERCIAL, Reason.OPTED_OUT),
        (ConsentRule.NONE, None, Channel.SMS, MessageClass.COMMERCIAL, Reason.NO_CONSENT),
        (ConsentRule.NONE, None, Channel.SMS, MessageClass.TRANSACTIONAL, None),
    ],
)
def test_consent(
    rule: ConsentRule,
    status: ConsentStatus | None,
    channel: Channel,
    message_class: MessageClass,
    expected: Reason | None,
) -> None:
    """The nine cells of rule × word; a commercial SMS needs a yes under every rule; a no binds every commercial message."""
    assert reason(consent_rule=rule, consent=status, channel=channel, message_class=message_class, now=NOON) is expected


def test_a_suppressed_address_gets_nothing_not_even_a_receipt() -> None:
    """Bounced is bounced, whatever the class."""
    for message_class in MessageClass:
        assert reason(suppressed=SuppressionReason.BOUNCED, message_class=message_class) is Reason.SUPPRESSED


def test_without_a_contact_point_there_is_nowhere_to_write() -> None:
    """The customer is in the audience, has no number, and the ledger says so."""
    assert reason(contact_point_id=None, address=None) is Reason.NO_CONTACT_POINT


def test_a_public_post_needs_no_recipient_and_no_consent() -> None:
    """Gates about people do not apply where there is no person."""
    assert verdict(customer=None, contact_point_id=None, address=None, consent=None, channel=Channel.SOCIAL) == Send()


def test_a_cap_counts_up_to_its_number() -> None:
    """At most two means that the third is withheld."""
    cap = Cap(at_most=2, within="7 days")  # type: ignore[arg-type]
    assert reason(counted=((cap, 1),)) is None
    assert reason(counted=((cap, 2),)) is Reason.FREQUENCY_CAP


def test_too_late_is_said_before_anything_else() -> None:
    """An expired message is expired, whatever else speaks against it."""
    assert reason(not_after=NOON - timedelta(seconds=1), address=None) is Reason.NOT_LATER_THAN
    assert reason(not_after=NOON) is None


@pytest.mark.parametrize(
    ("local", "until"),
    [
        ("2026-03-02T20:59:59", None),
        ("2026-03-02T21:00:00", "2026-03-03T08:00"),
        ("2026-03-03T00:30:00", "2026-03-03T08:00"),
        ("2026-03-03T07:59:59", "2026-03-03T08:00"),
        ("2026-03-03T08:00:00", None),
        ("2026-03-28T22:00:00", "2026-03-29T08:00"),  # the night is an hour shorter
        ("2026-10-24T22:00:00", "2026-10-25T08:00"),  # and an hour longer
    ],
)
def test_quiet_hours_are_the_recipients_wall_clock(local: str, until: str | None) -> None:
    """Closed at its beginning, open at its end, over midnight, and by the wall clock on the days when clocks change."""
    now = datetime.fromisoformat(local).replace(tzinfo=HELSINKI).astimezone(UTC)
    expected = (
        Send()
        if until is None
        else Hold(
            until=datetime.fromisoformat(until).replace(tzinfo=HELSINKI).astimezone(UTC), reason=Reason.QUIET_HOURS
        )
    )
    assert verdict(now=now) == expected


def test_quiet_hours_that_end_in_a_skipped_hour_end_right_after_it() -> None:
    """03:30 does not exist on that morning; the first instant that does is 04:00."""
    settings = Settings.model_validate(
        {
            **SETTINGS.model_dump(by_alias=True),
            "quiet_hours": {"sms": {"from": "21:00", "to": "03:30"}},
            "secret": Secret("X"),
        }
    )
    held = decide(GOOD, settings, now=datetime(2026, 3, 28, 22, 0, tzinfo=UTC))
    assert held == Hold(until=datetime(2026, 3, 29, 1, 0, tzinfo=UTC), reason=Reason.QUIET_HOURS)


def test_a_receipt_does_not_wait_for_the_morning() -> None:
    """Quiet hours are for commercial messages."""
    midnight = datetime(2026, 3, 2, 22, 0, tzinfo=UTC)
    assert verdict(now=midnight, message_class=MessageClass.TRANSACTIONAL, consent_rule=ConsentRule.NONE) == Send()


def test_a_reply_that_may_be_a_no_holds_what_is_commercial() -> None:
    """Until a person has read it; a receipt goes on, and a plain no comes first."""
    assert reason(reply_waits=True) is Reason.REPLY_WAITS
    assert reason(reply_waits=True, message_class=MessageClass.TRANSACTIONAL) is None
    assert reason(reply_waits=True, consent=ConsentStatus.OPTED_OUT) is Reason.OPTED_OUT
