"""Problems as RFC 9457 says them: the one table of codes, statuses and titles, and the answer itself."""

import logging
from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.responses import Response

from network.errors import NetworkError, NotReady, Overloaded, Unavailable
from partners.errors import HookRefused
from settlement.errors import DisputeRefused

log = logging.getLogger("tessera.api")

PROBLEMS: Mapping[str, tuple[int, str]] = {
    # the request itself
    "malformed_json": (400, "The body is not JSON that can be read in one way only"),
    "cursor_invalid": (400, "The cursor is not one that we gave"),
    "media_type_unsupported": (415, "This content type is not accepted here"),
    "body_too_large": (413, "The body is larger than this address takes"),
    "validation_failed": (422, "A field is missing, unknown or not of its form"),
    "card_number_invalid": (422, "The card number's check digit is wrong"),
    "not_found": (404, "There is nothing at this address"),
    "method_not_allowed": (405, "This address does not take this method"),
    # signatures
    "header_too_large": (431, "The signature headers are larger than 8 KB or name too many components"),
    "signature_missing": (401, "The request is not signed"),
    "signature_malformed": (401, "The signature headers cannot be read"),
    "signature_coverage": (401, "The signature does not cover what it must"),
    "signature_time": (401, "The signature was made too long ago, or in the future"),
    "signature_invalid": (401, "The signature does not fit the request and the key"),
    "digest_mismatch": (401, "The body is not the one that was signed"),
    "digest_unsupported": (401, "Content-Digest must be sha-256 or sha-512, once"),
    "key_unknown": (401, "No such key"),
    "key_revoked": (401, "The key has been revoked"),
    "key_expired": (401, "The key's time is over"),
    "key_not_yet_valid": (401, "The key's time has not begun"),
    "key_of_other_mode": (401, "Keys of the test mode and of the live network do not mix"),
    "weak_key": (422, "The public key is a point of low order"),
    "key_malformed": (422, "That is no Ed25519 public key, or no id of one"),
    "key_interval": (422, "The key's time would end before it begins"),
    "possession_not_proven": (422, "The proof is not the new key's signature of the possession statement"),
    "key_id_taken": (409, "Another key has this id"),
    "too_many_keys": (422, "As many keys are active as a partner may have"),
    "key_not_found": (404, "No key of that id is registered"),
    # limits
    "rate_limited": (429, "Too many requests came from one key or one address"),
    "cards_limited": (429, "Too many cards were named that do not exist"),
    # refusals of the rules
    "reference_reused": (422, "This reference was used for a request with other content"),
    "insufficient_points": (422, "The member has not enough points"),
    "above_offline_floor": (422, "No redemption of so many points may be accepted offline"),
    "card_unknown": (422, "No such card"),
    "code_mistyped": (422, "No code on paper is like this: a symbol is wrong, or two have changed places"),
    "codes_unavailable": (503, "This server has no key to open codes with; try again"),
    "voucher_kind_unknown": (422, "The programme has no such voucher"),
    "not_in_whole_steps": (422, "The points are no whole steps of the voucher"),
    "voucher_unknown": (404, "There is no voucher of this code"),
    "voucher_used": (422, "The voucher has been used"),
    "voucher_returned": (422, "The voucher was given back; its points are the member's again"),
    "voucher_lapsed": (422, "The voucher's last day is over"),
    "voucher_not_yet": (422, "The voucher's first day has not come"),
    "voucher_not_taken_here": (422, "The voucher is for other partners"),
    "voucher_in_another_currency": (422, "The voucher is in another currency"),
    "basket_too_small": (422, "The basket is less than the voucher needs, or than it is worth"),
    "voucher_not_over": (422, "The voucher's last day is not over"),
    "nothing_to_convert": (422, "The member has too few points to turn into a voucher"),
    "pack_unknown": (404, "There is no pack of this code"),
    "pack_not_open": (422, "Packs of this campaign cannot be registered on that day"),
    "pack_used": (422, "The code on the pack was registered before"),
    "pack_earns_nothing": (422, "No rule gives anything for this pack here and now; its code is not used up"),
    "card_blocked": (422, "The card is blocked"),
    "code_needed": (422, "So many points need a rotating code, a PIN, or the member's approval"),
    "code_stale": (422, "The rotating code of the card is over, or not this card's"),
    "code_used": (409, "The rotating code of the card was used"),
    "pin_refused": (422, "The PIN is wrong, or the member has none"),
    "proof_locked": (422, "Too many codes or PINs of this member were wrong; nothing is judged for a while"),
    "approval_needed": (422, "So many points need the member's approval on its phone"),
    "approval_unknown": (404, "No such approval of this partner"),
    "approval_not_given": (422, "The member has not approved this card and so many points, or not in time"),
    "approval_used": (409, "The approval was used for another request"),
    "approval_over": (409, "It was answered before, or its time is over"),
    "approval_unavailable": (422, "The member cannot be asked: it does not sign in"),
    "too_many_approvals": (422, "The member has not answered what you asked before"),
    "spending_locked": (422, "The member has locked spending"),
    "outlet_unknown": (422, "The partner has no such outlet"),
    "no_contract_terms": (422, "No terms of the contract are in force on that day"),
    "currency_not_contracted": (422, "The contract is in another currency"),
    "category_unknown": (422, "The network has no such category of redemption"),
    "partner_not_active": (422, "The partner is not active in the network"),
    "partner_issues_no_more": (422, "The partner leaves the network: its last day to give points is over"),
    "partner_accepts_no_more": (422, "The partner leaves the network: its last day to take points is over"),
    "partner_unknown": (422, "The partner is not set up yet; try again with the same reference"),
    "retried_unknown": (422, "No request of that reference is known to be tried again"),
    "retried_accepted": (422, "The request that is to be tried again was accepted"),
    "already_retried": (422, "The refused request was tried again before, and accepted then"),
    "cap_reached": (422, "The partner has reached what it may come to owe; try later, under a new reference"),
    "too_many_points": (422, "One entry moves no more than a million million points"),
    "occurred_in_future": (422, "That is more than 10 minutes ahead of the network's time"),
    "occurred_too_long_ago": (422, "That is more than 30 days ago"),
    "entry_unknown": (404, "No such entry of this partner, or none that may be returned here"),
    "entry_not_reversible": (422, "Only accruals, redemptions, captures and donations can be reversed"),
    "entry_already_reversed": (422, "The entry has been reversed"),
    "more_than_is_left": (422, "More is to be reversed than is left of the entry"),
    "sales_are_reversed_by_amount": (422, "Say how much of a sale comes back by its amount_minor"),
    "rewards_are_reversed_by_points": (422, "Say how much of a reward comes back by its points"),
    "lines_do_not_add_up": (422, "The lines do not add up to the whole"),
    "one_measure_only": (422, "Say what comes back in one way: by lines, amount_minor or points"),
    "entry_has_no_lines": (422, "The entry was recorded without lines: say how much of it comes back"),
    "line_unknown": (422, "The entry has no such line; lines are counted from 1"),
    "line_already_returned": (422, "A line has come back before"),
    "returned_by_lines": (422, "The entry has lines: say which of them come back"),
    "nothing_pending": (422, "No points of this accrual are pending until an event"),
    "hold_unknown": (404, "No such hold of this partner"),
    "hold_lapsed": (422, "The hold's time is over; its points went back"),
    "hold_closed": (422, "Nothing is left in the hold"),
    "more_than_held": (422, "More is to be captured than is left in the hold"),
    "points_already_spent": (422, "The points of this sale have been spent"),
    "recipient_unknown": (422, "No such card of the other member"),
    "recipient_blocked": (422, "The other member's card is blocked"),
    "same_member": (422, "Both cards are the same member's"),
    "programme_not_read": (503, "This process has not read the sale's programme yet; try again"),
    "too_many_holds": (422, "The member has as many open holds as one may have"),
    "cause_unknown": (422, "No partner of this code takes donations on that day"),
    "cause_not_found": (404, "There is no such cause"),
    "pledge_unknown": (422, "The programme offers no such pledge"),
    "pledge_share_unknown": (422, "The programme offers this pledge with other shares"),
    "plan_unknown": (422, "The programme has no such paid plan in that currency"),
    "plan_not_sold_here": (422, "The programme does not let this partner sell the plan"),
    "plan_price_differs": (422, "The plan has another price"),
    "plan_not_honoured": (422, "Who honours the plan takes no part in the network on that day"),
    "plan_already_renewed": (422, "The plan is renewed already, and its next period has not begun"),
    "plan_over": (422, "The plan is over, or was ended before"),
    "account_has_plan": (422, "The member that is to be merged has a paid plan that is not over"),
    "stored_value_not_offered": (422, "The programme has no stored value in that currency"),
    "stored_value_not_here": (422, "The programme does not let this partner load, pay back or honour value"),
    "load_out_of_range": (422, "The programme does not let so much, or so little, be loaded at once"),
    "stored_value_full": (422, "The member would have more stored value than the programme lets it have"),
    "insufficient_value": (422, "The member has not so much stored value"),
    "not_refundable": (422, "So much of the member's stored value is not paid back"),
    "loads_are_reversed_whole": (422, "A load is reversed as a whole or not at all"),
    "value_already_spent": (422, "Of what the load gave, a part is spent already"),
    "account_has_value": (422, "The member that is to be merged has stored value: it must be spent first"),
    "cause_not_active": (422, "The cause is not active in the network"),
    "already_in_pool": (422, "The member is in that pool already, or in another that it must leave first"),
    "invitation_unknown": (404, "No such invitation of this member"),
    "invitation_lapsed": (
        422,
        "The invitation is used, older than 14 days, or into a pool that its inviter left",
    ),
    "pool_full": (422, "Eight members are in the pool, and more there cannot be"),
    "not_in_pool": (422, "The member is in no pool"),
    "account_in_pool": (422, "The member that is to be merged is in a pool; it must leave that one first"),
    "account_has_merged": (
        422,
        "Others were merged into the member that is to be merged; unmerge them first",
    ),
    "not_a_merge": (422, "The entry is no merge"),
    "already_unmerged": (422, "The merge has been undone"),
    "tier_unknown": (422, "The programme has no such tier"),
    "flight_already_credited": (422, "The flight was credited before"),
    "birth_date_needed": (422, "The programme asks for the date of birth of new members"),
    "too_young": (422, "Nobody so young can be a member"),
    "guardian_needed": (422, "The member is a child: its guardian does this, with a card of its own"),
    "guardian_unfit": (422, "The guardian's card is not known, blocked, a child's, or another person's"),
    "account_of_child": (422, "The account of a child is merged with no other"),
    "taken_for_abuse": (422, "The programme takes this for abuse"),
    "held_for_review": (422, "The points of this sale are held until the network's operator releases them"),
    "not_held": (422, "The points of this sale wait for its own partner, and are not held for review"),
    "reward_unknown": (422, "The programme has no such reward"),
    "reward_not_here": (422, "The reward is not to be had at this partner"),
    "reward_not_now": (422, "The reward is not to be had on that day"),
    "reward_of_other_tier": (422, "The reward is for members of other tiers"),
    "reward_price_differs": (422, "Points, cash or flight are no price of this reward"),
    "reward_sold_out": (422, "Nothing is left of this reward"),
    "award_unknown": (422, "The programme has no such award, or it is not yours to give"),
    "award_by_case": (422, "This award is given for a case of yours, and nothing else is said of it"),
    "award_by_staff": (422, "A surprise needs its points, who gives it, and the reason; it has no case"),
    "award_too_large": (422, "A surprise of so many points may not be given"),
    "award_budget_spent": (422, "The budget for surprises does not hold so many points any more"),
    "already_awarded": (422, "The member had this award on this occasion before"),
    "already_referred": (422, "Somebody has referred this member before"),
    "referrer_came_later": (422, "Who refers another must have been a member before it"),
    "match_unknown": (404, "No such match is open at this partner"),
    "match_closed": (422, "No stakes are taken on this match any more"),
    "outcome_unknown": (422, "The match has no such outcome"),
    "too_many_stakes": (422, "The member would have more stakes on this match than one may have"),
    "fact_unfit": (422, "A fact about the member cannot be what it says"),
    "tier_not_over": (422, "The member's time in its tier is not over"),
    "entry_moves_no_points": (422, "The entry moved no points, so there is nothing to prove"),
    "not_sealed_yet": (409, "The entry's window is not sealed yet"),
    "code_refused": (401, "Address or code is wrong"),
    "passkey_refused": (401, "The passkey is not known, or has not signed what we asked it to"),
    "passkey_unknown": (404, "No such passkey of this member"),
    "member_token_missing": (401, "The request carries no access token of a member"),
    "member_token_refused": (401, "The member's token is not ours, its time is over, or its session ended"),
    "member_unknown": (404, "No such member"),
    # ours
    "overloaded": (503, "Too many requests are waiting; try again with the same reference"),
    "unavailable": (503, "The ledger cannot be reached; try again with the same reference"),
    "internal_error": (500, "Something broke on our side; try again with the same reference"),
}

