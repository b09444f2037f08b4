"""The way of cash and checks to the bank, as nodes of `explain`: the bag, and the bank's line of it. Reads only.

A check is in one bag. Cash lies in a safe with other cash: shown is the first bag with cash that left after it.
"""

from __future__ import annotations

from ..bank import deposits
from ..db.unit import Tx
from ..errors import NotFound
from ..payments import bags, returns
from ..payments.bags import Bag
from ..payments.records import Payment
from .explain_bank import at_bank
from .explain_text import Node


def payments_of(tx: Tx, some_id: str) -> tuple[str, list[str]] | None:
    """What this id of a bag, or of a bank line of one, is, and the payments that it is of. None: it is neither."""
    found = deposits.bags_of_line(tx, some_id) if some_id.startswith("bnk") else _bag(tx, some_id)
    if not found:
        return None
    says = f"{'a bank line of' if some_id.startswith('bnk') else ''} {', '.join(map(_says, found))}".strip()
    return says, [one for bag in found for one in (*bag.checks, *bags.cash_since_last(tx, bag))]


def _bag(tx: Tx, some_id: str) -> list[Bag]:
    try:
        return [bags.get(tx, some_id)] if some_id.startswith("bag") else []
    except NotFound:
        return []


def nodes_of(tx: Tx, payment: Payment) -> list[Node]:
    """Where the money of a payment in cash or by check went from the desk, and what the bank has taken back of it."""
    if payment.method == "check":
        bag = bags.of_check(tx, payment.payment_id)
        back = [node for one in returns.of_payment(tx, payment.payment_id) for node in at_bank(tx, one.return_id)]
        return [*([_node(tx, bag, f"its check went to the bank in {_says(bag)}")] if bag else ()), *back]
    if payment.method != "cash" or payment.captured_at is None:
        return []
    bag = bags.next_with_cash(tx, payment.facility, payment.currency, payment.captured_at)
    return [_node(tx, bag, f"cash next went from '{bag.facility}' to the bank in {_says(bag)}")] if bag else []


def _says(bag: Bag) -> str:
    slip = f", slip {bag.slip}" if bag.slip else ""
    return f"bag {bag.bag_id} of {bag.cash + bag.in_checks}, {bag.business_date}{slip}"


def _node(tx: Tx, bag: Bag, says: str) -> Node:
    facts = {
        "facility": bag.facility,
        "cash": f"{bag.cash.decimal:f}",
        "checks": f"{bag.in_checks.decimal:f}",
        "currency": bag.cash.currency,
        "slip": bag.slip or None,
        "sentOn": bag.business_date,
    }
    return Node("bag", bag.bag_id, says, (), facts, at_bank(tx, bag.bag_id))
