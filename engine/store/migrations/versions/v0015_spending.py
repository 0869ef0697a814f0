"""What was spent, and what each attempt cost."""

import sqlalchemy as sa
from alembic import op

from engine.store.tables import Instant

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.create_table(
        "spending",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.Column("since", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_spending")),
    )
    op.add_column("attempts", sa.Column("cost", sa.BigInteger(), nullable=True))
