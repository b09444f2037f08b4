"""Money on obligations: reserved while a payment is under way, then paid; taken off again; credit that pays by itself.

Called by the use cases of payments, each in its own unit. What billing counts and what the ledger shows differ in one
case: a copay may be paid before its charge is there, and then has nothing in `ar_patient` to be allocated to. So
every function answers with the ledger's moves that follow (`post` writes them), and `carry_out` catches up later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal
from zoneinfo import ZoneInfo

from sqlalchemy import RowMapping, bindparam, select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.money import Money
from ..domain.obligation import ObligationState
from ..errors import RuleBroken
from ..ledger import rules
from ..ledger import store as ledger
from . import rows, worklist
from .standing import in_proportion, oldest_first, spread
from .store import Reassessed, askable_of, credits
from .tables import ObligationShare

shares = table(ObligationShare)
_TENANT = bindparam("tenant")
_CREDITS = (
    select(credits)
    .where(credits.c.tenant_id == _TENANT, credits.c.account_ref == bindparam("account"), credits.c.amount_minor > 0)
    .order_by(credits.c.created_at, credits.c.payment_id)
)
_TO_OBLIGATIONS = (
    select(shares)
    .where(shares.c.tenant_id == _TENANT, shares.c.obligation_id.in_(bindparam("obligations", expanding=True)))
    .order_by(shares.c.created_at, shares.c.payment_id)
)
_OF_PAYMENT = (
    select(shares)
    .where(shares.c.tenant_id == _TENANT, shares.c.payment_id == bindparam("payment"))
    .order_by(shares.c.created_at, shares.c.obligation_id)
)
_FIRST = insert(shares).on_conflict_do_nothing()
_CHANGE = update(shares).where(
    shares.c.tenant_id == _TENANT,
    shares.c.obligation_id == bindparam("obligation"),
    shares.c.payment_id == bindparam("payment"),
)
_COUNT = _CHANGE.values(
    in_flight_minor=shares.c.in_flight_minor + bindparam("in_flight"),
    paid_minor=shares.c.paid_minor + bindparam("paid"),
)
CREDIT = "unapplied_credit"  # on the worklist
_OWED = (ObligationState.COLLECTABLE, ObligationState.ON_HOLD)


@dataclass(frozen=True, slots=True)
class Share:
    """A payment's part in an obligation."""

    obligation_id: str
    amount: Money
    payment_id: str = ""
    account_ref: str = ""


@dataclass(frozen=True, slots=True)
class LedgerMove:
    """An allocation to post, or one to take back. `key` makes it one entry, however often it is posted."""

    payment_id: str
    obligation_id: str
    account_ref: str
    amount: Money
    allocate: bool
    key: str


@dataclass(frozen=True, slots=True)
class Settled:
    """Where a captured payment went: onto obligations, and the rest into the account's credit."""

    placed: tuple[Share, ...]
    credited: tuple[Share, ...]  # no longer owed when the money came
    ledger: tuple[LedgerMove, ...]


@dataclass(frozen=True, slots=True)
class Taken:
    """What was taken off an obligation, payment by payment, the newest first."""

    shares: tuple[Share, ...]
    ledger: tuple[LedgerMove, ...]


@dataclass(frozen=True, slots=True)
class CarriedOut:
    """What followed from a reassessment: money taken off, money put on. Both are posted already."""

    taken: tuple[Share, ...]
    applied: tuple[Share, ...]
    credit: tuple[Share, ...]  # what still stands on the account, by payment


# ── while a payment is under way ──────────────────────────────────────────────────────────────────────────────────


Spread = Literal["oldest", "proportional"]


