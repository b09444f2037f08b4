"""Invoices: the strongest statement of what the patient owes. Called by responsibility.py before the weaker sources.

An Invoice that was issued, or settled, stands for the charges in its lines: they are not asked for beside it. One
without lines, or with a line that names no charge, stands for the whole account. One on another account stands for
the charges that it names here too: each is asked for on one account alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from ..domain.money import Money
from ..domain.obligation import ObligationState
from .assessment import AT_ONCE, Basis, Says
from .case import Case
from .charges import COUNTS, WITHDRAWN, Worth
from .facts import AccountFacts, Bill, Hold
from .holds import guarantors_on

STANDS = frozenset({"issued", "balanced"})
PAID_ELSEWHERE = "paid_elsewhere"  # on the worklist, and the name of the hold


def standing(facts: AccountFacts) -> list[Bill]:
    """The Invoices that stand for charges, newest first: of two that name the same charge the newer one counts."""
    bills = [bill for bill in facts.invoices if bill.status in STANDS]
    return sorted(bills, key=_newest, reverse=True)


def _newest(bill: Bill) -> tuple[str, str]:
    return (bill.day.isoformat() if bill.day else "", bill.ref)


def claimed_elsewhere(facts: AccountFacts, claimed: Mapping[str, Bill]) -> dict[str, Bill]:
    """Of this account's charges, those that an Invoice on another account stands for."""
    own = {bill.ref for bill in facts.invoices}
    found = {charge.ref: claimed[charge.ref] for charge in facts.charges if charge.ref in claimed}
    return {charge: bill for charge, bill in found.items() if bill.ref not in own}


def paid_elsewhere(case: Case, charges: Collection[str], currency: str, basis: str) -> tuple[Hold, ...]:
    """Money of another account that has to do with these charges, or asked for the same before it moved here, and pays
    nothing there: asked for here, it would be asked for twice. A hold until somebody has given it back, or it pays
    something there."""
    found: list[Hold] = []
    for other in case.facts.elsewhere:
        minor = case.facts.loose.get((other.ref, currency), 0)
        there = {charge.ref for charge in other.charges}
        there |= {line.charge for bill in other.invoices for line in bill.lines}
        there |= set(case.facts.asked.get(other.ref, ()))
        if minor and not there.isdisjoint({basis, *charges}):
            says = f"{Money(minor, currency)} on {other.ref} may be for the same and pays nothing there"
            found.append(Hold(PAID_ELSEWHERE, says, other.ref))
            case.note(PAID_ELSEWHERE, f"{basis} {case.facts.ref} {other.ref}", f"{basis} is not asked for: {says}")
    return tuple(found)


def is_whole(bill: Bill) -> bool:
    return not bill.lines or any(not line.charge for line in bill.lines)


def claims_of(facts: AccountFacts) -> dict[str, Bill]:
    """Charge → the Invoice that stands for it, by its lines first, else for the account as a whole."""
    claimed: dict[str, Bill] = {}
    bills = standing(facts)
    others = [bill for other in facts.elsewhere for bill in standing(other)]
    for bill in sorted((*bills, *others), key=_newest, reverse=True):
        for line in bill.lines:
            if line.charge:
                claimed.setdefault(line.charge, bill)
    for bill in bills:
        if is_whole(bill):
            for charge in facts.charges:
                claimed.setdefault(charge.ref, bill)
    return claimed


def add_bills(case: Case) -> None:
    for bill in standing(case.facts):
        _add_bill(case, bill)
    for bill in case.facts.invoices:
        if bill.status in {"cancelled", "entered-in-error"} and bill.total is not None:
            says = [Says("invoice", f"the invoice was {bill.status.replace('-', ' ')}", bill.ref)]
            zero = Money.zero(bill.total.currency)
            case.add(Basis.INVOICE, bill.ref, zero, ObligationState.VOID, says, targets=(bill.ref,))


def _add_bill(case: Case, bill: Bill) -> None:
    if bill.total is None:
        case.note("amount_unknown", bill.ref, f"{bill.ref} states no total")
        return
    currency = bill.total.currency
    debtor, refused, holds = _debtor(case, bill)
    if refused:
        says = [Says("invoice", f"invoice of {bill.total}: {refused}", bill.ref)]
        zero, pending = Money.zero(currency), ObligationState.PENDING
        case.add(Basis.INVOICE, bill.ref, zero, pending, says, targets=(bill.ref,), debtor=debtor)
        return
    says = [Says("invoice", f"invoice of {bill.total}, issued to {debtor}", bill.ref)]
    if bill.less is not None:
        says.append(Says("watermark", f"less {bill.less} for charges of before the watermark", bill.ref))
    owed = max(0, bill.total.minor - _cut(case, bill, says))
    owed -= _take_over(case, owed, currency, says)
    state = ObligationState.COLLECTABLE
    if bill.status == "balanced":
        owed = min(owed, _settled_here(case.facts, bill, currency))
        settled = Hold("settled", "the invoice is settled; nothing is asked for it any more", bill.ref)
        if owed:
            holds += (settled,)
        else:
            says.append(Says("invoice", settled.says, bill.ref))
            state = ObligationState.VOID
    elif not owed:
        state = ObligationState.VOID
    if owed:
        stands_for = [charge for charge, claim in case.claimed.items() if claim == bill]
        holds += paid_elsewhere(case, [*stands_for, *(line.charge for line in bill.lines)], currency, bill.ref)
    case.add(
        Basis.INVOICE,
        bill.ref,
        Money(owed, currency),
        state,
        says,
        targets=(bill.ref,),
        due=None if not owed else case.morning(bill.day) if bill.day else AT_ONCE,
        debtor=debtor,
        draws=_draws(case, bill, owed, currency),
        holds=holds,
    )


