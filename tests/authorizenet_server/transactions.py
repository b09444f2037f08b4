"""`createTransactionRequest` and `updateHeldTransactionRequest` (API reference, "Payment Transactions").

An answer's response code: 1 approved, 2 declined, 3 error, 4 held for review. A declined transaction exists, with an id
and a status; one in error doesn't, but for what it names of an earlier one.
"""

from __future__ import annotations

import secrets
import string
from decimal import Decimal

from . import profiles
from .books import Books, Transaction
from .errors import OK, REASONS, Doc, NotDone, Refused

WINDOW_S = 120  # transactionSettings, duplicateWindow: two minutes unless said, 28800 at most
WINDOW_MAX_S = 28_800
_EVENTS = {"authCaptureTransaction": "authcapture", "authOnlyTransaction": "authorization"}
_UPPER = string.ascii_uppercase + string.digits


def create(books: Books, request: Doc) -> Doc:
    asked = request["transactionRequest"]
    deed = _DEEDS.get(str(asked["transactionType"]))
    if deed is None:
        raise Refused("E00013", f"The field is invalid: transactionType {asked['transactionType']}")
    ref_id = {"refId": str(request["refId"])} if "refId" in request else {}
    try:
        answer = deed(books, asked, str(request.get("refId", "")))
    except NotDone as no:
        failed = {"responseCode": "3", "authCode": "", "transId": "0", "refTransID": "", "transHash": "", **no.known}
        failed |= {"errors": [{"errorCode": no.reason, "errorText": str(no)}]}
        why = {"code": "E00027", "text": "The transaction was unsuccessful."}
        return {"transactionResponse": failed, **ref_id, "messages": {"resultCode": "Error", "message": [why]}}
    if answer["responseCode"] == "2":
        why = {"code": "E00027", "text": "The transaction was unsuccessful."}
        return {"transactionResponse": answer, **ref_id, "messages": {"resultCode": "Error", "message": [why]}}
    return {"transactionResponse": answer, **ref_id, "messages": OK}


# ── taking ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _take(books: Books, asked: Doc, ref_id: str) -> Doc:
    """authCaptureTransaction, authOnlyTransaction: by customer profile here, since no card number comes from us."""
    profile = asked.get("profile") or {}
    payment_profile = profile.get("paymentProfile") or {}
    if "payment" in asked or not payment_profile:
        raise Refused("E00014", "A required field is not present: profile.paymentProfile.paymentProfileId")
    ids = (str(profile.get("customerProfileId", "")), str(payment_profile["paymentProfileId"]))
    card = profiles.payment_profile(books, *ids)
    return charge(books, asked, card, ref_id, ids)


def charge(books: Books, asked: Doc, card: Doc, ref_id: str, ids: tuple[str, str] = ("", "")) -> Doc:
    kind, amount = str(asked["transactionType"]), cents(asked.get("amount"))
    currency = str(asked.get("currencyCode", books.settings["currency"]))
    if currency != books.settings["currency"]:
        raise NotDone("39")
    order = asked.get("order") or {}
    # Response reason code 11: compared are, of what we send, type, card, amount and invoice number.
    same = {"type": kind, "card": card["number"], "amount": amount, "invoice": str(order.get("invoiceNumber", ""))}
    _no_duplicate(books, asked, same)
    response, reason, status = _answer_of(card, kind)
    made = books.add(
        Transaction(
            id=books.number(),
            type=kind,
            status=status,
            submitted=books.now(),
            auth=amount,
            settle=amount,
            card=card,
            response=response,
            reason=reason,
            auth_code="".join(secrets.choice(_UPPER) for _ in range(6)) if response in "14" else "",
            invoice=same["invoice"],
            description=str(order.get("description", "")),
            ref_id=ref_id,
            profile=ids,
            currency=currency,
            window=same,
        )
    )
    if status == "capturedPendingSettlement":
        _captured(books, made, amount)
    # Webhooks: created events are of what was approved; a held one has events of its own kind.
    if response == "1":
        books.emit(f"{_EVENTS[kind]}.created", made)
    if response == "4":
        books.emit("fraud.held", made)
    return _shown(made)


