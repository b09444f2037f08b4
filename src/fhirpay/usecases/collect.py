"""What an account owes has changed, or its day has come: assess it again, and do what the facility's policy says.

`reassess_accounts` is called in the unit of whatever changed (a message, a FHIR write, a replay). Autopay is a row of
the outbox, due when its notice has run; `Collect.autopay` is its handler, which reads everything again before it
takes anything. One fact (these obligations, this amount) is charged once: a decline is not tried again by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..billing import money, rows, store, worklist
from ..billing.intake import accounts_of
from ..billing.policy import Action, AutopayDue, Consent, RequestPayment, decide
from ..billing.rows import ObligationView
from ..config import Tenant
from ..db.unit import Tx, Units
from ..fhir.store import Change, Stored, version
from ..flow.lane import Work, complete
from ..log import Log
from ..outbox import add
from ..payments import stored_methods
from .take_payment import NewPayment, start

log = Log("collect")

KIND = "autopay"


def accounts_touched(tx: Tx, changes: Iterable[tuple[Stored, Change]]) -> list[str]:
    """The accounts on which changed resources have a say: by what they say now, said before, and what rests on them."""
    found: set[str] = set()
    for stored, change in changes:
        if change == "unchanged":
            continue
        found |= accounts_of(tx, stored.resource)
        found |= store.accounts_with(tx, f"{stored.type}/{stored.id}")
        if stored.version > 1 and (before := version(tx, stored.type, stored.id, stored.version - 1)):
            found |= accounts_of(tx, before.resource)
    return sorted(found)


def reassess_accounts(tx: Tx, account_refs: Iterable[str], tenant: Tenant) -> None:
    """Make these accounts what they should be by all that is known now, and let the policy act on them."""
    refs = sorted(set(account_refs))
    rows.lock(tx, refs)  # all of them before the first ledger entry: every unit takes its locks in this order
    for ref in refs:
        reassessed = store.reassess(tx, ref, tenant)
        money.carry_out(tx, reassessed)
        act(tx, ref, tenant)


def act(tx: Tx, account_ref: str, tenant: Tenant) -> None:
    """Put on the desk's list what is to be asked for, and queue what may be taken by a stored method."""
    asked: set[str] = set()
    revision = rows.lock(tx, [account_ref])[account_ref]["revision"]
    for action in actions(tx, account_ref, tenant):
        if isinstance(action, AutopayDue):
            # Queued anew at each revision: one that met a hold has ended, and the fact is charged once all the same.
            fact = fact_of(action)
            ref = f"{account_ref}|{fact}"
            add(tx, KIND, ref, [f"{KIND}:{fact}:{revision}"], action.due_at, once_key=f"{ref}@{revision}")
        else:
            asked.add(_ask(tx, account_ref, action))
    for item in worklist.list_open(tx, account_ref=account_ref):
        if item.kind == "payment_due" and item.subject not in asked:
            worklist.done(tx, item.item_id)


def _ask(tx: Tx, account_ref: str, action: RequestPayment) -> str:
    subject = "/".join(action.obligations)
    why = f"; not by autopay: {action.why_not_autopay}" if action.why_not_autopay else ""
    says = f"{action.amount} may be asked for from {action.due_at:%Y-%m-%d}{why}"
    worklist.open_item(tx, kind="payment_due", subject=subject, says=says, account_ref=account_ref)
    return subject


def actions(tx: Tx, account_ref: str, tenant: Tenant) -> list[Action]:
    """What the policy says about the account at this moment."""
    found = store.obligations_of(tx, account_ref)
    by_facility: dict[str, list[ObligationView]] = {}
    for one in found:
        by_facility.setdefault(one.facility, []).append(one)
    decided: list[Action] = []
    for name, members in sorted(by_facility.items()):
        facility = tenant.facility(name)
        decided += decide(members, facility, tx.now, consents=_consents(tx, account_ref, facility.merchant))
    return decided


def _consents(tx: Tx, account_ref: str, merchant: str) -> list[Consent]:
    found: list[Consent] = []
    for method in stored_methods.of_account(tx, account_ref):
        consent = stored_methods.live_consent(tx, method.method_id)
        if method.merchant == merchant and consent is not None:
            found.append(Consent(method.method_id, method.debtor_ref, consent.cap))
    return found


def fact_of(action: AutopayDue) -> str:
    """The business fact that is charged once."""
    return f"autopay:{'+'.join(sorted(action.obligations))}:{action.amount.minor}"


@dataclass(frozen=True, slots=True)
class Collect:
    """The outbox handler of kind `autopay`."""

    units: Units
    tenant: Tenant

    async def autopay(self, work: Work) -> None:
        await self.units.write(self._autopay, work)

    def _autopay(self, tx: Tx, work: Work) -> None:
        account_ref, _, fact = work.ref.partition("|")
        rows.lock(tx, [account_ref])
        for action in actions(tx, account_ref, self.tenant):
            if not isinstance(action, AutopayDue) or fact_of(action) != fact:
                continue  # what is owed has changed since; the change has queued what follows from it
            wish = NewPayment(
                account_ref=account_ref,
                requested_by="policy:autopay",
                amount=action.amount,
                obligations=action.obligations,
                method_id=action.method_id,
                initiated_by="merchant",
                fact_key=fact_of(action),
            )
            payment_id = start(tx, wish, self.tenant)
            log.info("autopay.started", payment_id=payment_id)
        complete(tx, work)
