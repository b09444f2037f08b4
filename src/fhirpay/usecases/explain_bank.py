"""The bank's lines as nodes of `explain`: of a payout, a bag, a bounced check, a credited receipt, and alone.

Called by the other files of `explain`; reads only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..bank import apart, matches, receipts
from ..bank import store as bank
from ..bank.store import BankLine
from ..db.unit import Tx
from .explain_text import Node


def at_bank(tx: Tx, subject: str) -> tuple[Node, ...]:
    """The bank's lines of a payout, as it arrived and as it was taken back; of a bag, of a check that bounced."""
    found: list[Node] = []
    for match in matches.of_subject(tx, subject):
        how = f"by {match.by}" if match.by else f"by rule '{match.rule}', {match.confidence}"
        of = {"match": match.match_id, "rule": match.rule, "confidence": match.confidence, "what": match.what}
        found += [_node(line, how, of) for line in bank.lines_of_match(tx, match.match_id)]
    for one in apart.of_subject(tx, subject):
        says = f"bank line {one.line_id} was matched by rule '{one.rule}', and taken back by {one.by}: {one.why}"
        facts = {"match": one.match_id, "rule": one.rule, "takenBackBy": one.by, "reason": one.why}
        found.append(Node("bankLine", one.line_id, says, (), facts))
    return tuple(found)


def receipt_of(tx: Tx, payment_id: str) -> list[Node]:
    """The bank line that the payment is of, where it was a receipt of nobody: who credited it, who took it back."""
    one = receipts.of_payment(tx, payment_id)
    if one is None:
        return []
    notes = [f"credited by {one.by}: {one.why}"]
    notes += [f"taken back by {one.back_by}: {one.back_why}"] if one.back_by else []
    of = {"credited": f"{one.amount.decimal:f}", "creditedBy": one.by, "takenBackBy": one.back_by or None}
    return [_node(bank.line(tx, one.line_id), f"{one.amount} of it", of, notes)]


def alone(tx: Tx, line: BankLine) -> list[Node]:
    """A line that no payment, payout or bag shows: of nothing, a receipt of nobody, a processor's fee."""
    if not line.match_id:
        says = f"booked as a receipt of nobody by {line.receipt_by}" if line.receipt_by else "of nothing yet"
        return [_node(line, says, {"receiptBy": line.receipt_by or None})]
    fee = matches.fee_of(tx, line.match_id)
    if fee is None:
        return []
    of = {"merchant": fee.merchant, "match": line.match_id, "saidBy": fee.by}
    return [_node(line, f"a fee of merchant '{fee.merchant}'", of, [f"said by {fee.by}: {fee.why}"])]


def _node(line: BankLine, what: str, more: Mapping[str, str | None], notes: Sequence[str] = ()) -> Node:
    says = f"bank line {line.line_id}: {line.amount} on {line.booked_on} in account '{line.account}', {what}"
    facts = {
        "account": line.account,
        "bookedOn": line.booked_on.isoformat(),
        "amount": f"{line.amount.decimal:f}",
        "currency": line.amount.currency,
        "reference": line.reference or None,
    }
    return Node("bankLine", line.line_id, says, tuple(notes), {**facts, **more})