DISPUTE_PROBLEMS: Mapping[str, tuple[int, str]] = {
    "dispute_unknown": (404, "There is no such dispute of yours"),
    "evidence_unknown": (404, "No such file is attached to this dispute"),
    "dispute_line_unknown": (404, "There is no such line between you and that partner"),
    "dispute_not_yet": (409, "The line is not on a statement yet"),
    "dispute_nothing_paid": (422, "You paid nothing on this line"),
    "dispute_line_mixed": (422, "Several versions of the contract made this line: dispute its entries"),
    "dispute_line_disputed": (409, "This line has been disputed before"),
    "dispute_too_much": (422, "More is disputed than can be of this line"),
    "dispute_too_late": (409, "The time for this is over"),
    "dispute_over": (409, "The dispute is over"),
    "dispute_not_so": (409, "The dispute is not where this can be done"),
    "dispute_not_yours": (409, "The dispute waits for somebody else"),
    "dispute_not_due": (409, "There is time left to answer"),
    "dispute_award_too_large": (422, "More is awarded than is disputed, or is left of the line"),
    "evidence_unfit": (422, "The file cannot be taken as evidence"),
    "evidence_too_many": (422, "As many files are attached as there may be"),
}
"""Of disputes alone."""

HOOK_PROBLEMS: Mapping[str, tuple[int, str]] = {
    "endpoint_unknown": (404, "There is no such webhook endpoint of yours"),
    "event_unknown": (404, "There is no such event of yours, or not any more"),
    "webhook_address": (422, "Webhooks are not sent to this address"),
    "event_type_unknown": (422, "There are no events of this type"),
    "too_many_endpoints": (422, "As many endpoints are there as a partner may have"),
    "endpoint_disabled": (409, "The endpoint is disabled"),
}
"""Of webhooks alone."""

