"""What asking a vendor about a message in doubt has shown so far."""

import sqlalchemy as sa
from alembic import op

from engine.store.tables import Id, Instant

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "look_ups",
        sa.Column("message_id", Id, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("look_at", Instant(), nullable=False),
        sa.Column("missing_since", Instant()),
        sa.Column("looks", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("looked_at", Instant()),
        sa.Column("finding", sa.String()),
        sa.Column("detail", sa.Text()),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name=op.f("fk_look_ups_message_id")),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_look_ups")),
    )
