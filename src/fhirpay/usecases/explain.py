"""`explain ID`: from any id in the chain, the whole chain. Called by the CLI, the API and the demo; reads only.

    message → ChargeItem, Invoice, Account → what is owed and why → payment, its calls → ledger entries → EHR, payout

First the id is found, wherever it is known (`_FINDERS`, in order); that names accounts, obligations and payments. Then
the tree is drawn from what came in down to what was posted back. A new kind of id is one more finder.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..billing import adjustments
from ..billing import store as billing
from ..billing.adjustments import Adjustment
from ..billing.assessment import Basis
from ..billing.cutover import by_reference
from ..billing.reach import accounts_of
from ..billing.rows import ObligationView
from ..db.types import legible
from ..db.unit import Tx
from ..errors import NotFound
from ..fhir import store as fhir
from ..fhir.search import search
from ..fhir.store import Stored
from ..inbox import decisions
from ..inbox import store as inbox
from ..inbox.store import InboxMessage
from ..ledger import store as ledger
from ..payments import choice, disputes, movements, refunds, returns, tenders, terminals
from ..payments import store as payments
from ..writeback import store as writeback
from ..writeback.references import sources
from ..writeback.store import Posting
from . import explain_bags, explain_ends, explain_payouts, explain_said, external_payments
from . import explain_nodes as nodes
from .explain_text import Chain, Node

__all__ = ["Chain", "Node", "explain", "explain_resource"]

_SHOWN = 100  # characters of an id that is none
_TYPES = ("ChargeItem", "Account", "Invoice", "Encounter", "Appointment", "Coverage", "Patient", "RelatedPerson")
_TYPES += ("Organization", "PaymentReconciliation")


@dataclass
class _Scope:
    """What the id leads to. `resources` are references in the order in which they were met."""

    found_as: str
    messages: list[str] = field(default_factory=list[str])
    resources: list[str] = field(default_factory=list[str])
    accounts: list[str] = field(default_factory=list[str])
    obligations: list[str] = field(default_factory=list[str])
    payments: list[str] = field(default_factory=list[str])
    ends: list[Node] = field(default_factory=list[Node])


def explain(tx: Tx, some_id: str) -> Chain:
    """The chain that this id stands in. Raises NotFound when it is nowhere."""
    wanted = some_id.strip()
    for finder in _FINDERS if wanted.isprintable() else ():
        scope = finder(tx, wanted) if wanted else None
        if scope is not None:
            return Chain(wanted, scope.found_as, _Drawing(tx, scope).roots())
    raise NotFound(
        f"'{legible(wanted[:_SHOWN])}' is no message, resource, obligation, payment, refund, dispute, payout,"
        " bank line, bag, ledger entry or posting that is kept here"
    )


def explain_resource(tx: Tx, reference: str) -> Chain:
    """The same of one resource by `Type/id`, whatever else may bear that name. Raises NotFound."""
    _, _, id = reference.partition("/")
    posted = [one for one in writeback.find(tx, id) if reference == f"PaymentReconciliation/{one.posting_id}"]
    scope = _of_postings(tx, posted) if posted else _resource(tx, reference)
    if scope is None:
        raise NotFound(f"there is no {reference}")
    return Chain(reference, scope.found_as, _Drawing(tx, scope).roots())


# ── finding ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _message(tx: Tx, some_id: str) -> _Scope | None:
    found = inbox.find_by_control_id(tx, some_id)
    if not found:
        try:
            found = [inbox.get(tx, some_id)]
        except NotFound:
            return None
    says = f"the message {found[0].message_id}"
    if some_id == found[0].control_id:
        says = f"the id of {len(found)} messages" if len(found) > 1 else f"the sender's id of {found[0].message_id}"
    scope = _Scope(says, messages=[one.message_id for one in found])
    for reference in _unique(ref for one in found for ref in _written_by(one)):
        _add_resource(tx, scope, reference)
    for named in _unique(one.meta.get("our_reference", "") for one in found):  # a processor's event
        if named and (about := _payment(tx, named)):
            _append(scope.payments, about.payments)
            _append(scope.accounts, about.accounts)
            _append(scope.obligations, about.obligations)
    return scope


def _written_by(message: InboxMessage) -> list[str]:
    """What the message made or changed: noted when it was applied, or by the FHIR write itself."""
    versions = json.loads(message.meta.get("versions", "[]"))
    return [*message.resources, *(version.partition("/_history")[0] for version in versions)]


def _resource(tx: Tx, some_id: str) -> _Scope | None:
    found = _resources(tx, some_id)
    if not found:
        return None
    names = ", ".join(one.reference for one in found)
    article = "an" if found[0].type[0] in "AEIO" else "a"
    scope = _Scope(names if some_id != names else f"{article} {found[0].type}")
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


def _add_resource(tx: Tx, scope: _Scope, reference: str) -> None:
    """A resource, what rests on it, and (for what isn't itself a reason to owe) everything on its accounts."""
    kind, _, id = reference.partition("/")
    stored = fhir.get(tx, kind, id)
    if stored is None:
        return
    _append(scope.resources, [reference])
    resting = billing.resting_on(tx, reference)
    accounts = accounts_of(tx, stored.resource) | {one.account_ref for one in resting}
    _append(scope.accounts, sorted(accounts))
    if not resting or kind == "Account":
        resting = [one for ref in sorted(accounts) for one in billing.obligations_of(tx, ref)]
    _append(scope.obligations, [one.obligation_id for one in resting])


def _obligation(tx: Tx, some_id: str) -> _Scope | None:
    try:
        one = billing.obligation(tx, some_id)
    except NotFound:
        return None
    scope = _Scope("an obligation", accounts=[one.account_ref], obligations=[some_id])
    _append(scope.resources, one.targets)
    return scope


def _opening(tx: Tx, some_id: str) -> _Scope | None:
    """By our id, or by its reference in the system before."""
    found = by_reference(tx, some_id)
    resting = billing.resting_on(tx, found["opening_id"] if found else some_id)
    if not resting or resting[0].basis_kind != Basis.OPENING:
        return None
    scope = _Scope("an opening balance", accounts=[one.account_ref for one in resting])
    _append(scope.obligations, [one.obligation_id for one in resting])
    _append(scope.resources, [target for one in resting for target in one.targets])
    return scope


def _adjustment(tx: Tx, some_id: str) -> _Scope | None:
    """By its id, or as its FT1-2."""
    found = adjustments.find(tx, some_id.partition("-")[0])
    return _of_adjustments(tx, "an adjustment", [found]) if found else None


def _of_adjustments(tx: Tx, found_as: str, found: Iterable[Adjustment]) -> _Scope:
    owed = [billing.obligation(tx, one.obligation_id) for one in found]
    scope = _Scope(found_as, accounts=[one.account_ref for one in owed])
    _append(scope.obligations, [one.obligation_id for one in owed])
    _append(scope.resources, [target for one in owed for target in one.targets])
    return scope


def _payment(tx: Tx, some_id: str) -> _Scope | None:
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


def _entry(tx: Tx, some_id: str) -> _Scope | None:
    posted = ledger.entry(tx, some_id)
    if posted is None:
        return None
    dims = [posting.dims for posting in posted.entry.postings]
    said = f"entry {posted.seq} of the ledger"
    scope = _of_payments(tx, said, _unique(one["payment"] for one in dims if "payment" in one))
    _append(scope.obligations, [one["obligation"] for one in dims if "obligation" in one])
    _append(scope.accounts, [one["account_ref"] for one in dims if "account_ref" in one])
    return scope


def _posting(tx: Tx, some_id: str) -> _Scope | None:
    wanted = some_id.removeprefix("PaymentReconciliation/").rpartition("|")[2]
    found = writeback.find(tx, wanted)
    return _of_postings(tx, found) if found else None


def _of_postings(tx: Tx, found: Sequence[Posting]) -> _Scope:
    one = found[0]
    said = (
        f"{one.resource_type}/{one.remote_id} at '{one.connection}'" if one.remote_id else f"posting {one.posting_id}"
    )
    if one.is_payout:
        return _of_payments(tx, *explain_payouts.of_postings(tx, found))
    if one.is_adjustment:
        return _of_adjustments(tx, said, [adjustments.get(tx, one.subject)])
    return _of_payments(tx, said, _unique(one.payment_id for one in found))


_FINDERS: tuple[Callable[[Tx, str], _Scope | None], ...] = (
    _message,
    _obligation,
    _opening,
    _adjustment,
    _payment,
    _entry,
    _posting,
    _resource,
)


def _of_payments(tx: Tx, found_as: str, ids: Iterable[str]) -> _Scope:
    scope = _Scope(found_as, payments=list(ids))
    for payment_id in scope.payments:
        payment = payments.get(tx, payment_id)
        _append(scope.accounts, [payment.account_ref])
        _append(scope.resources, [external_payments.resource_of(payment)])
        _append(scope.obligations, [share.obligation_id for share in payments.allocations(tx, payment_id)])
    return scope


# ── drawing ───────────────────────────────────────────────────────────────────────────────────────────────────────


class _Drawing:
    """The tree of a scope. Everything is drawn in full once, and named where it comes up again."""

    def __init__(self, tx: Tx, scope: _Scope) -> None:
        self._tx = tx
        self._scope = scope
        self._drawn: set[str] = set()
        self._obligations = [billing.obligation(tx, id) for id in scope.obligations]
        self._add_superseding()
        self._add_charges()
        _append(scope.resources, [target for one in self._obligations for target in one.targets])
        _append(scope.resources, scope.accounts)
        for one in self._obligations:
            shares = payments.allocations_to(tx, one.obligation_id)
            _append(scope.payments, [share.payment_id for share in shares])

    def roots(self) -> tuple[Node, ...]:
        """Messages in the order in which they came; then what came by no message, and payments that nothing owes."""
        homes = {ref: self._sources(ref) for ref in self._scope.resources}
        ids = _unique([*self._scope.messages, *(id for found in homes.values() for id in found)])
        found = sorted(self._known(ids), key=lambda one: (one.received_at, one.message_id))
        roots: list[Node] = []
        for message in found:
            wrote = [ref for ref, by in homes.items() if message.message_id in by]
            decided = decisions.about(self._tx, message.message_id)
            roots.append(nodes.message(message, decided, [self._resource(ref) for ref in wrote]))
        orphans = [ref for ref in self._scope.resources if ref not in self._drawn]
        roots += [self._resource(ref) for ref in orphans]
        roots += [self._payment(id) for id in self._scope.payments if id not in self._drawn]
        return (*roots, *self._scope.ends)

    def _add_superseding(self) -> None:
        """Who took over from an obligation that no longer counts belongs to the answer."""
        known = {one.obligation_id for one in self._obligations}
        for one in list(self._obligations):
            for other in billing.obligations_of(self._tx, one.account_ref) if one.superseded_by else ():
                if one.superseded_by in (other.obligation_id, other.basis_key) and other.obligation_id not in known:
                    known.add(other.obligation_id)
                    self._obligations.append(other)

    def _add_charges(self) -> None:
        """The charges that an Invoice bills or that were made at a visit: what the money is for in the end."""
        known = {one.obligation_id for one in self._obligations}
        for target in _unique(target for one in self._obligations for target in one.targets):
            for charge in self._charges_of(target):
                _append(self._scope.resources, [charge])
                resting = [one for one in billing.resting_on(self._tx, charge) if one.obligation_id not in known]
                known |= {one.obligation_id for one in resting}
                self._obligations += resting

    def _charges_of(self, reference: str) -> list[str]:
        kind, _, id = reference.partition("/")
        if kind == "Encounter":
            return [one.reference for one in fhir.referring(self._tx, "ChargeItem", "context", reference)]
        bill = fhir.get(self._tx, kind, id) if kind == "Invoice" else None
        lines = bill.resource.get("lineItem", ()) if bill else ()
        return [line["chargeItemReference"]["reference"] for line in lines if _is_literal(line)]

    def _sources(self, reference: str) -> list[str]:
        kind, _, id = reference.partition("/")
        return sources(self._tx, kind, id)

    def _known(self, ids: Iterable[str]) -> list[InboxMessage]:
        found: list[InboxMessage] = []
        for message_id in ids:
            try:
                found.append(inbox.get(self._tx, message_id))
            except NotFound:
                continue
        return found

    def _resource(self, reference: str) -> Node:
        if reference in self._drawn:
            return nodes.mention(reference, "written again, shown above")
        self._drawn.add(reference)
        kind, _, id = reference.partition("/")
        stored = fhir.get(self._tx, kind, id)
        if stored is None:
            return nodes.mention(reference, "not kept here")
        rests = [one for one in self._obligations if self._home(one) == reference]
        children = [self._obligation(one) for one in rests if one.obligation_id not in self._drawn]
        return nodes.resource(stored, children)

    def _home(self, one: ObligationView) -> str:
        """Where an obligation is drawn: under what it is for, else under its account."""
        return next((target for target in one.targets if target in self._scope.resources), one.account_ref)

    def _obligation(self, one: ObligationView) -> Node:
        self._drawn.add(one.obligation_id)
        children: list[Node] = []
        for posted in ledger.entries_for(self._tx, obligation=one.obligation_id):
            moves_money = any("payment" in posting.dims for posting in posted.entry.postings)
            if not moves_money and posted.entry_id not in self._drawn:
                self._drawn.add(posted.entry_id)
                children.append(nodes.entry(posted))
        for adjusted in adjustments.of_obligations(self._tx, [one.obligation_id]):
            postings = [nodes.posting(each) for each in writeback.of_subject(self._tx, adjusted.adjustment_id)]
            back = adjustments.taken_back_by(self._tx, adjusted)
            children.append(nodes.adjustment(adjusted, back, postings))
        for share in payments.allocations_to(self._tx, one.obligation_id):
            children.append(self._payment(share.payment_id))
        return nodes.obligation(one, children)

    def _payment(self, payment_id: str) -> Node:
        if payment_id in self._drawn:
            return nodes.mention(payment_id, "the same payment, shown above")
        self._drawn.add(payment_id)
        tx = self._tx
        payment = payments.get(tx, payment_id)
        backs = refunds.of_payment(tx, payment_id)
        postings = writeback.of_payment(tx, payment_id)
        operations = payments.operations_of(tx, payment_id)
        entries = ledger.entries_for(tx, payment=payment_id)
        came_back = returns.of_payment(tx, payment_id)
        disputed = disputes.of_payment(tx, payment_id)
        losses = disputes.losses_of_payment(tx, payment_id)
        subjects = [*(one.refund_id for one in backs), *(one.return_id for one in came_back)]
        subjects += [*(one.dispute_id for one in disputed), *(one.loss_id for one in losses)]
        of_refund = {one: [e for e in entries if nodes.about(e, one)] for one in subjects}
        own = [e for e in entries if not any(e in listed for listed in of_refund.values())]
        children = [nodes.operation(one) for one in operations if one.refund_id is None]
        children += [nodes.entry(one) for one in own]
        children += [nodes.posting(one) for one in postings if not one.is_refund]
        for back in backs:
            under = [nodes.operation(one) for one in operations if one.refund_id == back.refund_id]
            under += [nodes.entry(one) for one in of_refund[back.refund_id]]
            under += [nodes.posting(one) for one in postings if one.subject == back.refund_id]
            children.append(nodes.refund(back, under, tenders.given_back(tx, back.refund_id)))
        for back in came_back:
            under = [nodes.entry(one) for one in of_refund[back.return_id]]
            under += [nodes.posting(one) for one in postings if one.subject == back.return_id]
            children.append(nodes.returned(back, under))
        for moved in movements.of_payment(tx, payment_id):
            under = [nodes.posting(one) for one in postings if one.subject == moved.movement_id]
            children.append(nodes.movement(moved, under))
        for dispute in disputed:
            mine = [dispute.dispute_id, *(one.loss_id for one in losses if one.dispute_id == dispute.dispute_id)]
            listed = {one.entry_id: one for subject in mine for one in of_refund[subject]}
            under = [nodes.entry(one) for one in listed.values()]
            under += [nodes.posting(one) for one in postings if one.subject in mine]
            children.append(nodes.dispute(dispute, under))
        children += explain_said.nodes_of(tx, [payment_id, *subjects])
        children += explain_payouts.nodes_of(tx, payment_id) + explain_payouts.receipt_of(tx, payment_id)
        children += explain_bags.nodes_of(tx, payment)
        tender = tenders.find(tx, payment)
        tried = choice.tries_of(tx, payment_id)
        shares, reader = payments.allocations(tx, payment_id), terminals.find(tx, payment_id)
        return nodes.payment(payment, shares, children, tender, tried, reader)


def _is_literal(line: Mapping[str, Any]) -> bool:
    return "reference" in line.get("chargeItemReference", {})


def _append(known: list[str], more: Iterable[str]) -> None:
    known.extend(one for one in _unique(more) if one and one not in known)


def _unique(items: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(items))
