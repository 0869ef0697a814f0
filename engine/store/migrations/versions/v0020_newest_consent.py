"""The index of consents ends with their id: PostgreSQL finds the newest one without sorting."""

from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.create_index("ix_consents_newest", "consents", ["contact_point_id", "purpose", "at", "id"], unique=False)
    op.drop_index("ix_consents_contact_point_id_purpose_at", "consents")
