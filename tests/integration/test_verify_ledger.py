"""Checks of the ledger: silent on one in which everything has happened, and loud on every fault."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine, text

from config.database import make_engine
from config.roles import reader_role
from network.verify import CHECKS, Problem, faults
from settlement.verify import problems
from tests.conftest import SCHEMA, Run, database_on
from tests.whole import live_through


@pytest.fixture(scope="module")
def owner(server: Run) -> Iterator[Engine]:
    """The ledger in which everything has happened, as its owner; faults are planted and taken back."""
    with database_on(server, template=server.template) as url:
        engine = make_engine(url, schema=SCHEMA)
        try:
            live_through(engine)
            yield engine
        finally:
            engine.dispose()


def found(connection: Connection) -> list[Problem]:
    """All that the checks of the ledger tell."""
    return [problem for check in CHECKS for problem in faults(connection, check)]


def test_a_ledger_in_which_everything_happened_is_whole(owner: Engine) -> None:
    """Pools, gifts, merges, events, deficits and their cures, lines, tiers: both rooms find nothing wrong."""
    reader = make_engine(owner.url, schema=SCHEMA, role=reader_role(SCHEMA))
    with reader.connect() as connection:
        assert found(connection) == []
        assert problems(connection) == []
        kinds = connection.scalars(text("SELECT DISTINCT kind FROM entry ORDER BY 1")).all()
        accounts = text("SELECT debit FROM posting UNION SELECT credit FROM posting ORDER BY 1")
        assert kinds == [*(kind for kind in range(1, 23) if kind not in (5, 9)), 41, 45, 46]
        assert connection.scalars(accounts).all() == [1, 2, 3, 5, 6, 7, 8, 9]
    reader.dispose()


def entry(reference: str) -> str:
    """The id of the entry of a request, as SQL."""
    return f"(SELECT entry_id FROM entry WHERE reference = '{reference}')"


def transfer(reference: str) -> str:
    """The id of its transfer."""
    return f"(SELECT entry_id FROM entry WHERE parent_id = {entry(reference)})"


LOT = ("lots_equal_replay", "balance_equals_lots", "points_accounted_for")
SQL: dict[str, tuple[str, tuple[str, ...]]] = {
    "a stake on no match": (
        f"INSERT INTO stake VALUES (2, {entry('fuel')}, gen_random_uuid(), 'home', 0)",
        ("stakes_recorded",),
    ),
    "a payout for no stake": (
        f"INSERT INTO payout VALUES (2, {entry('fuel')}, gen_random_uuid(), gen_random_uuid())",
        ("payouts_due",),
    ),
    "points from no pot": (
        f"UPDATE posting SET debit = 21 WHERE entry_id = {entry('fuel')}",
        ("pots_balance",),
    ),
    "a winner of no draw": (
        "INSERT INTO raffle_ticket VALUES (2, 'spring', 'a', 1)",
        ("draws_won",),
    ),
    "an award for nothing": (
        f"INSERT INTO award VALUES (2, {entry('fuel')}, 'treat', '2017', '', '', '')",
        ("awards_recorded",),
    ),
    "a referral out of order": (
        """
            ALTER TABLE referral DROP CONSTRAINT referral_in_order;
            INSERT INTO referral VALUES (2, gen_random_uuid(), 3)
        """,
        ("referrals_recorded",),
    ),
    "a segment without consent": (
        """
            INSERT INTO segment_state VALUES ('young', '2017-05-01', 1, ARRAY['birthday']);
            INSERT INTO member_segment VALUES (2, 'young')
        """,
        ("segments_consented",),
    ),
    "a surprise that no award says": (
        "INSERT INTO rule_budget VALUES ('surprise treat 11 anna', '2017-05-01', 50)",
        ("surprises_budgeted",),
    ),
    "a lot that grew": (
        "UPDATE lot SET remaining = remaining + 1 WHERE member_id = 2 AND issuer_id = 14",
        LOT,
    ),
    "a lot out of nothing": ("INSERT INTO lot VALUES (2, 1, 13, 7, '1970-01-01', '2018-01-31', 5)", LOT),
    "a balance that grew": (
        "UPDATE account SET balance = balance + 1 WHERE member_id = 2",
        ("balance_equals_lots",),
    ),
    "less than nothing": (
        """
            ALTER TABLE lot DROP CONSTRAINT lot_remaining_not_negative;
            UPDATE lot SET remaining = -1 WHERE member_id = 4 AND issuer_id = 11
        """,
        ("nothing_negative", *LOT),
    ),
    "an entry that says more": (
        f"UPDATE entry SET points = points + 1 WHERE entry_id = {entry('fuel')}",
        ("entry_equals_postings",),
    ),
    "a posting in another window": (
        f"UPDATE posting SET window_id = 20170502 WHERE entry_id = {entry('fuel')}",
        ("one_window",),
    ),
    "a voucher out of nothing": (
        "INSERT INTO voucher VALUES (2, gen_random_uuid(), 'paper', '2017-05-01', '2017-12-31')",
        ("vouchers_equal_postings",),
    ),
    "a voucher said to be used": (
        f"UPDATE voucher SET ended_as = 'used', ended_by = entry_id WHERE entry_id = {entry('paper')}",
        ("vouchers_equal_postings",),
    ),
    "a voucher that can be used twice": (
        f"UPDATE voucher SET ended_as = '', ended_by = NULL WHERE entry_id = {entry('paper used')}",
        ("vouchers_equal_postings",),
    ),
    "a voucher given back that was used": (
        f"UPDATE voucher SET ended_as = 'returned' WHERE entry_id = {entry('paper used')}",
        ("vouchers_equal_postings",),
    ),
    "a voucher whose day is over": (
        f"UPDATE voucher SET ends_on = '2017-05-02' WHERE entry_id = {entry('paper')}",
        ("vouchers_ended_in_time",),
    ),
    "a pack used up by what registered nothing": (
        f"INSERT INTO pack_use VALUES (234881024, 2, {entry('fuel')})",
        ("packs_registered_once",),
    ),
    "a coupon used that was never given": (
        "INSERT INTO member_counter VALUES (2, 'coupon:coffee', '1970-01-01', 1)",
        ("coupons_used_once",),
    ),
    "a day left out": (
        "UPDATE clearing_window SET business_date = '2017-04-29' WHERE window_id = 20170501",
        ("windows_in_order",),
    ),
    "a request forgotten": (
        f"DELETE FROM idempotency WHERE entry_id = {entry('gift')}",
        ("requests_answered",),
    ),
    "a request for a transfer": (
        f"""
            INSERT INTO idempotency SELECT entry_id, entry_id, entry_id, '2017-05-01' FROM entry
            WHERE entry_id = {transfer("gift")}
        """,
        ("requests_answered",),
    ),
    "terms that are not there": (
        f"UPDATE posting SET issuer_terms = 9 WHERE entry_id = {entry('idle')}",
        ("terms_known", "lots_equal_replay", "points_accounted_for"),
    ),
    "more noted as reversed": (
        f"UPDATE reversed_points SET points = points + 1 WHERE entry_id = {entry('stay')}",
        ("reversed_within",),
    ),
    "another's deficit counted as reversed": (
        f"UPDATE reversed_points SET points = points + 5 WHERE entry_id = {entry('s7 too')}",
        ("reversed_within",),
    ),
    "more reversed than there was": (
        f"UPDATE entry SET amount_minor = 900 WHERE entry_id = {entry('stay')}",
        ("reversed_within",),
    ),
    "more points back than were spent": (
        f"UPDATE posting SET points = 1, credit = 4 WHERE entry_id = {entry('donated')}",
        (
            *("reversed_within", "entry_equals_postings", "lots_equal_replay", "points_accounted_for"),
            *("origins_kept", "owners_kept"),
        ),
    ),
    "a capture not noted": (
        f"UPDATE hold SET captured = captured - 1 WHERE entry_id = {entry('held')}",
        ("holds_equal_postings",),
    ),
    "a capture noted as returned": (
        f"UPDATE hold SET captured = captured - 1, returned = returned + 1 WHERE entry_id = {entry('held')}",
        ("holds_equal_postings",),
    ),
    "a hold forgotten": (
        f"DELETE FROM hold WHERE entry_id = {entry('held')}",
        ("holds_equal_postings", "origins_kept"),
    ),
    "released twice": (
        f"UPDATE pending SET released = released + 1 WHERE entry_id = {entry('stay')}",
        ("pending_equal_postings",),
    ),
    "released, not cancelled": (
        f"UPDATE pending SET released = cancelled, cancelled = 0 WHERE entry_id = {entry('stay')}",
        ("pending_equal_postings",),
    ),
    "pending points forgotten": (
        f"DELETE FROM pending WHERE entry_id = {entry('later')}",
        ("pending_equal_postings",),
    ),
    "a deficit remitted": (
        f"""
            UPDATE deficit SET points = 0 WHERE entry_id = {entry("owed")};
            UPDATE account SET deficit = 0 WHERE member_id = 5
        """,
        ("deficits_equal_postings", "points_accounted_for"),
    ),
    "a cure not noted": (
        f"""
            UPDATE deficit SET points = points + 10 WHERE entry_id = {entry("owed")};
            UPDATE account SET deficit = deficit + 10 WHERE member_id = 5
        """,
        ("deficits_equal_postings", "points_accounted_for"),
    ),
    "an account that owes less": (
        "UPDATE account SET deficit = deficit - 1 WHERE member_id = 8",
        ("deficits_equal_postings",),
    ),
    "a deficit of another issuer": (
        f"UPDATE deficit SET issuer_id = 14 WHERE entry_id = {entry('owed')}",
        ("deficits_equal_postings", "points_accounted_for"),
    ),
    "a deficit of an entry that made none": (
        f"UPDATE deficit SET entry_id = {entry('bought')} WHERE entry_id = {entry('owed')}",
        ("deficits_equal_postings",),
    ),
    "held points come back as another issuer's": (
        f"UPDATE posting SET issuer_id = 13 WHERE entry_id = {entry('voided')} AND line = 1",
        ("origins_kept", "lots_equal_replay", "points_accounted_for"),
    ),
    "a mate's points come back to the holder": (
        f"UPDATE posting SET contributor_id = 3 WHERE entry_id = {entry('reward back')} AND line = 1",
        ("owners_kept", "transfers_mirror_lines"),
    ),
    "a debt paid by nobody": (
        f"DELETE FROM posting WHERE entry_id = {entry('cured')} AND credit = 3",
        ("cures_paid", "points_accounted_for", "lots_equal_replay", "entry_equals_postings"),
    ),
    "a pool joined by no invitation into it": (
        f"""
            UPDATE invitation SET pool_id = {entry("fuel")};
            UPDATE account SET pool_id = (SELECT pool_id FROM account WHERE member_id = 1) WHERE member_id = 2
        """,
        ("pools_agreed",),
    ),
    "a merge by another entry": (
        f"UPDATE account SET merge_id = {entry('mistake')} WHERE merge_id = {entry('merge')}",
        ("merges_recorded",),
    ),
    "a line that grew": (
        f"UPDATE entry_line SET measure = measure + 1 WHERE entry_id = {entry('basket')} AND line = 1",
        ("lines_add_up",),
    ),
    "a line of points that shrank": (
        f"UPDATE entry_line SET measure = measure - 1 WHERE entry_id = {entry('shared')} AND line = 1",
        ("lines_add_up",),
    ),
    "a line in between lost": (
        f"UPDATE entry_line SET line = 3 WHERE entry_id = {entry('basket')} AND line = 1",
        ("lines_add_up",),
    ),
    "lines of what has none": (
        f"""
            UPDATE entry_line SET entry_id = {entry("invited")}
            WHERE entry_id = {entry("basket")} AND line = 1
        """,
        ("lines_add_up",),
    ),
    "a line that did not come back": (
        f"UPDATE entry_line SET returned_by = {entry('line back')} WHERE entry_id = {entry('basket')}",
        ("lines_add_up",),
    ),
    "a line returned by another's return": (
        f"""
            UPDATE entry_line SET returned_by = {entry("part back")} WHERE entry_id = {entry("basket")}
            AND line = 2
        """,
        ("lines_add_up",),
    ),
    "an adjustment that nobody approved": (
        "ALTER TABLE adjustment DISABLE TRIGGER USER; UPDATE adjustment SET approved = false",
        ("adjustments_approved",),
    ),
    "an adjustment of more than was approved": (
        "UPDATE adjustment SET points = 24",
        ("adjustments_approved",),
    ),
    "an adjustment that another funds": ("UPDATE adjustment SET issuer_id = 12", ("adjustments_approved",)),
    "an adjustment for another member": ("UPDATE adjustment SET member_id = 5", ("adjustments_approved",)),
    "an adjustment before its approval": (
        "UPDATE adjustment SET decided_at = '2017-05-03'",
        ("adjustments_approved",),
    ),
    "points left in transit": (
        f"UPDATE posting SET points = points + 1 WHERE entry_id = {transfer('shared')}",
        (
            *("transit_is_zero", "transfers_mirror_lines", "entry_equals_postings"),
            *("lots_equal_replay", "points_accounted_for"),
        ),
    ),
    "a transfer without its parent": (
        f"UPDATE entry SET parent_id = {entry('stay')} WHERE entry_id = {transfer('reward back')}",
        ("transfers_have_parents", "transfers_mirror_lines", "transit_is_zero"),
    ),
    "a transfer at another time": (
        f"""
            UPDATE entry SET recorded_at = recorded_at + interval '1 second'
            WHERE entry_id = {transfer("gift")}
        """,
        ("transfers_have_parents",),
    ),
    "a transfer under another name": (
        f"UPDATE entry SET reference = 'transfer' WHERE entry_id = {transfer('gift')}",
        ("transfers_have_parents",),
    ),
    "a transfer with a sale": (
        f"UPDATE entry SET amount_minor = 5 WHERE entry_id = {transfer('gift')}",
        ("transfers_have_parents",),
    ),
    "a sale with a parent": (
        f"UPDATE entry SET parent_id = {entry('gift')} WHERE entry_id = {entry('s3')}",
        ("transfers_have_parents",),
    ),
    "a merge that only one was told of": (
        f"UPDATE entry SET kind = 3, parent_id = NULL WHERE entry_id = {transfer('owing')}",
        ("transfers_have_parents", "requests_answered", "cures_paid"),
    ),
    "a line of a transfer moved": (
        f"UPDATE posting SET line = 9 WHERE entry_id = {transfer('shared')}",
        ("transfers_mirror_lines",),
    ),
    "a gift that lives longer": (
        f"""
            UPDATE posting SET expires_on = '2017-09-30' WHERE entry_id = {transfer("gift")};
            UPDATE posting SET expires_on = '2017-09-30' WHERE member_id = 4 AND issuer_id = 11;
            UPDATE posting SET expires_on = '2017-09-30' WHERE member_id = 6 AND issuer_id = 11
            AND expires_on = '2017-08-31';
            UPDATE lot SET expires_on = '2017-09-30' WHERE member_id IN (4, 6) AND issuer_id = 11
            AND expires_on = '2017-08-31'
        """,
        ("transfers_mirror_lines",),
    ),
    "another contributor": (
        f"UPDATE posting SET contributor_id = 4 WHERE entry_id = {entry('shared')} AND contributor_id = 2",
        ("transfers_mirror_lines", "owners_kept"),
    ),
    "a contributor who gave nothing": (
        f"UPDATE posting SET contributor_id = 4 WHERE entry_id = {entry('spent')}",
        ("transfers_mirror_lines",),
    ),
    "a merged account with points": (
        """
            ALTER TABLE account DROP CONSTRAINT account_merged_is_empty;
            UPDATE account SET balance = 5 WHERE member_id = 3;
            UPDATE lot SET remaining = 5 WHERE member_id = 3 AND issuer_id = 11
        """,
        ("merged_are_empty", "lots_equal_replay", "points_accounted_for"),
    ),
    "a lot of a merged member": (
        "UPDATE lot SET remaining = 5 WHERE member_id = 3 AND issuer_id = 11",
        ("merged_are_empty", *LOT),
    ),
    "a merged account in a pool": (
        f"""
            ALTER TABLE account DROP CONSTRAINT account_merged_is_in_no_pool;
            UPDATE account SET pool_id = {entry("invited")} WHERE member_id = 3
        """,
        ("merged_are_empty", "pools_agreed"),
    ),
    "merged into one that is merged": (
        "UPDATE account SET merged_into = 7 WHERE member_id = 3",
        ("merged_are_empty", "merges_recorded", "cards_open_accounts"),
    ),
    "merged into nobody": (
        "UPDATE account SET merged_into = 99 WHERE member_id = 3",
        ("merged_are_empty", "merges_recorded", "cards_open_accounts"),
    ),
    "a merge that did not last": (
        "UPDATE account SET merged_into = NULL, merge_id = NULL WHERE member_id = 3",
        ("merges_recorded", "cards_open_accounts"),
    ),
    "an unmerge that did not last": (
        """
            UPDATE lot SET remaining = 0 WHERE member_id = 4; UPDATE account SET balance = 0, merged_into = 6,
            merge_id = (SELECT entry_id FROM entry WHERE reference = 'mistake') WHERE member_id = 4
        """,
        ("merges_recorded", "cards_open_accounts", "lots_equal_replay", "points_accounted_for"),
    ),
    "a card of another": (
        "UPDATE card SET member_id = 5 WHERE issued_to = 2",
        ("cards_open_accounts",),
    ),
    "a card of a merged account": (
        "UPDATE card SET member_id = 3 WHERE issued_to = 3",
        ("cards_open_accounts",),
    ),
    "a card of nobody": (
        "UPDATE card SET member_id = 99, issued_to = 99 WHERE issued_to = 2",
        ("cards_open_accounts",),
    ),
    "a pool that nobody founded": (
        "UPDATE account SET pool_id = '00000000-0000-7000-8000-000000000001' WHERE member_id = 1",
        ("pools_agreed",),
    ),
    "in a pool unasked": (
        f"UPDATE account SET pool_id = {entry('invited')} WHERE member_id = 5",
        ("pools_agreed",),
    ),
    "a pool of nine": (
        f"""
            INSERT INTO account SELECT 100 + n, 1, 0, '1970-01-01', '1970-01-01', 0, {entry("invited")}
            FROM generate_series(1, 8) n;
            INSERT INTO entry SELECT 100 + n,
                CAST('015bc33c-e680-7000-8000-' || lpad(to_hex(100 + n), 12, '0') AS uuid), 15, 11,
                20170503, 1, 0, 0, 0, now(), now(), NULL, NULL, NULL, 'joined'
            FROM generate_series(1, 8) n
        """,
        ("pools_agreed", "requests_answered"),
    ),
    "a reward that nobody took": (
        "INSERT INTO rule_budget (rule_id, period, points) VALUES ('reward:kettle', '1970-01-01', 1)",
        ("stocks_taken",),
    ),
    "abuse by nobody": (
        """
            INSERT INTO abuse_case (member_id, entry_id, rule_id, partner_id, reference, outcome, reason,
                recorded_at)
            VALUES (1, '00000000-0000-7000-8000-000000000001', 'many', 11, 'r', 'held', 'x', now())
        """,
        ("abuse_recorded",),
    ),
    "a child of nobody": (
        "UPDATE account SET child_until = '2030-01-01', guardian_id = 99 WHERE member_id = 2",
        ("children_have_guardians",),
    ),
    "a tier by nobody": ("UPDATE account SET tier = 'gold' WHERE member_id = 2", ("tiers_set",)),
    "accepted in its place, and not there": (
        """
            INSERT INTO idempotency SELECT entry_id, entry_id, entry_id, '2017-05-01', 'partner_suspended',
                '00000000-0000-7000-8000-000000000001' FROM entry WHERE reference = 'fuel'
        """,
        ("retried_once",),
    ),
    "accepted in the place of two": (
        f"""
            INSERT INTO idempotency SELECT entry_id, entry_id, entry_id, '2017-05-01', 'partner_suspended',
                (SELECT request_key FROM idempotency WHERE entry_id = {entry("fuel")})
            FROM entry WHERE reference IN ('basket', 'saved')
        """,
        ("retried_once",),
    ),
    "more than was asked for offline": (
        f"""
            INSERT INTO offline_redemption SELECT member_id, entry_id, 99
            FROM entry WHERE entry_id = {entry("spent")}
        """,
        ("offline_within",),
    ),
    "a sale asked for points offline": (
        f"""
            INSERT INTO offline_redemption SELECT member_id, entry_id, 99
            FROM entry WHERE entry_id = {entry("fuel")}
        """,
        ("offline_within",),
    ),
    "told to another": (
        f"""
            INSERT INTO webhook_event SELECT member_id, entry_id, partner_id + 1, 'entry.accrual'
            FROM entry WHERE entry_id = {entry("fuel")}
        """,
        ("events_are_their_partners",),
    ),
    "told what it is not": (
        f"""
            INSERT INTO webhook_event SELECT member_id, entry_id, partner_id, 'entry.merge'
            FROM entry WHERE entry_id = {entry("fuel")}
        """,
        ("events_are_their_partners",),
    ),
    "a plan that nobody bought": (
        f"UPDATE plan_membership SET entry_id = {entry('left')} WHERE entry_id = {entry('plus')}",
        ("plans_paid",),
    ),
    "a plan for more days": (
        f"""
            UPDATE plan_membership SET paid_until = paid_until + 1, ends_on = ends_on + 1
            WHERE entry_id = {entry("plus")}
        """,
        ("plans_paid",),
    ),
    "more of a fee paid back than was taken": (
        f"UPDATE posting SET points = points + 1 WHERE entry_id = {entry('no plus')}",
        ("plans_paid",),
    ),
    "a pledge that nobody made": (
        f"UPDATE pledge SET entry_id = {entry('left')} WHERE entry_id = {entry('pledged')}",
        ("pledges_made",),
    ),
    "a pledge that nobody ended": (
        f"UPDATE pledge SET ended_by = {entry('left')} WHERE entry_id = {entry('pledged')}",
        ("pledges_made",),
    ),
    "two pledges in force": (
        "UPDATE pledge SET ended_by = NULL, ended_window = NULL",
        ("pledges_made",),
    ),
    "a pledge that is said to have given": (
        f"UPDATE pledge SET given = 5 WHERE entry_id = {entry('pledged again')}",
        ("pledges_kept",),
    ),
    "a pledge under which more was earned": (
        f"UPDATE pledge SET earned = 5 WHERE entry_id = {entry('pledged again')}",
        ("pledges_kept",),
    ),
    "sent to nobody": (
        f"INSERT INTO webhook_delivery SELECT 2, {entry('fuel')}, {entry('fuel')}",
        ("deliveries_are_their_partners",),
    ),
}


@pytest.mark.parametrize("fault", SQL)
def test_every_fault_is_found_and_named(owner: Engine, fault: str) -> None:
    """Each fault is told by exactly the checks whose law it breaks, and says where and what."""
    sql, told_by = SQL[fault]
    with owner.connect() as connection:
        for table in ("posting", "entry", "clearing_window", "adjustment"):
            connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        changed = [connection.execute(text(one)).rowcount for one in sql.split(";")]
        assert changed[-1] > 0
        told = found(connection)
        connection.rollback()
    assert {problem.check for problem in told} == set(told_by)
    assert all(problem.where and problem.detail for problem in told)


def test_points_of_an_account_that_is_idle_no_more_are_told(owner: Engine) -> None:
    """Lots that live with activity lapse by their account's last day, and the night's check knows it."""
    with owner.connect() as connection:
        idle = "UPDATE account SET active_until = '2017-05-02' WHERE member_id = 6"
        connection.execute(text(idle))
        [told] = problems(connection)
        connection.rollback()
    assert (told.check, told.where) == ("expired_points_lapsed", "member 6, issuer 11 terms 1")
    assert told.detail.startswith("9 points live with activity, which ended on 2017-05-02")


@pytest.mark.parametrize("reference", ["stay", "held", "saved"])
def test_the_pool_must_hold_what_waits_and_what_is_held(owner: Engine, reference: str) -> None:
    """A point more that waits, is held, or is in a lot is one more that the pool must have the price of."""
    with owner.connect() as connection:
        connection.execute(text("ALTER TABLE posting DISABLE TRIGGER USER"))
        for changed in (
            f"UPDATE posting SET points = points + 1 WHERE entry_id = {entry(reference)}",
            f"UPDATE lot SET remaining = remaining + 1 WHERE issuer_id = 14 AND '{reference}' = 'saved'",
        ):
            connection.execute(text(changed))
        told = {problem.check for problem in problems(connection)}
        connection.rollback()
    assert told == {"totals_equal_postings", "pool_covers_outstanding"}


def test_of_many_faults_a_screenful_is_shown_and_the_rest_counted(owner: Engine) -> None:
    """Fifty balances out of nothing: twenty of them, and how many more there are."""
    many = "INSERT INTO account (member_id, unit, balance) SELECT 100 + n, 1, 7 FROM generate_series(1, 50) n"
    with owner.connect() as connection:
        connection.execute(text(many))
        told = found(connection)
        connection.rollback()
    assert len(told) == 21
    assert (told[0].where, told[0].detail) == ("member 101", "balance 7, lots 0")
    assert (told[-1].where, told[-1].detail) == ("and more", "30 further faults")


def test_every_check_has_a_fault_that_it_finds() -> None:
    """No check is added without one."""
    assert {name for _, told_by in SQL.values() for name in told_by} == {check.name for check in CHECKS}
