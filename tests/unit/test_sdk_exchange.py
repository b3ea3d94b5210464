"""The SDK's core without a network: what is signed, sent again, and when; what refusals become."""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
import pytest
from tessera_client import (
    Accrual,
    ApiError,
    Conflict,
    FieldError,
    Invalid,
    NotAuthenticated,
    NotFound,
    Policy,
    RateLimited,
    ReferenceReused,
    Refused,
    Signer,
    Unavailable,
    Unreachable,
    Unusable,
    operations,
)
from tessera_client.errors import error_of
from tessera_client.exchange import Pause, Send, Session, accepted
from tessera_client.messages import Lost, Request, Response, path_of, query_of

from api.problems import problem
from partners.signature import Verified, verify_request
from partners.signature_fields import SignatureRefused
from tests.signing import BODY, CREATED, KEY, KEY_ID, NOW, RFC_KEY, head_of, sign_request

SIGNER = Signer(KEY_ID, RFC_KEY)
READ = Request(method="GET", path="/v1/entries")
SALE = Request(method="POST", path="/v1/earn", body=BODY, content_type="application/json")
ANSWER = Request(method="POST", path="/v1/disputes/d/answers", body=b"{}", repeatable=False)
GONE, BEFORE = Lost("reset", sent=True), Lost("refused", sent=False)


def said(status: int, code: str = "", *, retry_after: str = "", server_time: int = 0) -> Response:
    """An answer; with a code a problem."""
    headers = {"retry-after": retry_after} if retry_after else {}
    body = {"code": code, "server_time": server_time} if code else {}
    return Response(status, headers, msgspec.json.encode(body))


OK = said(201)
BUSY = said(503, "overloaded", retry_after="1")


class Told:
    """A conversation that was played: what it did, and how it ended."""

    def __init__(
        self,
        request: Request,
        came: Sequence[Response | Lost],
        *,
        policy: Policy | None = None,
        ahead: int = 0,
    ) -> None:
        ours = iter(range(CREATED - ahead, CREATED + 1000))
        self.session = Session(
            SIGNER, "api.example.com", now=lambda: float(next(ours)), spread=lambda: 0.0, policy=policy
        )
        self.created: list[int] = []
        self.pauses: list[float] = []
        self.ended: Response | Unreachable
        answers = iter(came)
        talk = self.session.converse(request)
        step = next(talk)
        try:
            while True:
                if isinstance(step, Send):
                    signed = step.headers["Signature-Input"]
                    self.created.append(int(signed.partition("created=")[2].partition(";")[0]))
                    step = talk.send(next(answers))
                else:
                    assert isinstance(step, Pause)
                    self.pauses.append(step.seconds)
                    step = talk.send(None)
        except StopIteration as ended:
            self.ended = ended.value
        except Unreachable as error:
            self.ended = error
        assert list(answers) == []


@pytest.mark.parametrize(
    "request_",
    [SALE, READ, Request(method="GET", path="/v1/entries", query="limit=5&cursor=a%2Fb")],
    ids=["body", "read", "query"],
)
def test_the_server_accepts_what_it_signs(request_: Request) -> None:
    """Signed by the SDK, verified by the server's code; and byte for byte what its own signer makes."""
    signed = SIGNER.sign(request_, authority="api.example.com", created=CREATED)
    head = head_of(
        signed.headers,
        method=request_.method.encode(),
        path=request_.path.encode(),
        query=request_.query.encode(),
        has_body=request_.body != b"",
    )
    assert isinstance(verify_request(head, request_.body, {KEY_ID: KEY}, NOW), Verified)
    assert signed.headers == sign_request(
        RFC_KEY,
        KEY_ID,
        method=request_.method,
        authority="api.example.com",
        path=request_.path,
        query=request_.query,
        body=request_.body,
        created=CREATED,
    )
    assert signed.base.decode().splitlines()[0] == f'"@method": {request_.method}'


