"""A client process of a crash run: tills that ask, and ask again under the same reference until answered.

    python -m tests.crash.client        (its Config, as JSON, on standard input)

It ends with status 0 once it has been told to stop and everything it ever sent is answered; with 3 where a
request found no answer for a minute.
"""

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tessera_client.messages import NDJSON

from api.client import FILES, open_session, sign_headers
from tests.crash.commands import BY_NAME, RETURNABLE, Command, World, draw
from tests.crash.compare import ACCEPTED
from tests.crash.journal import Config, Line, State, Tail, read_state

JSON = "application/json"
PATIENCE_SECONDS = 60.0
FILE_SIZES = (5, 40, 1_200)
"""Lines of a file; the longest is carried out in three transactions, and so may break between them."""
_TAKEN, _NOT_DONE = 202, 409
_FILE_WEIGHTS = (6, 6, 1)
_FILE_SHARE, _TWICE_SHARE = 0.015, 0.05
_PAUSE_SECONDS = 0.03
_RECEIPTS_EVERY = 50
_LOST = (aiohttp.ClientError, ConnectionError, TimeoutError)

Final = tuple[int, dict[str, Any]]
"""A status that will not change, with the entry or {"code": …} of the refusal."""


class Stuck(Exception):
    """A request found no answer for a minute."""