def reserve(
    tx: Tx,
    obligation_ids: Sequence[str],
    amount: Money,
    *,
    payment_id: str,
    spread_by: Spread = "oldest",
    chosen: Mapping[str, Money] | None = None,
) -> list[Share]:
    """Set this amount aside for the payment: oldest obligation first, in proportion to what is open, or as `chosen`.
    The parts sum to it.

    What may be asked is read again here, under the accounts' lock, less money in flight. Raises RuleBroken with the
    amount that may be asked now when it is less. The same payment again gets the same parts.
    """
    wanted = {obligation_id: rows.get(tx, obligation_id) for obligation_id in dict.fromkeys(obligation_ids)}
    accounts = rows.lock(tx, (row["account_ref"] for row in wanted.values()))
    if known := [row for row in _of_payment(tx, payment_id) if row["in_flight_minor"]]:
        return [_share(row, row["in_flight_minor"]) for row in known]
    found = rows.of_accounts(tx, accounts)
    amounts: dict[str, int] = {}
    for ref in accounts:
        amounts |= askable_of(tx, ref, [row for row in found if row["account_ref"] == ref])
    named = [row for row in found if row["obligation_id"] in wanted]
    if others := sorted({row["currency"] for row in named} - {amount.currency}):
        raise RuleBroken(f"what is owed here is in {', '.join(others)}, not in {amount.currency}")
    named.sort(key=lambda row: list(amounts).index(row["obligation_id"]) if row["obligation_id"] in amounts else -1)
    limits = [(row["obligation_id"], amounts.get(row["obligation_id"], 0)) for row in named]
    most = Money(sum(limit for _, limit in limits), amount.currency)
    if amount.minor <= 0 or amount > most:
        why = next((says for ref in accounts if (says := rows.stopped(tx, accounts[ref]))), "")
        says = f"{most} may be asked for now, not {amount}" + (f": {why}" if why else "")
        raise RuleBroken(says, payment_id=payment_id)
    refs = {row["obligation_id"]: row["account_ref"] for row in named}
    spread_over = _chosen(limits, chosen, amount) if chosen else _spread(amount, limits, spread_by)
    parts = [Share(one, Money(part, amount.currency), payment_id, refs[one]) for one, part in spread_over.items()]
    for part in parts:
        _put(tx, part, in_flight=part.amount.minor)
        rows.count_money(tx, part.obligation_id, in_flight=part.amount.minor)
    return parts


def _spread(amount: Money, limits: Sequence[tuple[str, int]], spread_by: Spread) -> dict[str, int]:
    if spread_by == "proportional":
        return in_proportion(amount.minor, limits, amount.currency)
    return spread(amount.minor, limits)


def _chosen(limits: Sequence[tuple[str, int]], chosen: Mapping[str, Money], amount: Money) -> dict[str, int]:
    """As somebody wants it. Raises RuleBroken for more than may be asked of one, or another sum than the whole."""
    most = dict(limits)
    for obligation_id, part in chosen.items():
        if part.currency != amount.currency or not 0 < part.minor <= most.get(obligation_id, 0):
            limit = Money(most.get(obligation_id, 0), amount.currency)
            says = f"{limit} may be asked for of {obligation_id} now, not {part}"
            raise RuleBroken(says, obligation_id=obligation_id)
    if (total := sum(part.minor for part in chosen.values())) != amount.minor:
        raise RuleBroken(f"the parts come to {Money(total, amount.currency)}, the payment to {amount}")
    return {obligation_id: part.minor for obligation_id, part in chosen.items()}


def release(tx: Tx, payment_id: str) -> None:
    """The payment came to nothing: what it had reserved may be asked for again."""
    _unreserve(tx, payment_id)


def settle(tx: Tx, payment_id: str, paid: Iterable[Share]) -> Settled:
    """The payment was captured: its reservation ends, and these parts are paid.

    What an obligation no longer takes (it was credited or found to be insured meanwhile) becomes the account's
    credit. Post `ledger` after the capture.
    """
    paid = list(paid)
    mine = _of_payment(tx, payment_id)
    owing = {share.obligation_id: rows.get(tx, share.obligation_id) for share in paid}
    refs = {row["account_ref"] for row in (*mine, *owing.values())}
    rows.lock(tx, refs)
    _unreserve(tx, payment_id)
    placed: list[Share] = []
    credited: list[Share] = []
    for share in paid:
        ref = owing[share.obligation_id]["account_ref"]
        on, over = _place(tx, Share(share.obligation_id, share.amount, payment_id, ref))
        placed += [on] if on.amount else []
        credited += [over] if over.amount else []
    for over in credited:
        add_credit(tx, over.account_ref, payment_id, over.amount)
    return Settled(tuple(placed), tuple(credited), _catch_up(tx, refs))


