"""Bank lines are matched with payouts and bags, and booked: after each file, and hourly by the outbox (`bank.match`).

    open lines, open payouts ─▶ bank/matching.py ─▶ match kept ─▶ payout `bank_matched` ─▶ bank / payout_in_transit
    and bags                                    │             └▶ a bag: match_bags.py
                                                └▶ what is for a person: a break, closed again once it no longer is so

One unit for an account. A match stands until a person takes it back (unmatch_bank.py). Run again, it changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import partial

from ..bank import apart, deposits, matches
from ..bank import store as bank
from ..bank.expected import OF_PAYOUTS, Expected, Found, Match, What, spans
from ..bank.matching import decide
from ..bank.store import BankLine, word_hash
from ..bank.turn import take_turn
from ..config import BankAccount, Tenant
from ..db.unit import Tx, Units
from ..domain.money import Money
from ..domain.payout import PayoutState
from ..flow.lane import Work, retry
from ..ledger import rules
from ..ledger import store as ledger
from ..log import Log
from ..outbox import add
from ..payments import store
from ..settlement import store as settlement
from ..settlement.store import Payout
from . import match_bags, post_payout
from .book_settlement import book_payout
from .money_off import business_day

log = Log("bank")

KIND = "bank.match"  # in the outbox; its work is about an account
EVERY = timedelta(hours=1)
MISSING = "payout_not_at_bank"  # breaks
DIFFERS = "payout_differs_at_bank"
AMBIGUOUS = "bank_ambiguous"
NOBODY = "bank_line_of_nobody"
FEE_GAP = "batch_fee_gap"


def schedule(tx: Tx, tenant: Tenant) -> None:
    """Have each account matched from now on. At the start of the worker role; once for all."""
    for account in tenant.bank_accounts:
        add(tx, KIND, account.name, [f"{KIND}:{account.name}"], tx.now + EVERY, once_key=account.name)


class MatchBank:
    """The outbox handler of kind `bank.match`; `work.ref` is the account."""

    def __init__(self, units: Units, tenant: Tenant, hash_key: bytes) -> None:
        self._units, self._tenant, self._hash_key = units, tenant, hash_key

    async def run(self, work: Work) -> None:
        await self._units.write(self._run, work)

    def _run(self, tx: Tx, work: Work) -> None:
        if any(one.name == work.ref for one in self._tenant.bank_accounts):
            match_account(tx, self._tenant, self._tenant.bank_account(work.ref), self._hash_key)
        retry(tx, work, after=EVERY, error="")


def match_account(tx: Tx, tenant: Tenant, account: BankAccount, key: bytes) -> int:
    """Match what can be, tell what can't; how many matches are new."""
    take_turn(tx)
    made = 0
    while True:
        found = _look(tx, tenant, account, key)
        if found is None or not found.matches:
            break
        for one in found.matches:
            keep_match(tx, tenant, account, one)
            made += 1
    if found is not None:
        _tell(tx, tenant, account, found)
    return made


def _look(tx: Tx, tenant: Tenant, account: BankAccount, key: bytes) -> Found | None:
    """None: no statement of this account has come yet."""
    days = bank.days(tx, account.name)
    if not days:
        return None
    today = day_at(tx, tenant)
    expected = expected_at(tx, tenant, account, min(one.first_day for one in days))
    named = _named(tx, expected, key)
    return decide(
        expected,
        _lines(tx, account, expected, named, today - matches.LOOKED_BACK),
        named,
        today=today,
        known_until=max(one.last_day for one in days),
        late=timedelta(days=max(account.late_days, account.bag_days if tenant.facilities_of(account) else 0)),
        most_fee=account.most_fee,
        apart=apart.pairs(tx, account.name),
    )


def _lines(
    tx: Tx, account: BankAccount, expected: Sequence[Expected], named: Mapping[str, set[str]], since: date
) -> list[BankLine]:
    """All that may be any of these. Where others' money comes in as well, that of other days is of nobody here, unless
    it names one of them."""
    if account.payouts_only:
        return bank.open_lines(tx, account.name, since)
    found = bank.open_of(tx, account.name, sorted(set().union(*named.values())))
    lines = {one.line_id: one for one in found if one.booked_on >= since}
    for first, last in spans(expected, since):
        lines |= {one.line_id: one for one in bank.open_lines(tx, account.name, first, last)}
    return sorted(lines.values(), key=lambda one: (one.booked_on, one.line_id))


