"""The schema and its history, run by Alembic: in order, once, under an advisory lock."""
