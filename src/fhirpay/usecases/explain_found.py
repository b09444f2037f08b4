"""What an id leads to, wherever it is known: accounts, obligations, payments, and what came in of them.

Called by `explain.py`, which draws it. A new kind of id is one more finder, in `FINDERS`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from ..billing import adjustments
from ..billing import store as billing
from ..billing.adjustments import Adjustment
from ..billing.assessment import Basis
from ..billing.cutover import by_reference
from ..billing.reach import accounts_of
from ..db.unit import Tx
from ..errors import NotFound
from ..fhir import store as fhir
from ..fhir.search import search
from ..fhir.store import Stored
from ..inbox import store as inbox
from ..inbox.store import InboxMessage
from ..ledger import store as ledger
from ..payments import disputes, movements, refunds, returns
from ..payments import store as payments
from ..writeback import store as writeback
from ..writeback.store import Posting
from . import explain_bags, explain_ends, explain_payouts, explain_said, external_payments
from .explain_text import Node

_TYPES = ("ChargeItem", "Account", "Invoice", "Encounter", "Appointment", "Coverage", "Patient", "RelatedPerson")
_TYPES += ("Organization", "PaymentReconciliation")


@dataclass
class Scope:
    """What the id leads to. `resources` are references in the order in which they were met."""

    found_as: str
    messages: list[str] = field(default_factory=list[str])
    resources: list[str] = field(default_factory=list[str])
    accounts: list[str] = field(default_factory=list[str])
    obligations: list[str] = field(default_factory=list[str])
    payments: list[str] = field(default_factory=list[str])
    ends: list[Node] = field(default_factory=list[Node])


def _message(tx: Tx, some_id: str) -> Scope | None:
    found = inbox.find_by_control_id(tx, some_id)
    if not found:
        try:
            found = [inbox.get(tx, some_id)]
        except NotFound:
            return None
    says = f"the message {found[0].message_id}"
    if some_id == found[0].control_id:
        says = f"the id of {len(found)} messages" if len(found) > 1 else f"the sender's id of {found[0].message_id}"
    scope = Scope(says, messages=[one.message_id for one in found])
    for reference in unique(ref for one in found for ref in _written_by(one)):
        _add_resource(tx, scope, reference)
    for named in unique(one.meta.get("our_reference", "") for one in found):  # a processor's event
        if named and (about := _payment(tx, named)):
            append(scope.payments, about.payments)
            append(scope.accounts, about.accounts)
            append(scope.obligations, about.obligations)
    return scope


def _written_by(message: InboxMessage) -> list[str]:
    """What the message made or changed: noted when it was applied, or by the FHIR write itself."""
    versions = json.loads(message.meta.get("versions", "[]"))
    return [*message.resources, *(version.partition("/_history")[0] for version in versions)]


def of_resource(tx: Tx, some_id: str) -> Scope | None:
    """Of a resource by `Type/id`, its id alone or an identifier of its sender's; None where there is none."""
    found = _resources(tx, some_id)
    if not found:
        return None
    names = ", ".join(one.reference for one in found)
    article = "an" if found[0].type[0] in "AEIO" else "a"
    scope = Scope(names if some_id != names else f"{article} {found[0].type}")
    for one in found:
        _add_resource(tx, scope, one.reference)
    return scope


def _resources(tx: Tx, some_id: str) -> list[Stored]:
    """By `Type/id`, by id alone, by `system|value`, by the value of an identifier."""
    kind, slash, id = some_id.partition("/")
    if slash and kind in _TYPES:
        one = fhir.get(tx, kind, id.partition("/")[0])
        return [one] if one else []
    by_id = [one for kind in _TYPES if (one := fhir.get(tx, kind, some_id))]
    if by_id:
        return by_id
    token = some_id.replace("\\", "\\\\").replace(",", "\\,")
    return [one for kind in _TYPES for one in search(tx, kind, [("identifier", token)]).matches]


def _add_resource(tx: Tx, scope: Scope, reference: str) -> None:
    """A resource, what rests on it, and (for what isn't itself a reason to owe) everything on its accounts."""
    kind, _, id = reference.partition("/")
    stored = fhir.get(tx, kind, id)
    if stored is None:
        return
    append(scope.resources, [reference])
    resting = billing.resting_on(tx, reference)
    accounts = accounts_of(tx, stored.resource) | {one.account_ref for one in resting}
    append(scope.accounts, sorted(accounts))
    if not resting or kind == "Account":
        resting = [one for ref in sorted(accounts) for one in billing.obligations_of(tx, ref)]
    append(scope.obligations, [one.obligation_id for one in resting])


def _obligation(tx: Tx, some_id: str) -> Scope | None:
    try:
        one = billing.obligation(tx, some_id)
    except NotFound:
        return None
    scope = Scope("an obligation", accounts=[one.account_ref], obligations=[some_id])
    append(scope.resources, one.targets)
    return scope


