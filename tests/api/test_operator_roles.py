"""Who may do what under /operator: every address, every role, from the description that is served."""

from collections.abc import Iterator
from typing import Any, get_args

from partners.people.model import Role
from tests.api.office import Office

ROLES: tuple[Role, ...] = get_args(Role)
ALL = "viewer maker checker admin"
MAY = {
    "POST /login": "",
    "POST /refresh": "",
    "POST /enrolment": "",
    "POST /enrolment/confirm": "",
    "POST /logout": ALL,
    "POST /password": ALL,
    "GET /me": ALL,
    "GET /operators": ALL,
    "POST /operators": "admin",
    "POST /operators/{operator}/role": "admin",
    "POST /operators/{operator}/reset": "admin",
    "POST /operators/{operator}/enable": "admin",
    "POST /operators/{operator}/disable": "admin",
    "GET /proposals": ALL,
    "GET /proposals/{proposal}": ALL,
    "POST /proposals/{proposal}/approve": "checker admin",
    "POST /proposals/{proposal}/reject": "maker checker admin",
    "GET /exposure": ALL,
    "GET /exposure/warnings": ALL,
    "GET /audit": ALL,
    "GET /audit/check": ALL,
    "GET /verify": ALL,
    "GET /partners": ALL,
    "POST /partners/{code}/suspend": "maker",
    "POST /partners/{code}/reactivate": "maker",
    "GET /partners/{code}/keys": ALL,
    "POST /partners/{code}/keys": "maker",
    "POST /keys/{key_id}/revoke": "maker checker admin",
    "GET /partners/{code}/contract": ALL,
    "POST /partners/{code}/contract": "maker",
    "GET /contracts": ALL,
    "GET /contracts/{draft}": ALL,
    "POST /contracts/{draft}/activate": "checker",
    "POST /contracts/{draft}/decline": "maker checker",
    "GET /categories": ALL,
    "POST /categories": "maker",
    "GET /vat-rates": ALL,
    "POST /vat-rates": "maker",
    "GET /fx-rates": ALL,
    "POST /fx-rates": "maker",
    "GET /adjustments": ALL,
    "POST /adjustments": "maker",
    "POST /adjustments/{adjustment}/approve": "checker",
    "POST /adjustments/{adjustment}/reject": "maker checker",
    "POST /tiers": "maker",
    "GET /abuse": ALL,
    "POST /abuse/{entry}/release": "maker checker",
    "POST /staff": "maker",
    "GET /disputes": ALL,
    "GET /disputes/{dispute}": ALL,
    "GET /disputes/{dispute}/evidence/{sha256}": ALL,
    "POST /disputes/{dispute}/decision": "maker",
    "POST /disputes/{dispute}/answer": "maker",
    "GET /partners/{code}/statement/{part}": ALL,
    "GET /partners/{code}/reconciliation": ALL,
    "GET /reports/operator/{form}": ALL,
    "GET /reports/liability": ALL,
    "GET /webhooks": ALL,
    "GET /reports/roll-forward": ALL,
    "GET /nights": ALL,
    "GET /nights/{business_date}": ALL,
    "GET /nights/{business_date}/positions": ALL,
    "GET /nights/{business_date}/obligations": ALL,
    "GET /nights/{business_date}/pay-ins": ALL,
    "POST /nights/{business_date}/pay-outs": "maker",
    "GET /bank/accounts": ALL,
    "POST /bank/accounts": "maker",
    "POST /bank/accounts/{account}/approve": "checker",
    "POST /bank/accounts/{account}/reject": "maker checker",
    "POST /bank/accounts/{account}/withdraw": "maker checker",
    "GET /corrections": ALL,
    "POST /corrections": "maker",
    "GET /calendars": ALL,
    "POST /calendars": "maker",
    "POST /calendars/days": "maker",
    "GET /bank/files": ALL,
    "GET /bank/statements": ALL,
    "GET /bank/rejections": ALL,
    "POST /bank/rejections": "maker",
    "POST /bank/rejections/{rejection}/approve": "checker",
    "POST /bank/rejections/{rejection}/reject": "maker checker",
    "GET /bank/exceptions": ALL,
    "POST /bank/exceptions/{exception}/ways-out": "maker",
    "GET /bank/files/{message}": "maker checker",
    "POST /bank/refunds": "maker",
    "POST /bank/statements": "maker",
    "POST /bank/ways-out/{way_out}/approve": "checker",
    "POST /bank/ways-out/{way_out}/reject": "maker checker",
    "GET /nights/{business_date}/approvals": ALL,
    "GET /nights/{business_date}/instructions": ALL,
    "POST /nights/propose": "maker",
    "POST /nights/approve": "checker",
    "POST /nights/instruct": "maker",
    "POST /nights/{business_date}/propose": "maker",
    "POST /nights/{business_date}/approve": "checker",
    "POST /nights/{business_date}/refuse": "checker",
    "POST /nights/{business_date}/instruct": "maker",
    "POST /nights/{business_date}/advance": "maker checker",
    "POST /nights/{business_date}/reopen": "maker",
    "GET /nights/{business_date}/default": ALL,
    "POST /nights/{business_date}/default": "maker",
    "GET /defaults": ALL,
    "POST /defaults/{case}/approve": "checker",
    "POST /defaults/{case}/refuse": "checker",
    "GET /partners/{code}/exit": ALL,
    "POST /partners/{code}/exit": "maker",
    "POST /partners/{code}/buy-out": "maker",
    "POST /partners/{code}/leave": "maker",
}
"""Every address and who may: a new one, or another right, is a decision that is made here too."""
JUDGED = {200, 400, 403, 404, 409, 415, 422}
"""What a role that may comes to, and one that may not: never 401, never 500."""
_FILLED = {
    "operator": "nobody",
    "dispute": f"dsp_{7:032x}",
    "sha256": "00",
    "proposal": "00000000-0000-0000-0000-000000000007",
    "code": "nobody",
    "key_id": "nobody-1",
    "adjustment": f"adj_{7:032x}",
    "entry": f"ent_{7:032x}",
    "business_date": "2001-01-01",
    **dict.fromkeys(("account", "exception", "way_out", "message", "rejection"), "7"),
    "part": "csv",
    "form": "html",
    "draft": "00000000-0000-0000-0000-000000000007",
    "case": "00000000-0000-0000-0000-000000000007",
}


