"""What requests and answers look like, and how a request becomes a command."""

import msgspec

from api.bodies.answers import EntryBody, show_entry, show_reply
from api.bodies.awards import AwardBody, ReferralBody, StakeBody
from api.bodies.between import (
    DonationBody,
    GiftBody,
    MergeBody,
    PoolInvitationBody,
    PoolJoinBody,
    PoolLeaveBody,
    UnmergeBody,
)
from api.bodies.codes import SerialCodeBody, VoucherBody, VoucherReturnBody, VoucherUseBody
from api.bodies.fields import read_body
from api.bodies.plans import PlanMembershipBody, PlanRefundBody
from api.bodies.pledges import PledgeBody
from api.bodies.tills import (
    AccrualBody,
    CaptureBody,
    EnrolmentBody,
    HoldBody,
    MemberEventBody,
    RedemptionBody,
    ReleaseBody,
    ReversalBody,
    VoidBody,
)
from api.bodies.value import LoadBody, RefundBody, SpendBody

__all__ = [
    "COMMANDS",
    "LINE",
    "AccrualBody",
    "AwardBody",
    "Body",
    "CaptureBody",
    "DonationBody",
    "EnrolmentBody",
    "EntryBody",
    "GiftBody",
    "HoldBody",
    "LoadBody",
    "MemberEventBody",
    "MergeBody",
    "PlanMembershipBody",
    "PlanRefundBody",
    "PledgeBody",
    "PoolInvitationBody",
    "PoolJoinBody",
    "PoolLeaveBody",
    "RedemptionBody",
    "ReferralBody",
    "RefundBody",
    "ReleaseBody",
    "ReversalBody",
    "SerialCodeBody",
    "SpendBody",
    "StakeBody",
    "UnmergeBody",
    "VoidBody",
    "VoucherBody",
    "VoucherReturnBody",
    "VoucherUseBody",
    "read_body",
    "show_entry",
    "show_reply",
]

Body = (
    EnrolmentBody
    | AccrualBody
    | MemberEventBody
    | RedemptionBody
    | ReversalBody
    | HoldBody
    | CaptureBody
    | VoidBody
    | ReleaseBody
    | GiftBody
    | DonationBody
    | PledgeBody
    | PlanMembershipBody
    | PlanRefundBody
    | LoadBody
    | SpendBody
    | RefundBody
    | PoolInvitationBody
    | PoolJoinBody
    | PoolLeaveBody
    | MergeBody
    | UnmergeBody
    | AwardBody
    | ReferralBody
    | StakeBody
    | VoucherBody
    | VoucherUseBody
    | VoucherReturnBody
    | SerialCodeBody
)
COMMANDS: tuple[type[Body], ...] = Body.__args__
"""Everything a partner can ask for. What only the operator may (adjustments, tiers) is not among them."""
LINE = msgspec.json.Decoder(Body)
"""One line of a batch file: any of these, told apart by `type`."""
