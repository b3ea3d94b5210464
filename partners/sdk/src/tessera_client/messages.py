"""Requests and answers as plain values, whatever library carries them."""

from collections.abc import Mapping
from urllib.parse import quote, urlencode

import msgspec

JSON = "application/json"
NDJSON = "application/x-ndjson"
_LONGEST_SECONDS = 10


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request before it is signed.

    `path` and `query` are as they are sent, percent-encoded, the query without its question mark.
    `digest` and `size` are of a body that is sent in pieces and is not in `body`.
    `idempotency_key`: names a file, where it is given.
    `repeatable`: sent twice it is done once, because it only reads, or carries the caller's reference.
    """

    method: str
    path: str
    query: str = ""
    body: bytes = b""
    content_type: str = ""
    digest: str = ""
    size: int = 0
    idempotency_key: str = ""
    repeatable: bool = True

    @property
    def target(self) -> str:
        """Path and query, as the request line has them."""
        return f"{self.path}?{self.query}" if self.query else self.path


class Response(msgspec.Struct, frozen=True):
    """An answer. Names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def replayed(self) -> bool:
        """Whether this is the remembered answer to an earlier request of the same reference."""
        return self.headers.get("idempotent-replayed") == "true"

    @property
    def retry_after(self) -> float | None:
        """The pause that the service asks for, in seconds; None where it gives none, or a date."""
        text = self.headers.get("retry-after", "")
        return float(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_SECONDS else None


class Lost(msgspec.Struct, frozen=True):
    """No answer. `sent`: the service may have got the request, and carried it out."""

    reason: str
    sent: bool


def path_of(*parts: str) -> str:
    """An address under /v1; each part may be any text, and stays one part."""
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def query_of(**values: str | int | bool | None) -> str:
    """A query of the values that are given."""
    shown = {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in values.items()
        if value is not None
    }
    return urlencode(shown, quote_via=quote)
