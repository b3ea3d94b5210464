"""The bugs that `mutants` plants."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mutant:
    """A bug: in one file, each text is replaced by another, wherever it stands."""

    name: str
    file: str
    changes: tuple[tuple[str, str], ...]

    def plant(self, root: Path) -> None:
        """Write the bug into a copy of the code."""
        path = root / self.file
        source = path.read_text(encoding="utf-8")
        for old, new in self.changes:
            if old not in source:
                raise LookupError(f"{self.name}: {self.file} no longer says {old!r}: plant it anew")
            source = source.replace(old, new)
        compile(source, self.file, "exec")
        path.write_text(source, encoding="utf-8")


MUTANTS = (
    Mutant(
        "lock left out: accounts",
        "network/store.py",
        (('" ORDER BY member_id FOR UPDATE"', '" ORDER BY member_id"'),),
    ),
    Mutant("lock left out: window", "network/store.py", (("        pipeline.ask(_SHARE_WINDOW)\n", ""),)),
    Mutant(
        "stale read: balances before the lock",
        "network/store.py",
        (
            ("        pipeline.ask(_LOCK_ACCOUNTS, wanted)\n", ""),
            (
                '{**wanted, "now": now})\n',
                '{**wanted, "now": now})\n        pipeline.ask(_LOCK_ACCOUNTS, wanted)\n',
            ),
        ),
    ),
    Mutant(
        "stale read: holds before the lock",
        "network/batch.py",
        (
            (
                "    loaded, due = store.load_members(",
                "    early = store.load_entries(connection, named)\n    loaded, due = store.load_members(",
            ),
            ("named.union(*due.values()))\n", "named.union(*due.values())) | early\n"),
        ),
    ),
    Mutant(
        "stale read: a card from before a merge",
        "network/store.py",
        (("            raise CardsMoved\n", "            pass\n"),),
    ),
    Mutant(
        "stale read: who is in a pool from before the locks",
        "network/batch.py",
        (("        needed |= store.load_mates(connection, spenders)\n", "        needed |= set()\n"),),
    ),
    Mutant(
        "a sign: what is left adds what was taken",
        "network/draft.py",
        (("after += change", "after -= change"),),
    ),
    Mutant(
        "off by one day: a lot's last day is no day",
        "network/draw.py",
        (("<= on <= lot.lives_until", "<= on < lot.lives_until"),),
    ),
    Mutant(
        "off by one day: the sweep comes early",
        "network/service.py",
        (("expires_on < :on", "expires_on <= :on"),),
    ),
    Mutant(
        "off by one day: the sweep comes early to points with activity",
        "network/service.py",
        (("active_until < :on", "active_until <= :on"),),
    ),
    Mutant(
        "off by one day: pending points a day early",
        "network/accrual.py",
        (("today + pending if", "today + pending - timedelta(days=1) if"),),
    ),
    Mutant(
        "<= for <: thirty days are too many",
        "network/rules.py",
        (("occurred_at < now - OLDEST", "occurred_at <= now - OLDEST"),),
    ),
    Mutant(
        ">= for >: the whole hold cannot be captured",
        "network/hold.py",
        (("command.points > held(", "command.points >= held("),),
    ),
    Mutant(
        "< for <=: a hold lives a moment longer",
        "network/hold.py",
        (("lapses_at <= moment.now", "lapses_at < moment.now"),),
    ),
    Mutant(
        "wrong issuer: a return takes anybody's lots",
        "network/draw.py",
        (("lot.remaining > 0 and lot.issuer_id == issuer_id", "lot.remaining > 0"),),
    ),
    Mutant(
        "wrong issuer: ties go to the lowest number",
        "network/draw.py",
        (
            (
                'return sha256(entry_id.bytes + issuer_id.to_bytes(8, "big")).digest()',
                'return issuer_id.to_bytes(8, "big")',
            ),
        ),
    ),
    Mutant(
        "a refusal is not remembered",
        "network/batch.py",
        (("    store.forget(connection, passing)", "    store.forget(connection, set(refused))"),),
    ),
    Mutant(
        "replay without a look at the content",
        "network/batch.py",
        (("if content == request.content else", "if content else"),),
    ),
    Mutant(
        "references of all partners are one",
        "network/batch.py",
        (('f"{partner_id}\\0live\\0{reference}"', 'f"live\\0{reference}"'),),
    ),
    Mutant(
        "a hold is captured from the wrong end",
        "network/hold.py",
        (("parts(reserved.postings, state.captured", "parts(reserved.postings[::-1], state.captured"),),
    ),
    Mutant(
        "rounding: each part of a return by itself",
        "network/reversal.py",
        (
            (
                "reward.amount_minor * (back + part.measure) // spent - reward.amount_minor * back // spent",
                "reward.amount_minor * part.measure // spent",
            ),
        ),
    ),
    Mutant("the sweep misses lots of one point", "network/service.py", (("remaining > 0", "remaining > 1"),)),
    Mutant(
        "window stamped wrong: the hold's on its capture",
        "network/hold.py",
        (
            (
                "                window_id=folded.moment.window_id,\n",
                "                window_id=drawn_before.window_id,\n",
            ),
        ),
    ),
    Mutant(
        "a batch does not see its own commands",
        "network/decide.py",
        (("            folded.apply(outcome)\n", "            folded.decided.append(outcome)\n"),),
    ),
    Mutant(
        "two returns in one batch are noted as one",
        "network/save.py",
        (("total[0] += undone(decision)", "total[0] = undone(decision)"),),
    ),
    Mutant(
        "what a hold gave back is not noted", "network/save.py", (("total[1] += returned", "total[1] += 0"),)
    ),
    Mutant(
        "lots are drawn whatever their terms",
        "network/save.py",
        (('{name}" for name in _LOT_KEY)', '{name}" for name in _LOT_KEY if name != "terms_version")'),),
    ),
    Mutant(
        "more is drawn than there is",
        "network/draw.py",
        (("for _, lot in candidates) < points:", "for _, lot in candidates) < 0:"),),
    ),
    Mutant(
        "what is owed is not paid",
        "network/draft.py",
        (("owed = open_deficits([*deficits, *decision.deficits], ())", "owed = ()"),),
    ),
    Mutant(
        "what is owed last is paid first",
        "network/draft.py",
        (("for deficit in owed:", "for deficit in owed[::-1]:"),),
    ),
    Mutant(
        "what is owed by one merged stays with it",
        "network/reversal.py",
        (("if owner == decision.entry.member_id else transfer", "if owner else transfer"),),
    ),
    Mutant(
        "what is owed to one issuer is added to what is owed to another",
        "network/rules.py",
        (
            ("key = (one.issuer_id, one.terms_version)", "key = (0, one.terms_version)"),
            ("key = (part.issuer_id, part.terms_version)", "key = (0, part.terms_version)"),
        ),
    ),
    Mutant(
        "the ceiling of a debt knows nothing of other debts",
        "network/reversal.py",
        (("rules.programme.most_owed - owed", "rules.programme.most_owed"),),
    ),
    Mutant(
        "an unmerge leaves what is owed",
        "network/transfer.py",
        (("owed = _still_owed(recorded.postings,", "owed = _still_owed((),"),),
    ),
    Mutant(
        "an old merge's id undoes a new merge",
        "network/transfer.py",
        (
            (
                "folded.member(merged).merge_id != recorded.entry.entry_id",
                "folded.member(merged).merged_into != staying",
            ),
        ),
    ),
    Mutant(
        "an invitation is good for two",
        "network/pool.py",
        (("if recorded.invitation.used or ", "if "),),
    ),
    Mutant(
        "an invitation is into whatever pool its inviter is in",
        "network/pool.py",
        (
            (
                "    if folded.member(invitation.member_id).pool_id != pool_id:\n",
                "    pool_id = folded.member(invitation.member_id).pool_id\n    if pool_id is None:\n",
            ),
        ),
    ),
    Mutant(
        "a merge forgets what is owed",
        "network/transfer.py",
        (("owed = folded.member(merged).deficits", "owed = folded.member(merged).deficits[:0]"),),
    ),
    Mutant(
        "a merge leaves the cards",
        "network/transfer.py",
        (("before=merged, after=staying", "before=staying, after=merged"),),
    ),
    Mutant(
        "a pool pays with one mate's points alone",
        "network/rules.py",
        (
            (
                "*sorted(self._pools[pool_id] - {member_id})]",
                "*sorted(self._pools[pool_id] - {member_id})[:1]]",
            ),
        ),
    ),
    Mutant("a pool takes a ninth", "network/pool.py", ((">= MOST_MEMBERS", "> MOST_MEMBERS"),)),
    Mutant(
        ">= for >: an invitation lapses on its last instant",
        "network/pool.py",
        (("> INVITED", ">= INVITED"),),
    ),
    Mutant(
        "another's points do not pass through TRANSIT",
        "network/draft.py",
        (("own.append(msgspec.structs.replace(posting, **side))", "own.append(posting)"),),
    ),
    Mutant(
        "what comes back is the entry's member's",
        "network/draft.py",
        (
            (
                "folded.owner(member_id if earlier.contributor_id is None else",
                "folded.owner(member_id if earlier else",
            ),
        ),
    ),
    Mutant(
        "who has points in a hold that is over is not touched",
        "network/touch.py",
        ((" | _contributors(folded, folded.due(member_id))", ""),),
    ),
    Mutant(
        "points with activity that come back live always",
        "network/rules.py",
        (("return until >= self.today", "return expires_on >= self.today"),),
    ),
    Mutant(
        "a gift lives with the activity of who gets it",
        "network/transfer.py",
        (("expires_on=draw.lot.lives_until if", "expires_on=draw.lot.expires_on if"),),
    ),
    Mutant(
        "activity is not noted",
        "network/save.py",
        (("active_until = greatest(a.active_until, u.active_until)", "active_until = a.active_until"),),
    ),
    Mutant(
        "a line comes back twice",
        "network/reversal.py",
        (("returned = any(", "returned = False and any("),),
    ),
    Mutant(
        "a returned line is not noted",
        "network/save.py",
        (("SET returned_by = u.returned_by", "SET returned_by = l.returned_by"),),
    ),
    Mutant(
        "one contract is enough to return elsewhere",
        "network/reversal.py",
        ((" and taker and taker.takes_returns)", ")"),),
    ),
    Mutant(
        "what waits for an event is not cancelled",
        "network/reversal.py",
        (("waiting = min(recorded.pending, points)", "waiting = 0"),),
    ),
    Mutant(
        "points are released twice",
        "network/save.py",
        (("accrual = decision.entry.hold_id if released else", "accrual = None if released else"),),
    ),
    Mutant(
        "an unmerge takes all that came, spent or not",
        "network/transfer.py",
        (
            (
                "points = min(posting.points, left.get(key, 0))",
                "points = posting.points if key in left else 0",
            ),
        ),
    ),
    Mutant(
        "what is on top of a load is spent before it",
        "network/stored_value.py",
        (("(lot.loaded_on, lot.unit, lot.issuer_id", "(lot.loaded_on, -lot.unit, lot.issuer_id"),),
    ),
    Mutant(
        "a refund leaves what is on top",
        "network/stored_value.py",
        (("if _is_bonus(lot) and lot.loaded_on in days", "if _is_bonus(lot) and lot.loaded_on not in days"),),
    ),
    Mutant(
        "a load is taken back that is spent in part",
        "network/stored_value.py",
        (("and lot.remaining >= posting.points", "and lot.remaining > 0"),),
    ),
    Mutant(
        "a voucher pays twice",
        "network/voucher.py",
        (
            (' "used": Rejected("voucher_used"),\n', ""),
            ("    if state.ended_as:\n        return", "    if state.ended_as in _ENDED:\n        return"),
        ),
    ),
    Mutant(
        "a voucher lapses on its last day",
        "network/voucher.py",
        (("    if folded.today > state.ends_on:", "    if folded.today >= state.ends_on:"),),
    ),
    Mutant(
        "a voucher's rules are those of today",
        "network/voucher.py",
        (("judge = rules.programmes.get(made.entry.programme_version)", "judge = rules.programme"),),
    ),
    Mutant(
        "what a voucher was made of first comes back first",
        "network/voucher.py",
        (("in reversed(_escrowed(made))", "in _escrowed(made)"),),
    ),
)
