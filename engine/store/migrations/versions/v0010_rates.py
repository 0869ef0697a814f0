"""Rates that all senders keep together."""

import sqlalchemy as sa
from alembic import op

from engine.store.tables import Instant

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "rates",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("taken", Instant(), nullable=False),
        sa.Column("closed_until", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_rates")),
    )
