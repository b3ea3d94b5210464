"""The OpenAPI description: schemas from the very types that parse and answer, examples, and signatures."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from api.problems import DISPUTE_PROBLEMS, FILE_PROBLEMS, PROBLEMS

_ENTRY_ID = "ent_01595c8e7c1e7a3f9c2b5d0000000001"
_CARD = "6330001234567895"
_OTHER_CARD = "6330001234567903"
_PAPER_CODE = "00NJ-Q4EF-GFA7-XRAT-X000-0000-1NXB-2TB1-4N6E-Y3NT"
_PACK_CODE = "0070-04K7-5VNN-6E14"
_SALE = {
    "reference": "till-7/2017-05-01/000123",
    "occurred_at": "2017-05-01T10:15:00Z",
    "outlet": "330",
    "card": _CARD,
    "amount_minor": 1250,
    "currency": "USD",
}
_REWARD = {"outlet": "330", "card": _CARD, "points": 200, "amount_minor": 200, "currency": "USD"}
_MEMBERS = {"occurred_at": "2017-05-01T10:20:00Z"}
_ENTRY = {
    "id": _ENTRY_ID,
    "kind": "accrual",
    "reference": _SALE["reference"],
    "points": 12,
    "balance": 340,
    "occurred_at": _SALE["occurred_at"],
    "recorded_at": "2017-05-01T10:15:01.204Z",
    "business_date": "2017-05-01",
    "outlet": "330",
    "amount_minor": 1250,
    "currency": "USD",
}
_DISPUTE = {
    "id": "dsp_01595c8e7c1e7a3f9c2b5d0000000000",
    "reference": "claim-2017-05/7",
    "state": "raised",
    "waits_for": "hotel",
    "answer_until": "2017-05-16T00:00:00Z",
    "raised_by": "grocer",
    "against": "hotel",
    "entry": _ENTRY_ID,
    "line": "redemption",
    "business_date": "2017-05-01",
    "currency": "USD",
    "amount": "1.84",
    "reason": "The card was reported stolen the day before.",
    "raised_at": "2017-05-02T08:12:00Z",
    "awarded": None,
    "paid_on": None,
    "events": [
        {
            "state": "raised",
            "text": "The card was reported stolen the day before.",
            "by": "grocer",
            "at": "2017-05-02T08:12:00Z",
            "answer_until": "2017-05-16T00:00:00Z",
        }
    ],
    "evidence": [],
}
_KEY = {
    "key_id": "grocer-2018",
    "public_key": "26b40b8f93fff3d897112f7ebc582b232dbd72517d082fe83cfb30ddce43d1bb",
    "not_before": "2017-05-01T08:00:00Z",
    "not_after": None,
    "revoked_at": None,
}
_LEAF_HASH = "5f2b8f0e7f6f4d1c9a3b2e105f2b8f0e7f6f4d1c9a3b2e105f2b8f0e7f6f4d1c"
_PROOF = {
    "format": "tessera-proof-2",
    "entry": _ENTRY_ID,
    "seal": {
        "window": 17287,
        "tree_size": 1,
        "root": _LEAF_HASH,
        "previous": "0" * 64,
        "signed_at": "2017-05-02T00:00:03.000000+00:00",
        "key_id": "net-7d1f0a1b2c3d4e5f60718293a4b5c6d7",
        "hash": "a7" * 32,
        "signature": "c4" * 64,
        "public_key": _KEY["public_key"],
    },
    "postings": [
        {
            "index": 0,
            "leaf": {"entry": _ENTRY_ID, "line": 1, "window": 17287, "points": 12},
            "leaf_hash": _LEAF_HASH,
            "path": [],
        }
    ],
}
_BATCH = {
    "id": "bat_01595c8e7c1e7a3f9c2b5d0000000000",
    "state": "done",
    "reference": "tills-2017-05-01",
    "format": "ndjson",
    "lines": 2_000,
    "answered": 2_000,
    "accepted": 1_999,
    "refused": 1,
    "received_at": "2017-05-01T22:00:00Z",
    "finished_at": "2017-05-01T22:00:03Z",
    "result": "/v1/batches/bat_01595c8e7c1e7a3f9c2b5d0000000000/result",
    "result_until": "2017-06-01T22:00:03Z",
}
_ENDPOINT = {
    "id": "whe_01595c8e7c1e7a3f9c2b5d0000000000",
    "url": "https://hooks.example.com/tessera",
    "events": ["entry.*", "statement.ready"],
    "signature": "v1",
    "description": "",
    "status": "active",
    "because": "",
    "created_at": "2017-05-01T10:00:00Z",
    "failures": 0,
    "last_delivered_at": "2017-05-01T10:15:02Z",
    "last_failed_at": None,
    "public_keys": [],
    "secret": None,
}
_EVENT = {
    "id": _ENTRY_ID.replace("ent_", "evt_"),
    "type": "entry.accrual",
    "timestamp": "2017-05-01T10:15:01.204Z",
    "data": _ENTRY,
}
_DELIVERY = {
    "event": _EVENT["id"],
    "endpoint": _ENDPOINT["id"],
    "type": "entry.accrual",
    "state": "delivered",
    "attempts": 1,
    "due_at": None,
    "finished_at": "2017-05-01T10:15:02Z",
}
EXAMPLES: Mapping[str, Any] = {
    "Explanation": {
        "kind": "accrual",
        "programme_version": 3,
        "points": 12,
        "steps": [
            {
                "rule": "earn",
                "says": "1 for each whole 100 minor units",
                "kind": "base",
                "points": 12,
                "basis": 1250,
            }
        ],
        "payers": {"grocer": 12},
        "movements": [
            {
                "line": 1,
                "what": "earned",
                "points": 12,
                "issuer": "grocer",
                "terms": 1,
                "expires_on": "2017-08-31",
            }
        ],
    },
    "QuoteBody": {"points": 12, "spendable": 340},
    "BatchBody": _BATCH,
    "ClockBody": {
        "server_time": "2017-05-01T10:15:01.204Z",
        "key": "grocer-2018",
        "ahead_seconds": -1.2,
        "least_seconds": -1.9,
        "most_seconds": 0.1,
        "seen": 1_204,
    },
    "Proof": _PROOF,
    "NewApprovalBody": {**_REWARD, "reference": "till-7/ask/000124"},
    "AskedApprovalBody": {
        "id": _ENTRY_ID.replace("ent_", "apv_"),
        "reference": "till-7/ask/000124",
        "state": "asked",
        "points": 200,
        "until": "2017-05-01T10:20:00Z",
    },
    "DisputeBody": _DISPUTE,
    "DisputePage": {"data": [_DISPUTE], "has_more": False, "next_cursor": None},
    "OwnKeyBody": _KEY,
    "OwnKeysBody": {"partner_id": 11, "data": [_KEY]},
    "EnrolmentBody": {"reference": "app-signup-4711", "occurred_at": "2017-05-01T10:00:00Z"},
    "AccrualBody": {**_SALE, "lines": [999, 251]},
    "QuoteRequestBody": {
        "occurred_at": "2017-05-01T10:00:00Z",
        "outlet": "main",
        "card": _CARD,
        "currency": "USD",
        "amount_minor": 1250,
        "tender": "cash",
    },
    "MemberEventBody": {
        "reference": "app/login/4711",
        "occurred_at": "2017-05-01T10:00:00Z",
        "outlet": "main",
        "card": _CARD,
        "currency": "USD",
        "event": "app-login",
    },
    "RedemptionBody": {
        **_SALE,
        "reference": "till-7/2017-05-01/000124",
        "points": 200,
        "amount_minor": 200,
        "lines": [150, 50],
    },
    "ReversalBody": {
        "reference": "till-7/2017-05-02/000009",
        "occurred_at": "2017-05-02T09:00:00Z",
        "entry": _ENTRY_ID,
        "lines": [2],
    },
    "HoldBody": {**_SALE, "reference": "kiosk-2/31", "points": 200, "amount_minor": 200, "minutes": 30},
    "CaptureBody": {
        "reference": "kiosk-2/32",
        "occurred_at": "2017-05-01T10:25:00Z",
        "hold": _ENTRY_ID,
        "points": 150,
        "amount_minor": 150,
    },
    "VoidBody": {"reference": "kiosk-2/33", "occurred_at": "2017-05-01T10:26:00Z", "hold": _ENTRY_ID},
    "ReleaseBody": {**_MEMBERS, "reference": "stay-9/checked-out", "accrual": _ENTRY_ID},
    "GiftBody": {**_MEMBERS, "reference": "app/5001", "card": _CARD, "to_card": _OTHER_CARD, "points": 100},
    "DonationBody": {**_MEMBERS, "reference": "app/5002", "card": _CARD, "cause": "animals", "points": 50},
    "PledgeBody": {
        **_MEMBERS,
        "reference": "app/5008",
        "card": _CARD,
        "pledge": "for-a-cause",
        "cause": "animals",
        "per_cent": 10,
    },
    "PlanMembershipBody": {
        **_SALE,
        "reference": "till-7/2017-05-01/000140",
        "plan": "plus",
        "amount_minor": 9_900,
    },
    "PlanRefundBody": {**_MEMBERS, "reference": "desk/81", "membership": _ENTRY_ID},
    "LoadBody": {**_SALE, "reference": "till-7/2017-05-01/000130", "amount_minor": 5_000},
    "SpendBody": {**_SALE, "reference": "till-7/2017-05-01/000131", "amount_minor": 780},
    "RefundBody": {**_SALE, "reference": "till-7/2017-05-01/000132", "amount_minor": 1_220},
    "CauseBody": {
        "cause": "animals",
        "name": "The animals' home",
        "points": 48_250,
        "amounts": {"USD": "386.00"},
        "through": "2017-05-01",
    },
    "PoolInvitationBody": {**_MEMBERS, "reference": "app/5003", "card": _CARD, "to_card": _OTHER_CARD},
    "PoolJoinBody": {**_MEMBERS, "reference": "app/5004", "card": _OTHER_CARD, "invitation": _ENTRY_ID},
    "PoolLeaveBody": {**_MEMBERS, "reference": "app/5005", "card": _OTHER_CARD},
    "MergeBody": {**_MEMBERS, "reference": "desk/71", "card": _CARD, "merged_card": _OTHER_CARD},
    "VoucherBody": {
        **_MEMBERS,
        "reference": "app/6001",
        "card": _CARD,
        "voucher": "clubcard",
        "points": 300,
    },
    "VoucherUseBody": {
        "reference": "till-7/2017-05-01/000125",
        "occurred_at": "2017-05-01T10:17:00Z",
        "outlet": "main",
        "code": _PAPER_CODE,
        "amount_minor": 2_000,
        "currency": "USD",
    },
    "VoucherReturnBody": {**_MEMBERS, "reference": "desk/73", "code": _PAPER_CODE},
    "SerialCodeBody": {
        "reference": "web/8001",
        "occurred_at": "2017-05-01T20:00:00Z",
        "outlet": "main",
        "card": _CARD,
        "currency": "USD",
        "code": _PACK_CODE,
        "channel": "web",
    },
    "UnmergeBody": {**_MEMBERS, "reference": "desk/72", "merge": _ENTRY_ID},
    "AwardBody": {
        **_MEMBERS,
        "reference": "desk/81",
        "card": _CARD,
        "award": "surprise",
        "points": 150,
        "staff": "desk-4",
        "reason": "Waited an hour for the room",
    },
    "StakeBody": {
        **_MEMBERS,
        "reference": "app/5007",
        "card": _CARD,
        "match": "mat_01595c8e7c1e7a3f9c2b5d0000000000",
        "outcome": "home",
        "stakes": 2,
    },
    "MatchesBody": {
        "data": [
            {
                "id": "mat_01595c8e7c1e7a3f9c2b5d0000000000",
                "title": "Reds against Blues",
                "outcomes": ["home", "draw", "away"],
                "pays": "pool",
                "stake": 50,
                "most_stakes": 10,
                "begins_at": "2017-05-06T18:00:00Z",
                "closes_at": "2017-05-06T16:00:00Z",
                "staked": {"home": 1_200, "away": 450},
            }
        ]
    },
    "ReferralBody": {**_MEMBERS, "reference": "app/5006", "card": _OTHER_CARD, "referrer_card": _CARD},
    "MemberFactsBody": {
        "card": _CARD,
        "facts": {"birthday": "2000-02-29", "household": "family"},
        "consent": "app terms 2017-04, section 3",
    },
    "MemberFactsDoneBody": {"card": _CARD, "told": ["birthday", "household"], "withdrawn": []},
    "NewDisputeBody": {
        "reference": "claim-2017-05/7",
        "against": "hotel",
        "entry": _ENTRY_ID,
        "reason": "The card was reported stolen the day before.",
    },
    "AnswerBody": {"answer": "reject", "text": "The receipt is signed; it is attached."},
    "EscalationBody": {"text": "The signature is another's."},
    "NewEndpointBody": {
        "reference": "hooks-1",
        "url": "https://hooks.example.com/tessera",
        "events": ["entry.*", "statement.ready"],
    },
    "EndpointBody": {**_ENDPOINT, "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="},
    "EndpointsBody": {"data": [_ENDPOINT]},
    "RotatedBody": {
        "endpoint": _ENDPOINT["id"],
        "secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDaPqQ9r8GKYo=",
        "public_keys": [],
    },
    "QueuedBody": {"queued": 3},
    "TestedBody": {"event": _EVENT["id"]},
    "DeliveryPage": {"data": [_DELIVERY], "has_more": False, "next_cursor": None},
    "EventPage": {"data": [_EVENT], "has_more": False, "next_cursor": None},
    "EventDetailBody": {
        **_EVENT,
        "deliveries": [_DELIVERY],
        "attempts": [
            {
                "endpoint": _ENDPOINT["id"],
                "attempt": 1,
                "at": "2017-05-01T10:15:02Z",
                "outcome": "delivered",
                "status": 204,
                "milliseconds": 41,
            }
        ],
    },
    "RotationBody": {"reference": "hooks-1/secret-2", "overlap_hours": 24},
    "ReplayBody": {"reference": "hooks-1/after-outage", "since": "2017-05-01T10:00:00Z"},
    "RegistrationBody": {
        "key_id": "grocer-2018",
        "public_key": "JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=",
        "proof": "aXl3QWw40seHnH2KSPo48+nBxsBHAO/BKU9l+25TXZd+x4oZ3h/cnIdMj7jeIy8PY3N5T5IazMBAKx0VIZgbBQ==",
    },
    "RevocationBody": {"key_id": "grocer-2017"},
    "ClockMoveBody": {"advance_seconds": 86_400},
    "EntryBody": _ENTRY,
    "EntryPage": {"data": [_ENTRY], "has_more": False, "next_cursor": None},
    "CardBody": {"card": _CARD, "status": "active", "member": "mbr_01595c8e7c1e7a3f9c2b5d0000000001"},
    "BalanceBody": {
        "member": "mbr_01595c8e7c1e7a3f9c2b5d0000000001",
        "points": 340,
        "as_of": "2017-05-01T10:16:00Z",
        "expiring": [{"expires_on": "2017-08-31", "points": 340}],
        "pending": [{"spendable_on": "2017-05-15", "expires_on": "2017-08-31", "points": 50}],
        "pending_events": [{"entry": _ENTRY_ID, "points": 120}],
        "held": 60,
        "deficits": [{"entry": _ENTRY_ID, "issuer": "petrol", "points": 12}],
        "pool": {"members": 3, "points": 1_210},
        "tier": "gold",
        "stored_value": [
            {"currency": "USD", "paid_minor": 4_220, "bonus_minor": 500, "refundable_minor": 4_220}
        ],
        "plans": [
            {"plan": "plus", "starts_on": "2017-05-01", "ends_on": "2018-04-30", "membership": _ENTRY_ID}
        ],
        "merged_into": None,
    },
}
_OF_ANY = {
    code: held
    for code, held in PROBLEMS.items()
    if held[0] not in (404, 409, 422) or code in ("validation_failed", "reference_reused")
}
"""Problems that any request may have."""


def content_of_type(name: str, media_type: str = "application/json") -> dict[str, Any]:
    """The description of a body, by its schema's name; with its example where there is one."""
    held: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{name}"}}
    if name in EXAMPLES:
        held["example"] = EXAMPLES[name]
    return {media_type: held}