def _opening(tx: Tx, some_id: str) -> Scope | None:
    """By our id, or by its reference in the system before."""
    found = by_reference(tx, some_id)
    resting = billing.resting_on(tx, found["opening_id"] if found else some_id)
    if not resting or resting[0].basis_kind != Basis.OPENING:
        return None
    scope = Scope("an opening balance", accounts=[one.account_ref for one in resting])
    append(scope.obligations, [one.obligation_id for one in resting])
    append(scope.resources, [target for one in resting for target in one.targets])
    return scope


def _adjustment(tx: Tx, some_id: str) -> Scope | None:
    """By its id, or as its FT1-2."""
    found = adjustments.find(tx, some_id.partition("-")[0])
    return _of_adjustments(tx, "an adjustment", [found]) if found else None


def _of_adjustments(tx: Tx, found_as: str, found: Iterable[Adjustment]) -> Scope:
    owed = [billing.obligation(tx, one.obligation_id) for one in found]
    scope = Scope(found_as, accounts=[one.account_ref for one in owed])
    append(scope.obligations, [one.obligation_id for one in owed])
    append(scope.resources, [target for one in owed for target in one.targets])
    return scope


def _payment(tx: Tx, some_id: str) -> Scope | None:
    if found := payments.find(tx, some_id):
        whose = "the EHR's number" if found[0].method == payments.EXTERNAL else "the processor's id"
        said = "a payment" if some_id == found[0].payment_id else f"{whose} of {found[0].payment_id}"
        return _of_payments(tx, said, [one.payment_id for one in found])
    if back := refunds.find(tx, some_id):
        said = f"a refund of {back[0].payment_id}"
        return _of_payments(tx, said, [one.payment_id for one in back])
    if came_back := returns.find(tx, some_id):
        said = f"a return of {came_back[0].payment_id}"
        return _of_payments(tx, said, [one.payment_id for one in came_back])
    if moved := movements.find(tx, some_id):
        return _of_payments(tx, f"a {moved.kind} of {moved.payment_id}", [moved.payment_id])
    if disputed := disputes.find(tx, some_id):
        said = f"a dispute of {disputed[0].payment_id}"
        return _of_payments(tx, said, [one.payment_id for one in disputed])
    paid_out = explain_payouts.payments_of(tx, some_id) or explain_bags.payments_of(tx, some_id)
    if ended := paid_out or explain_ends.says_of(tx, some_id) or explain_said.says_of(tx, some_id):
        scope = _of_payments(tx, *ended)
        scope.ends += explain_ends.nodes_of(tx, some_id) + explain_said.node_of(tx, some_id)
        return scope
    try:
        operation = payments.operation(tx, some_id)
    except NotFound:
        return None
    return _of_payments(tx, f"a call to the processor about {operation.payment_id}", [operation.payment_id])


def _entry(tx: Tx, some_id: str) -> Scope | None:
    posted = ledger.entry(tx, some_id)
    if posted is None:
        return None
    dims = [posting.dims for posting in posted.entry.postings]
    said = f"entry {posted.seq} of the ledger"
    scope = _of_payments(tx, said, unique(one["payment"] for one in dims if "payment" in one))
    append(scope.obligations, [one["obligation"] for one in dims if "obligation" in one])
    append(scope.accounts, [one["account_ref"] for one in dims if "account_ref" in one])
    return scope


def _posting(tx: Tx, some_id: str) -> Scope | None:
    wanted = some_id.removeprefix("PaymentReconciliation/").rpartition("|")[2]
    found = writeback.find(tx, wanted)
    return of_postings(tx, found) if found else None


def of_postings(tx: Tx, found: Sequence[Posting]) -> Scope:
    """Of what was posted to EHRs: the payments that it tells of."""
    one = found[0]
    said = (
        f"{one.resource_type}/{one.remote_id} at '{one.connection}'" if one.remote_id else f"posting {one.posting_id}"
    )
    if one.is_payout:
        return _of_payments(tx, *explain_payouts.of_postings(tx, found))
    if one.is_adjustment:
        return _of_adjustments(tx, said, [adjustments.get(tx, one.subject)])
    return _of_payments(tx, said, unique(one.payment_id for one in found))


FINDERS: tuple[Callable[[Tx, str], Scope | None], ...] = (
    _message,
    _obligation,
    _opening,
    _adjustment,
    _payment,
    _entry,
    _posting,
    of_resource,
)


def _of_payments(tx: Tx, found_as: str, ids: Iterable[str]) -> Scope:
    scope = Scope(found_as, payments=list(ids))
    for payment_id in scope.payments:
        payment = payments.get(tx, payment_id)
        append(scope.accounts, [payment.account_ref])
        append(scope.resources, [external_payments.resource_of(payment)])
        append(scope.obligations, [share.obligation_id for share in payments.allocations(tx, payment_id)])
    return scope


def append(known: list[str], more: Iterable[str]) -> None:
    known.extend(one for one in unique(more) if one and one not in known)


def unique(items: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(items))
