"""Who had a campaign and was seen outside its audience since, so that a customer who comes back may have it again."""

import sqlalchemy as sa
from alembic import op

from engine.store.tables import Id, Instant

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "departures",
        sa.Column("campaign", sa.String(), nullable=False),
        sa.Column("customer_id", Id, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_departures_customer_id_customers")),
        sa.PrimaryKeyConstraint("campaign", "customer_id", "at", name=op.f("pk_departures")),
    )
