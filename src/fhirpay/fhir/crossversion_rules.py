"""What differs between R4 and R5 in the types that we speak both of: one row an element. Read by crossversion.py.

A row says which elements it takes from an object of R5 and which from one of R4, and turns the one into the other:
`Renamed`, `Kept` (one version has it, the other one an extension), or a rule of its own where values differ
(crossversion_values.py). To speak another type in both: its rows here, its name in `TYPES`. What has no row and isn't
the same in both is refused. Source: the R5 pages' "R4/R5 conversions" and the definitions of both versions.
"""

from __future__ import annotations

from .crossversion_extensions import Kept, Renamed, Rule
from .crossversion_values import (
    AbsentType,
    Context,
    LineReference,
    LineType,
    OverrideReason,
    Parent,
    Prices,
    Product,
    Services,
    Size,
)

TYPES = ("ChargeItem", "Account", "Invoice", "Patient", "RelatedPerson", "PaymentReconciliation")


def _kept(kind: str, *names: str) -> tuple[Kept, ...]:
    """Elements of R5 that R4 keeps as extensions; of a choice all its names, joined by `|`."""
    return tuple(Kept(kind, tuple(name.split("|"))) for name in names)


RULES: dict[str, tuple[Rule, ...]] = {
    "ChargeItem": (
        Context(),
        Prices(),
        OverrideReason(),
        Product(),
        Services(),
    ),
    "Account": (
        Parent(),
        *_kept("Account", "billingStatus", "currency", "balance", "calculatedAt", "diagnosis", "procedure"),
    ),
    "Invoice": _kept("Invoice", "creation", "periodDate|periodPeriod"),
    "Invoice.lineItem": _kept("Invoice.lineItem", "servicedDate|servicedPeriod"),
    "PaymentReconciliation": (
        AbsentType(),
        Renamed("PaymentReconciliation", "date", "paymentDate"),
        Renamed("PaymentReconciliation", "amount", "paymentAmount"),
        Renamed("PaymentReconciliation", "allocation", "detail"),
        *_kept(
            "PaymentReconciliation",
            "kind",
            "enterer",
            "issuerType",
            "location",
            "method",
            "cardBrand",
            "accountNumber",
            "expirationDate",
            "processor",
            "referenceNumber",
            "authorization",
            "tenderedAmount",
            "returnedAmount",
        ),
    ),
    "PaymentReconciliation.allocation": (
        LineType(),
        LineReference("target", "request"),
        LineReference("response", "response"),
        *_kept(
            "PaymentReconciliation.allocation",
            "targetItemString|targetItemIdentifier|targetItemPositiveInt",
            "encounter",
            "account",
        ),
    ),
    "Attachment": (Size(), *_kept("Attachment", "height", "width", "frames", "duration", "pages")),
}