def _place(tx: Tx, share: Share) -> tuple[Share, Share]:
    """Put money on an obligation up to what it still takes: what went on it, and what is over."""
    row = rows.get(tx, share.obligation_id)
    takes = max(0, row["patient_minor"] - row["paid_minor"]) if row["currency"] == share.amount.currency else 0
    on = min(share.amount.minor, takes)
    if on:
        _put(tx, share, paid=on)
        rows.count_money(tx, share.obligation_id, paid=on)
    return _part(share, on), _part(share, share.amount.minor - on)


# ── taking money off ──────────────────────────────────────────────────────────────────────────────────────────────


def reduce_paid(tx: Tx, obligation_id: str, amount: Money, *, payment_id: str = "") -> Taken:
    """Take paid money off an obligation, newest payment first, into the account's credit. Nothing leaves the house."""
    taken = _take(tx, obligation_id, amount, payment_id)
    for share in taken.shares:
        add_credit(tx, share.account_ref, share.payment_id, share.amount)
    return taken


def reopen(tx: Tx, obligation_id: str, amount: Money, *, payment_id: str = "") -> Taken:
    """Take paid money off because it goes back to its payer (refund, return, dispute): it is owed again.

    Whether it may be asked for again is the caller's to say: open a hold first where it may not.
    """
    return _take(tx, obligation_id, amount, payment_id)


def _take(tx: Tx, obligation_id: str, amount: Money, payment_id: str) -> Taken:
    row = rows.get(tx, obligation_id)
    rows.lock(tx, [row["account_ref"]])
    where = [shares.c.tenant_id == tx.tenant, shares.c.obligation_id == obligation_id, shares.c.paid_minor > 0]
    if payment_id:
        where.append(shares.c.payment_id == payment_id)
    newest = (shares.c.created_at.desc(), shares.c.payment_id.desc())
    found = tx.all(select(shares).where(*where).order_by(*newest))
    if sum(one["paid_minor"] for one in found) < amount.minor or row["currency"] != amount.currency:
        raise RuleBroken(f"{amount} is more than was paid on {obligation_id}", obligation_id=obligation_id)
    parts = spread(amount.minor, [(one["payment_id"], one["paid_minor"]) for one in found])
    taken = [Share(obligation_id, Money(part, amount.currency), one, row["account_ref"]) for one, part in parts.items()]
    for share in taken:
        _put(tx, share, paid=-share.amount.minor)
        rows.count_money(tx, obligation_id, paid=-share.amount.minor)
    return Taken(tuple(taken), _catch_up(tx, [row["account_ref"]]))


# ── credit ────────────────────────────────────────────────────────────────────────────────────────────────────────


def add_credit(tx: Tx, account_ref: str, payment_id: str, amount: Money) -> None:
    """Money of this payment stands on the account with nothing to pay: a late success, an excess."""
    row = {"tenant_id": tx.tenant, "account_ref": account_ref, "payment_id": payment_id, "currency": amount.currency}
    row |= {"amount_minor": amount.minor, "created_at": tx.now}
    statement = insert(credits).values(row)
    more = {"amount_minor": credits.c.amount_minor + statement.excluded.amount_minor}
    tx.execute(statement.on_conflict_do_update(index_elements=["tenant_id", "account_ref", "payment_id"], set_=more))


def take_credit(tx: Tx, account_ref: str, payment_id: str, amount: Money) -> None:
    """Credit that goes back to its payer. Raises RuleBroken when there is less of it."""
    rows.lock(tx, [account_ref])
    where = (credits.c.tenant_id == tx.tenant, credits.c.account_ref == account_ref, credits.c.payment_id == payment_id)
    left = credits.c.amount_minor - amount.minor
    enough = (credits.c.currency == amount.currency, credits.c.amount_minor >= amount.minor)
    if tx.execute(update(credits).where(*where, *enough).values(amount_minor=left)).rowcount == 0:
        raise RuleBroken(
            f"there is no unapplied credit of {amount} of that payment on the account", payment_id=payment_id
        )