def test_another_path_is_refused() -> None:
    """The test above can fail: the same headers under another path are no valid signature."""
    signed = SIGNER.sign(SALE, authority="api.example.com", created=CREATED)
    refused = verify_request(head_of(signed.headers, path=b"/v1/burn"), BODY, {KEY_ID: KEY}, NOW)
    assert isinstance(refused, SignatureRefused)
    assert refused.code == "signature_invalid"


@pytest.mark.parametrize("key_id", ["", "a b", 'a"b', "a\\b", "ü", "x" * 129, "a\n"])
def test_no_key_has_that_id(key_id: str) -> None:
    """An id that could break out of its quotes is refused before anything is signed."""
    with pytest.raises(Unusable, match="a key id has 1 to 128"):
        Signer(key_id, RFC_KEY)


@pytest.mark.parametrize(
    ("request_", "came", "pauses", "status"),
    [
        (SALE, [OK], [], 201),
        (SALE, [GONE, BEFORE, OK], [0.1, 0.2], 201),
        (SALE, [BUSY, OK], [1.0], 201),
        (SALE, [said(500, "internal_error"), said(502), said(504), OK], [0.1, 0.2, 0.4], 201),
        (SALE, [said(429, "rate_limited", retry_after="7"), OK], [7.0], 201),
        (SALE, [said(409, "in_flight", retry_after="2"), OK], [2.0], 201),
        (SALE, [said(409, "not_sealed_yet")], [], 409),
        (SALE, [said(422, "insufficient_points")], [], 422),
        (SALE, [said(400, "malformed_json")], [], 400),
        (SALE, [said(401, "signature_invalid")], [], 401),
        (SALE, [said(503, "overloaded", retry_after="Thu, 01 Jan 2026 00:00:00 GMT"), OK], [0.1], 201),
        (SALE, [said(503, retry_after="61")], [], 503),
        (SALE, [said(503, retry_after="40"), said(503, retry_after="40")], [40.0], 503),
        (READ, [GONE, OK], [0.1], 201),
        (ANSWER, [BEFORE, OK], [0.1], 201),
        (ANSWER, [said(429, "rate_limited"), OK], [0.1], 201),
        (ANSWER, [BUSY], [], 503),
        (ANSWER, [said(409, "in_flight", retry_after="1")], [], 409),
    ],
)
def test_what_is_sent_again(
    request_: Request, came: list[Response | Lost], pauses: list[float], status: int
) -> None:
    """Only what is safe: Retry-After is honoured, refusals stand, who asks for too long is not waited for."""
    told = Told(request_, came)
    assert isinstance(told.ended, Response)
    assert (told.pauses, told.ended.status) == (pauses, status)


def test_each_attempt_is_signed_anew() -> None:
    """Every attempt carries the second in which it is made."""
    assert Told(SALE, [GONE, BUSY, OK]).created == [CREATED, CREATED + 1, CREATED + 2]


def test_it_gives_up() -> None:
    """After its attempts; and at once where the request may have been carried out and has no reference."""
    told = Told(SALE, [GONE] * 3, policy=Policy(attempts=3))
    assert str(told.ended) == ("POST /v1/earn: no answer in 3 attempts, last: reset; is the service up?")
    told = Told(SALE, [BUSY] * 2, policy=Policy(attempts=2))
    assert isinstance(told.ended, Response)
    assert told.ended.status == 503
    told = Told(ANSWER, [GONE])
    assert isinstance(told.ended, Unreachable)
    assert "it is not sent again by itself: it may be done" in str(told.ended)


def test_pauses_double_to_the_longest_and_are_spread() -> None:
    """0.1, 0.2 … 5 s; a spread of almost one shortens a pause by half."""
    assert Told(READ, [GONE] * 9, policy=Policy(attempts=9)).pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5]
    session = Session(SIGNER, "a", now=lambda: 0.0, spread=lambda: 0.999999)
    talk = session.converse(READ)
    next(talk)
    pause = talk.send(GONE)
    assert isinstance(pause, Pause)
    assert pause.seconds == pytest.approx(0.05, abs=1e-6)