Table = Mapping[str, tuple[int, str]]


def _problems(
    *statuses: int, dispute: bool = False, own: Table | None = None
) -> dict[int | str, dict[str, Any]]:
    described: dict[int | str, dict[str, Any]] = {}
    special = DISPUTE_PROBLEMS if dispute else own
    table = PROBLEMS if special is None else {**_OF_ANY, **special}
    for status in statuses:
        codes = [code for code, (its, _) in table.items() if its == status]
        described[status] = {
            "description": "One of: " + ", ".join(f"`{code}`" for code in codes),
            "content": content_of_type("Problem", "application/problem+json"),
        }
    return described


def command_docs(body: str, says: str) -> dict[str, Any]:
    """The description of an address that takes one command.

    Args:
        body: Its schema's name.
        says: What it does; the first sentence is its title.
    """
    name = body.removesuffix("Body")
    answers: dict[int | str, dict[str, Any]] = {
        201: {
            "description": "The entry, durable. `Idempotent-Replayed: true` where it was so before.",
            "content": content_of_type("EntryBody"),
        },
        **_problems(400, 401, 404, 405, 413, 415, 422, 503),
    }
    return {
        "tags": ["Entries"],
        "summary": re.sub("(?<=[a-z])(?=[A-Z])", " ", name).capitalize(),
        "description": says,
        "operationId": f"post_{name.lower()}",
        "requestBody": {"required": True, "content": content_of_type(body)},
        "responses": {str(status): answer for status, answer in answers.items()},
    }


