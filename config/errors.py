"""Errors of the config room: what was wrong, where, and what to do about it."""


class ConfigError(Exception):
    """The root of what settings, the database and the embedded server raise."""


class SettingsError(ConfigError):
    """A setting cannot be used as it stands."""


class KeyFileError(ConfigError):
    """The network's key cannot be read or made."""


class DatabaseError(ConfigError):
    """The database cannot be reached or used."""


class PostgresError(DatabaseError):
    """The embedded PostgreSQL cannot be made, started or stopped."""
