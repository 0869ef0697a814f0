"""The index over events begins with their name: what is asked of everybody reads one name's, in the customers' order."""

from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.create_index("ix_events_named", "events", ["name", "customer_id", "at", "properties"], unique=False)
        op.drop_index("ix_events_of_customer", "events")
    else:
        op.create_index("ix_events_name_customer_id_at", "events", ["name", "customer_id", "at"], unique=False)
        op.drop_index("ix_events_customer_id_name_at", "events")
