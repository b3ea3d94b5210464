"""A check of paid plans (see network.verify)."""

from network.check import Check
from network.model import AccountKind, EntryKind, Unit

_ISSUED, _ACCEPTED, _FEE = int(AccountKind.ISSUED), int(AccountKind.ACCEPTED), int(Unit.FEE)
_BOUGHT, _ENDED = int(EntryKind.PLAN_MEMBERSHIP), int(EntryKind.PLAN_REFUND)

_PAID = Check(
    name="plans_paid",
    says="every plan was paid for, for the days that it has; no more of its fee was paid back than it was",
    faults=f"""
        SELECT format('plan %s of member %s', m.entry_id, m.member_id), CASE
            WHEN e.entry_id IS NULL THEN 'no entry of that kind bought it'
            WHEN p.points IS NULL THEN 'no fee was taken for its days'
            WHEN m.ended_by IS NOT NULL AND r.entry_id IS NULL THEN 'no entry of that kind ended it'
            ELSE format('%s of its fee of %s minor units were paid back', b.points, p.points) END
        FROM plan_membership m LEFT JOIN entry e ON e.member_id = m.member_id AND e.entry_id = m.entry_id
            AND e.kind = {_BOUGHT}
        LEFT JOIN posting p ON p.member_id = m.member_id AND p.entry_id = m.entry_id AND p.unit = {_FEE}
            AND (p.debit, p.credit) = ({_ISSUED}, {_ACCEPTED})
            AND (p.spendable_on, p.expires_on) = (m.starts_on, m.paid_until)
        LEFT JOIN entry r ON r.member_id = m.member_id AND r.entry_id = m.ended_by AND r.kind = {_ENDED}
        LEFT JOIN posting b ON b.member_id = m.member_id AND b.entry_id = m.ended_by AND b.unit = {_FEE}
        WHERE e.entry_id IS NULL OR p.points IS NULL OR (m.ended_by IS NOT NULL AND r.entry_id IS NULL)
            OR b.points > p.points OR b.debit <> {_ACCEPTED} OR b.acceptor_id <> p.acceptor_id
        UNION ALL
        SELECT format('entry %s of member %s', e.entry_id, e.member_id), 'its plan is not there'
        FROM entry e LEFT JOIN plan_membership m ON m.member_id = e.member_id
            AND e.entry_id = CASE e.kind WHEN {_BOUGHT} THEN m.entry_id ELSE m.ended_by END
        WHERE e.kind IN ({_BOUGHT}, {_ENDED}) AND m.entry_id IS NULL
    """,
)

PLANS = (_PAID,)
