"""What an account owes has changed, or its day has come: assess it again, and do what the facility's policy says.

`reassess_accounts` is called in the unit of whatever changed (a message, a FHIR write, a replay), `act` by whoever
changes what the policy looks at (a stored method, a consent). What a stored method is to pay starts in that same unit;
where notice has to run first it is a row of the outbox, autopay.py its handler; what the calendar alone will change is
one too, for `Reassess`. One fact (this obligation, this amount) is charged once; what was tried in vain goes on the
desk's list.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import RowMapping

from ..billing import money, rows, store, worklist
from ..billing.intake import linked
from ..billing.money import CarriedOut
from ..billing.policy import Action, AutopayDue, Consent, RequestPayment, decide
from ..billing.reach import accounts_of
from ..billing.rows import ObligationView
from ..billing.store import Reassessed
from ..config import Tenant
from ..db.types import fitted
from ..db.unit import Tx, Units
from ..domain.payment import CLOSED, PaymentState
from ..fhir.replaced import survivors
from ..fhir.store import Change, Stored, version
from ..flow.lane import Work, complete, release
from ..log import Log
from ..outbox import add
from ..parties.resources import repoint
from ..payments import mandates, stored_methods
from ..payments import store as payments
from ..payments.choice import kept_by
from ..payments.unattended import may_not_try
from . import external_payments, moved_money
from .postings import post_adjustments
from .stale_pages import close_stale_pages
from .start_payment import NewPayment, start

log = Log("autopay")

KIND = "autopay"
AGAIN = "reassess"
LIST = "payment_due"


def accounts_touched(tx: Tx, changes: Iterable[tuple[Stored, Change]]) -> list[str]:
    """The accounts on which changed resources have a say: by what they say now, said before, and what rests on them."""
    found: set[str] = set()
    for stored, change in changes:
        if change == "unchanged":
            continue
        found |= accounts_of(tx, stored.resource)
        found |= rows.accounts_with(tx, [f"{stored.type}/{stored.id}"])
        if stored.version > 1 and (before := version(tx, stored.type, stored.id, stored.version - 1)):
            found |= accounts_of(tx, before.resource)
    return sorted(found)


def reassess_accounts(tx: Tx, account_refs: Iterable[str], tenant: Tenant) -> None:
    """Make these accounts what they should be by all that is known now, and let the policy act on them."""
    refs = set(survivors(tx, account_refs).values())  # what was merged away is not assessed any more
    external_payments.lock(tx, refs)
    rows.lock(tx, refs)  # all of them before the first ledger entry: every unit takes its locks in this order
    accounts = _merged_meanwhile(tx, refs)
    refs = {ref for ref, row in accounts.items() if not store.nothing_on(tx, row) or external_payments.any_of(tx, ref)}
    others = set[str]().union(*(_reassess(tx, ref, tenant) for ref in sorted(refs)))
    if others:  # accounts that share a charge: what each may ask follows from the other's rows as they are by now
        refs |= others
        rows.lock(tx, refs)
        for ref in sorted(refs):
            _reassess(tx, ref, tenant)
    for ref in sorted(refs):
        act(tx, ref, tenant)


def _merged_meanwhile(tx: Tx, refs: set[str]) -> dict[str, RowMapping]:
    """The accounts, once their locks are held: a merge that was faster may not have seen what this unit has written."""
    ends = survivors(tx, refs)
    for old, new in sorted(ends.items()):
        if old != new:
            repoint(tx, old, new, source="urn:fhirpay:merged")
    return rows.lock(tx, ends.values())


def money_moved(tx: Tx, account_ref: str, tenant: Tenant) -> None:
    """Money has come onto the account or left it: the policy acts, here and on the accounts that share a charge."""
    external_payments.compare(tx, account_ref, tenant)
    if not reassess_linked(tx, account_ref, tenant):
        act(tx, account_ref, tenant)


def reassess_linked(tx: Tx, account_ref: str, tenant: Tenant) -> bool:
    """Assess it and the accounts that share a charge with it again; False when there are none."""
    others = linked(tx, account_ref)
    if others:
        reassess_accounts(tx, {account_ref, *others}, tenant)
    return bool(others)


def _reassess(tx: Tx, account_ref: str, tenant: Tenant) -> set[str]:
    """The account, and what follows at once from its assessment; the accounts that it shares a charge with."""
    elsewhere = external_payments.settle_up(tx, account_ref, tenant)
    reassessed = store.reassess(tx, account_ref, tenant)
    moved = money.carry_out(tx, reassessed, elsewhere=elsewhere)
    _tell_of_moves(tx, moved, elsewhere, tenant)
    external_payments.tell_of_credit(tx, reassessed, moved, elsewhere)
    close_stale_pages(tx, reassessed.obligations)
    post_adjustments(tx, reassessed, tenant)
    _again_in_time(tx, reassessed, moved)
    return set(reassessed.linked)


def _tell_of_moves(tx: Tx, moved: CarriedOut, elsewhere: Collection[str], tenant: Tenant) -> None:
    """Money that pays something else now: each EHR is told, but of what it has put where it wants it itself."""
    for payment_id in dict.fromkeys(share.payment_id for share in (*moved.taken, *moved.applied)):
        if payment_id not in elsewhere:
            moved_money.tell(tx, payment_id, tenant, by="policy:credit", reason="it became owed, or is owed no more")


def _again_in_time(tx: Tx, reassessed: Reassessed, moved: CarriedOut) -> None:
    """Queue the assessment that only the calendar asks for: an age, a period, credit that waits for a bill's day, or an
    adjustment that its EHR is told from then on."""
    days = {reassessed.assessment.stands_until} if reassessed.obligations else set[datetime | None]()
    days.add(reassessed.adjusts_at)
    if moved.credit:
        days |= {one.collectable_from for one in reassessed.obligations if one.patient > one.paid}
    due = min((day for day in days if day is not None and day > tx.now), default=None)
    if due is not None:
        fact = f"{reassessed.account_ref}|{due.isoformat()}"
        add(tx, AGAIN, fact, [f"{AGAIN}:{fact}"], due, once_key=fact)  # a lane of its own: nothing waits behind it


@dataclass(frozen=True, slots=True)
class Reassess:
    """The outbox handler of kind `reassess`: the day has come."""

    units: Units
    tenant: Tenant

    async def run(self, work: Work) -> None:
        await self.units.write(self._run, work)

    def _run(self, tx: Tx, work: Work) -> None:
        complete(tx, work)
        reassess_accounts(tx, [work.ref.partition("|")[0]], self.tenant)


def act(tx: Tx, account_ref: str, tenant: Tenant) -> None:
    """Put on the desk's list what is to be asked for; start, or queue, what may be taken by a stored method."""
    rows.lock(tx, [account_ref])
    decided = actions(tx, account_ref, tenant)
    while due := next((one for one in decided if isinstance(one, AutopayDue) and one.due_at <= tx.now), None):
        charge(tx, account_ref, due, tenant)
        decided = actions(tx, account_ref, tenant)  # what it has reserved is nobody's to ask for
    asked: list[str] = []
    for action in decided:
        if isinstance(action, AutopayDue):
            _queue(tx, account_ref, action)
        else:
            asked.append(_ask(tx, account_ref, action))
    worklist.settled_but(tx, LIST, account_ref, asked)


