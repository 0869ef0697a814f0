"""Replies that may be a no, for a person to read."""

import sqlalchemy as sa
from alembic import op

from engine.store.tables import Id, Instant

revision = "0012"
down_revision = "0011"

WAITING = sa.text("settled_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "replies",
        sa.Column("id", Id, nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("address_hash", sa.LargeBinary(), nullable=False),
        sa.Column("customer_id", Id),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("settled_at", Instant()),
        sa.Column("reading", sa.String()),
        sa.Column("by", sa.String()),
        sa.Column("why", sa.Text()),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_replies_customer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_replies")),
    )
    op.create_index(
        "ix_replies_waiting",
        "replies",
        ["channel", "address_hash"],
        sqlite_where=WAITING,
        postgresql_where=WAITING,
    )
