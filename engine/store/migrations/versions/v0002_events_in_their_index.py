"""On SQLite the index over a customer's events holds their properties too, so that sums need not look for each event."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.create_index("ix_events_of_customer", "events", ["customer_id", "name", "at", "properties"], unique=False)
        op.drop_index("ix_events_customer_id_name_at", "events")
