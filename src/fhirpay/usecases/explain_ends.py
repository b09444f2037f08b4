"""What stands at the end of a payment's way, also where it is of none, as nodes of `explain`: a payout, and a line of
the bank that is of nothing or a fee. Called by explain.py; reads only.
"""

from __future__ import annotations

from ..bank import store as bank
from ..bank.store import BankLine
from ..db.unit import Tx
from ..errors import NotFound
from ..settlement import store as settlement
from ..settlement.store import Payout
from . import explain_bank, explain_payouts
from .explain_text import Node


def says_of(tx: Tx, some_id: str) -> tuple[str, list[str]] | None:
    """What a line of the bank is that is of no payment, and none. None: it is none."""
    return ("a line of the bank", []) if _line(tx, some_id) else None


def nodes_of(tx: Tx, some_id: str) -> list[Node]:
    """The payout that this is the id of, with what of it no payment shows; a bank line that nothing else shows."""
    if line := _line(tx, some_id):
        return explain_bank.alone(tx, line)
    found = settlement.find(tx, some_id)
    for line in () if found else settlement.find_lines(tx, some_id):
        if not line.payment_id:  # its payout shows it
            found += [one for one in settlement.find(tx, line.payout_ref) if one.merchant == line.merchant]
    return [_payout_node(tx, one) for one in found]


def _line(tx: Tx, some_id: str) -> BankLine | None:
    try:
        return bank.line(tx, some_id) if some_id.startswith("bnk") else None
    except NotFound:
        return None


def _payout_node(tx: Tx, one: Payout) -> Node:
    arrives = f", arrives {one.arrives_on}" if one.arrives_on else ""
    says = f"payout {one.processor_ref} of {one.amount} to merchant '{one.merchant}', {one.state}{arrives}"
    lines, of_payments = list[Node](), 0
    for line in settlement.lines_of(tx, one):
        if line.payment_id:
            of_payments += 1
        else:
            lines.append(explain_payouts.line_node(line, None, ()))
    facts = {
        "merchant": one.merchant,
        "amount": f"{one.amount.decimal:f}",
        "currency": one.amount.currency,
        "state": str(one.state),
        "arrivesOn": one.arrives_on or None,
        "payout": one.payout_id,
    }
    notes = (f"{of_payments} lines are of payments that are shown with them",) if of_payments else ()
    return Node("payout", one.processor_ref, says, notes, facts, (*lines, *explain_payouts.ends_of(tx, one)))
