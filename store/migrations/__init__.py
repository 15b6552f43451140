"""Schema migrations (Alembic), run in process by store/schema.py."""