def _answer_of(card: Doc, kind: str) -> tuple[str, str, str]:
    """(responseCode, responseReasonCode, transactionStatus). Testing guide: a billing ZIP decides in the sandbox."""
    sale = kind == "authCaptureTransaction"
    if card["does"].startswith("decline"):
        return "2", card["does"].partition(":")[2] or "2", "declined"
    if card["does"] == "hold":
        # Fraud detection suite: held before, or authorized and held
        return ("4", "252", "FDSPendingReview") if sale else ("4", "253", "FDSAuthorizedPendingReview")
    return "1", "1", "capturedPendingSettlement" if sale else "authorizedPendingCapture"


def _no_duplicate(books: Books, asked: Doc, same: Doc) -> None:
    window = WINDOW_S
    told = None
    for setting in _settings(asked):
        if setting.get("settingName") == "duplicateWindow":
            told = window = int(setting.get("settingValue") or 0)
    if window > WINDOW_MAX_S:
        raise Refused("E00013", "The field is invalid: duplicateWindow")
    for earlier in books.transactions.values():
        if window and earlier.window == same and books.now() - earlier.submitted < window:
            # SIM guide, "Response for Duplicate Transactions": with the field given, the original is named
            known = {"transId": earlier.id, "authCode": earlier.auth_code} if told is not None else {}
            raise NotDone("11", **known)


def _settings(asked: Doc) -> list[Doc]:
    found = (asked.get("transactionSettings") or {}).get("setting") or []
    return found if isinstance(found, list) else [found]


def _captured(books: Books, made: Transaction, amount: int) -> None:
    made.settle, made.captured, made.status = amount, True, "capturedPendingSettlement"
    books.move("capture", amount, made, made.id)


# ── afterwards ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _capture(books: Books, asked: Doc, ref_id: str) -> Doc:
    """priorAuthCaptureTransaction: the same transaction goes on, under its own id; once, and never for more."""
    held = _referenced(books, asked)
    if held.captured:
        raise NotDone("311", refTransID=held.id)
    if held.status == "voided":
        raise NotDone("310", refTransID=held.id)
    if held.status != "authorizedPendingCapture":
        raise NotDone("16", refTransID=held.id)
    amount = cents(asked["amount"]) if "amount" in asked else held.auth
    if amount > held.auth:
        raise NotDone("47", refTransID=held.id)
    _captured(books, held, amount)
    books.emit("priorAuthCapture.created", held)
    return _shown(held, refers=held.id)


def _void(books: Books, asked: Doc, ref_id: str) -> Doc:
    """voidTransaction: anything that has not settled, whole."""
    found = _referenced(books, asked)
    if found.status == "voided":
        raise NotDone("310", refTransID=found.id)
    if found.status not in _VOIDABLE:
        raise NotDone("16", refTransID=found.id)
    if found.captured:
        books.move("void", -found.settle, found, found.id)
    if found.type == "refundTransaction":
        books.move("void", found.settle, found, found.ref_trans)
    found.status = "voided"
    books.emit("void.created", found)
    return _shown(found, refers=found.id)


_VOIDABLE = frozenset(
    "authorizedPendingCapture capturedPendingSettlement refundPendingSettlement FDSPendingReview "
    "FDSAuthorizedPendingReview".split()
)


