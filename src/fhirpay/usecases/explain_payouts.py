"""A payment's lines in payouts, as nodes of `explain`: the end of its way, as far as its processor tells."""

from __future__ import annotations

from collections.abc import Sequence

from ..bank import matches, receipts
from ..db.unit import Tx
from ..settlement import store as settlement
from ..settlement.store import Line, Payout
from ..writeback import store
from ..writeback.store import Posting
from . import explain_nodes as nodes
from .explain_bank import at_bank
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


def ends_of(tx: Tx, payout: Payout) -> tuple[Node, ...]:
    """A payout's lines at the bank, and its postings."""
    return (*at_bank(tx, payout.payout_id), *_posted(tx, payout))


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
