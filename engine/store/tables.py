"""The tables. Every time is UTC; every name is the field's own noun."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.types import TypeDecorator, TypeEngine

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Instant(TypeDecorator[datetime]):
    """A moment in UTC: timestamptz on PostgreSQL, whole microseconds since 1970 on SQLite (small, sorted, exact)."""

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(TIMESTAMP(timezone=True) if dialect.name == "postgresql" else BigInteger())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None or dialect.name == "postgresql":
            return value
        return microseconds(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(UTC) if isinstance(value, datetime) else EPOCH + value * MICROSECOND


def microseconds(moment: datetime) -> int:
    """Whole microseconds since 1970, as SQLite keeps an instant."""
    return (moment - EPOCH) // MICROSECOND


Plain = JSON().with_variant(JSONB(), "postgresql")
Id = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

facts = Table(  # about this database itself: its ledger id, the check value of its secret
    "facts",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", String, nullable=False),
)

customers = Table(
    "customers",
    metadata,
    Column("id", Id, primary_key=True),
    Column("external_id", String, nullable=False, unique=True),
    Column("attributes", Plain, nullable=False, server_default=text("'{}'")),
    Column("locale", String),
    Column("time_zone", String),
    Column("created_at", Instant, nullable=False),
    # +1 whenever what we may send this customer changes; a decision holds only for the revision it was made on
    Column("revision", Integer, nullable=False, server_default=text("0")),
)

contact_points = Table(
    "contact_points",
    metadata,
    Column("id", Id, primary_key=True),
    Column("customer_id", Id, ForeignKey("customers.id"), nullable=False),
    Column("channel", String, nullable=False),
    Column("address", String, nullable=False),
    Column("address_hash", LargeBinary, nullable=False),  # keyed; how suppressions and webhooks find it
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("customer_id", "channel"),
    Index(None, "channel", "address_hash"),
)

consents = Table(  # append-only: the newest row of a contact point and purpose is in force
    "consents",
    metadata,
    Column("id", Id, primary_key=True),
    Column("contact_point_id", Id, ForeignKey("contact_points.id"), nullable=False),
    Column("purpose", String, nullable=False),
    Column("status", String, nullable=False),
    Column("at", Instant, nullable=False),
    Column("source", String, nullable=False),  # import, link, webhook, keyword, api
    Column("proof", Text, nullable=False, server_default=""),
    Index("ix_consents_newest", "contact_point_id", "purpose", "at", "id"),
)

suppressions = Table(  # outlives the customer: keeps a keyed hash, never the address. One stands until it is lifted
    "suppressions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("channel", String, nullable=False),
    Column("address_hash", LargeBinary, nullable=False),
    Column("reason", String, nullable=False),
    Column("at", Instant, nullable=False),  # the newest report of this reason
    Column("source", String, nullable=False),
    Column("lifted_at", Instant),
    Column("lifted_by", String),
    Column("lifted_why", Text),
    Index(None, "channel", "address_hash"),
    Index(
        "uq_suppressions_standing",
        "channel",
        "address_hash",
        "reason",
        unique=True,
        sqlite_where=text("lifted_at IS NULL"),
        postgresql_where=text("lifted_at IS NULL"),
    ),
)

events = Table(
    "events",
    metadata,
    Column("id", Id, primary_key=True),
    Column("external_id", String, nullable=False, unique=True),  # the same report twice is one event
    Column("customer_id", Id, ForeignKey("customers.id")),
    Column("name", String, nullable=False),
    Column("at", Instant, nullable=False),
    Column("properties", Plain, nullable=False, server_default=text("'{}'")),
    Column("message_id", Id),
    Column("received_at", Instant, nullable=False),
    # one customer's of a name, or everybody's of a name in the customers' order
    Index("ix_events_name_customer_id_at", "name", "customer_id", "at").ddl_if(dialect="postgresql"),
    # with the properties in it SQLite sums them in the index: 7 times as fast at ten million events. PostgreSQL would refuse
    # events of more than 2.7 kB
    Index("ix_events_named", "name", "customer_id", "at", "properties").ddl_if(dialect="sqlite"),
    Index(
        "ix_events_message_id_at",
        "message_id",
        "at",
        sqlite_where=text("message_id IS NOT NULL"),
        postgresql_where=text("message_id IS NOT NULL"),
    ),
)

template_versions = Table(  # what a message's content was made of, kept for ever
    "template_versions",
    metadata,
    Column("hash", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("sources", Plain, nullable=False),  # path inside templates/ → text
    Column("first_used_at", Instant, nullable=False),
)

schedules = Table(  # since when a scheduled campaign is known here: what was due before that is nobody's debt
    "schedules",
    metadata,
    Column("campaign", String, primary_key=True),
    Column("known_since", Instant, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("campaign", String, nullable=False),
    Column("occurrence", String, nullable=False),  # the same occurrence is the same run
    Column("nominal_at", Instant, nullable=False),
    Column("launched_at", Instant, nullable=False),
    Column("cancelled_at", Instant),
    Column("definition", Plain, nullable=False),  # the campaign as it was launched
    Column("definition_hash", String, nullable=False),
    Column("rules_commit", String),  # git commit of the workspace, where it is one
    Column("template_hash", String, ForeignKey("template_versions.hash"), nullable=False),
    Column("channel", String, nullable=False),
    Column("owed", Integer, nullable=False, server_default=text("0")),  # what the books must add up to
    Column("data", Plain, nullable=False, server_default=text("'{}'")),  # a trigger's own values
    UniqueConstraint("campaign", "occurrence"),
)

brakes = Table(  # what hands nothing over for now: a campaign, or * for all
    "brakes",
    metadata,
    Column("campaign", String, primary_key=True),
    Column("since", Instant, nullable=False),
    Column("why", Text, nullable=False),
)

workers = Table(  # who hands over, by signs of life; for people to look at
    "workers",
    metadata,
    Column("name", String, primary_key=True),  # the owner of its claims
    Column("kind", String, nullable=False),  # daemon, worker
    Column("host", String, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
)

rates = (
    Table(  # limits that all senders keep together: up to which instant a bucket's, or its queue's, places are taken
        "rates",
        metadata,
        Column("key", String, primary_key=True),
        Column("taken", Instant, nullable=False),
        Column("closed_until", Instant),  # a vendor asked to wait
        Column("down_until", Instant),  # a provider was down, or refused us: its messages waited until then
    )
)

messages = Table(
    "messages",
    metadata,
    Column("id", Id, primary_key=True),
    Column("run_id", Id, ForeignKey("runs.id"), nullable=False),
    Column("campaign", String, nullable=False),
    Column("step", String, nullable=False),
    Column("customer_id", Id, ForeignKey("customers.id")),
    Column("channel", String, nullable=False),
    Column("message_class", String, nullable=False),
    Column("delivery", String, nullable=False),  # what is done when no answer comes: at_most_once, at_least_once
    Column("lane", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("reason", String),
    Column("held_by", String),  # the last reason that made it wait; stays when it was sent afterwards
    Column("detail", Text),  # the vendor's or the template's words
    Column("owed_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("not_after", Instant),
    Column("changed_at", Instant, nullable=False),
    Column("epoch", Integer, nullable=False, server_default=text("0")),
    Column("owner", String),
    Column("lease_until", Instant),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("doubt_since", Instant),  # an earlier hand-over may have arrived: NULL where there is no such doubt
    Column("possible_duplicate", Boolean, nullable=False, server_default=text("false")),
    Column("contact_point_id", Id),
    Column("sent_to", String),  # the address, frozen with the values at the first hand-over
    Column("provider", String),
    Column("provider_message_id", String),
    Column("template_path", String),  # which locale's parts were used
    Column("values", Plain),  # what the template was given, frozen at the first hand-over
    Column("content_hash", String),
    Column("first_sent_at", Instant),
    Column("accepted_at", Instant),
    Column("delivered_at", Instant),
    Column("bounced_at", Instant),
    Column("opened_at", Instant),
    Column("clicked_at", Instant),
    Column("complained_at", Instant),
    Column("opted_out_at", Instant),
    Column("replied_at", Instant),
    Index("uq_messages_intent", "run_id", "step", "channel", func.coalesce(text("customer_id"), 0), unique=True),
    Index(
        "ix_messages_triggered",
        "due_at",
        "id",
        sqlite_where=text("state = 'pending' AND lane = 0"),
        postgresql_where=text("state = 'pending' AND lane = 0"),
    ),
    Index(
        "ix_messages_bulk",
        "run_id",
        "due_at",
        "id",
        sqlite_where=text("state = 'pending' AND lane = 1"),
        postgresql_where=text("state = 'pending' AND lane = 1"),
    ),
    Index(
        "ix_messages_not_after",
        "not_after",
        sqlite_where=text("state = 'pending' AND not_after IS NOT NULL"),
        postgresql_where=text("state = 'pending' AND not_after IS NOT NULL"),
    ),
    Index(
        "ix_messages_leased",
        "lease_until",
        sqlite_where=text("state IN ('claimed', 'sending')"),
        postgresql_where=text("state IN ('claimed', 'sending')"),
    ),
    Index(
        "ix_messages_doubt",
        "changed_at",
        sqlite_where=text("state = 'in_doubt'"),
        postgresql_where=text("state = 'in_doubt'"),
    ),
    Index("ix_messages_customer", "customer_id", "campaign", "accepted_at"),
    Index(
        "ix_messages_provider",
        "provider",
        "provider_message_id",
        sqlite_where=text("provider_message_id IS NOT NULL"),
        postgresql_where=text("provider_message_id IS NOT NULL"),
    ),
)

departures = (
    Table(  # who had a campaign, and was seen outside its audience when it started later: `reentry: on_rematch`
        "departures",
        metadata,
        Column("campaign", String, primary_key=True),
        Column("customer_id", Id, ForeignKey("customers.id"), primary_key=True),
        Column("at", Instant, primary_key=True),
    )
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("message_id", Id, ForeignKey("messages.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("provider", String, nullable=False),
    Column("began_at", Instant, nullable=False),
    Column("ended_at", Instant),
    # accepted, rejected, not_sent, no_access, down, later, ambiguous; after that dropped, never_arrived; NULL while nobody knows
    Column("outcome", String),
    Column("code", String),
    Column("detail", Text),
    Column("cost", BigInteger),  # in millionths of the workspace's currency; NULL where it has no price
    Column("reserved_under", Text),  # the keys of `spending` that the cost was added to, one a line
    UniqueConstraint("message_id", "number"),
)

links = Table(  # where a click may lead: only to what was once in a message
    "links",
    metadata,
    Column("id", Id, primary_key=True),
    Column("url", Text, nullable=False, unique=True),
)

idempotency = Table(  # answers already given to a caller's key
    "idempotency",
    metadata,
    Column("id", Id, primary_key=True),
    Column("api_key", String, nullable=False),
    Column("key", String, nullable=False),
    Column("request_hash", String, nullable=False),
    Column("status", Integer, nullable=False),
    Column("answer", Plain, nullable=False),
    Column("at", Instant, nullable=False),
    UniqueConstraint("api_key", "key"),
)

look_ups = Table(  # what asking a vendor about a message in doubt has shown so far
    "look_ups",
    metadata,
    Column("message_id", Id, ForeignKey("messages.id"), primary_key=True),
    Column("attempt", Integer, nullable=False),  # the hand-over it is about: another one is asked about anew
    Column("look_at", Instant, nullable=False),  # nobody looks before; who looks puts it off by a lease
    Column("missing_since", Instant),  # the first look that did not find it in a list that is complete
    Column("looks", Integer, nullable=False, server_default=text("0")),
    Column(
        "failures", Integer, nullable=False, server_default=text("0")
    ),  # in a row: the vendor did not answer plainly
    Column("looked_at", Instant),
    Column("finding", String),  # accepted, rejected, notfound, ambiguous
    Column("detail", Text),
)

posts = Table(  # how posts to everybody fare, as their vendors tell; NULL for what one does not count
    "posts",
    metadata,
    Column("message_id", Id, ForeignKey("messages.id"), primary_key=True),
    Column("look_at", Instant),  # nobody asks before; who asks puts it off by a lease. NULL: nobody asks any more
    Column("counted_at", Instant),
    Column("gone_at", Instant),  # its vendor did not know it any more
    Column("likes", BigInteger),
    Column("shares", BigInteger),
    Column("replies", BigInteger),
    Column("clicks", BigInteger),
    Column("views", BigInteger),
)

judgements = Table(  # what a person decided about a message whose end nobody knew; only ever added to
    "judgements",
    metadata,
    Column("id", Id, primary_key=True),
    Column("message_id", Id, ForeignKey("messages.id"), nullable=False),
    Column("at", Instant, nullable=False),
    Column("by", String, nullable=False),
    Column("why", Text, nullable=False),
    Column("judgement", String, nullable=False),  # accepted, rejected, resend
    Column("before", String, nullable=False),
    Column("before_reason", String),
    Column("after", String, nullable=False),
    Index(None, "message_id"),
)

holds = Table(  # launches that a guard holds until somebody confirms them
    "holds",
    metadata,
    Column("id", Id, primary_key=True),
    Column("campaign", String, nullable=False),
    Column("occurrence", String, nullable=False),
    Column("nominal_at", Instant, nullable=False),
    Column("since", Instant, nullable=False),
    Column("why", Text, nullable=False),
    Column("fingerprint", String, nullable=False),
    Column("released_at", Instant),
    Column("released_by", String),
    UniqueConstraint("campaign", "occurrence"),
)

tallies = Table(  # how campaigns that are watched go; dated by when the messages were handed over; only ever added to
    "tallies",
    metadata,
    Column("id", Id, primary_key=True),
    Column("campaign", String, nullable=False),
    Column("run_id", Id, nullable=False),
    Column("at", Instant, nullable=False),
    *(
        Column(name, Integer, nullable=False, server_default=text("0"))
        for name in ("begun", "errors", "bounces", "complaints")
    ),
    Index(None, "campaign", "at"),
    Index(None, "at"),
)

canaries = Table(  # runs whose first part leaves ahead
    "canaries",
    metadata,
    Column("run_id", Id, ForeignKey("runs.id"), primary_key=True),
    Column("campaign", String, nullable=False),
    Column("since", Instant, nullable=False),
    Column("size", Integer, nullable=False),
    Column("terms", Plain, nullable=False),
    Column("stage", String, nullable=False),  # leaving, watched, passed, over, stopped
    Column("decide_at", Instant),
    Column("decided_at", Instant),
    Column("why", Text, nullable=False),
)

stops = Table(  # campaigns that a guard paused; only ever added to
    "stops",
    metadata,
    Column("id", Id, primary_key=True),
    Column("campaign", String, nullable=False),
    Column("at", Instant, nullable=False),
    Column("why", Text, nullable=False),
    Index(None, "campaign", "at"),
)

inboxes = Table(  # mailboxes that reports are fetched from: how the last look went; for people to look at
    "inboxes",
    metadata,
    Column("provider", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("looked_at", Instant, nullable=False),
    Column("problem", Text),  # why the last look failed
    Column("taken", Integer, nullable=False, server_default=text("0")),  # mails, ever
    Column("aside", Integer, nullable=False, server_default=text("0")),  # mails that lay aside then
)

replies = Table(  # what people wrote that may be a no: for a person to read
    "replies",
    metadata,
    Column("id", Id, primary_key=True),
    Column("channel", String, nullable=False),
    Column("address_hash", LargeBinary, nullable=False),
    Column("customer_id", Id, ForeignKey("customers.id")),
    Column("text", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("settled_at", Instant),
    Column("reading", String),  # opt_out, nothing
    Column("by", String),
    Column("why", Text),
    Index(
        "ix_replies_waiting",
        "channel",
        "address_hash",
        sqlite_where=text("settled_at IS NULL"),
        postgresql_where=text("settled_at IS NULL"),
    ),
)

spending = Table(  # what was spent under a name (a run, a day), in millionths of the workspace's currency
    "spending",
    metadata,
    Column("key", String, primary_key=True),
    Column("spent", BigInteger, nullable=False),
    Column("since", Instant, nullable=False),
)

restores = Table(  # after a restore or a fail-over: who let the ledger go on, and for which time it knows of nothing
    "restores",
    metadata,
    Column("id", Id, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("by", String, nullable=False),
    Column("why", Text, nullable=False),
    Column("seen", Text, nullable=False),  # what gave it away
    Column("since", Instant),  # NULL: nothing was lost
    Column("until", Instant, nullable=False),
    Column("suspected", Integer, nullable=False),  # messages that may have left in that time
    Column("incarnation", String, nullable=False),  # the ledger's name towards witnesses from here on
)
