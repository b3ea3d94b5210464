"""What can go wrong, as types: a refusal of the service, no answer at all, or something that cannot be used.

`ApiError` and what is below it carry the service's problem (RFC 9457): branch on its type, or on `code`.
"""

from collections.abc import Mapping, Sequence

import msgspec

from tessera_client.messages import Response


class TesseraError(Exception):
    """Root of this package's errors."""


class Unusable(TesseraError):
    """Something on this side: a key, an address or an argument that cannot be used."""


class Unreachable(TesseraError):
    """No answer after all attempts. Whether the request was carried out is not known.

    Send it again later under the same reference: then nothing is done twice.
    """


class WebhookInvalid(TesseraError):
    """The webhook was not signed by who you think, was changed, or is too old. Answer 400, do nothing."""


class ProofInvalid(TesseraError):
    """The proof does not prove its entry; the text says what does not fit."""


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong with one field; `pointer` is a JSON pointer into the body."""

    pointer: str = ""
    code: str = ""


class _Problem(msgspec.Struct, frozen=True):
    """A problem as it is sent; whatever is missing is empty."""

    title: str = ""
    code: str = ""
    detail: str = ""
    request_id: str = ""
    errors: Sequence[FieldError] = ()
    server_time: int = 0


class ApiError(TesseraError):
    """The service refused. `code` says why, and the documentation lists it; quote `request_id` to support.

    `server_time` (Unix seconds) comes with `signature_time`, else it is 0. `retry_after` is in seconds.
    """

    def __init__(
        self,
        status: int,
        code: str,
        *,
        title: str = "",
        detail: str = "",
        errors: Sequence[FieldError] = (),
        request_id: str = "",
        server_time: int = 0,
        retry_after: float | None = None,
    ) -> None:
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail
        self.errors = tuple(errors)
        self.request_id = request_id
        self.server_time = server_time
        self.retry_after = retry_after
        fields = "".join(f"; {one.pointer}: {one.code}" for one in self.errors)
        says = f": {detail}" if detail else ""
        super().__init__(f"{status} {code}: {title}{says}{fields} [{request_id or 'no request id'}]")


class NotAuthenticated(ApiError):
    """401: the signature, its key or its time was not accepted."""


class NotFound(ApiError):
    """404: there is no such thing, or it is another partner's."""


class Conflict(ApiError):
    """409: it cannot be done now."""


class Invalid(ApiError):
    """The request itself is not one that can be read: mend the program that made it."""


class ReferenceReused(ApiError):
    """422: this reference was used for a request with other content. Never retry; find the two requests."""


class Refused(ApiError):
    """422: the rules say no (`insufficient_points`, `card_blocked` …). The same reference stays refused."""


class RateLimited(ApiError):
    """429: too many requests, also after waiting as long as was asked for."""


class Unavailable(ApiError):
    """5xx after all attempts: send it again later under the same reference."""


_BY_CODE: Mapping[str, type[ApiError]] = {"reference_reused": ReferenceReused, "validation_failed": Invalid}
_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: Invalid,
    401: NotAuthenticated,
    404: NotFound,
    405: Invalid,
    409: Conflict,
    413: Invalid,
    415: Invalid,
    422: Refused,
    429: RateLimited,
    431: Invalid,
}
_DECODER = msgspec.json.Decoder(_Problem)


def error_of(response: Response) -> ApiError:
    """The error that an answer stands for; one that is no problem (a proxy's) has code `http_<status>`."""
    status = response.status
    try:
        said = _DECODER.decode(response.body)
    except msgspec.DecodeError:
        said = _Problem(detail=response.body[:200].decode(errors="replace"))
    code = said.code or f"http_{status}"
    kind = _BY_CODE.get(code) or _BY_STATUS.get(status) or (Unavailable if status >= 500 else ApiError)
    return kind(
        status,
        code,
        title=said.title,
        detail=said.detail,
        errors=said.errors,
        request_id=said.request_id or response.headers.get("request-id", ""),
        server_time=said.server_time,
        retry_after=response.retry_after,
    )
