"""Charges: one attempt to move money each. API reference, The Charge object."""

from __future__ import annotations

import secrets

from .books import Books
from .cards import Card
from .errors import Doc


def add(books: Books, intent: Doc, method: Doc, *, status: str, captured: bool) -> Doc:
    card: Card = books.known[method["id"]]["acts"]
    kept = books.known[intent["id"]]
    read = method["type"] in ("card", "card_present")
    code = secrets.token_hex(3).upper() if status == "succeeded" and read else None
    suffix = intent["statement_descriptor_suffix"]
    doc = {
        "id": books.id("py" if method["type"] == "us_bank_account" else "ch"),
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "authorization_code": code,
        "balance_transaction": None,
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": f"PRACTICE* {suffix}".upper() if suffix else "PRACTICE",
        "captured": captured,
        "created": books.now(),
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "livemode": False,
        # API reference, Create a PaymentIntent: the charge copies the PaymentIntent's metadata once, when it is made
        "metadata": dict(intent["metadata"]),
        "on_behalf_of": None,
        "outcome": _outcome(card, status),
        "paid": status == "succeeded",
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": _details(method, code),
        "receipt_email": intent["receipt_email"],
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": None,
        "source_transfer": None,
        "statement_descriptor": intent["statement_descriptor"],
        "statement_descriptor_suffix": suffix,
        "status": status,
        "transfer_data": None,
        "transfer_group": None,
    }
    intent["latest_charge"] = doc["id"]
    return books.add(doc, acts=card, off_session=kept.get("off_session", False))


def _outcome(card: Card, status: str) -> Doc:
    approved = status != "failed"
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "approved_by_network" if approved else "declined_by_network",
        "reason": None if approved else card.decline_code,
        "risk_level": "normal",
        "seller_message": "Payment complete." if approved else "The bank did not return any further details.",
        "type": "authorized" if approved else "issuer_declined",
    }


def _details(method: Doc, code: str | None) -> Doc:
    if method["type"] == "us_bank_account":
        bank = method["us_bank_account"]
        names = ("account_holder_type", "account_type", "bank_name", "fingerprint", "last4", "routing_number")
        more = {"expected_debit_date": None, "mandate": None, "payment_reference": None}
        return {"type": "us_bank_account", "us_bank_account": {name: bank[name] for name in names} | more}
    names = ("brand", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4")
    if method["type"] == "card_present":
        return {"type": "card_present", "card_present": _at_reader(method["card_present"], code)}
    details = {name: method["card"][name] for name in names}
    network = {"network": method["card"]["brand"], "network_transaction_id": secrets.token_hex(8) if code else None}
    return {"type": "card", "card": {**details, **network, "authorization_code": code, "wallet": None}}


def _at_reader(card: Doc, code: str | None) -> Doc:
    """API reference, The Charge object, payment_method_details.card_present. What EMV receipts must show is in
    `receipt`; the authorization code stands there, too."""
    names = ("brand", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4", "read_method")
    receipt = {"authorization_code": code, "application_preferred_name": "VISA CREDIT", "account_type": "credit"}
    details = {name: card[name] for name in names} | {"receipt": receipt, "cardholder_name": None}
    network = {"network": card["brand"], "network_transaction_id": secrets.token_hex(8) if code else None}
    return details | network | {"generated_card": None, "offline": None, "overcapture_supported": False}


def captured(books: Books, charge: Doc, amount: int, *, at_once: bool) -> None:
    """Money has come in. Asynchronous capture: the balance transaction shows only later, with charge.updated."""
    charge["captured"], charge["amount_captured"] = True, amount
    kind = "payment" if charge["id"].startswith("py_") else "charge"
    # Reporting categories: a partial capture is two lines, all that was authorized and the rest taken back
    movement = books.move(kind, charge["amount"], charge, charge["payment_intent"])
    if amount < charge["amount"]:
        rest = books.move("refund", amount - charge["amount"], charge, charge["payment_intent"])
        rest["reporting_category"] = books.movements[-1]["reporting_category"] = "partial_capture_reversal"
    if at_once:
        charge["balance_transaction"] = movement["id"]
    else:
        books.known[charge["id"]]["shows_later"] = (movement["id"], books.now() + 3600)


def show_movements(books: Books) -> None:
    """Asynchronous capture: listen for charge.updated to know when the balance transaction becomes available."""
    for charge in books.all("charge"):
        movement, at = books.known[charge["id"]].get("shows_later", (None, 0))
        if movement and books.now() >= at:
            del books.known[charge["id"]]["shows_later"]
            charge["balance_transaction"] = movement
            books.emit("charge.updated", charge, {"balance_transaction": None})
