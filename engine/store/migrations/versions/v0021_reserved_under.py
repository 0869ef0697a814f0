"""Under which names an attempt's cost was reserved: where it is given back to when it is known late that nobody took it."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.add_column("attempts", sa.Column("reserved_under", sa.Text(), nullable=True))
