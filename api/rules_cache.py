"""The live rules, read again from the database every few seconds."""

import threading
import time
from collections.abc import Callable

from sqlalchemy import Engine

from network.rules import Rules
from network.service import load_rules

FRESH_SECONDS = 5.0


class RulesCache:
    """Gives the live rules; at most five seconds old. Safe to call from several lanes."""

    def __init__(self, database: Engine, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._rules: Rules | None = None
        self._read_at = 0.0

    def __call__(self) -> Rules:
        """The rules as they stand.

        Raises:
            NotReady: the network is not set up.
        """
        with self._lock:
            now = self._monotonic()
            if self._rules is None or now - self._read_at > FRESH_SECONDS:
                with self._database.connect() as connection:
                    self._rules = load_rules(connection)
                self._read_at = now
            return self._rules
