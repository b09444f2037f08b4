"""What of ours something that an EHR says names; and what messages say was paid there, as rows that can be matched.

Called by apply_message.py for what a message wrote, and by take_report.py and read_back.py for the numbers they find.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..billing.ehr_payments import PATIENT, said_of
from ..billing.elements import Resource
from ..db.unit import Tx
from ..domain import fhir_urls as urls
from ..fhir.store import Change, Stored
from ..writeback import said, store
from ..writeback.payment_reconciliation import RESOURCE_TYPE
from ..writeback.said import Said
from .echoes import echo_of


def ours_by(tx: Tx, number: str) -> str:
    """The payment or refund of ours that a number is of: its own id, one of its lines', a short FT1-2, the processor's;
    empty: none. Letters' case doesn't matter."""
    number = number.strip()
    if not number:
        return ""
    own = number.lower()
    if any(one.subject == own for one in store.of_subject(tx, own)):
        return own
    echo = echo_of(tx, transaction=number, reference=number)
    return echo.subject if echo and not echo.adjustment_id else ""


def note(tx: Tx, interface: str, written: Iterable[tuple[Stored, Change]]) -> None:
    """Keep what these say of patients' payments. What is said no more, or no more as a payment, is gone."""
    for stored, change in written:
        if stored.type != RESOURCE_TYPE or change == "unchanged":
            continue
        one = said_of(stored.resource)
        if one is None or one.paid_by != PATIENT:
            said.is_gone(tx, "message", interface, stored.reference)
            continue
        about = Said(
            stored.reference, one.amount, one.day, account_of(stored.resource), one.label, one.echo_of, stored.reference
        )
        said.keep(tx, "message", interface, [about])


def account_of(resource: Resource) -> str:
    """Our account, as a PaymentReconciliation that a message made names it; empty: it names none."""
    named = (one for one in resource.get("extension", ()) if one.get("url") == urls.ACCOUNT)
    return str(next(named, {}).get("valueReference", {}).get("reference", ""))