def read_docs(body: str, *more: int, dispute: bool = False, own: Table | None = None) -> dict[str, Any]:
    """Keyword arguments of a route that looks something up; `more` are statuses that only this one has."""
    return {
        "responses": {
            200: {"description": "Found.", "content": content_of_type(body)},
            **_problems(400, 401, 404, *more, 422, dispute=dispute, own=own),
        }
    }


def public_docs(body: str) -> dict[str, Any]:
    """Keyword arguments of a route that anybody may look something up at."""
    missing = {code: held for code, held in PROBLEMS.items() if code == "cause_not_found"}
    return {
        "responses": {
            200: {"description": "Found.", "content": content_of_type(body)},
            **_problems(404, 422, own=missing),
        }
    }


def post_docs(
    answer: str, status: int, body: str | Sequence[str], *more: int, own: Table | None = None
) -> dict[str, Any]:
    """Keyword arguments of a route that does something; `more` are statuses that only some of these have.

    Args:
        answer: The schema's name of what it answers.
        status: Of that answer.
        body: The schema's name of the JSON it takes, or the media types of the file it takes; none: "".
        own: Problems that its kind of routes has beside those of any; by default those of disputes.
    """
    held: dict[str, Any] = {}
    if isinstance(body, str):
        held = content_of_type(body)
    else:
        held = {each: {"schema": {"type": "string", "format": "binary"}} for each in body}
    done = {"description": "Done, or was so before.", "content": content_of_type(answer)}
    taken = {"requestBody": {"required": True, "content": held}} if body else {}
    more = more if body else (*more, 413, 415)  # what is sent all the same is bounded
    return {
        "status_code": status,
        "openapi_extra": taken,
        "responses": {status: done, **_problems(400, 401, *more, 422, 503, dispute=own is None, own=own)},
    }


