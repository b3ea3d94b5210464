"""One request until there is an answer: signing, clock skew and retries, without any I/O.

`converse` is a generator that says what to do next (send, or pause) and is told what came of it. The sync and
the async client, and whoever has an HTTP library of its own, drive the same generator.
"""

from collections.abc import Callable, Generator

import msgspec

from tessera_client.errors import Unreachable, error_of
from tessera_client.messages import Lost, Request, Response
from tessera_client.signing import Signer

_SKEW_STATUS, _SKEW_CODE = 401, "signature_time"
_BUSY = frozenset({429, 500, 502, 503, 504})
_RATE_LIMITED, _IN_FLIGHT = 429, 409


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How long to try. Pauses double from the first to the longest, each shortened at random by up to half.

    Args:
        attempts: How often a request is sent at most; 1 sends it once.
        first_pause_seconds: Before the second attempt.
        longest_pause_seconds: Of the pauses that we choose; a longer Retry-After is honoured.
        patience_seconds: Of all pauses together. Who asks for more than is left of it is not waited for.
    """

    attempts: int = 6
    first_pause_seconds: float = 0.1
    longest_pause_seconds: float = 5.0
    patience_seconds: float = 60.0


class Send(msgspec.Struct, frozen=True):
    """Send the request with these header fields beside Host and Content-Length; then tell what came."""

    headers: dict[str, str]


class Pause(msgspec.Struct, frozen=True):
    """Wait, then go on."""

    seconds: float


Conversation = Generator[Send | Pause, Response | Lost | None, Response]


class Session:
    """What all requests of a client share: key, address, policy, and what is known of the service's clock.

    Args:
        signer: The partner's key.
        authority: As requests sign it.
        now: The clock, in Unix seconds.
        spread: A number in [0, 1), each time another, so that clients do not come back all at once.
        policy: How long to try.
    """

    def __init__(
        self,
        signer: Signer,
        authority: str,
        *,
        now: Callable[[], float],
        spread: Callable[[], float],
        policy: Policy | None = None,
    ) -> None:
        self.signer = signer
        self.authority = authority
        self.policy = policy or Policy()
        self.skew_seconds = 0
        """What is added to our clock, since the service last said what time it is."""
        self._now = now
        self._spread = spread

    def converse(self, request: Request) -> Conversation:
        """Have a request answered; the answer is returned whatever its status.

        Each attempt is signed anew. Sent again is what was not answered, or was answered 429, 5xx, or 409
        with Retry-After, where that is safe: the request is repeatable, or was certainly not carried out.

        Raises:
            Unreachable: there was no answer, or the last one was cut off.
        """
        policy = self.policy
        pause, left, corrected = policy.first_pause_seconds, policy.patience_seconds, False
        attempt = 0
        while True:
            attempt += 1
            ours = int(self._now())
            signed = self.signer.sign(request, authority=self.authority, created=ours + self.skew_seconds)
            came = yield Send(signed.headers)
            if isinstance(came, Response) and not corrected and (theirs := _server_time(came)) is not None:
                # Not counted: nothing was wrong but the clock, and it is set right only once.
                self.skew_seconds = theirs - ours
                corrected = True
                attempt -= 1
                continue
            wait = self._wait(request, came, pause)
            if wait is None or attempt >= policy.attempts or wait > left:
                if isinstance(came, Response):
                    return came
                raise _unreachable(request, came, attempt)
            yield Pause(wait)
            left -= wait
            pause = min(pause * 2, policy.longest_pause_seconds)

    def _wait(self, request: Request, came: Response | Lost | None, pause: float) -> float | None:
        """How long to wait before it is sent again; None where it is not."""
        chosen = pause * (1 - self._spread() / 2)
        if not isinstance(came, Response):
            return chosen if request.repeatable or not (came and came.sent) else None
        asked = came.retry_after
        if came.status == _RATE_LIMITED or (came.status in _BUSY and request.repeatable):
            return max(chosen, asked or 0.0)
        if came.status == _IN_FLIGHT and asked is not None and request.repeatable:
            return max(chosen, asked)
        return None


def accepted(response: Response) -> Response:
    """An answer that is not a refusal.

    Raises:
        ApiError: the refusal, as its type.
    """
    if response.status >= 300:
        raise error_of(response)
    return response


def _server_time(response: Response) -> int | None:
    """The service's clock in Unix seconds, where ours is why it refused."""
    if response.status != _SKEW_STATUS:
        return None
    error = error_of(response)
    return error.server_time if error.code == _SKEW_CODE and error.server_time > 0 else None


def _unreachable(request: Request, came: Lost | None, attempts: int) -> Unreachable:
    reason = came.reason if came else "nothing came"
    again = "is the service up?" if request.repeatable else "it is not sent again by itself: it may be done"
    return Unreachable(
        f"{request.method} {request.path}: no answer in {attempts} attempts, last: {reason}; {again}"
    )
