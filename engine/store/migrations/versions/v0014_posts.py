"""How posts to everybody fare."""

import sqlalchemy as sa
from alembic import op

from engine.store.tables import Id, Instant

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.create_table(
        "posts",
        sa.Column("message_id", Id, nullable=False),
        sa.Column("look_at", Instant(), nullable=True),
        sa.Column("counted_at", Instant(), nullable=True),
        sa.Column("gone_at", Instant(), nullable=True),
        *(
            sa.Column(name, sa.BigInteger(), nullable=True)
            for name in ("likes", "shares", "replies", "clicks", "views")
        ),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name=op.f("fk_posts_message_id")),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_posts")),
    )
