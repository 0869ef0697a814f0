"""What waits is indexed by its lane's own order: receipts by when they are due, bulk by run, so that runs take turns. Brakes."""

import sqlalchemy as sa
from alembic import op

from engine.store.tables import Instant

revision = "0003"
down_revision = "0002"

INDEXES = (
    ("ix_messages_triggered", ["due_at", "id"], "state = 'pending' AND lane = 0"),
    ("ix_messages_bulk", ["run_id", "due_at", "id"], "state = 'pending' AND lane = 1"),
    ("ix_messages_not_after", ["not_after"], "state = 'pending' AND not_after IS NOT NULL"),
)


def upgrade() -> None:
    op.create_table(
        "brakes",
        sa.Column("campaign", sa.String(), nullable=False),
        sa.Column("since", Instant(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("campaign", name=op.f("pk_brakes")),
    )
    for name, columns, which in INDEXES:
        op.create_index(name, "messages", columns, sqlite_where=sa.text(which), postgresql_where=sa.text(which))
    op.drop_index("ix_messages_due", "messages")
