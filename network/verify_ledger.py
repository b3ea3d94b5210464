"""Checks of balances, entries, windows and requests, and that no point is lost (see network.verify)."""

from network.check import Check
from network.model import UNASKED, AccountKind, Unit

_MEMBER, _ISSUED = int(AccountKind.MEMBER), int(AccountKind.ISSUED)
_ACCEPTED, _POINTS = int(AccountKind.ACCEPTED), int(Unit.POINTS)
_UNASKED = ", ".join(str(int(kind)) for kind in sorted(UNASKED))
_FIGURES = ", ".join(
    f"coalesce({name}, 0) AS {name}"
    for name in (
        *("issued", "reversed", "accepted", "returned", "lapsed"),
        *("held", "pending", "staked", "transit", "voucher", "member", "deficit"),
    )
)


def _left_in(kind: AccountKind) -> str:
    """What postings put into an account and did not take out, as SQL."""
    return f"sum(CASE {int(kind)} WHEN credit THEN points WHEN debit THEN -points ELSE 0 END)"


_REPLAY = f"""
    SELECT member_id, unit, issuer_id, issuer_terms AS terms_version, spendable_on, expires_on,
        sum(CASE WHEN credit = {_MEMBER} THEN points ELSE 0 END)
        - sum(CASE WHEN debit = {_MEMBER} THEN points ELSE 0 END) AS points
    FROM posting GROUP BY 1, 2, 3, 4, 5, 6
"""