def served(office: Office) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of every address under /operator."""
    described = office.client.get("/openapi.json").json()
    for path, methods in described["paths"].items():
        if path.startswith("/operator"):
            for method, operation in methods.items():
                yield method.upper(), path.removeprefix("/operator"), operation


def test_the_description_says_who_may(office: Office) -> None:
    """Each address names its roles, and they are those of the table above; open ones are to come in by."""
    found = {f"{method} {path}": operation for method, path, operation in served(office)}
    assert {name: " ".join(operation["x-roles"]) for name, operation in found.items()} == MAY
    for name, operation in found.items():
        assert operation["security"] == ([{"operatorSession": []}] if MAY[name] else [])


def test_nobody_does_what_the_role_does_not_allow(office: Office) -> None:
    """At every address: without a token 401; in a role that may not 403; in one that may, neither.

    Whatever is sent: the role is judged before the body is read.
    """
    desks = {role: office.person(role, role) for role in ROLES}
    let_in = 0
    for method, path, operation in sorted(served(office), key=lambda one: one[1] == "/logout"):
        target = path.format(**_FILLED)
        may = operation["x-roles"]
        if may:
            bare = office.client.request(method, f"/operator{target}", content=b"{")
            assert (bare.status_code, bare.json()["code"]) == (401, "token_missing"), (method, path)
            assert bare.headers["www-authenticate"] == "Bearer"
        for role, desk in desks.items():
            answer = desk.send(method, target, content=b"{", headers={"content-type": "application/json"})
            refused = answer.status_code == 403
            assert refused == bool(may and role not in may), (method, path, role, answer.text)
            if refused:
                assert answer.json()["code"] == "not_allowed"
            let_in += not refused
            assert answer.status_code in JUDGED, (method, path, role, answer.text)
    assert let_in > 100


def test_a_role_that_was_taken_is_gone_with_the_next_request(office: Office) -> None:
    """The token says nothing of the role: the database does, each time."""
    anna, bert = office.person("anna", "admin"), office.person("bert", "admin")
    max_ = office.person("max", "maker")
    assert max_.try_post("/tiers", card="6330001234567895", tier="gold").status_code == 422
    made = anna.post("/operators/max/role", role="viewer")["proposal"]
    assert bert.decide(made).status_code == 200
    refused = max_.try_post("/tiers", card="6330001234567895", tier="gold")
    assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")
    assert max_.get("/me") == {"operator": "max", "role": "viewer"}
    anna.post("/operators/max/disable")
    assert max_.send("GET", "/me").status_code == 401
