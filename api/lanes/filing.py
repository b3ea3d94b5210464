"""The lane of the files: claims what partners have sent, carries it out, and notes the answers.

Many files share a transaction as many tills do. What was carried out and is not noted yet when something ends
is carried out again by whoever goes on, and answered from memory: nothing happens twice.
"""

import logging
import select
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from api.files.lines import DONE, Line, LineAnswer, answer, bytes_of, limited, read_lines
from api.files.reading import split
from api.lanes.wire import PING, Answer, Answered, Ask, Frames, framed
from api.lanes.work import CarryOut
from api.limits import UNKNOWN_CARDS, Buckets, Rates
from network.commands import Command
from network.engine import Outcome
from network.errors import Busy, NetworkError, NotReady, Unavailable
from network.outcomes import Reply
from network.service import network_now
from partners import files
from partners.errors import FileMovedOn
from partners.files import Answers, FileBatch

MOST_OPEN = 32
"""Partners whose files are carried out side by side; others' turn comes when one has no more."""
NOTED_LINES = 4_000
NOTED_SECONDS = 1.0
"""Answers are noted at the end of a file, and on the way whenever there are so many, or are so old."""
_POLL_SECONDS = 0.5
"""After how long files are looked for that another server has taken, or has left behind."""
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 5.0
_MOST_TRIES = 8
"""Of a line whose rows stay locked by somebody else; then it is told so, and the file goes on."""
_MOST_BYTES = 1 << 20
WatchLines = Callable[[Sequence[UUID], int], AbstractContextManager[None]]
"""Stands around lines of files that are carried out together: for traces."""
_NOT_NOW = (FileMovedOn, NetworkError, SQLAlchemyError)
_ASKS = msgspec.msgpack.Decoder(list[Ask])

log = logging.getLogger("tessera.api")


class _Open:
    """A file that is being carried out: where it is, and answers that are not noted yet."""

    def __init__(self, batch: FileBatch) -> None:
        self.batch = batch
        self.next_line = batch.answered + 1
        self._lines: list[bytes] = []
        self._first = self.next_line
        """The number of the first of `_lines`."""
        self.noted = batch.answered
        self.refused = 0
        self.pieces: list[bytes] = []
        self.tries = 0

    @property
    def left(self) -> int:
        """Lines that are not carried out."""
        return self.batch.lines - self.next_line + 1

    @property
    def unnoted(self) -> int:
        """Lines whose answers are not noted."""
        return self.next_line - 1 - self.noted

    def take(self, connection: Connection, most: int) -> list[bytes]:
        """The next lines, up to so many; fewer where the part that is read ends."""
        if self.next_line >= self._first + len(self._lines):
            self._first, content = files.part_with(connection, self.batch, self.next_line)
            self._lines = split(content)
        start = self.next_line - self._first
        return self._lines[start : start + most]

    def answered(self, answers: Sequence[LineAnswer]) -> None:
        """Lines have been carried out."""
        self.pieces.append(bytes_of(answers))
        self.refused += sum(one.status != DONE for one in answers)
        self.next_line += len(answers)
        self.tries = 0

    def note(self, connection: Connection, at: datetime) -> bool:
        """Note the answers that are not; whether the file is finished."""
        answers = Answers(
            before=self.noted, lines=self.unnoted, refused=self.refused, content=b"".join(self.pieces)
        )
        return files.move_on(connection, self.batch, answers, at)

    def is_noted(self) -> None:
        """The transaction of `note` has committed."""
        self.noted, self.refused, self.pieces = self.next_line - 1, 0, []