@pytest.mark.parametrize("ahead", [400, -400, 86_400 * 365])
def test_a_wrong_clock_is_set_right(ahead: int) -> None:
    """`server_time` corrects the next attempt, without a pause, and all requests after it."""
    told = Told(SALE, [said(401, "signature_time", server_time=CREATED), OK], ahead=ahead)
    assert isinstance(told.ended, Response)
    assert (told.ended.status, told.pauses) == (201, [])
    assert told.created == [CREATED - ahead, CREATED + 1]
    assert told.session.skew_seconds == ahead


def test_a_clock_is_set_right_once_a_request() -> None:
    """Where that does not help, the refusal is the answer: no endless loop."""
    late = said(401, "signature_time", server_time=CREATED + 9999)
    told = Told(SALE, [late, late])
    assert isinstance(told.ended, Response)
    assert (told.ended.status, len(told.created)) == (401, 2)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("insufficient_points", Refused),
        ("reference_reused", ReferenceReused),
        ("validation_failed", Invalid),
        ("malformed_json", Invalid),
        ("media_type_unsupported", Invalid),
        ("key_unknown", NotAuthenticated),
        ("entry_unknown", NotFound),
        ("not_sealed_yet", Conflict),
        ("too_many_tries", RateLimited),
        ("unavailable", Unavailable),
        ("internal_error", Unavailable),
    ],
)
def test_problems_become_types(code: str, kind: type[ApiError]) -> None:
    """The server's own problems, as it encodes them: each type is exact, and nothing is lost."""
    theirs = problem(code, "why", request_id="req_1")
    error = error_of(Response(theirs.status, {}, msgspec.json.encode(theirs)))
    assert type(error) is kind
    assert (error.code, error.status, error.title, error.detail, error.request_id) == (
        code,
        theirs.status,
        theirs.title,
        "why",
        "req_1",
    )


def test_an_error_tells_all() -> None:
    """Fields, Retry-After and the request's id are in the error, and the text shows what to look for."""
    body = (
        b'{"code":"validation_failed","title":"T","detail":"D","errors":[{"pointer":"/card","code":"luhn"}]}'
    )
    error = error_of(Response(422, {"request-id": "req_9", "retry-after": "3"}, body))
    assert error.errors == (FieldError("/card", "luhn"),)
    assert (error.retry_after, str(error)) == (3.0, "422 validation_failed: T: D; /card: luhn [req_9]")


@pytest.mark.parametrize("body", [b"<html>Bad Gateway</html>", b"", b"[]", b'{"code":7}'])
def test_an_answer_of_a_proxy_is_an_error_too(body: bytes) -> None:
    """What is no problem still is typed by its status, and says what came."""
    with pytest.raises(Unavailable) as caught:
        accepted(Response(502, {}, body))
    assert caught.value.code == "http_502"


def test_addresses_are_encoded() -> None:
    """An id is one part of a path whatever is in it; a query is percent-encoded."""
    assert path_of("entries", "a/../b?c#d", "proof") == "/v1/entries/a%2F..%2Fb%3Fc%23d/proof"
    assert (
        query_of(cursor="a b/ü", limit=5, open=True, other=None) == "cursor=a%20b%2F%C3%BC&limit=5&open=true"
    )


def test_a_command_needs_a_zone() -> None:
    """A time without a zone is refused here, where it is made; one with any zone is sent as it is."""
    sale = {"reference": "r", "outlet": "1", "card": "6330001234567895", "amount_minor": 1, "currency": "USD"}
    with pytest.raises(Unusable, match="no zone"):
        Accrual(occurred_at=datetime(2017, 5, 1), **sale)  # type: ignore[arg-type]  # noqa: DTZ001
    sent = operations.send(Accrual(occurred_at=datetime(2017, 5, 1, tzinfo=UTC), **sale))  # type: ignore[arg-type]
    assert msgspec.json.decode(sent.request.body) == {
        "type": "accrual",
        "occurred_at": "2017-05-01T00:00:00Z",
        **sale,
    }