def expected_at(tx: Tx, tenant: Tenant, account: BankAccount, since: date) -> list[Expected]:
    """Payouts, bags and bounced checks that are to be seen in it and haven't been."""
    payouts = matches.expected(tx, account, merchants_of(tenant, account), since)
    return [*payouts, *deposits.expected(tx, account, tenant.facilities_of(account))]


def merchants_of(tenant: Tenant, account: BankAccount) -> tuple[str, ...]:
    """Those that pay out into this account; all where it names none."""
    return account.merchants or tuple(one.name for one in tenant.merchants)


def _named(tx: Tx, expected: Sequence[Expected], key: bytes) -> dict[str, set[str]]:
    """By payout, bag or bounced check, the lines that have its reference in what the bank says."""
    of_word = match_bags.words_of(expected, key)
    for payout_id in {one.subject for one in expected if one.what in OF_PAYOUTS}:
        for word in settlement.by_id(tx, payout_id).at_bank:
            of_word.setdefault(word_hash(key, word), []).append(payout_id)
    named: dict[str, set[str]] = {}
    for word, line_id in bank.naming(tx, sorted(of_word)):
        for subject in of_word[word]:
            named.setdefault(subject, set()).add(line_id)
    return named


# ── a match ───────────────────────────────────────────────────────────────────────────────────────────────────────


def keep_match(tx: Tx, tenant: Tenant, account: BankAccount, one: Match, *, by: str = "", why: str = "") -> str:
    """Keep it and book it; its id."""
    total = Money(sum(line.amount.minor for line in one.lines), account.currency)
    gap = Money(sum(each.amount.minor for each in one.expected), account.currency) - total
    subjects: list[tuple[str, What]] = [(each.subject, each.what) for each in one.expected]
    words = {"rule": one.rule.name, "confidence": one.rule.confidence, "by": by, "why": why}
    match_id = matches.add(tx, account.name, subjects, gap=gap, **words)
    bank.matched(tx, [line.line_id for line in one.lines], match_id)
    for line in one.lines:
        identified(tx, tenant, line)
    arrived = [settlement.by_id(tx, each.subject) for each in one.expected if each.what == "arrival"]
    for payout in arrived:
        payout, folded = settlement.note_state(tx, payout, PayoutState.BANK_MATCHED)
        book_payout(tx, tenant, payout, folded)
        post_payout.consider(tx, tenant, payout)
    if in_bags := deposits.of_match(tx, subjects):
        match_bags.book(tx, tenant, match_id, in_bags, one.lines, gap)
    if one.expected[0].batch:
        _deposited(tx, tenant, arrived, total, gap, max(line.booked_on for line in one.lines))
    log.info("bank.matched", match_id=match_id, bank_account=account.name, rule=one.rule.name)
    return match_id


def _deposited(tx: Tx, tenant: Tenant, batches: Sequence[Payout], total: Money, gap: Money, day: date) -> None:
    """Batches move money here only as they arrive: what was deposited, at once out of the balance and into the bank."""
    first = batches[0]
    refs = {"payout": first.payout_id, "processor_payout": first.processor_ref}
    when = rules.When(occurred_at=tx.now, business_date=day, refs=refs)
    key = f"{first.merchant}/{first.processor_ref}"
    ends = apart.again(tx, payout=first.payout_id)
    debited = total.minor < 0
    closed = rules.payout_closed(first.merchant, abs(total), debited=debited, **when)
    ledger.post(tx, closed, key=f"batch-closed/{key}{ends}")
    at_bank = rules.payout_at_bank(first.merchant, abs(total), debited=debited, **when)
    ledger.post(tx, at_bank, key=f"batch-at-bank/{key}{ends}")
    if gap:
        says = f"{len(batches)} batches from {first.processor_ref} on are {gap} more than their deposit of {total}:"
        says += " fees that the processor doesn't tell; they stay in processor_clearing"
        tell = partial(store.open_break, tx, merchant=first.merchant, subject=first.processor_ref)
        tell(f"bank:{FEE_GAP}:{key}", FEE_GAP, says, amount=gap, standing=True)


