"""Until when a provider's messages waited because it took nothing from anybody."""

import sqlalchemy as sa
from alembic import op

from engine.store.tables import Instant

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    with op.batch_alter_table("rates") as table:
        table.add_column(sa.Column("down_until", Instant()))