class Filing:
    """Carries files out, a batch of lines at a time.

    Args:
        database: Where the files are, and the ledger.
        carry_out: Carries out commands.
        max_batch: Most lines of one transaction.
        rates: How many cards that do not exist a partner's files may name.
        watch: Stands around what carries out lines of files together.
    """

    def __init__(
        self,
        database: Engine,
        carry_out: CarryOut,
        *,
        max_batch: int,
        rates: Rates | None = None,
        watch: WatchLines | None = None,
    ) -> None:
        self._database = database
        self._carry_out = carry_out
        self._max_batch = max_batch
        self._watch = watch
        self._cards = Buckets((rates or Rates()).cards)
        self._claims: Connection | None = None
        self._open: list[_Open] = []
        self._noted_at = self._looked_at = float("-inf")
        self._pause = 0.0
        self._crowded = False
        self.look = True
        """Whether files may have come that were not looked for."""

    @property
    def pause(self) -> float:
        """Seconds to wait before the next step, where nothing new is heard of."""
        return self._pause or (0.0 if self._open else _POLL_SECONDS)

    def step(self) -> tuple[int, list[UUID]]:
        """Carry out some lines of all files that are open: how many, and which files are finished now.

        What the database does not do now is tried again at a later step.
        """
        try:
            with_claims = self._connected()
            if self.look or time.monotonic() - self._looked_at >= _POLL_SECONDS:
                self._find(with_claims)
            size = self._work(with_claims)
            done = self._note(with_claims) if self._is_due() else []
        except _NOT_NOW as error:
            log.warning("files are not carried out now, and will be: %s", error)
            self.forget()
            self._wait_longer()
            return 0, []
        return size, done

    def finished_among(self, batches: Sequence[UUID]) -> set[UUID]:
        """Those of some files that are finished, whoever did it; none where that cannot be said."""
        try:
            with self._database.connect() as connection:
                return files.finished_among(connection, batches)
        except SQLAlchemyError:
            return set()

    def close(self) -> None:
        """Note what was carried out, and let others go on."""
        if self._claims is not None:
            try:
                self._note(self._claims)
            except _NOT_NOW as error:
                log.warning("answers are not noted, and will be made again: %s", error)
        self.forget()

    def forget(self) -> None:
        """Give all claims up; what is not noted is done again by who goes on, which does nothing twice."""
        self._open = []
        self.look = True
        if self._claims is not None:
            with suppress(SQLAlchemyError):
                self._claims.detach()  # closed, not given back to the pool: the claims are its session's
            self._claims.close()
            self._claims = None

    def _connected(self) -> Connection:
        if self._claims is None:
            self._claims = self._database.connect()
        return self._claims

    def _find(self, connection: Connection) -> None:
        """Claim the files of partners whose turn it is."""
        self.look, self._looked_at = False, time.monotonic()
        held = {one.batch.partner_id for one in self._open}
        self._crowded = False
        with connection.begin():
            for partner_id in files.waiting_partners(connection):
                if len(self._open) >= MOST_OPEN:
                    self._crowded = True
                    break
                if partner_id not in held and files.claim(connection, partner_id):
                    self._open_next(connection, partner_id)

    def _open_next(self, connection: Connection, partner_id: int) -> None:
        batch = files.oldest_waiting(connection, partner_id)
        if batch is None:
            files.release(connection, partner_id)
        else:
            self._open.append(_Open(batch))

    def _work(self, connection: Connection) -> int:
        """Carry out lines of all open files in one transaction, small files first; how many."""
        taken: list[tuple[_Open, list[Line]]] = []
        room = self._max_batch
        waiting = sorted((one for one in self._open if one.left), key=lambda one: one.left)
        with connection.begin():
            for place, one in enumerate(waiting):
                raw = one.take(connection, max(1, room // (len(waiting) - place)))
                lines = read_lines(one.batch, raw, one.next_line)
                if self._cards.wait(one.batch.partner_id, time.monotonic()):
                    lines = limited(lines, one.next_line)
                taken.append((one, lines))
                room -= len(raw)
                if room <= 0:
                    break
        callers = [_commands(lines) for _, lines in taken]
        asked = [commands for commands in callers if commands]
        named = [one.batch.batch_id for one, _ in taken]
        with nullcontext() if self._watch is None else self._watch(named, sum(map(len, asked))):
            outcomes = iter(self._carry_out(asked))
        size = 0
        waits = False
        for (one, lines), commands in zip(taken, callers, strict=True):
            replies = self._replies(one, commands, next(outcomes)) if commands else []
            if replies is None:
                waits = True
            else:
                answers = _answers(one, lines, replies)
                one.answered(answers)
                unknown = sum(each.code in UNKNOWN_CARDS and not each.replayed for each in answers)
                if unknown:
                    self._cards.spend(one.batch.partner_id, time.monotonic(), unknown)
                size += len(lines)
        if waits:
            self._wait_longer()
        else:
            self._pause = 0.0
        return size

    def _replies(
        self, one: _Open, commands: Sequence[Command], outcome: Outcome
    ) -> Sequence[Reply | Exception] | None:
        """What commands came to; where together they broke, each by itself; None where that is for later.

        A line that breaks something is told so; one whose rows stay locked is after some tries.
        """
        if not isinstance(outcome, Exception):
            return outcome
        if _is_over_soon(outcome):
            return None
        one.tries += 1
        replies: list[Reply | Exception] = []
        for command in commands:
            [came] = self._carry_out([[command]])
            if isinstance(came, Exception) and (
                _is_over_soon(came) or (isinstance(came, Busy) and one.tries < _MOST_TRIES)
            ):
                return None
            replies.append(came if isinstance(came, Exception) else came[0])
        return replies

    def _is_due(self) -> bool:
        return (
            any(one.unnoted and not one.left for one in self._open)
            or sum(one.unnoted for one in self._open) >= NOTED_LINES
            or time.monotonic() - self._noted_at >= NOTED_SECONDS
        )

    def _note(self, connection: Connection) -> list[UUID]:
        """Note all answers that are not noted, in one transaction; the files that are finished."""
        self._noted_at = time.monotonic()
        moved = [one for one in self._open if one.unnoted]
        if not moved:
            return []
        with connection.begin():
            at = network_now(connection)
            finished = [one for one in moved if one.note(connection, at)]
        for one in moved:
            one.is_noted()
        self._open = [one for one in self._open if one not in finished]
        with connection.begin():
            for one in finished:
                if self._crowded:  # others have waited for longer than its next
                    files.release(connection, one.batch.partner_id)
                    self.look = True
                else:
                    self._open_next(connection, one.batch.partner_id)
        return [one.batch.batch_id for one in finished]

    def _wait_longer(self) -> None:
        self._pause = min(max(2 * self._pause, _FIRST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)


def _answers(one: _Open, lines: Sequence[Line], replies: Iterable[Reply | Exception]) -> list[LineAnswer]:
    """The answers to a file's next lines; `replies` are those of their commands."""
    came = iter(replies)
    return [
        line
        if isinstance(line, LineAnswer)
        else answer(next(came), number, f"file {one.batch.batch_id} line {number}")
        for number, line in enumerate(lines, start=one.next_line)
    ]


def _is_over_soon(error: Exception) -> bool:
    """Whether an error is the database's, which did not answer, or the network's, which is not open yet."""
    return isinstance(error, Unavailable | NotReady) and not isinstance(error, Busy)


def _commands(lines: Sequence[Line]) -> list[Command]:
    """The commands among lines."""
    return [line for line in lines if not isinstance(line, LineAnswer)]


class _Door:
    """What the door asks: which files somebody waits for the end of."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._frames = Frames()
        self._poll = select.poll()
        self._poll.register(channel, select.POLLIN)
        self._asked: dict[UUID, list[int]] = {}
        self._asked_at = 0.0
        self._pings: list[Answer] = []

    def heard(self, wait: float) -> bool | None:
        """Take in what it asks, waiting so many seconds; whether it asked, None where it has closed."""
        asked = False
        while self._poll.poll(0 if asked else wait * 1_000):
            data = self._channel.recv(_MOST_BYTES)
            if not data:
                return None
            for frame in self._frames.fed(data):
                for ask in _ASKS.decode(frame):
                    if ask.address == PING:
                        self._pings.append(Answer(ask.number, 200, b""))
                        continue
                    self._asked.setdefault(UUID(bytes=ask.body), []).append(ask.number)
            asked = True
            self._asked_at = 0.0
        return asked

    def tell(self, size: int, done: Sequence[UUID], filing: Filing, seconds: float) -> None:
        """Say how many lines were carried out, and answer who waits for files that are finished."""
        over = set(done)
        if self._asked and time.monotonic() - self._asked_at >= _POLL_SECONDS:
            self._asked_at = time.monotonic()
            over |= filing.finished_among([one for one in self._asked if one not in over])
        answers = [Answer(number, 200, b"") for one in over for number in self._asked.pop(one, ())]
        pings, self._pings = self._pings, []
        answers += pings
        if size or answers:
            self._channel.sendall(framed(Answered(answers, size, seconds)))


def serve_files(
    channel: socket.socket,
    database: Engine,
    carry_out: CarryOut,
    *,
    max_batch: int,
    rates: Rates | None = None,
    watch: WatchLines | None = None,
) -> None:
    """Carry files out until the door closes the socket.

    Each ask names a file whose end its caller waits for; it is answered when the file is finished, whoever
    did that, and reminds us to look for it.
    """
    filing = Filing(database, carry_out, max_batch=max_batch, rates=rates, watch=watch)
    door = _Door(channel)
    with channel, suppress(ConnectionError):
        while (asked := door.heard(filing.pause)) is not None:
            filing.look |= asked
            started = time.perf_counter()
            size, done = filing.step()
            door.tell(size, done, filing, time.perf_counter() - started)
    filing.close()