class Client:
    """The tills of one partner."""

    def __init__(self, config: Config, session: aiohttp.ClientSession) -> None:
        self._config = config
        self._session = session
        self._key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(config.key))
        self._world = World(list(config.cards))
        self._journal = Path(config.journal).open("ab", buffering=0)  # noqa: SIM115 - as long as the process
        self._state_path = Path(config.state)
        self._state_written = 0
        self._state = read_state(self._state_path)
        self._sent = 0
        self._others = [Tail(Path(path)) for path in config.abroad]

    def state(self) -> State:
        """Where the servers are now; read again when the harness has written it."""
        written = self._state_path.stat().st_mtime_ns
        if written != self._state_written:
            self._state_written, self._state = written, read_state(self._state_path)
        return self._state

    async def run(self) -> None:
        """All tills, until told to stop."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._config.tills):
                group.create_task(self._till(Random(f"{self._config.seed}.{number}")))

    async def _till(self, random: Random) -> None:
        while not self.state().stop:
            if random.random() < _FILE_SHARE:
                [size] = random.choices(FILE_SIZES, _FILE_WEIGHTS)
                await self._file([self._draw(random, in_file=True) for _ in range(size)], random)
            else:
                await self._single(self._draw(random), random, twice=random.random() < _TWICE_SHARE)
            await asyncio.sleep(random.expovariate(1 / _PAUSE_SECONDS))

    def _draw(self, random: Random, *, in_file: bool = False) -> Command:
        self._sent += 1
        if self._sent % _RECEIPTS_EVERY == 0:
            self._look_abroad()
        reference = f"{self._config.name}-{self._sent}"
        return draw(self._world, random, reference, self.state().occurred_at, in_file=in_file)

    def _look_abroad(self) -> None:
        """Learn what others have sold: members bring some of it back here."""
        for other in self._others:
            self._world.abroad.extend(
                {**line.fields, **line.answer}
                for line in other.news()
                if line.status == ACCEPTED and line.kind in RETURNABLE
            )

    async def _single(self, command: Command, random: Random, *, twice: bool) -> None:
        """One request until it is answered; sometimes sent twice at once, as an impatient till does."""
        answers = await asyncio.gather(*(self._ask(command, random) for _ in range(1 + twice)))
        (status, answer), attempts = answers[0]
        if twice and answers[1][0] != answers[0][0]:
            self._note(Line(odd=f"{command.reference} sent twice: {answers[0][0]} and {answers[1][0]}"))
        self._tell(command, (status, answer), attempts, in_file=False)

    async def _ask(self, command: Command, random: Random) -> tuple[Final, int]:
        path = BY_NAME[command.kind].path
        body = msgspec.json.encode(command.fields)
        deadline = time.monotonic() + PATIENCE_SECONDS
        attempts = 0
        while True:
            attempts += 1
            try:
                async with self._post(path, body, JSON, random) as response:
                    said = msgspec.json.decode(await response.read())
                    if self._is_final(response.status, said):
                        return final_of(response.status, said), attempts
            except _LOST:
                pass  # a server is gone: whichever is there next will be asked again
            await self._pause(random, deadline, command.reference)

    async def _file(self, commands: Sequence[Command], random: Random) -> None:
        """One file until every line is answered: sent, and asked for, at whichever server is there.

        Sometimes it is sent again all the same, which changes nothing.
        """
        body = b"".join(msgspec.json.encode(command.line) + b"\n" for command in commands)
        answered: dict[str, Final] = {}
        deadline = time.monotonic() + PATIENCE_SECONDS
        attempts = 0
        result = ""
        while len(answered) < len(commands):
            attempts += 1
            try:
                if not result or random.random() < _TWICE_SHARE:
                    async with self._post(FILES, body, NDJSON, random) as response:
                        said = await response.read()
                        if response.status == _TAKEN:
                            result = msgspec.json.decode(said)["result"]
                        else:
                            self._is_final(response.status, {"code": said.decode()})
                if result:
                    async with self._get(result, "wait=5", random) as response:
                        raw = await response.read()
                    if response.status == 200:
                        for line in raw.splitlines():
                            self._take_line(commands, msgspec.json.decode(line), answered, attempts)
                    elif response.status != _NOT_DONE:
                        self._is_final(response.status, {"code": raw.decode()})
            except _LOST:
                pass
            if len(answered) < len(commands):
                await self._pause(random, deadline, commands[0].reference)

    def _take_line(
        self,
        commands: Sequence[Command],
        said: Mapping[str, Any],
        answered: dict[str, Final],
        attempts: int,
    ) -> None:
        command, status = commands[said["line"] - 1], said["status"]
        if not self._is_final(status, said):
            return
        final = final_of(status, said["entry"] if status == ACCEPTED else said)
        if command.reference not in answered:
            answered[command.reference] = final
            self._tell(command, final, attempts, in_file=True)
        elif answered[command.reference] != final:
            self._note(Line(odd=f"{command.reference}: {answered[command.reference]}, then {final}"))

    def _post(self, path: str, body: bytes, content_type: str, random: Random) -> Any:
        base_url = random.choice(self.state().addresses)
        headers = sign_headers(
            self._key,
            self._config.key_id,
            method="POST",
            authority=base_url.partition("://")[2],
            path=path,
            body=body,
            content_type=content_type,
            at=datetime.now(UTC),  # noqa: TID251 - this process's clock; signatures carry real time
        )
        return self._session.post(base_url + path, data=body, headers=headers)

    def _get(self, path: str, query: str, random: Random) -> Any:
        base_url = random.choice(self.state().addresses)
        headers = sign_headers(
            self._key,
            self._config.key_id,
            method="GET",
            authority=base_url.partition("://")[2],
            path=path,
            query=query,
            at=datetime.now(UTC),  # noqa: TID251 - this process's clock; signatures carry real time
        )
        return self._session.get(f"{base_url}{path}?{query}", headers=headers)

    def _is_final(self, status: int, said: Mapping[str, Any]) -> bool:
        if status == ACCEPTED or 400 <= status < 500:
            return True
        if status != 503:
            self._note(Line(odd=f"status {status}: {said}"))
        return False

    async def _pause(self, random: Random, deadline: float, reference: str) -> None:
        if time.monotonic() > deadline:
            raise Stuck(f"{reference} found no answer for {PATIENCE_SECONDS:.0f} s")
        await asyncio.sleep(random.uniform(0.01, 0.2))

    def _tell(self, command: Command, final: Final, attempts: int, *, in_file: bool) -> None:
        status, answer = final
        if status == ACCEPTED:
            self._world.learn(command.fields, answer)
        self._note(
            Line(
                kind=command.kind,
                fields=dict(command.fields),
                status=status,
                answer=answer,
                attempts=attempts,
                in_file=in_file,
            )
        )

    def _note(self, line: Line) -> None:
        self._journal.write(msgspec.json.encode(line) + b"\n")


def final_of(status: int, said: Mapping[str, Any]) -> Final:
    """What must be the same on every replay: the entry, or the code of the refusal."""
    return status, dict(said) if status == ACCEPTED else {"code": said.get("code")}


async def main() -> int:
    """Be the client that standard input describes; the exit status."""
    config = msgspec.json.decode(sys.stdin.buffer.read(), type=Config)
    async with open_session() as session:
        try:
            await Client(config, session).run()
        except ExceptionGroup as group:
            stuck, rest = group.split(Stuck)
            if stuck is None or rest is not None:
                raise
            sys.stderr.write(f"{config.name}: {stuck.exceptions[0]}\n")
            return 3
    return 0


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