def credits_of(tx: Tx, account_ref: str) -> list[Share]:
    """Unapplied credit on the account, by payment, oldest first."""
    found = tx.all(_CREDITS, account=account_ref)
    return [Share("", Money(row["amount_minor"], row["currency"]), row["payment_id"], account_ref) for row in found]


def apply_credit(tx: Tx, account_ref: str, *, elsewhere: Mapping[str, str] | None = None) -> tuple[Share, ...]:
    """Let the account's credit pay what may be asked for now, oldest first. Not while something stops the account.

    What payers have paid at the EHR (the payments `elsewhere`) goes first and pays whatever the patient owes: the
    charge that it names before others; not yet due, on hold, or in flight, though that last.
    """
    elsewhere = elsewhere or {}
    account = rows.lock(tx, [account_ref])[account_ref]
    stopped = rows.stopped(tx, account)
    applied: list[Share] = []
    for credit in sorted(credits_of(tx, account_ref), key=lambda one: one.payment_id not in elsewhere):
        if stopped and credit.payment_id not in elsewhere:
            continue
        found = [row for row in rows.of_accounts(tx, [account_ref]) if row["currency"] == credit.amount.currency]
        named = elsewhere.get(credit.payment_id)
        takes = _due(tx, found) if named is None else _owing(found, named)
        for obligation_id, part in spread(credit.amount.minor, takes).items():
            share = Share(obligation_id, Money(part, credit.amount.currency), credit.payment_id, account_ref)
            take_credit(tx, account_ref, credit.payment_id, share.amount)
            _place(tx, share)
            applied.append(share)
    return tuple(applied)


def _due(tx: Tx, found: list[RowMapping]) -> list[tuple[str, int]]:
    return [(one.obligation_id, one.may_be_asked(tx.now)) for one in oldest_first(map(rows.standing, found))]


def _owing(found: list[RowMapping], named: str) -> list[tuple[str, int]]:
    """All that the patient owes, what rests on `named` first, then the oldest: what nothing is in flight for, then
    what something is."""
    owing = [one for one in oldest_first(map(rows.standing, found)) if one.basis_state in _OWED]
    owing.sort(key=lambda one: not named or one.order[1] != named)
    flying = [(one.obligation_id, min(one.in_flight, one.patient - one.paid)) for one in owing]
    return [(one.obligation_id, one.open) for one in owing] + [one for one in flying if one[1] > 0]


def carry_out(tx: Tx, reassessed: Reassessed, *, elsewhere: Mapping[str, str] | None = None) -> CarriedOut:
    """What follows from a reassessment: excess becomes credit, credit pays what is due, the ledger follows.

    Credit that is left goes on the worklist with the question whose money it is: never a silent refund.
    """
    ref = reassessed.account_ref
    taken: list[Share] = []
    moves: list[LedgerMove] = []
    for obligation_id, excess in reassessed.excess:
        off = reduce_paid(tx, obligation_id, excess)
        taken += off.shares
        moves += off.ledger
    applied = apply_credit(tx, ref, elsewhere=elsewhere)
    moves += _catch_up(tx, [ref])
    left = tuple(credits_of(tx, ref))
    for credit in left if taken else ():
        ask_whose(tx, credit)
    for payment_id in {share.payment_id for share in applied} - {credit.payment_id for credit in left}:
        worklist.settled(tx, CREDIT, f"{ref}/{payment_id}")
    post(tx, moves, business_date=tx.now.astimezone(ZoneInfo(reassessed.facility.zone)).date())
    return CarriedOut(tuple(taken), applied, left)


def ask_whose(tx: Tx, credit: Share) -> None:
    """On the worklist: nothing gives it back by itself."""
    says = f"{credit.amount} of {credit.payment_id} is no longer owed: whose money is it?"
    subject = f"{credit.account_ref}/{credit.payment_id}"
    worklist.open_item(
        tx, kind=CREDIT, subject=subject, says=says, account_ref=credit.account_ref, amount=credit.amount
    )


# ── the ledger ────────────────────────────────────────────────────────────────────────────────────────────────────