def _settled_here(facts: AccountFacts, bill: Bill, currency: str) -> int:
    """What was received for it here, and what staff gave up: its EHR was told of both, and calls it settled by them."""
    received = facts.received.get(bill.ref)
    basis = (Basis.INVOICE, bill.ref)
    given_up = (one.amount for one in facts.write_offs if one.basis == basis)
    settled = [*given_up, *([received] if received else [])]
    return sum(one.minor for one in settled if one.currency == currency)


def _debtor(case: Case, bill: Bill) -> tuple[str, str, tuple[Hold, ...]]:
    """Who is asked; why nobody is; and the holds on that person alone."""
    facts, recipient = case.facts, bill.recipient
    if not recipient:
        if not bill.subject.startswith("Patient/"):
            return facts.patient_ref, "it names neither a recipient nor a patient", ()
        debtor = case.debtor or bill.subject
        return debtor, "the guarantor is an organization" if debtor.startswith("Organization/") else "", ()
    if recipient.startswith("Organization/"):
        return recipient, "an organization receives it, so the patient is not asked", ()
    if recipient in {bill.subject, facts.patient_ref}:
        return recipient, "", ()
    for guarantor in guarantors_on(facts, case.today):
        if guarantor.ref == recipient:
            stop = Hold("guarantor_on_hold", "the guarantor is on hold", recipient)
            return recipient, "", (stop,) if guarantor.on_hold and stop not in case.holds else ()
    case.note("recipient_unknown", bill.ref, f"{recipient} is neither the patient nor a guarantor of {facts.ref}")
    return recipient, "its recipient is neither the patient nor a guarantor of the account", ()


def _lines(case: Case, bill: Bill) -> Iterable[tuple[str, int]]:
    """Charge and minor units of each line that this Invoice stands for."""
    for line in bill.lines:
        if line.charge and case.claimed.get(line.charge) == bill:
            yield line.charge, _line_minor(case, line.charge, line.amount)


def _line_minor(case: Case, charge: str, amount: Money | None) -> int:
    worth = case.worth(charge)
    if amount is not None:
        return max(0, amount.minor)
    return worth.net if worth else 0


def _cut(case: Case, bill: Bill, says: list[Says]) -> int:
    """What to leave out of the total: credits that it does not reflect yet, and charges that another one asks for."""
    cut = 0
    for line in bill.lines:
        other = case.claimed.get(line.charge)
        if line.charge and other is not None and other != bill:
            cut += _line_minor(case, line.charge, line.amount)
            says.append(Says("superseded", f"{line.charge} is in the newer {other.ref}", other.ref))
            case.note("charge_in_two_invoices", line.charge, f"{line.charge} is in {bill.ref} and in {other.ref}")
    for charge, stated in _lines(case, bill):
        if lowered := _lowered(case, charge, stated):
            cut += lowered
            says.append(Says("credit", f"{charge} was credited or withdrawn after it was invoiced", charge))
            case.note("invoice_over_charges", bill.ref, f"{bill.ref} asks more than its charges are now worth")
    if is_whole(bill) and bill.total is not None:
        worths = [worth for worth in case.worths.charges.values() if worth.currency == bill.total.currency]
        net = sum(worth.net for worth in worths)
        taken_back = sum(worth.credited + worth.withdrawn for worth in worths)
        if taken_back and bill.total.minor > net:
            cut = max(cut, min(taken_back, bill.total.minor - net))
            says.append(Says("credit", "charges of the account were credited or withdrawn", bill.ref))
            case.note("invoice_over_charges", bill.ref, f"{bill.ref} asks more than its charges are now worth")
    return cut


def _lowered(case: Case, charge: str, stated: int) -> int:
    """By how much a line is now too high. One that asks for a part stays as long as the charge holds that part."""
    worth = case.worth(charge)
    if worth is None:
        return 0
    if worth.charge.status in WITHDRAWN:
        return stated
    if worth.charge.status in COUNTS and worth.credited and stated > worth.net:
        return stated - max(worth.net, stated - worth.credited)
    return 0


def _take_over(case: Case, owed: int, currency: str, says: list[Says]) -> int:
    """A credit that found no charge to lower lowers what is asked for."""
    taken = min(owed, case.worths.over.get(currency, 0))
    if taken:
        case.worths.over[currency] -= taken
        says.append(Says("credit", f"less {Money(taken, currency)}, credited to the account", case.facts.ref))
    return taken


def _draws(case: Case, bill: Bill, owed: int, currency: str) -> dict[str, int]:
    """Out of which charges the amount comes. A charge that has not come in is drawn on in its name all the same."""
    drawn: dict[str, int] = {}
    for charge, stated in _lines(case, bill):
        part = min(owed, stated - _lowered(case, charge, stated))
        worth = case.worth(charge)
        if part <= 0 or (worth is not None and worth.currency != currency):
            continue
        drawn[charge] = drawn.get(charge, 0) + part
        owed -= part
        if worth is not None:
            worth.left = max(0, worth.left - part)
    if owed and is_whole(bill):
        for charge, minor in case.draw(owed, _of_account(case, bill), currency).items():
            drawn[charge] = drawn.get(charge, 0) + minor
            owed -= minor
    if owed:
        drawn[bill.ref] = owed
    return drawn


def _of_account(case: Case, bill: Bill) -> list[Worth]:
    return [worth for worth in case.worths.oldest_first() if case.claimed.get(worth.charge.ref) == bill]