FILE_PROBLEMS: Mapping[str, tuple[int, str]] = {
    "malformed_csv": (400, "The line is not CSV that can be read in one way only"),
    "malformed_gzip": (400, "The body is not gzip that can be unpacked"),
    "upload_stalled": (408, "The file came too slowly; send it again"),
    "batch_unknown": (404, "There is no such file of yours"),
    "batch_not_done": (409, "Not all lines of the file are carried out yet"),
    "batch_expired": (410, "The answers to the file's lines were kept for a month, and are gone"),
    "file_unreadable": (422, "The file as a whole cannot be read, and no line was carried out"),
    "files_waiting": (429, "Too many files of yours wait to be carried out"),
    "storage_full": (507, "There is no room for the file; send it again later"),
}
"""Of files alone."""

OPERATOR_PROBLEMS: Mapping[str, tuple[int, str]] = {
    # who asks
    "sign_in_refused": (401, "Login, password or code is wrong"),
    "too_many_tries": (429, "There were too many tries; wait as long as Retry-After says"),
    "token_missing": (401, "The request carries no access token of an operator"),
    "token_refused": (401, "The token is not ours, its time is over, or its session has ended"),
    "not_allowed": (403, "The operator's role does not allow this"),
    "operators_only": (403, "This address is for the operator's people; partners sign for /v1"),
    "cross_site": (403, "The request was made by a page of another site"),
    # people
    "operator_unknown": (404, "There is no such operator"),
    "operator_known": (409, "There is an operator of that name"),
    "name_invalid": (422, "That is no login"),
    "password_unfit": (422, "The password is too short, too long, or too easy"),
    # four eyes
    "proposal_unknown": (404, "There is no such proposal"),
    "proposal_open": (409, "The same is proposed already and waits for a decision"),
    "proposal_decided": (409, "It was decided before"),
    "proposal_changed": (409, "What is decided is not what was proposed, or things have changed since"),
    "second_person_needed": (403, "Who prepared it cannot approve it"),
    # what they work on
    "not_now": (409, "That does not fit how things are"),
    "adjustment_unknown": (404, "There is no such adjustment"),
    "adjustment_invalid": (422, "Card, partner, points, reason or evidence of the adjustment cannot be used"),
    "report_unknown": (404, "There is nothing to report on that, or not in that form"),
    "draft_unknown": (404, "There is no such draft, or it was decided"),
    "terms_unfit": (422, "No contract or rate can say that, or not from that day on"),
    "partner_not_found": (404, "No partner has that code"),
    "key_not_accepted": (422, "The key cannot be registered"),
    "run_not_ready": (409, "The night is not as far as this needs, or further"),
    "not_final": (409, "The night does not add up, or something speaks against finalising it"),
    "payment_refused": (422, "The payment cannot be booked so"),
    "nothing_missing": (409, "Nothing of the participant's is missing"),
    "cannot_unwind": (409, "The night cannot be unwound without the debtor any more"),
    "case_unknown": (404, "No such default case"),
    "exit_refused": (409, "The partner cannot leave so, or not yet"),
    "correction_refused": (422, "No such debt, calendar or day can be"),
    "night_unknown": (404, "No window is of that business date"),
    # the bank
    "bank_account_invalid": (422, "Name, number or evidence of the account cannot be used"),
    "bank_file_unknown": (404, "No pay-out file has that message id"),
    "statement_refused": (422, "The statements are not in order; nothing of the file was booked"),
    "way_out_closed": (409, "The exception cannot be resolved in this way"),
}
"""Problems that operators alone meet, beside those of everybody."""


