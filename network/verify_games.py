"""Checks of matches: what is staked, and that what is paid out is what was staked (see network.verify)."""

from network.check import Check
from network.model import AccountKind, EntryKind

_STAKED, _ISSUED = int(AccountKind.STAKED), int(AccountKind.ISSUED)
_STAKE, _PAYOUT = int(EntryKind.STAKE), int(EntryKind.PAYOUT)

_STAKES = Check(
    name="stakes_recorded",
    says="every stake is of a match, on one of its outcomes, in time, and of the points that it took",
    faults=f"""
        SELECT format('entry %s of member %s', entry_id, member_id), CASE
            WHEN e.entry_id IS NULL THEN 'is recorded as a stake, and is none'
            WHEN m.match_id IS NULL THEN 'is a stake on no match'
            WHEN s.outcome <> ALL(m.outcomes) THEN format('is on %s, which cannot come about', s.outcome)
            WHEN e.recorded_at >= m.closes_at THEN format('was taken after %s', m.closes_at)
            ELSE format('is of %s points, and took %s', s.points, coalesce(p.points, 0)) END
        FROM (SELECT member_id, entry_id, recorded_at FROM entry WHERE kind = {_STAKE}) e
        FULL JOIN stake s USING (member_id, entry_id) LEFT JOIN game_match m USING (match_id)
        LEFT JOIN (SELECT member_id, entry_id, sum(points) AS points FROM posting WHERE credit = {_STAKED}
            GROUP BY 1, 2) p USING (member_id, entry_id)
        WHERE e.entry_id IS NULL OR m.match_id IS NULL OR s.outcome <> ALL(m.outcomes)
            OR e.recorded_at >= m.closes_at OR s.points <> coalesce(p.points, 0)
    """,
)

_PAYOUTS = Check(
    name="payouts_due",
    says="every payout is for one stake, of a match that ended, to who was right or gets the stake back",
    faults=f"""
        SELECT format('entry %s of member %s', coalesce(e.entry_id, p.entry_id),
            coalesce(e.member_id, p.member_id)), CASE
            WHEN e.entry_id IS NULL THEN 'is recorded as a payout, and is none'
            WHEN s.entry_id IS NULL OR s.match_id <> p.match_id THEN 'is for no stake on its match'
            WHEN m.decided_at IS NULL THEN 'was paid before the match ended'
            ELSE format('gives %s new points for a stake on %s, and %s came about', w.issued, s.outcome,
                coalesce(m.result, 'nothing')) END
        FROM (SELECT member_id, entry_id FROM entry WHERE kind = {_PAYOUT}) e
        FULL JOIN payout p ON p.member_id = e.member_id AND p.entry_id = e.entry_id
        LEFT JOIN stake s ON s.entry_id = p.stake_id
        LEFT JOIN game_match m ON m.match_id = p.match_id
        LEFT JOIN (SELECT member_id, entry_id, sum(points) AS issued FROM posting WHERE debit = {_ISSUED}
            GROUP BY 1, 2) w ON w.member_id = p.member_id AND w.entry_id = p.entry_id
        WHERE e.entry_id IS NULL OR s.entry_id IS NULL OR s.match_id <> p.match_id OR m.decided_at IS NULL
            OR (w.issued > 0 AND s.outcome IS DISTINCT FROM m.result)
        UNION ALL
        SELECT format('stake %s', stake_id), format('was paid %s times', count(*))
        FROM payout GROUP BY stake_id HAVING count(*) > 1
    """,
)

_POTS = Check(
    name="pots_balance",
    says="of each match, issuer and terms no more comes out than was staked, and all of it once settled",
    faults=f"""
        WITH moved AS (
            SELECT match_id, p.issuer_id, p.issuer_terms, p.points AS went, 0 AS came
            FROM stake JOIN posting p USING (member_id, entry_id) WHERE p.credit = {_STAKED}
            UNION ALL
            SELECT match_id, p.issuer_id, p.issuer_terms, 0, p.points
            FROM payout JOIN posting p USING (member_id, entry_id) WHERE p.debit = {_STAKED}
        ), pot AS (
            SELECT match_id, issuer_id, issuer_terms, sum(went) AS went, sum(came) AS came
            FROM moved GROUP BY 1, 2, 3
        )
        SELECT format('match %s, issuer %s terms %s', match_id, issuer_id, issuer_terms),
            format('%s points were staked, and %s came out', went, came)
        FROM pot LEFT JOIN game_match m USING (match_id)
        WHERE came > went OR (came < went AND m.settled_at IS NOT NULL)
        UNION ALL
        SELECT format('entry %s of member %s', p.entry_id, p.member_id),
            'moves staked points, and is of no match'
        FROM posting p LEFT JOIN stake s USING (member_id, entry_id)
        LEFT JOIN payout o USING (member_id, entry_id)
        WHERE {_STAKED} IN (p.debit, p.credit) AND s.entry_id IS NULL AND o.entry_id IS NULL
    """,
)

_DRAWS = Check(
    name="draws_won",
    says="prizes of a draw are for its winners, who are as many as it has prizes, once it is revealed",
    faults="""
        SELECT format('member %s', w.member_id), format('has a prize of %s, and did not win', w.award)
        FROM award w JOIN raffle d ON d.draw = w.award
        WHERE NOT EXISTS (SELECT FROM raffle_ticket t WHERE t.member_id = w.member_id AND t.draw = w.award
            AND t.place IS NOT NULL)
        UNION ALL
        SELECT format('draw %s', t.draw), format('has %s winners, of %s tickets and for %s prizes',
            count(DISTINCT t.ticket) FILTER (WHERE t.place IS NOT NULL), count(DISTINCT t.ticket), d.prizes)
        FROM raffle_ticket t LEFT JOIN raffle d USING (draw) GROUP BY t.draw, d.prizes, d.revealed_at
        HAVING count(DISTINCT t.ticket) FILTER (WHERE t.place IS NOT NULL) IS DISTINCT FROM
            CASE WHEN d.revealed_at IS NULL THEN 0 ELSE least(d.prizes, count(DISTINCT t.ticket)) END
    """,
)

GAMES = (_STAKES, _PAYOUTS, _POTS, _DRAWS)
