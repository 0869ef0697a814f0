"""Launches that a guard holds, and who let them go."""

import sqlalchemy as sa
from alembic import op

from engine.store.tables import Id, Instant

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "holds",
        sa.Column("id", Id, nullable=False),
        sa.Column("campaign", sa.String(), nullable=False),
        sa.Column("occurrence", sa.String(), nullable=False),
        sa.Column("nominal_at", Instant(), nullable=False),
        sa.Column("since", Instant(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("released_at", Instant()),
        sa.Column("released_by", sa.String()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_holds")),
        sa.UniqueConstraint("campaign", "occurrence", name=op.f("uq_holds_campaign_occurrence")),
    )
