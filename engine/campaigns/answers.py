"""What is answered to a text that asks for it: a STOP is confirmed, HELP told who we are; owed like every other message.

The words are config.yaml's (`answers:`), in the language of the word that was used, else the customer's. An answer goes to who
has opted out, too: that is what it is for. It is useless after five minutes, and expires then (47 CFR 64.1200(a)(12)).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from engine.campaigns.launch import STEP, Submit, nobody
from engine.ledger.keywords import Wish
from engine.ledger.owe import NewRun, OwedTo, open_run, owe
from engine.ledger.record import Asked
from engine.model import ANSWERS, Channel, DeliveryClass, Lane, MessageClass
from engine.rules.campaign import Campaign
from engine.rules.workspace import Workspace
from engine.settings import Answers, Settings
from engine.store import Database
from engine.store.tables import customers

IN_TIME = timedelta(minutes=5)

TEMPLATE = "answer"
SOURCES: Mapping[Channel, str] = {
    Channel.SMS: "sms.txt",
    Channel.WHATSAPP: "whatsapp.txt",
    Channel.MESSENGER: "messenger.txt",
    Channel.TELEGRAM: "telegram.txt",
}
"""Where people are answered, and the part that carries it; a letter is not."""


def answer(
    workspace: Workspace,
    database: Database,
    connection: Connection,
    asked: Asked,
    *,
    now: datetime,
    submit: Submit = nobody,
) -> bool:
    """Owe the answer to what somebody asked, in the transaction that stores it. False where nothing is answered."""
    settings = workspace.settings
    told = _texts(settings.answers, asked.wish)
    due = asked.at + IN_TIME
    if not told or now > due or not _carries(settings, asked.channel):
        return False
    text = _in_language(told, asked.language, _locale(connection, asked.customer_id), settings.locale)
    run = _run(asked, text, now)
    run_id, new = open_run(connection, database, run, now=now)
    if new:
        to = OwedTo(
            audience=select(customers.c.id).where(customers.c.id == asked.customer_id),
            step=STEP,
            channel=asked.channel,
            message_class=MessageClass.TRANSACTIONAL,
            delivery=DeliveryClass.AT_MOST_ONCE,
            lane=Lane.TRIGGERED,
            not_after=due,
        )
        submit(connection, Lane.TRIGGERED, owe(connection, database, run_id, run.campaign, to, now=now))
    return new


def _texts(answers: Answers, wish: Wish) -> Mapping[str, str]:
    return {Wish.OPT_OUT: answers.stop, Wish.HELP: answers.help, Wish.OPT_IN: answers.start}.get(wish, {})


def _carries(settings: Settings, channel: Channel) -> bool:
    return channel in SOURCES and settings.route(channel, MessageClass.TRANSACTIONAL) is not None


def _locale(connection: Connection, customer_id: int) -> str | None:
    return connection.execute(select(customers.c.locale).where(customers.c.id == customer_id)).scalar()


def _in_language(told: Mapping[str, str], *wanted: str | None) -> str:
    """The text in the first of these languages that it is there in; else the first of all."""
    known = (language.replace("_", "-").partition("-")[0].lower() for language in wanted if language)
    return next((told[language] for language in known if language in told), next(iter(told.values())))


def _run(asked: Asked, text: str, now: datetime) -> NewRun:
    campaign = Campaign.model_validate(
        {
            "campaign": f"{TEMPLATE}-{asked.wish.replace('_', '-')}",
            "trigger": {"data": {"text": "text"}},
            "channel": asked.channel,
            "class": MessageClass.TRANSACTIONAL,
            "purpose": ANSWERS,
            "template": TEMPLATE,
            "delivery": DeliveryClass.AT_MOST_ONCE,
        }
    )
    definition = campaign.model_dump(mode="json", by_alias=True)
    sources = {f"{TEMPLATE}/{part}": "{{ data.text }}" for part in SOURCES.values()}
    return NewRun(
        campaign=campaign.campaign,
        occurrence=asked.occurrence,
        nominal_at=now,
        definition=definition,
        definition_hash=_hash(definition),
        rules_commit=None,
        template_name=TEMPLATE,
        template_hash=_hash(sources),
        template_sources=sources,
        channel=asked.channel,
        data={"text": text},
    )


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