def identified(tx: Tx, tenant: Tenant, line: BankLine) -> None:
    """A line that staff had booked as a receipt of nobody is one no longer."""
    if line.receipt_by:
        entry = rules.receipt_unidentified(line.amount, back=True, **when_of(tx, tenant, line))
        ledger.post(tx, entry, key=f"receipt-identified/{line.line_id}{apart.again(tx, line=line.line_id)}")


def day_at(tx: Tx, tenant: Tenant) -> date:
    """Today, by the practice's clock: a bank's lines have days, and no zone."""
    return business_day(tenant, tenant.facilities[0].name, tx.now)


def when_of(tx: Tx, tenant: Tenant, line: BankLine) -> rules.When:
    """Of the day on which it is said, at the first facility, with the line in the entry's refs."""
    return rules.When(occurred_at=tx.now, business_date=day_at(tx, tenant), refs={"bank_line": line.line_id})


# ── what is for a person ──────────────────────────────────────────────────────────────────────────────────────────


def _tell(tx: Tx, tenant: Tenant, account: BankAccount, found: Found) -> None:
    told: set[str] = set()
    of_account = f"bank:{match_bags.AMBIGUOUS}:{account.name}:"

    def tell(kind: str, one: Expected, says: str, amount: Money) -> None:
        key = f"bank:{kind}:{one.subject}:{one.what}"
        told.add(key)
        more = {"merchant": one.merchant, "subject": one.subject, "amount": amount}
        store.open_break(tx, key, kind, says, **more, standing=True)

    for one in found.missing:
        what = "has not been seen" if one.what == "arrival" else "failed, and has not been seen taken back"
        tell(MISSING, one, f"{_shown(tx, one)} {what} in bank account '{account.name}' by {one.last}", one.amount)
    for one, count in found.ambiguous:
        if one.what not in OF_PAYOUTS:
            key = f"{of_account}{one.subject}:{one.what}"
            told.add(key)
            says = f"{match_bags.shown(tx, one)} may be one of {count} lines of bank account '{account.name}'"
            kind = match_bags.AMBIGUOUS
            store.open_break(tx, key, kind, says, subject=one.subject, amount=one.amount, standing=True)
            continue
        says = f"{_shown(tx, one)} may be one of {count} lines of bank account '{account.name}', or they another payout"
        tell(AMBIGUOUS, one, says, one.amount)
    for one, total in found.differs:
        says = f"{_shown(tx, one)}: the lines that name it in bank account '{account.name}' come to {total}"
        tell(DIFFERS, one, says, one.amount - total)
    for line in found.nobody if account.payouts_only else ():
        key = f"bank:{NOBODY}:{line.line_id}"
        told.add(key)
        if not line.receipt_by:
            says = f"line {line.line_id} of {line.amount}, {line.booked_on}, in bank account '{account.name}'"
            says += " is of no payout, and of no bag"
            store.open_break(tx, key, NOBODY, says, subject=line.line_id, amount=line.amount, standing=True)
    _close(tx, tenant, account, told, of_account)


def _shown(tx: Tx, one: Expected) -> str:
    payout = settlement.by_id(tx, one.subject)
    return f"payout {payout.processor_ref} of {payout.amount}"


def _close(tx: Tx, tenant: Tenant, account: BankAccount, told: set[str], of_account: str) -> None:
    merchants = merchants_of(tenant, account)
    why = "it is no longer so"
    for kind in (MISSING, AMBIGUOUS, DIFFERS):
        for one in store.breaks(tx, kind=kind, accepted=True, limit=100 * store.PAGE):
            mine = one.merchant in merchants and one.amount.currency == account.currency
            if mine and one.break_key not in told:
                store.close_break(tx, one.break_key, by="bank", why=why)
    for one in store.breaks(tx, kind=match_bags.AMBIGUOUS, accepted=True, limit=100 * store.PAGE):
        if one.break_key.startswith(of_account) and one.break_key not in told:
            store.close_break(tx, one.break_key, by="bank", why=why)
    for one in store.breaks(tx, kind=NOBODY, accepted=True, limit=100 * store.PAGE):
        line = bank.line(tx, one.break_key.rpartition(":")[2])
        if line.account == account.name and (one.break_key not in told or line.receipt_by):
            store.close_break(tx, one.break_key, by=line.receipt_by or "bank", why=why)
