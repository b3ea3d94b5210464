"""The live rules, read again from the database every few seconds."""

import threading
import time
from collections.abc import Callable

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from network.errors import Unavailable
from network.rules import Rules
from network.service import load_rules

FRESH_SECONDS = 5.0


class RulesCache:
    """Gives the live rules, about five seconds old at most. Safe to call from several threads.

    One caller reads them anew while the others go on with what is here: nobody waits for a connection behind
    somebody who waits for one.
    """

    def __init__(self, database: Engine, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._monotonic = monotonic
        self._reading = threading.Lock()
        self._rules: Rules | None = None
        self._read_at = 0.0

    def __call__(self) -> Rules:
        """The rules as they stand.

        Raises:
            NotReady: the network is not set up.
            Unavailable: they were never read, and the database cannot be reached.
        """
        rules = self._rules
        if rules is not None and self._monotonic() - self._read_at <= FRESH_SECONDS:
            return rules
        # the first reading is waited for; later ones are somebody else's while this goes on
        if not self._reading.acquire(blocking=rules is None):
            return rules if rules is not None else self()
        try:
            return self._read()
        finally:
            self._reading.release()

    def anew(self) -> Rules:
        """The rules as they are now, however fresh what is here.

        Raises:
            NotReady, Unavailable: as a call does.
        """
        with self._reading:
            self._read_at = float("-inf")
            return self._read()

    def _read(self) -> Rules:
        began = self._monotonic()
        if self._rules is not None and began - self._read_at <= FRESH_SECONDS:
            return self._rules
        try:
            with self._database.connect() as connection:
                self._rules = load_rules(connection)
        except (DBAPIError, PoolTimeout) as error:
            raise Unavailable(f"the rules cannot be read: {error}") from error
        self._read_at = began
        return self._rules
