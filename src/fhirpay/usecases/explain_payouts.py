"""A payment's lines in payouts, as nodes of `explain`: the end of its way, as far as its processor tells."""

from __future__ import annotations

from collections.abc import Sequence

from ..bank import apart, matches, receipts
from ..bank import store as bank
from ..db.unit import Tx
from ..settlement import store as settlement
from ..settlement.store import Line, Payout
from ..writeback import store
from ..writeback.store import Posting
from . import explain_nodes as nodes
from .explain_text import Node


def payments_of(tx: Tx, some_id: str) -> tuple[str, list[str]] | None:
    """What this id of a payout or of a line is, and the payments that it is of. None: it is neither."""
    if found := settlement.find(tx, some_id):
        lines = [line for payout in found for line in settlement.lines_of(tx, payout)]
        says = f"payout {found[0].processor_ref} of {found[0].amount}, {found[0].state}"
    elif lines := settlement.find_lines(tx, some_id):
        says = f"a line of payout {lines[0].payout_ref}"
    elif some_id.startswith("bnk") and (ids := matches.payouts_of_line(tx, some_id)):
        lines = [line for one in ids for line in settlement.lines_of(tx, settlement.by_id(tx, one))]
        says = f"a bank line of {len(ids)} payouts"
    elif some_id.startswith("bnk") and (parts := receipts.of_line(tx, some_id)):
        return f"a bank line credited as {len(parts)} payments", [one.payment_id for one in parts]
    else:
        return None
    return says, list(dict.fromkeys(one.payment_id for one in lines if one.payment_id))


def of_postings(tx: Tx, found: Sequence[Posting]) -> tuple[str, list[str]]:
    """What the posting of a payout is, and the payments that the payout is of."""
    one = found[0]
    name = f"{one.resource_type}/{one.remote_id}" if one.remote_id else f"posting {one.posting_id}"
    says, ids = payments_of(tx, one.payment_id) or ("", [])
    return f"{name} at '{one.connection}': {says}", ids


def nodes_of(tx: Tx, payment_id: str) -> list[Node]:
    """Oldest first."""
    found = [(line, _payout(tx, line)) for line in settlement.lines_of_payment(tx, payment_id)]
    return [line_node(line, payout, ends_of(tx, payout) if payout else ()) for line, payout in found]


def receipt_of(tx: Tx, payment_id: str) -> list[Node]:
    """The bank line that the payment is of, where it was a receipt of nobody: who credited it, who took it back."""
    one = receipts.of_payment(tx, payment_id)
    if one is None:
        return []
    line = bank.line(tx, one.line_id)
    says = (
        f"bank line {line.line_id}: {line.amount} on {line.booked_on} in account '{line.account}', {one.amount} of it"
    )
    notes = [f"credited by {one.by}: {one.why}"]
    notes += [f"taken back by {one.back_by}: {one.back_why}"] if one.back_by else []
    facts = {
        "account": line.account,
        "bookedOn": line.booked_on.isoformat(),
        "amount": f"{line.amount.decimal:f}",
        "currency": line.amount.currency,
        "reference": line.reference or None,
        "credited": f"{one.amount.decimal:f}",
        "creditedBy": one.by,
        "takenBackBy": one.back_by or None,
    }
    return [Node("bankLine", line.line_id, says, tuple(notes), facts)]


def ends_of(tx: Tx, payout: Payout) -> tuple[Node, ...]:
    """A payout's lines at the bank, and its postings."""
    return (*at_bank(tx, payout.payout_id), *_posted(tx, payout))


def at_bank(tx: Tx, subject: str) -> tuple[Node, ...]:
    """The bank's lines of a payout, as it arrived and as it was taken back; of a bag, of a check that bounced."""
    found: list[Node] = []
    for match in matches.of_subject(tx, subject):
        how = f"by {match.by}" if match.by else f"by rule '{match.rule}', {match.confidence}"
        for line in bank.lines_of_match(tx, match.match_id):
            says = f"bank line {line.line_id}: {line.amount} on {line.booked_on} in account '{line.account}', {how}"
            facts = {
                "account": line.account,
                "bookedOn": line.booked_on.isoformat(),
                "amount": f"{line.amount.decimal:f}",
                "currency": line.amount.currency,
                "reference": line.reference or None,
                "match": match.match_id,
                "rule": match.rule,
                "confidence": match.confidence,
                "what": match.what,
            }
            found.append(Node("bankLine", line.line_id, says, (), facts))
    for one in apart.of_subject(tx, subject):
        says = f"bank line {one.line_id} was matched by rule '{one.rule}', and taken back by {one.by}: {one.why}"
        facts = {"match": one.match_id, "rule": one.rule, "takenBackBy": one.by, "reason": one.why}
        found.append(Node("bankLine", one.line_id, says, (), facts))
    return tuple(found)


def _posted(tx: Tx, payout: Payout) -> list[Node]:
    """The postings of it, and of what takes it back."""
    return [nodes.posting(one) for one in store.of_payment(tx, payout.payout_id)]


def _payout(tx: Tx, line: Line) -> Payout | None:
    found = [one for one in settlement.find(tx, line.payout_ref) if one.merchant == line.merchant]
    return found[0] if found else None


def line_node(line: Line, payout: Payout | None, ends: tuple[Node, ...]) -> Node:
    """A line, and where its payout has ended."""
    kind = str(line.kind).replace("_", " ")
    fee = f", fee {line.fee}" if line.fee else ""
    says = f"line {line.line_ref}: {kind} of {line.gross}{fee}, net {line.net}, in payout {line.payout_ref}"
    if payout is not None:
        arrives = f", arrives {payout.arrives_on}" if payout.arrives_on else ""
        says += f" of {payout.amount}, {payout.state}{arrives}"
    facts = {
        "kind": str(line.kind),
        "gross": f"{line.gross.decimal:f}",
        "fee": f"{line.fee.decimal:f}",
        "net": f"{line.net.decimal:f}",
        "currency": line.net.currency,
        "payout": line.payout_ref,
        "payoutState": str(payout.state) if payout else None,
        "arrivesOn": payout.arrives_on or None if payout else None,
    }
    return Node("payoutLine", line.line_ref, says, (), facts, ends)