def _refund(books: Books, asked: Doc, ref_id: str) -> Doc:
    """refundTransaction: of a settled one, with the last four digits of its card, in parts, never more than it was."""
    amount = cents(asked.get("amount"))
    charge_ = _referenced(books, asked)
    card = (asked.get("payment") or {}).get("creditCard")
    if not card and not asked.get("profile"):
        raise Refused("E00014", "A required field is not present: payment.creditCard")
    if card and (str(card["cardNumber"])[-4:] != charge_.card["number"][-4:] or charge_.type == "refundTransaction"):
        raise NotDone("54", refTransID=charge_.id)
    if charge_.status != "settledSuccessfully" or books.now() - charge_.submitted > _REFUNDABLE_S:
        raise NotDone("54", refTransID=charge_.id)
    if books.refunded(charge_.id) + amount > charge_.settle:
        raise NotDone("55", refTransID=charge_.id)
    order = asked.get("order") or {}
    same = {"type": "refundTransaction", "card": charge_.card["number"], "amount": amount}
    same["invoice"] = str(order.get("invoiceNumber", ""))
    _no_duplicate(books, asked, same)
    made = books.add(
        Transaction(
            id=books.number(),
            type="refundTransaction",
            status="refundPendingSettlement",
            submitted=books.now(),
            auth=amount,
            settle=amount,
            card=charge_.card,
            response="1",
            reason="1",
            # Not documented: whether a linked credit is listed under its own invoice number, or under its charge's.
            invoice=charge_.invoice if books.settings["refund_keeps_invoice"] else same["invoice"],
            description=str(order.get("description", "")),
            ref_id=ref_id,
            ref_trans=charge_.id,
            currency=charge_.currency,
            window=same,
        )
    )
    books.move("refund", -amount, made, charge_.id)
    books.emit("refund.created", made)
    return _shown(made, refers=charge_.id)


_REFUNDABLE_S = 180 * 24 * 3600  # reason code 54: linked credits within 180 days


def held(books: Books, request: Doc) -> Doc:
    """updateHeldTransactionRequest: what a person decides about a held one."""
    asked = request["heldTransactionRequest"]
    found = _referenced(books, asked)
    if found.status not in ("FDSPendingReview", "FDSAuthorizedPendingReview"):
        raise NotDone("16", refTransID=found.id)
    decide(books, found, approve=asked["action"] == "approve")
    return {"transactionResponse": _shown(found, refers=found.id), "messages": OK}


def decide(books: Books, found: Transaction, *, approve: bool) -> None:
    if not approve:
        found.status = "voided" if found.type == "authOnlyTransaction" else "failedReview"
        books.emit("fraud.declined", found)
        return
    found.response = found.reason = "1"
    if found.type == "authOnlyTransaction":
        found.status = "authorizedPendingCapture"
    else:
        _captured(books, found, found.auth)
    books.emit("fraud.approved", found)


# ── in common ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _referenced(books: Books, asked: Doc) -> Transaction:
    if not asked.get("refTransId"):
        raise Refused("E00014", "A required field is not present: refTransId")
    found = books.transactions.get(str(asked["refTransId"]))
    if found is None:
        raise NotDone("16")
    return found


def cents(amount: object) -> int:
    """Two decimals at most, and more than nothing. Raises NotDone: reason 5."""
    found = Decimal(str(amount)) if amount is not None else Decimal(0)
    if found <= 0 or found != found.quantize(Decimal("0.01")):
        raise NotDone("5")
    return int(found * 100)


def _shown(made: Transaction, refers: str = "") -> Doc:
    """The `transactionResponse` type."""
    shown: Doc = {
        "responseCode": made.response,
        "authCode": made.auth_code,
        "avsResultCode": "Y" if made.type.startswith("auth") else "P",
        "cvvResultCode": "",
        "cavvResultCode": "",
        "transId": made.id,
        "refTransID": refers,
        "transHash": "",
        "testRequest": "0",
        "accountNumber": made.card["number"],
        "accountType": made.card["brand"],
    }
    if made.response == "2":
        return {**shown, "errors": [{"errorCode": made.reason, "errorText": REASONS.get(made.reason, REASONS["2"])}]}
    shown["messages"] = [{"code": made.reason, "description": REASONS[made.reason]}]
    if made.profile[0]:
        shown["profile"] = {"customerProfileId": made.profile[0], "customerPaymentProfileId": made.profile[1]}
    return shown


_DEEDS = {
    "authCaptureTransaction": _take,
    "authOnlyTransaction": _take,
    "priorAuthCaptureTransaction": _capture,
    "voidTransaction": _void,
    "refundTransaction": _refund,
}