TABLES = (PROBLEMS, OPERATOR_PROBLEMS, DISPUTE_PROBLEMS, HOOK_PROBLEMS, FILE_PROBLEMS)


_RETRY_AFTER = {"batch_not_done": 1, "files_waiting": 30, "storage_full": 300}
"""Seconds after which to try again, where it is not a 503, which is over in one."""


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong with one field. `pointer` is a JSON pointer into the body."""

    pointer: str
    code: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem detail."""

    type: str
    title: str
    status: int
    code: str
    request_id: str = ""
    detail: str = ""
    errors: Sequence[FieldError] = ()
    server_time: int = 0


class ProblemError(Exception):
    """Ends a request with a problem; raised by parsing and routes, answered in one place."""

    def __init__(
        self,
        code: str,
        detail: str = "",
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail
        self.errors = errors
        self.headers = headers


def problem(
    code: str, detail: str = "", *, errors: Sequence[FieldError] = (), request_id: str = ""
) -> Problem:
    """The problem detail of a code."""
    status, title = next(table[code] for table in TABLES if code in table)
    return Problem(
        type=f"urn:tessera:problem:{code}",
        title=title,
        status=status,
        code=code,
        detail=detail,
        errors=errors,
        request_id=request_id,
    )


def failure(error: Exception, request_id: str) -> Problem:
    """The problem that stands for what a request ended with; what is nobody's fault but ours goes on.

    Raises:
        Exception: the error itself, where no problem stands for it.
    """
    match error:
        case ProblemError():
            return problem(error.code, error.detail, errors=error.errors, request_id=request_id)
        case DisputeRefused() | HookRefused():
            return problem(error.code, str(error), request_id=request_id)
        case Overloaded():
            return problem("overloaded", str(error), request_id=request_id)
        case Unavailable() | NotReady():
            return problem("unavailable", str(error), request_id=request_id)
        case OperationalError() | PoolTimeout() | NetworkError():
            log.error("request %s: the ledger did not answer", request_id, exc_info=error)
            return problem("unavailable", request_id=request_id)
    raise error


def answer_failure(error: Exception, request_id: str) -> Response:
    """The answer to what a request ended with.

    Raises:
        Exception: the error itself, where no problem stands for it.
    """
    return _response(failure(error, request_id), error.headers if isinstance(error, ProblemError) else None)


def problem_response(
    code: str,
    detail: str = "",
    *,
    errors: Sequence[FieldError] = (),
    request_id: str = "",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer that carries a problem."""
    return _response(problem(code, detail, errors=errors, request_id=request_id), headers)


def retry_after(said: Problem) -> int:
    """Seconds after which to try again; 0 where that is of no use."""
    return _RETRY_AFTER.get(said.code, 1 if said.status == 503 else 0)


def _response(said: Problem, headers: Mapping[str, str] | None = None) -> Response:
    seconds = retry_after(said)
    extra = {"retry-after": str(seconds)} if seconds else {}
    return Response(
        msgspec.json.encode(said),
        status_code=said.status,
        media_type="application/problem+json",
        headers={**extra, **(headers or {})},
    )