def explanation_docs() -> dict[str, Any]:
    """The description of what explains signatures, in the test mode."""
    base = {"name": "Signature-Base", "in": "header", "schema": {"type": "string"}}
    return {
        "tags": ["Test mode"],
        "summary": "Explain a signature",
        "description": "What your signature of this very request comes to. Send your own signature base in"
        " base64 in the header Signature-Base (not covered itself): the first line that differs is named.",
        "operationId": "explain_signature",
        "parameters": [{**base, "required": False, "description": "Your signature base, in base64."}],
        "requestBody": {"required": False, "content": {"application/json": {"schema": {}, "example": {}}}},
        "responses": {
            "200": {"description": "Signed rightly or not.", "content": content_of_type("ExplanationBody")},
            **{str(status): answer for status, answer in _problems(413, 503).items()},
        },
    }


def file_docs(media_types: Sequence[str]) -> dict[str, Any]:
    """Keyword arguments of a route that gives a file."""
    held = {each: {"schema": {"type": "string", "format": "binary"}} for each in media_types}
    return {
        "responses": {200: {"description": "The file.", "content": held}, **_problems(401, 404, dispute=True)}
    }


BATCH_DOCS: Mapping[str, Any] = {
    "status_code": 202,
    "openapi_extra": {
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "schema": {"type": "string", "maxLength": 128},
                "description": "Names the file for 400 days; without one its content does.",
            },
            {"name": "Content-Encoding", "in": "header", "schema": {"enum": ["identity", "gzip"]}},
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/x-ndjson": {
                    "schema": {"type": "string"},
                    "example": '{"type":"accrual","reference":"r-1","occurred_at":"2017-05-01T10:15:00Z",'
                    '"outlet":"330","card":"6330001234567895","amount_minor":1250,"currency":"USD"}\n',
                },
                "text/csv": {
                    "schema": {"type": "string"},
                    "example": "type,reference,occurred_at,outlet,card,amount_minor,currency\n"
                    "accrual,r-1,2017-05-01T10:15:00Z,330,6330001234567895,1250,USD\n",
                },
            },
        },
    },
    "responses": {
        202: {
            "description": "Received, or was so before; `Location` is where it stands.",
            "content": content_of_type("BatchBody"),
        },
        **_problems(400, 401, 408, 413, 415, 422, 429, 503, 507, own=FILE_PROBLEMS),
    },
}


def batch_read_docs() -> dict[str, Any]:
    """Keyword arguments of the route of a file's state."""
    return {
        "responses": {
            200: {"description": "Found.", "content": content_of_type("BatchBody")},
            **_problems(401, 404, 422, 503, own=FILE_PROBLEMS),
        }
    }


def batch_result_docs() -> dict[str, Any]:
    """Keyword arguments of the route of the answers to a file's lines."""
    held = {media_type: {"schema": {"type": "string"}} for media_type in ("application/x-ndjson", "text/csv")}
    return {
        "responses": {
            200: {"description": "One LineAnswer for each line, in order.", "content": held},
            **_problems(401, 404, 409, 410, 422, 503, own=FILE_PROBLEMS),
        }
    }