LEDGER = (
    Check(
        name="lots_equal_replay",
        says="every lot holds what its postings say",
        faults=f"""
            SELECT format('member %s, issuer %s terms %s, from %s, expires %s', member_id, issuer_id,
                    terms_version, spendable_on, expires_on),
                format('lot %s, postings %s', coalesce(l.remaining, 0), coalesce(r.points, 0))
            FROM lot l FULL JOIN ({_REPLAY}) r
                USING (member_id, unit, issuer_id, terms_version, spendable_on, expires_on)
            WHERE coalesce(l.remaining, 0) <> coalesce(r.points, 0)
        """,
    ),
    Check(
        name="balance_equals_lots",
        says="every balance is the sum of its lots",
        faults="""
            SELECT format('member %s', member_id),
                format('balance %s, lots %s', coalesce(a.balance, 0), coalesce(l.points, 0))
            FROM account a FULL JOIN
                (SELECT member_id, unit, sum(remaining) AS points FROM lot GROUP BY 1, 2) l
                USING (member_id, unit)
            WHERE coalesce(a.balance, 0) <> coalesce(l.points, 0)
        """,
    ),
    Check(
        name="nothing_negative",
        says="no lot and no balance is below zero",
        faults="""
            SELECT format('member %s', member_id), format('lot of %s', remaining) FROM lot WHERE remaining < 0
            UNION ALL
            SELECT format('member %s', member_id), format('balance of %s', balance)
            FROM account WHERE balance < 0
        """,
    ),
    Check(
        name="entry_equals_postings",
        says="every entry changes its balance by what its postings move",
        faults=f"""
            SELECT format('entry %s of member %s', entry_id, member_id),
                format('entry says %s, postings %s', e.points, coalesce(p.points, 0))
            FROM entry e FULL JOIN (
                SELECT member_id, entry_id,
                    sum(CASE {_MEMBER} WHEN credit THEN points WHEN debit THEN -points ELSE 0 END) AS points
                FROM posting WHERE unit = {_POINTS} GROUP BY 1, 2
            ) p USING (member_id, entry_id)
            WHERE e.points IS DISTINCT FROM coalesce(p.points, 0)
        """,
    ),
    Check(
        name="one_window",
        says="every posting is in its entry's window, and that window exists",
        faults="""
            SELECT format('entry %s of member %s', entry_id, member_id),
                format('posting in window %s, entry in %s', p.window_id, e.window_id)
            FROM posting p LEFT JOIN entry e USING (member_id, entry_id)
            WHERE p.window_id IS DISTINCT FROM e.window_id
            UNION ALL
            SELECT format('window %s', window_id), 'named by entries, but there is no such window'
            FROM (SELECT DISTINCT window_id FROM entry) e
            WHERE NOT EXISTS (SELECT FROM clearing_window w WHERE w.window_id = e.window_id)
        """,
    ),
    Check(
        name="windows_in_order",
        says="business dates follow one another without a gap, and only the last is open",
        faults="""
            SELECT format('window %s', window_id), format('follows %s', before)
            FROM (
                SELECT window_id, business_date, lag(business_date) OVER (ORDER BY business_date) AS before
                FROM clearing_window
            ) w WHERE before IS NOT NULL AND business_date <> before + 1
            UNION ALL
            SELECT format('window %s', window_id), 'open, but not the last'
            FROM clearing_window
            WHERE closed_at IS NULL AND business_date <> (SELECT max(business_date) FROM clearing_window)
        """,
    ),
    Check(
        name="requests_answered",
        says="every accepted request has its entry, and every partner's entry its request",
        faults=f"""
            SELECT format('entry %s', entry_id),
                CASE WHEN e.entry_id IS NULL THEN 'acknowledged, but not in the ledger'
                    ELSE 'in the ledger, but no request is remembered' END
            FROM (SELECT entry_id FROM idempotency WHERE refusal IS NULL) i
            FULL JOIN (SELECT entry_id FROM entry WHERE kind NOT IN ({_UNASKED})) e USING (entry_id)
            WHERE i.entry_id IS NULL OR e.entry_id IS NULL
        """,
    ),
    Check(
        name="terms_known",
        says="every posting names terms that exist",
        faults="""
            SELECT format('partner %s terms %s', partner_id, terms_version), 'named by postings, but unknown'
            FROM (
                SELECT DISTINCT issuer_id AS partner_id, issuer_terms AS terms_version FROM posting
                UNION SELECT DISTINCT acceptor_id, acceptor_terms FROM posting WHERE acceptor_id IS NOT NULL
            ) p LEFT JOIN contract_terms t USING (partner_id, terms_version) WHERE t.partner_id IS NULL
        """,
    ),
    Check(
        name="points_accounted_for",
        says="per issuer and terms: issued less reversed is accepted less returned, lapsed, held, pending,"
        " staked, in transit, in vouchers and with members, less what members owe",
        faults=f"""
            WITH moved AS (
                SELECT issuer_id, issuer_terms AS terms_version,
                    sum(points) FILTER (WHERE debit = {_ISSUED}) AS issued,
                    sum(points) FILTER (WHERE credit = {_ISSUED}) AS reversed,
                    sum(points) FILTER (WHERE credit = {_ACCEPTED}) AS accepted,
                    sum(points) FILTER (WHERE debit = {_ACCEPTED}) AS returned,
                    {_left_in(AccountKind.LAPSED)} AS lapsed, {_left_in(AccountKind.HELD)} AS held,
                    {_left_in(AccountKind.PENDING)} AS pending, {_left_in(AccountKind.TRANSIT)} AS transit,
                    {_left_in(AccountKind.STAKED)} AS staked, {_left_in(AccountKind.VOUCHER)} AS voucher
                FROM posting WHERE unit = {_POINTS} GROUP BY 1, 2
            ), with_members AS (
                SELECT issuer_id, terms_version, sum(remaining) AS member
                FROM lot WHERE unit = {_POINTS} GROUP BY 1, 2
            ), owed AS (
                SELECT issuer_id, terms_version, sum(points) AS deficit FROM deficit GROUP BY 1, 2
            ), law AS (
                SELECT issuer_id, terms_version, {_FIGURES}
                FROM moved FULL JOIN with_members USING (issuer_id, terms_version)
                FULL JOIN owed USING (issuer_id, terms_version)
            )
            SELECT format('issuer %s terms %s', issuer_id, terms_version),
                format('issued %s - reversed %s is not accepted %s - returned %s + lapsed %s + held %s'
                    ' + pending %s + staked %s + transit %s + voucher %s + member %s - deficit %s', issued,
                    reversed, accepted, returned, lapsed, held, pending, staked, transit, voucher, member,
                    deficit)
            FROM law
            WHERE issued - reversed <>
                accepted - returned + lapsed + held + pending + staked + transit + voucher + member
                - deficit
        """,
    ),
)
