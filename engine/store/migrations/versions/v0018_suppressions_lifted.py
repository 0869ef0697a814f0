"""A suppression for each reason, and who lifted it: one that is lifted stays on record."""

import sqlalchemy as sa
from alembic import op

from engine.store.tables import Instant

revision = "0018"
down_revision = "0017"

STANDING = sa.text("lifted_at IS NULL")


def upgrade() -> None:
    with op.batch_alter_table("suppressions") as table:
        table.drop_constraint("uq_suppressions_channel_address_hash", type_="unique")
        table.add_column(sa.Column("lifted_at", Instant()))
        table.add_column(sa.Column("lifted_by", sa.String()))
        table.add_column(sa.Column("lifted_why", sa.Text()))
    op.create_index(op.f("ix_suppressions_channel_address_hash"), "suppressions", ["channel", "address_hash"])
    op.create_index(
        "uq_suppressions_standing",
        "suppressions",
        ["channel", "address_hash", "reason"],
        unique=True,
        sqlite_where=STANDING,
        postgresql_where=STANDING,
    )
