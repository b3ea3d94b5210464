"""Settings, logging, the database engine, the embedded PostgreSQL, migrations and programme files."""
