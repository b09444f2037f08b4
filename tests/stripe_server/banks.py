"""Bank debits: mandates, a debit on its way, what its bank says (guide ACH Direct Debit; API reference, Mandates)."""

from __future__ import annotations

from . import charges
from .books import Books
from .errors import Doc, invalid, unreadable
from .expand import shown

TAKES_S = 4 * 24 * 3600  # ACH Direct Debit: up to 4 business days
# Network decline codes, ACH Direct Debit: NACHA's code → Stripe's decline code; beside it the error code of Error codes
FAILURES = {
    **dict.fromkeys(("R01", "R09"), ("insufficient_funds", "insufficient_funds")),
    "R02": ("account_closed", "bank_account_closed"),
    **dict.fromkeys(("R03", "R04"), ("no_account", "bank_account_invalid_details")),
    **dict.fromkeys(
        ("R05", "R07", "R08", "R10", "R11", "R29", "R31"), ("debit_not_authorized", "debit_not_authorized")
    ),
    "R16": ("bank_account_restricted", "bank_account_frozen"),
    "R20": ("bank_account_restricted", "bank_account_restricted"),
}


# ── mandates ──────────────────────────────────────────────────────────────────────────────────────────────────────


def accept(books: Books, method: Doc, acceptance: Doc) -> Doc:
    """The Mandate object: the payer's authorization to debit this account, to be used again."""
    kind = acceptance["type"]
    accepted = {
        "accepted_at": acceptance.get("accepted_at", books.now()),
        "type": kind,
        "offline": None,
        "online": None,
    }
    return books.add(
        {
            "id": books.id("mandate"),
            "object": "mandate",
            "customer_acceptance": {**accepted, kind: acceptance.get(kind, {})},
            "livemode": False,
            "multi_use": {},
            "on_behalf_of": None,
            "payment_method": method["id"],
            "payment_method_details": {"type": "us_bank_account", "us_bank_account": {}},
            "status": "active",
            "type": "multi_use",
        }
    )


def of_method(books: Books, method_id: str) -> Doc | None:
    """The newest that may be used."""
    mine = [one for one in books.all("mandate") if one["payment_method"] == method_id and one["status"] == "active"]
    return mine[-1] if mine else None


def _end(books: Books, method_id: str) -> None:
    """Disputes of ACH: a payer's dispute makes the mandate invalid; a new one has to be collected."""
    while (mandate := of_method(books, method_id)) is not None:
        mandate["status"] = "inactive"
        books.emit("mandate.updated", mandate, {"status": "active"})


# ── a debit ───────────────────────────────────────────────────────────────────────────────────────────────────────


def check(books: Books, intent: Doc, params: Doc, method: Doc) -> None:
    """What stands in the way of debiting this account now. Raises Refused."""
    if intent["currency"] != "usd":
        # ACH Direct Debit: presentment currency
        raise invalid("us_bank_account can only be used with usd.", param="payment_method_types")
    if intent["capture_method"] == "manual":
        # ACH Direct Debit, payment method properties: no manual capture
        raise invalid("us_bank_account does not support manual capture.", param="capture_method")
    if "mandate" in params and "mandate_data" in params:
        raise unreadable("You may only specify one of these parameters: mandate, mandate_data.", param="mandate")
    if "mandate" in params:
        mandate = books.get("mandate", params["mandate"], param="mandate")
        if mandate["payment_method"] != method["id"] or mandate["status"] != "active":
            # Error codes: payment_intent_mandate_invalid
            message = "The provided mandate is invalid and can not be used for the payment intent."
            raise invalid(message, code="payment_intent_mandate_invalid", param="mandate")
    elif "mandate_data" not in params and of_method(books, method["id"]) is None:
        # ACH Direct Debit, Mandates: every debit needs one
        raise invalid("You must provide mandate_data.", code="parameter_missing", param="mandate_data")
    if method["us_bank_account"]["status_details"]:
        # Blocked bank accounts; Error codes: payment_method_bank_account_blocked
        message = "This bank account has failed verification in the past and can not be used."
        raise invalid(message, code="payment_method_bank_account_blocked", payment_method=shown(books, method))


def submit(books: Books, intent: Doc, method: Doc, params: Doc) -> None:
    """Confirmed: `processing`, and nothing of it is in the balance yet."""
    given = params.get("mandate_data")
    mandate = accept(books, method, given["customer_acceptance"]) if given else None
    mandate = mandate or books.things.get(params.get("mandate", "")) or of_method(books, method["id"])
    charge = charges.add(books, intent, method, status="pending", captured=True)
    # The Charge object: the mandate by which this payment was made
    charge["payment_method_details"]["us_bank_account"]["mandate"] = mandate and mandate["id"]
    intent["status"] = "processing"
    books.known[intent["id"]]["settles_at"] = books.now() + TAKES_S
    books.emit("payment_intent.processing", intent)
    books.emit("charge.pending", charge)


def settle(books: Books, intent: Doc, *, failure: str = "", tells_network: bool = True) -> None:
    """Processing ends in succeeded, or in payment_failed and requires_payment_method. `failure`: NACHA's code."""
    if intent["status"] != "processing":
        raise invalid("This PaymentIntent is not processing.")
    charge, method = books.things[intent["latest_charge"]], books.things[intent["payment_method"]]
    if failure:
        _fail(books, intent, charge, method, failure, tells_network=tells_network)
    else:
        charge |= {"status": "succeeded", "paid": True}
        charges.captured(books, charge, intent["amount"], at_once=True)
        intent |= {"status": "succeeded", "amount_received": intent["amount"]}
        books.emit("charge.succeeded", charge)
        books.emit("payment_intent.succeeded", intent)
    _tell_page(books, intent, "failed" if failure else "succeeded")


def _fail(books: Books, intent: Doc, charge: Doc, method: Doc, failure: str, *, tells_network: bool) -> None:
    code, decline_code = FAILURES.get(failure, ("bank_account_unusable", "generic_decline"))
    network = {"network_decline_code": failure if tells_network else None}
    charge |= {"status": "failed", "captured": False, "failure_code": code, "failure_message": code}
    charge["outcome"] |= {**network, "network_status": "declined_by_network", "reason": decline_code}
    named = {"decline_code": decline_code, "payment_method": shown(books, method), "charge": charge["id"], **network}
    error = invalid("The customer's bank returned the debit.", code=code, **named)
    intent |= {"status": "requires_payment_method", "payment_method": None, "last_payment_error": error.error}
    if failure not in ("R01", "R09"):
        # Blocked bank accounts: whatever comes back for another reason than funds blocks the account
        reason = "debit_not_authorized" if code == "debit_not_authorized" else decline_code
        method["us_bank_account"]["status_details"] = {"blocked": {"network_code": failure, "reason": reason}}
    if code == "debit_not_authorized":
        _end(books, method["id"])
    books.emit("charge.failed", charge)
    books.emit("payment_intent.payment_failed", intent)


def _tell_page(books: Books, intent: Doc, how: str) -> None:
    """Fulfil orders, delayed notification: the page's own events, once the money is there or is not."""
    session = books.things.get(books.known[intent["id"]].get("session", ""))
    if session is not None:
        session["payment_status"] = "paid" if how == "succeeded" else "unpaid"
        books.emit(f"checkout.session.async_payment_{how}", session)


def disputed(books: Books, intent: Doc) -> None:
    """A payer's dispute, or a failure that came after the money: both are disputes, and end the mandate."""
    _end(books, books.things[intent["latest_charge"]]["payment_method"])
