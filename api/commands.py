"""The addresses of single commands: which body each takes, and what it is for."""

from collections.abc import Mapping
from typing import Any

import msgspec

from api import bodies
from api.bodies import Body


class CommandRoute(msgspec.Struct, frozen=True, kw_only=True):
    """An address and the body it takes; `says` is its line in the description."""

    path: str
    body: type[Body]
    says: str
    decoder: msgspec.json.Decoder[Any]


def _route(path: str, body: type[Body], says: str) -> CommandRoute:
    return CommandRoute(path=path, body=body, says=says, decoder=msgspec.json.Decoder(body))


ROUTES: Mapping[str, CommandRoute] = {
    route.path: route
    for route in (
        _route(
            "/v1/members",
            bodies.EnrolmentBody,
            "Enrol a member; the answer holds the member's id and the number of a new card.",
        ),
        _route(
            "/v1/accruals",
            bodies.AccrualBody,
            "Report a sale; it earns points by the programme's rules, zero included.",
        ),
        _route(
            "/v1/member-events",
            bodies.MemberEventBody,
            "Report something that a member did and that is no sale: a login, a visit, a membership event.",
        ),
        _route(
            "/v1/redemptions",
            bodies.RedemptionBody,
            "Let points pay for part of a sale. Points of every issuer are taken, earliest expiry first.\n\n"
            "Where the member is in a pool, the points of all its members are; what was another's is in"
            " `pooled`.",
        ),
        _route(
            "/v1/holds",
            bodies.HoldBody,
            "Reserve points for a sale that is not final; capture or void them later.",
        ),
        _route("/v1/captures", bodies.CaptureBody, "Take held points in payment, all of them or part."),
        _route("/v1/voids", bodies.VoidBody, "Give back what a hold still holds."),
        _route(
            "/v1/reversals",
            bodies.ReversalBody,
            "Undo an entry, in full, by amount, points or lines, in today's window, at its own terms.\n\n"
            "One of yours; or another partner's, by the id on its receipt, where its contract lets what it"
            " sold be returned elsewhere and yours takes returns.",
        ),
        _route(
            "/v1/releases",
            bodies.ReleaseBody,
            "Let the points of one of your accruals be spent: what they were pending for has come about.",
        ),
        _route(
            "/v1/gifts",
            bodies.GiftBody,
            "Give a member's own points to another member, earliest expiry first.",
        ),
        _route(
            "/v1/donations",
            bodies.DonationBody,
            "Give a member's own points to a cause; the night pays it as it pays for a redemption.",
        ),
        _route(
            "/v1/pledges",
            bodies.PledgeBody,
            "Pledge a share of what a member will earn to a cause it chose, or end its pledge.\n\n"
            "Each night what its share comes to is given as a donation.",
        ),
        _route(
            "/v1/plan-memberships",
            bodies.PlanMembershipBody,
            "Sell a member a paid plan of the programme, or renew it; the answer says for which days.\n\n"
            "The night takes the fee from you to who honours the plan.",
        ),
        _route(
            "/v1/plan-refunds",
            bodies.PlanRefundBody,
            "End a paid plan that you sold or honour before its time; the answer says what you pay back.",
        ),
        _route(
            "/v1/loads",
            bodies.LoadBody,
            "Load stored value that a member has paid you for; the programme may give something on top.\n\n"
            "The night takes the money from you to the safeguarding account. A load made by mistake is"
            " reversed, whole, while all of it is there.",
        ),
        _route(
            "/v1/spends",
            bodies.SpendBody,
            "Let stored value pay for a sale; the night pays you the whole amount.\n\n"
            "What the member returns comes back by a reversal.",
        ),
        _route(
            "/v1/refunds",
            bodies.RefundBody,
            "Pay stored value back to its member in money; the night pays it to you.\n\n"
            "What was given on top of a load that is paid back ends with it.",
        ),
        _route(
            "/v1/pool-invitations",
            bodies.PoolInvitationBody,
            "Ask a member into another's pool. Nothing is shared before the invited one has joined.",
        ),
        _route(
            "/v1/pool-joins",
            bodies.PoolJoinBody,
            "Consent to an invitation: from now on each member of the pool can spend the points of all.",
        ),
        _route(
            "/v1/pool-leaves",
            bodies.PoolLeaveBody,
            "Leave a pool. A member's points were its own all along, and stay with it.",
        ),
        _route(
            "/v1/merges",
            bodies.MergeBody,
            "Make two accounts one: all points, debts and cards of one member go to the other.",
        ),
        _route(
            "/v1/unmerges",
            bodies.UnmergeBody,
            "Undo one of your merges: the cards go back, and what is left of the points that came by it.",
        ),
        _route(
            "/v1/awards",
            bodies.AwardBody,
            "Give points that are no sale's: to make good, once a case, or as a surprise by your staff.",
        ),
        _route(
            "/v1/stakes",
            bodies.StakeBody,
            "Stake points of a member on an outcome of a match. They wait for its end.",
        ),
        _route(
            "/v1/referrals",
            bodies.ReferralBody,
            "Say who referred a new member. Both get points after its first purchase, as the programme says.",
        ),
        _route(
            "/v1/vouchers",
            bodies.VoucherBody,
            "Turn points of a member into a voucher; the answer holds its code, and does so again.",
        ),
        _route(
            "/v1/voucher-uses",
            bodies.VoucherUseBody,
            "Let a voucher pay for part of a basket, once; the night pays you as for a redemption.",
        ),
        _route(
            "/v1/voucher-returns",
            bodies.VoucherReturnBody,
            "Take a voucher back unused: its points are its member's again.",
        ),
        _route(
            "/v1/serial-codes",
            bodies.SerialCodeBody,
            "Register the code on a pack for a member, once; it earns by the programme's rules.",
        ),
    )
}

NAMING_CARDS = frozenset(
    path for path, route in ROUTES.items() if not {"card", "code"}.isdisjoint(route.body.__struct_fields__)
)
"""Addresses at which somebody could try which cards, or which codes on paper, exist."""
