"""The database schema step by step, run by Alembic."""
