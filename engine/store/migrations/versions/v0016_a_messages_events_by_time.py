"""A message's events by their time: opens and clicks are judged together with those around them."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

OURS = sa.text("message_id IS NOT NULL")


def upgrade() -> None:
    op.drop_index("ix_events_message_id", "events")
    op.create_index("ix_events_message_id_at", "events", ["message_id", "at"], sqlite_where=OURS, postgresql_where=OURS)