def charge(tx: Tx, account_ref: str, action: AutopayDue, tenant: Tenant) -> None:
    """Start the payment by the stored method. Under the account's lock, and as decided under it."""
    wish = NewPayment(
        account_ref=account_ref,
        requested_by="policy:autopay",
        amount=action.amount,
        obligations=action.obligations,
        method_id=action.method_id,
        initiated_by="merchant",
        fact_key=fact_of(action),
    )
    log.info("autopay.started", payment_id=start(tx, wish, tenant))


def _queue(tx: Tx, account_ref: str, action: AutopayDue) -> None:
    """Once for each fact, so that its notice runs from the first time on, however often the account is looked at."""
    fact = fact_of(action)
    work_id = add(tx, KIND, f"{account_ref}|{fact}", [fact], action.due_at, once_key=fact)
    release(tx, work_id)  # one that met a hold on its day has ended: its notice has run, so it is due at once


def _ask(tx: Tx, account_ref: str, action: RequestPayment) -> str:
    subject = fitted("/".join(action.obligations))
    why = f"; not by autopay: {action.why_not_autopay}" if action.why_not_autopay else ""
    says = f"{action.amount} may be asked for from {action.due_at:%Y-%m-%d}{why}"
    worklist.open_item(
        tx, kind=LIST, subject=subject, says=says, account_ref=account_ref, amount=action.amount, standing=True
    )
    return subject


def actions(tx: Tx, account_ref: str, tenant: Tenant) -> list[Action]:
    """What the policy says about the account at this moment."""
    by_facility: dict[str, list[ObligationView]] = {}
    for one in store.obligations_of(tx, account_ref):
        by_facility.setdefault(one.facility, []).append(one)
    decided: list[Action] = []
    for name, members in sorted(by_facility.items()):
        facility = tenant.facility(name)
        consents = _consents(tx, account_ref, kept_by(tenant, facility))
        tried = {one.obligation_id for one in members if consents and _tried(tx, one.obligation_id)}
        decided += decide(members, facility, tx.now, consents=consents, tried=tried)
    return [_once(tx, action) for action in decided]


def _tried(tx: Tx, obligation_id: str) -> bool:
    """Whether a stored method was charged for it without asking, and we have not got, or not kept, all of that."""
    for share in payments.allocations_to(tx, obligation_id):
        payment = payments.get(tx, share.payment_id)
        fell_short = share.paid.minor > 0 and share.kept.minor < share.reserved.minor
        if payment.tender == "bank" and (payment.returned or payment.state is PaymentState.FAILED):
            return True  # whoever asked for it: to debit that account again is bank_codes.py's to say, or a person's
        if payment.initiated_by == "merchant" and (payment.state in CLOSED or fell_short):
            return True
    return False


def _once(tx: Tx, action: Action) -> Action:
    """What has been charged once and is owed again, to the cent, is for a person; so is what may not be tried now."""
    if not isinstance(action, AutopayDue):
        return action
    refused = ""
    if action.due_at <= tx.now:
        method = stored_methods.get(tx, action.method_id)
        refused = may_not_try(tx, method, action.amount, unattended=True)
    if known := payments.of_fact(tx, fact_of(action)):
        why = f"{known} was for the same"
    elif refused:
        why = f"the stored method: {refused}"
    else:
        return action
    return RequestPayment(action.obligations, action.amount, action.debtor_ref, action.not_before, why)


def _consents(tx: Tx, account_ref: str, merchants: set[str]) -> list[Consent]:
    found: list[Consent] = []
    for method in stored_methods.of_account(tx, account_ref):
        consent = stored_methods.live_consent(tx, method.method_id)
        if method.merchant in merchants and consent is not None and mandates.usable(tx, method.method_id):
            found.append(Consent(method.method_id, method.debtor_ref, consent.cap))
    return found


def fact_of(action: AutopayDue) -> str:
    """The business fact that is charged once."""
    return fitted(f"{KIND}:{'+'.join(sorted(action.obligations))}:{action.amount.minor}")
