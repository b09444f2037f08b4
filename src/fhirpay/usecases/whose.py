"""Which payment or refund of ours something at a processor is: by our reference, else by the processor's id of it.

Of this merchant only: another one's processor may use the same ids. Called by webhook.py and book_settlement.py.
"""

from __future__ import annotations

from ..db.unit import Tx
from ..errors import NotFound
from ..payments import refunds, store
from ..payments.records import Payment, Refund


def refund_of(tx: Tx, merchant: str, ours: str, theirs: str) -> Refund | None:
    for some_id in (ours, theirs):
        for one in refunds.find(tx, some_id) if some_id else []:
            if store.get(tx, one.payment_id).merchant == merchant:
                return one
    return None


def payment_of(tx: Tx, merchant: str, ours: str, theirs: str) -> Payment | None:
    for payment_id in (ours, store.by_processor_ref(tx, merchant, theirs) or ""):
        if payment_id:
            try:
                found = store.get(tx, payment_id)
            except NotFound:
                continue
            if found.merchant == merchant:
                return found
    return None
