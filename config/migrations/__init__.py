"""Alembic revisions of our schema; run by config.database.migrate."""
