"""`explain ID`: from any id in the chain, the whole chain. Called by the CLI, the API and the demo; reads only.

    message → ChargeItem, Invoice, Account → what is owed and why → payment, its calls → ledger entries → EHR, payout

First the id is found, wherever it is known (`FINDERS`, in order); that names accounts, obligations and payments. Then
the tree is drawn from what came in down to what was posted back. A new kind of id is one more finder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..billing import adjustments
from ..billing import store as billing
from ..billing.rows import ObligationView
from ..db.types import legible
from ..db.unit import Tx
from ..errors import NotFound
from ..fhir import store as fhir
from ..inbox import decisions
from ..inbox import store as inbox
from ..inbox.store import InboxMessage
from ..ledger import store as ledger
from ..payments import choice, disputes, movements, refunds, returns, tenders, terminals
from ..payments import store as payments
from ..writeback import store as writeback
from ..writeback.references import sources
from . import explain_bags, explain_bank, explain_payouts, explain_said
from . import explain_nodes as nodes
from .explain_found import FINDERS, Scope, append, of_postings, of_resource, unique
from .explain_text import Chain, Node

__all__ = ["Chain", "Node", "explain", "explain_resource"]

_SHOWN = 100  # characters of an id that is none


def explain(tx: Tx, some_id: str) -> Chain:
    """The chain that this id stands in. Raises NotFound when it is nowhere."""
    wanted = some_id.strip()
    for finder in FINDERS if wanted.isprintable() else ():
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
    scope = of_postings(tx, posted) if posted else of_resource(tx, reference)
    if scope is None:
        raise NotFound(f"there is no {reference}")
    return Chain(reference, scope.found_as, _Drawing(tx, scope).roots())


class _Drawing:
    """The tree of a scope. Everything is drawn in full once, and named where it comes up again."""

    def __init__(self, tx: Tx, scope: Scope) -> None:
        self._tx = tx
        self._scope = scope
        self._drawn: set[str] = set()
        self._obligations = [billing.obligation(tx, id) for id in scope.obligations]
        self._add_superseding()
        self._add_charges()
        append(scope.resources, [target for one in self._obligations for target in one.targets])
        append(scope.resources, scope.accounts)
        for one in self._obligations:
            shares = payments.allocations_to(tx, one.obligation_id)
            append(scope.payments, [share.payment_id for share in shares])

    def roots(self) -> tuple[Node, ...]:
        """Messages in the order in which they came; then what came by no message, and payments that nothing owes."""
        homes = {ref: self._sources(ref) for ref in self._scope.resources}
        ids = unique([*self._scope.messages, *(id for found in homes.values() for id in found)])
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
        for target in unique(target for one in self._obligations for target in one.targets):
            for charge in self._charges_of(target):
                append(self._scope.resources, [charge])
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
        children += explain_payouts.nodes_of(tx, payment_id) + explain_bank.receipt_of(tx, payment_id)
        children += explain_bags.nodes_of(tx, payment)
        tender = tenders.find(tx, payment)
        tried = choice.tries_of(tx, payment_id)
        shares, reader = payments.allocations(tx, payment_id), terminals.find(tx, payment_id)
        return nodes.payment(payment, shares, children, tender, tried, reader)


def _is_literal(line: Mapping[str, Any]) -> bool:
    return "reference" in line.get("chargeItemReference", {})