def post(tx: Tx, moves: Iterable[LedgerMove], *, business_date: date) -> None:
    """Write these moves to the ledger, what is taken back first."""
    for move in sorted(moves, key=lambda one: (one.allocate, one.key)):
        rule = rules.allocate if move.allocate else rules.deallocate
        when = rules.When(occurred_at=tx.now, business_date=business_date)
        entry = rule(move.payment_id, move.obligation_id, move.amount, account_ref=move.account_ref, **when)
        ledger.post(tx, entry, key=move.key)


def _catch_up(tx: Tx, account_refs: Iterable[str]) -> tuple[LedgerMove, ...]:
    """Bring the ledger's allocations to what is paid, oldest payment first, as far as `ar_patient` holds it."""
    moves: list[LedgerMove] = []
    posted = {row["obligation_id"]: row["posted_minor"] for row in rows.of_accounts(tx, account_refs)}
    for row in tx.all(_TO_OBLIGATIONS, obligations=sorted(posted)):
        target = min(row["paid_minor"], posted[row["obligation_id"]])
        posted[row["obligation_id"]] -= target
        if (change := target - row["allocated_minor"]) == 0:
            continue
        revision = row["revision"] + 1
        is_it = {"tenant": tx.tenant, "obligation": row["obligation_id"], "payment": row["payment_id"]}
        tx.put(_CHANGE, {**is_it, "allocated_minor": target, "revision": revision})
        moves.append(
            LedgerMove(
                payment_id=row["payment_id"],
                obligation_id=row["obligation_id"],
                account_ref=row["account_ref"],
                amount=Money(abs(change), row["currency"]),
                allocate=change > 0,
                key=f"allocation/{row['payment_id']}/{row['obligation_id']}/{revision}",
            )
        )
    return tuple(moves)


# ── shares ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _of_payment(tx: Tx, payment_id: str) -> list[RowMapping]:
    return tx.all(_OF_PAYMENT, payment=payment_id)


def _share(row: RowMapping, minor: int) -> Share:
    return Share(row["obligation_id"], Money(minor, row["currency"]), row["payment_id"], row["account_ref"])


def _part(share: Share, minor: int) -> Share:
    return Share(share.obligation_id, Money(minor, share.amount.currency), share.payment_id, share.account_ref)


def _put(tx: Tx, share: Share, *, in_flight: int = 0, paid: int = 0) -> None:
    row = {"tenant_id": tx.tenant, "obligation_id": share.obligation_id, "payment_id": share.payment_id}
    row |= {"account_ref": share.account_ref, "currency": share.amount.currency, "created_at": tx.now}
    row |= {"in_flight_minor": 0, "paid_minor": 0, "allocated_minor": 0, "revision": 0}
    tx.put(_FIRST, row)
    is_it = {"tenant": tx.tenant, "obligation": share.obligation_id, "payment": share.payment_id}
    tx.put(_COUNT, {**is_it, "in_flight": in_flight, "paid": paid})


def _unreserve(tx: Tx, payment_id: str) -> None:
    reserved = [row for row in _of_payment(tx, payment_id) if row["in_flight_minor"]]
    rows.lock(tx, (row["account_ref"] for row in reserved))
    for row in reserved:
        _put(tx, _share(row, row["in_flight_minor"]), in_flight=-row["in_flight_minor"])
        rows.count_money(tx, row["obligation_id"], in_flight=-row["in_flight_minor"])


def paid_by(tx: Tx, payment_id: str) -> list[Share]:
    """What this payment has paid of each obligation, oldest first."""
    return [_share(row, row["paid_minor"]) for row in _of_payment(tx, payment_id) if row["paid_minor"]]


def payments_on(tx: Tx, obligation_id: str) -> list[Share]:
    """What each payment has paid on this obligation, oldest first. For `explain`. Raises NotFound."""
    row = rows.get(tx, obligation_id)
    where = (shares.c.tenant_id == tx.tenant, shares.c.obligation_id == row["obligation_id"], shares.c.paid_minor > 0)
    order = (shares.c.created_at, shares.c.payment_id)
    return [_share(one, one["paid_minor"]) for one in tx.all(select(shares).where(*where).order_by(*order))]
