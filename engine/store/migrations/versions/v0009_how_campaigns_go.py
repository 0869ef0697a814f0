"""How campaigns go: what was handed over and what ended badly, runs whose first part leaves ahead, and automatic stops."""

import sqlalchemy as sa
from alembic import op

from engine.store.tables import Id, Instant, Plain

revision = "0009"
down_revision = "0008"

COUNTS = ("begun", "errors", "bounces", "complaints")


def upgrade() -> None:
    op.create_table(
        "tallies",
        sa.Column("id", Id, nullable=False),
        sa.Column("campaign", sa.String(), nullable=False),
        sa.Column("run_id", Id, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        *(sa.Column(name, sa.Integer(), server_default=sa.text("0"), nullable=False) for name in COUNTS),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tallies")),
    )
    op.create_index(op.f("ix_tallies_campaign_at"), "tallies", ["campaign", "at"])
    op.create_index(op.f("ix_tallies_at"), "tallies", ["at"])
    op.create_table(
        "canaries",
        sa.Column("run_id", Id, nullable=False),
        sa.Column("campaign", sa.String(), nullable=False),
        sa.Column("since", Instant(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("terms", Plain, nullable=False),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("decide_at", Instant()),
        sa.Column("decided_at", Instant()),
        sa.Column("why", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_canaries_run_id")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_canaries")),
    )
    op.create_table(
        "stops",
        sa.Column("id", Id, nullable=False),
        sa.Column("campaign", sa.String(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stops")),
    )
    op.create_index(op.f("ix_stops_campaign_at"), "stops", ["campaign", "at"])
