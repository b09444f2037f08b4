"""What an EHR was told of a payment adds up to what the books say, line by line: for tests, after any moves.

what it was told: first all of it, then what goes back or moves ── by line, and by what the lines pay ─┐
what the books have: paid of each obligation, credit of the payer's, less what the payer has had twice ─┴▶ the same
"""

from __future__ import annotations

from collections import Counter

from fhirpay.billing import money as billing
from fhirpay.billing import store as obligations
from fhirpay.config import Tenant
from fhirpay.db.unit import Tx
from fhirpay.domain.refund import CLAIMS
from fhirpay.fhir.statement import FhirVersion
from fhirpay.payments import refunds, returns, store
from fhirpay.usecases.posted_facts import posted_facts
from fhirpay.writeback import store as writeback
from fhirpay.writeback.payment_reconciliation import render
from fhirpay.writeback.posted import PostedPayment, all_lines, allocation_id, takes

ADVANCE = "advance"  # what pays nothing yet


def check_told(tx: Tx, payment_id: str, tenant: Tenant, *, connection: str) -> None:
    """Raises AssertionError where the EHR, having heard all, has something else than the books."""
    mine = [one for one in writeback.of_payment(tx, payment_id) if one.connection == connection]
    told = [posted_facts(tx, one, tenant) for one in mine if one.resource_type == "PaymentReconciliation"]
    if not told:
        return
    for one in told:
        resource = render(one, organization="clinic", version=FhirVersion.R4)
        assert sum(line["amount"]["value"] for line in resource["detail"]) == resource["paymentAmount"]["value"]
    said, booked = _by_what_is_paid(told), _booked(tx, payment_id)
    assert said == booked, f"{payment_id} is {said} at the EHR, and {booked} in the books: {told}"
    twice = sum(one.recovered.minor for one in returns.standing(tx, payment_id))
    beyond = sum(-minor for minor in _left_of_lines(told).values() if minor < 0)
    assert beyond <= twice, (payment_id, _left_of_lines(told))


def _by_what_is_paid(told: list[PostedPayment]) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for one in told:
        for line in all_lines(one):
            sums[ADVANCE if line.advance else line.target] += (
                -line.amount.minor if takes(one, line) else line.amount.minor
            )
    return {name: minor for name, minor in sums.items() if minor}


def _left_of_lines(told: list[PostedPayment]) -> dict[str, int]:
    """What each line that pays has left. What takes back names such a line; what restores names one that took back, for
    no more than it took."""
    lines = [(allocation_id(one.id, line.number), one, line) for one in told for line in all_lines(one)]
    takers = {itself: line for itself, one, line in lines if takes(one, line)}
    restored: Counter[str] = Counter()
    left: dict[str, int] = {}
    for itself, one, line in lines:
        if one.restores:
            restored[line.takes_back] += line.amount.minor
        elif itself not in takers:
            assert not line.takes_back, itself
            left[itself] = line.amount.minor
    for itself, line in takers.items():
        assert line.takes_back in left, (itself, line.takes_back, left)
        again = restored.pop(itself, 0)
        assert again <= line.amount.minor, itself
        left[line.takes_back] -= line.amount.minor - again
    assert not restored, restored
    return left


def _booked(tx: Tx, payment_id: str) -> dict[str, int]:
    payment = store.get(tx, payment_id)
    sums: Counter[str] = Counter()
    accounts = {payment.account_ref, *(one.account_ref for one in store.allocations(tx, payment_id))}
    for account in accounts:
        sums[ADVANCE] += sum(
            one.amount.minor for one in billing.credits_of(tx, account) if one.payment_id == payment_id
        )
    for share in billing.paid_by(tx, payment_id):
        sums[_target(tx, share.obligation_id)] += share.amount.minor
    # A refund that is under way has its money off the books already; the EHR hears of it once it has gone out.
    for refund in refunds.of_payment(tx, payment_id):
        if refund.state in CLAIMS and refund.succeeded_at is None:
            for part in refunds.shares(tx, refund.refund_id):
                sums[_target(tx, part.obligation_id)] += part.amount.minor
    # What was refunded and came back as well is taken back twice: the payer has had it twice, and owes it.
    left = sum(one.recovered.minor for one in returns.standing(tx, payment_id))
    for part in reversed(store.allocations(tx, payment_id)):
        sums[_target(tx, part.obligation_id)] -= (minor := min(left, part.refunded.minor))
        left -= minor
    sums[ADVANCE] -= left
    return {name: minor for name, minor in sums.items() if minor}


def _target(tx: Tx, obligation_id: str) -> str:
    return next(iter(obligations.obligation(tx, obligation_id).targets), "") if obligation_id else ADVANCE
