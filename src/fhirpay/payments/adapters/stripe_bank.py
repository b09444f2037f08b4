"""A bank account at Stripe (`us_bank_account`): what is asked for, what its debit says, which of NACHA's codes that is.
Pure; used by stripe.py, stripe_wire.py and stripe_disputes.py.

Sources: Stripe's guides ACH Direct Debit, Network decline codes (which of NACHA's codes each of Stripe's own covers)
and Blocked bank accounts; API reference, The Charge, The Mandate and The Dispute object. A debit is `processing` for
days and then succeeds or fails; what comes back after it has succeeded is a dispute that is lost from the start. Stripe
names the network's code beside its own; where it doesn't, the strictest that its own name covers stands for all of
them, so that nothing is debited again that may not be.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ...domain.ach import RETURNABLE_FOR
from ..declines import DeclineCode
from ..port import Declined, Details, Method, PaymentRequest, Reference
from .stripe_declines import LIMITS, refused

Doc = dict[str, Any]

TYPE = "us_bank_account"
CURRENCY = "USD"
_NETWORK = re.compile(r"R\d\d\Z")

# Stripe's decline_code, code or dispute's reason → NACHA's code, where that one isn't told.
CODES: Mapping[str, str] = {
    "insufficient_funds": "R01",
    "bank_account_closed": "R02",
    "account_closed": "R02",
    "bank_account_invalid_details": "R03",
    "incorrect_account_details": "R03",
    "no_account": "R03",
    "account_number_invalid": "R04",
    "debit_not_authorized": "R10",
    "customer_initiated": "R10",
    "recipient_deceased": "R15",
    "bank_account_frozen": "R16",
    "bank_cannot_process": "R16",
    "bank_account_restricted": "R20",
    "bank_account_unusable": "R20",
}


# ── out ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def page_types(request: PaymentRequest) -> list[str]:
    """What a page is to offer: a bank account only for US dollars, and only where the money is taken at once."""
    bank = "bank" in request.pay_by and request.amount.currency == CURRENCY and request.capture
    return [*(["card"] if "card" in request.pay_by else []), *([TYPE] if bank else [])]


def options(types: list[str]) -> Doc:
    """The payer's own bank verifies the account at once; else two small deposits would take days to arrive."""
    return {"payment_method_options": {TYPE: {"verification_method": "instant"}}} if TYPE in types else {}


# ── in ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def code_of(network: object, *said: object) -> str:
    """NACHA's code where it is told; else what Stripe's words stand for, or the first of them as it came."""
    if isinstance(network, str) and _NETWORK.match(network):
        return network
    words = [word for word in said if isinstance(word, str) and word]
    return next((CODES[word] for word in words if word in CODES), words[0] if words else "")


def is_bank_error(error: Doc) -> bool:
    """Whether it is about a bank account that was to be debited."""
    method = error.get("payment_method")
    return isinstance(method, dict) and method.get("type") == TYPE


def failed(error: Doc, reference: Reference | None, charge: Doc | None = None) -> Declined:
    """A debit that came to nothing, with the code that its bank gave; one that Stripe did not take on by its limits."""
    if error.get("code") in LIMITS:
        return refused(error)
    told = error.get("network_decline_code") or ((charge or {}).get("outcome") or {}).get("network_decline_code")
    code = code_of(told, error.get("decline_code"), error.get("code"))
    if not _NETWORK.match(code):
        code = _blocked_for(error) or code
    return Declined(DeclineCode.FAILED, reference, code)


def _blocked_for(error: Doc) -> str:
    """The code for which Stripe has blocked the account, where it has (The PaymentMethod object, status_details):
    what ended its mandate then ends it here. Empty: none is told."""
    bank = error["payment_method"].get(TYPE) if is_bank_error(error) else None
    blocked = ((bank or {}).get("status_details") or {}).get("blocked") or {}
    code = code_of(blocked.get("network_code"), blocked.get("reason"))
    return code if _NETWORK.match(code) else ""


def debit(charge: Doc) -> Doc | None:
    """The bank account that a charge was made by. None: it was made by something else."""
    found = (charge.get("payment_method_details") or {}).get(TYPE)
    return found if isinstance(found, dict) else None


def details(bank: Doc) -> Details:
    return Details(str(bank.get("bank_name") or "bank account"), str(bank.get("last4") or ""), kind="bank")


def returnable_until(charge: Doc, at: datetime | None) -> datetime | None:
    """ACH Direct Debit, Disputed payments: a person's account has sixty days, counted from the debit."""
    return None if debit(charge) is None or at is None else at + RETURNABLE_FOR


def method(doc: Doc, customer: object, mandate: Doc | None) -> Method | None:
    """A bank account kept for a customer. None without a mandate that may be used."""
    bank = doc.get(TYPE)
    if not isinstance(bank, dict) or not isinstance(customer, str) or not customer:
        return None
    if mandate is None or mandate.get("status") != "active":
        return None
    shown = details(bank)
    return Method(f"{customer}-{doc['id']}", shown.brand, shown.last4, kind="bank", mandate=str(mandate["id"]))
