"""What stands on one account is put onto another, because the two are one: obligations, their shares, credit, holds.

Called by usecases/merge_accounts.py, under both accounts' locks, and by the undoing of a merge. Nothing is assessed
here: an obligation keeps its id, its amounts and its payments, and the ledger's balances follow it from account to
account. Each function says what it has moved, so that exactly that can be moved back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date

from sqlalchemy import RowMapping, delete, select, update

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.money import Money
from ..errors import RuleBroken
from ..ledger import rules
from ..ledger import store as ledger
from ..parties.merges import Item
from . import money, rows
from .cutover import carry_over
from .money import CREDIT
from .rows import ENDS
from .tables import AccountCredit, AccountHold, ObligationShare, OpeningBalance, Recovery, StaffEntry, WorklistItem

_credits, _shares, _list = table(AccountCredit), table(ObligationShare), table(WorklistItem)
_WITH_IDS = {
    "hold": (table(AccountHold), "hold_id"),
    "entry": (table(StaffEntry), "entry_id"),
    "opening": (table(OpeningBalance), "opening_id"),
    "recovery": (table(Recovery), "recovery_id"),
}


def move_obligations(
    tx: Tx, old: str, new: str, *, key: str, day: Callable[[str], date], ended: bool = False
) -> list[Item]:
    """Those of `old` that `new` has nothing like, or (`ended`) all that have come to their end and are left.

    One that both have, such as the copay of one visit, stays until it has ended: `new` asks for it already. `day` is a
    facility's business day, `key` names the merge in the ledger.
    """
    there: dict[tuple[str, str, str], list[RowMapping]] = {}
    for row in rows.of_accounts(tx, [new]):
        there.setdefault(_basis(row), []).append(row)
    moved: list[Item] = []
    for row in sorted(rows.of_accounts(tx, [old]), key=lambda one: -one["generation"]):
        theirs = there.get(_basis(row), [])
        generation = _generation(row, theirs, ended=ended)
        if generation is None:
            continue
        there.setdefault(_basis(row), []).append({**row, "generation": generation})  # type: ignore[arg-type]  (read like a row)
        _carry(tx, row, old, new, generation, key=key, day=day(row["facility"]))
        before = {"account_ref": old, "generation": row["generation"]}
        moved.append(Item("obligation", row["obligation_id"], before, {"account_ref": new, "generation": generation}))
    return moved


def _basis(row: RowMapping) -> tuple[str, str, str]:
    return row["basis_kind"], row["basis_key"], row["currency"]


def _generation(row: RowMapping, theirs: Iterable[RowMapping], *, ended: bool) -> int | None:
    """Its place among those of its basis on the other account, where the highest counts; None: it stays for now."""
    taken = [one["generation"] for one in theirs]
    if not taken:
        return row["generation"]
    if row["state"] in ENDS:
        return min(*taken, row["generation"]) - 1 if ended else None
    if all(one["state"] in ENDS for one in theirs):
        return max(taken) + 1
    return None


def move_back(tx: Tx, one: Item, *, key: str, day: Callable[[str], date]) -> None:
    """An obligation back to where it was before the merge. Raises RuleBroken when it has gone on from there."""
    row = rows.get(tx, one.ref)
    if row["account_ref"] != one.after["account_ref"]:
        raise RuleBroken(f"{one.ref} stands on {row['account_ref']} by now", obligation_id=one.ref)
    where = one.after["account_ref"], one.before["account_ref"], one.before["generation"]
    _carry(tx, row, *where, key=key, day=day(row["facility"]))


def _carry(tx: Tx, row: RowMapping, old: str, new: str, generation: int, *, key: str, day: date) -> None:
    obligation, currency = row["obligation_id"], row["currency"]
    where = (_shares.c.tenant_id == tx.tenant, _shares.c.obligation_id == obligation)
    tx.execute(update(_shares).where(*where).values(account_ref=new))
    rows.write(tx, obligation, account_ref=new, generation=generation)
    for account, rule in (("ar_patient", rules.receivable_moved), ("ar_pending", rules.pending_moved)):
        minor = ledger.balance(tx, account, currency=currency, obligation=obligation, account_ref=old)
        if minor:
            # A copay drawn from other charges' pending amounts is below zero by itself: that moves the other way.
            source, target = (old, new) if minor > 0 else (new, old)
            when = rules.When(occurred_at=tx.now, business_date=day)
            entry = rule(obligation, source, Money(abs(minor), currency), to_account=target, **when)
            ledger.post(tx, entry, key=f"{key}/{obligation}/{account}")


def move_credits(tx: Tx, old: str, new: str) -> list[Item]:
    """Money that stands on `old` with nothing to pay. It is kept by payment in the ledger: nothing to post."""
    moved: list[Item] = []
    for credit in money.credits_of(tx, old):
        money.take_credit(tx, old, credit.payment_id, credit.amount)
        money.add_credit(tx, new, credit.payment_id, credit.amount)
        amount = {"minor": credit.amount.minor, "currency": credit.amount.currency}
        moved.append(Item("credit", credit.payment_id, {"account_ref": old, **amount}, {"account_ref": new, **amount}))
    where = (_credits.c.tenant_id == tx.tenant, _credits.c.account_ref == old, _credits.c.amount_minor == 0)
    tx.execute(delete(_credits).where(*where))
    return moved


def move_openings(tx: Tx, old: str, new: str) -> list[Item]:
    """What was owed at go-live, what that is of before, and what was refunded and returned as well: together with the
    obligations, before `old` is assessed."""
    carry_over(tx, old, new)
    return list(_by_ids(tx, old, new, "opening", "recovery"))


def move_words(tx: Tx, old: str, new: str) -> list[Item]:
    """Holds, what staff stated, and what is or was on the worklist."""
    return [*_by_ids(tx, old, new, "hold", "entry"), *_items(tx, old, new)]


def _by_ids(tx: Tx, old: str, new: str, *whats: str) -> Iterator[Item]:
    for what in whats:
        of, name = _WITH_IDS[what]
        mine = (of.c.tenant_id == tx.tenant, of.c.account_ref == old)
        ids = [row[name] for row in tx.all(select(of.c[name]).where(*mine).order_by(of.c[name]))]
        tx.execute(update(of).where(*mine).values(account_ref=new))
        yield from (Item(what, one, {"account_ref": old}, {"account_ref": new}) for one in ids)


def _items(tx: Tx, old: str, new: str) -> Iterator[Item]:
    mine = (_list.c.tenant_id == tx.tenant, _list.c.account_ref == old)
    for row in tx.all(select(_list).where(*mine).order_by(_list.c.item_id)):
        subject = row["subject"]
        if row["kind"] == CREDIT and subject.startswith(f"{old}/"):
            subject = f"{new}/{subject.removeprefix(f'{old}/')}"
            same = (_list.c.tenant_id == tx.tenant, _list.c.kind == CREDIT, _list.c.subject == subject)
            if tx.scalar(select(_list.c.item_id).where(*same)) is not None:
                subject = row["subject"]
        place_item(tx, row["item_id"], new, subject)
        before = {"account_ref": old, "subject": row["subject"]}
        yield Item("item", row["item_id"], before, {"account_ref": new, "subject": subject})


def place_item(tx: Tx, item_id: str, account_ref: str, subject: str) -> None:
    """Which account a line of the worklist is about."""
    is_it = (_list.c.tenant_id == tx.tenant, _list.c.item_id == item_id)
    tx.execute(update(_list).where(*is_it).values(account_ref=account_ref, subject=subject))


def place_word(tx: Tx, what: str, ref: str, account_ref: str) -> None:
    """Which account a hold, an entry of staff, an opening balance or a recovery is about."""
    of, name = _WITH_IDS[what]
    tx.execute(update(of).where(of.c.tenant_id == tx.tenant, of.c[name] == ref).values(account_ref=account_ref))


def shares_of(tx: Tx, *, obligations: Iterable[str], payments: Iterable[str]) -> list[tuple[str, str]]:
    """(obligation, payment) wherever money of these payments pays something, or something pays these obligations."""
    of = _shares.c.obligation_id.in_(sorted(obligations)) | _shares.c.payment_id.in_(sorted(payments))
    live = (_shares.c.tenant_id == tx.tenant, of, _shares.c.paid_minor + _shares.c.in_flight_minor > 0)
    found = tx.all(select(_shares.c.obligation_id, _shares.c.payment_id).where(*live))
    return [(row["obligation_id"], row["payment_id"]) for row in found]
