"""What the simulated processor does with a payment: create, confirm, capture, void, refund, and what comes later.

Called by `processor.py` (API and control) and `processor_pages.py` (the payer), inside their transaction. A function
changes the documents, emits its events and returns the document to answer with, or raises `Refused`.
"""

from __future__ import annotations

from typing import Any

from .processor_books import Books, Doc, Refused
from .processor_cards import ACCOUNTS, CARDS, DECLINES, RETURNS, behaviour, card_of

_FIELDS = {"amount", "currency", "reference", "method", "descriptor", "initiated_by"}
_FIELDS |= {"merchant_reason", "network_reference", "partial", "mandate", "retry"}
CURRENCIES = ("USD", "EUR", "GBP", "CAD", "JPY", "KWD")
LATER_S = 2 * 24 * 3600  # what takes time takes two days
RETURNABLE_S = 60 * 24 * 3600  # a bank debit may come back for so long
RETURN_FEE = 4_00  # of a bank debit; a card's failed settlement costs nothing
CARD_PRESENT = "card_present"  # the method of what is to be paid on a reader, until a card is held to it
HELD_S = 7 * 24 * 3600  # an authorization that nobody captures ends by itself
PAGE_LIVES_S = 24 * 3600


def _id(books: Books, prefix: str) -> str:
    return f"{prefix}_{books.token(10)}"


def _amount(body: Doc) -> tuple[int, str]:
    amount, currency = body.get("amount"), body.get("currency")
    if type(amount) is not int or amount <= 0:
        raise Refused(422, "amount_invalid", "amount is a whole number of minor units above 0")
    if currency not in CURRENCIES:
        raise Refused(422, "currency_unsupported", f"currency is one of {', '.join(CURRENCIES)}")
    return amount, currency


def method(books: Books, token: str) -> Doc:
    """What is known of a method: of a test token, or of one that a payer stored on the setup page."""
    if token == CARD_PRESENT:
        shown = dict.fromkeys(("brand", "last4", "acts_as", "expires", "mandate"), "")
        return {"token": token, "kind": "card", **shown}
    if card := card_of(token):
        expires = "2031-12" if card.kind == "card" else ""
        shown = {"brand": card.brand, "last4": card.last4, "acts_as": card.token, "expires": expires}
        return {"token": token, "kind": card.kind, "mandate": "", **shown}
    try:
        stored = books.get("method", token)
    except Refused:
        raise Refused(422, "method_unknown", "there is no such payment method") from None
    if stored["detached"]:
        raise Refused(422, "method_unknown", "this payment method was removed")
    shown = {name: stored[name] for name in ("brand", "last4", "acts_as", "expires")}
    return shown | {"token": token, "kind": stored.get("kind", "card"), "mandate": stored.get("mandate", "")}


def create(books: Books, body: Doc) -> Doc:
    """A payment that has moved no money yet."""
    amount, currency = _amount(body)
    reference = body.get("reference")
    if not isinstance(reference, str) or not 1 <= len(reference) <= 64:
        raise Refused(422, "reference_invalid", "reference has 1 to 64 characters")
    if extra := body.keys() - _FIELDS:
        raise Refused(422, "unknown_parameter", f"unknown: {', '.join(sorted(extra))}")
    return books.new(
        "sp",
        "payment",
        reference,
        status="created",
        amount=amount,
        currency=currency,
        descriptor=body.get("descriptor", ""),
        initiated_by=body.get("initiated_by", "customer"),
        merchant_reason=body.get("merchant_reason", ""),
        network_reference=body.get("network_reference", ""),
        partial=body.get("partial", True),
        method=method(books, str(body.get("method", ""))),
        amount_authorized=0,
        amount_captured=0,
        amount_refunded=0,
        authorization=None,
        capture=None,
        voided=None,
        decline=None,
        next_action=None,
        settles_at=None,
        retry=body.get("retry", 0),  # told to the bank as RETRY PYMT
        mandate=body.get("mandate", ""),
        returns=[],
        returns_at=None,
        notices=[],
        returnable_until=None,
        checkout=None,
    )


def confirm(books: Books, payment: Doc, *, capture: bool, base_url: str) -> Doc:
    """Move the money, or say why not."""
    if payment["status"] != "created":
        raise Refused(409, "wrong_state", f"the payment is {payment['status']}")
    if payment["method"]["token"] == CARD_PRESENT:
        raise Refused(409, "wrong_state", "a card has to be held to a reader")
    acts = behaviour(payment["method"]["acts_as"], payment["amount"])
    payment["wants_capture"] = capture
    if acts.result == "declined":
        return _decline(books, payment, acts.decline_code)
    if acts.result == "partial" and not payment["partial"]:
        return _decline(books, payment, "insufficient_funds")
    if acts.result == "requires_action":
        payment["status"] = "requires_action"
        payment["next_action"] = {"url": f"{base_url}challenge/{payment['id']}"}
    elif acts.result == "processing":
        payment["status"], payment["settles_at"] = "processing", books.now() + LATER_S
    elif acts.result == "in_review":
        payment["status"] = "in_review"
    else:
        share = (payment["amount"] + 1) // 2 if acts.result == "partial" else payment["amount"]
        _approve(books, payment, share)
        if acts.result == "weird":
            payment["status"] = "quantum_superposition"
        books.save(payment)
        return payment
    books.save(payment)
    books.emit(f"payment.{payment['status']}", payment)
    return payment


def _approve(books: Books, payment: Doc, amount: int) -> None:
    payment["authorization"] = {"id": _id(books, "au"), "code": books.token(3).upper(), "amount": amount}
    payment["authorization"]["network"] = f"{payment['method']['brand'][:2].upper()}{books.token(6)}"
    payment["amount_authorized"], payment["next_action"] = amount, None
    if payment.get("wants_capture", True):
        _take(books, payment, amount)
    else:
        payment["status"] = "authorized"
        payment["authorization"]["expires_at"] = books.now() + HELD_S
        books.emit("payment.authorized", payment)


def _take(books: Books, payment: Doc, amount: int) -> None:
    payment["capture"] = {"id": _id(books, "ch"), "amount": amount, "at": books.now()}
    payment["amount_captured"], payment["status"], payment["settles_at"] = amount, "captured", None
    if payment["method"].get("kind") == "bank":
        payment["returnable_until"] = books.now() + RETURNABLE_S
    if notice := behaviour(payment["method"]["acts_as"], payment["amount"]).notice:
        says = "The account number is wrong: the bank has taken it by another."
        payment["notices"] = [{"id": _id(books, "nc"), "code": notice, "message": says, "at": books.now()}]
    if returns := behaviour(payment["method"]["acts_as"], payment["amount"]).returns:
        payment["returns_at"] = books.now() + returns.after_s
    books.move("capture", payment, amount, source=payment["capture"]["id"])
    books.emit("payment.captured", payment)


def _decline(books: Books, payment: Doc, code: str) -> Doc:
    payment["status"], payment["next_action"] = "declined", None
    payment["decline"] = {"code": code, "message": DECLINES[code]}
    books.save(payment)
    books.emit("payment.declined", payment)
    return payment


def capture(books: Books, payment: Doc, amount: int | None) -> Doc:
    """Take an authorized payment, or a part of it: the rest is released."""
    if payment["status"] != "authorized":
        raise Refused(409, "wrong_state", f"the payment is {payment['status']}")
    wanted = payment["amount_authorized"] if amount is None else amount
    if not 0 < wanted <= payment["amount_authorized"]:
        raise Refused(422, "amount_too_large", f"{payment['amount_authorized']} is authorized")
    _take(books, payment, wanted)
    books.save(payment)
    return payment


def void(books: Books, payment: Doc) -> Doc:
    """Undo the whole payment. A captured one only until its first refund."""
    if payment["status"] not in ("created", "authorized", "captured", "requires_action"):
        raise Refused(409, "wrong_state", f"the payment is {payment['status']}")
    if payment["amount_refunded"]:
        raise Refused(409, "wrong_state", "the payment has been refunded in part")
    undoes = payment["capture"]["id"] if payment["capture"] else None
    payment["voided"] = {"id": _id(books, "vo"), "undoes": undoes, "at": books.now()}
    payment["status"], payment["next_action"] = "voided" if undoes else "canceled", None
    if undoes:
        books.move("void", payment, -payment["amount_captured"], source=payment["voided"]["id"])
    books.save(payment)
    books.emit(f"payment.{payment['status']}", payment)
    return payment


def refund(books: Books, body: Doc) -> Doc:
    """Give back the whole or a part; never more than was captured, whatever is still pending counted in."""
    payment = books.get("payment", str(body.get("payment")))
    amount = body.get("amount", payment["amount_captured"] - payment["amount_refunded"])
    if payment["status"] != "captured" and not (payment["capture"] and payment["status"] == "quantum_superposition"):
        raise Refused(409, "wrong_state", f"the payment is {payment['status']}")
    if type(amount) is not int or not 0 < amount <= payment["amount_captured"] - payment["amount_refunded"]:
        raise Refused(422, "amount_too_large", "more than is left to refund")
    acts = behaviour(payment["method"]["acts_as"], payment["amount"]).refund
    made = books.new(
        "re",
        "refund",
        str(body.get("reference", "")),
        payment=payment["id"],
        payment_reference=payment["reference"],
        amount=amount,
        currency=payment["currency"],
        status="succeeded" if acts == "succeeded" else "pending",
        settles_at=None if acts == "succeeded" else books.now() + LATER_S,
        comes_to="failed" if acts == "fails" else "succeeded",
    )
    payment["amount_refunded"] += amount
    books.save(payment)
    if made["status"] == "succeeded":
        books.move("refund", payment, -amount, source=made["id"], reference=made["reference"])
    books.emit(f"refund.{made['status']}", made)
    return made


def come_back(books: Books, payment: Doc, code: str) -> Doc:
    """The whole capture comes back, whatever of it has been refunded: its bank, or the settlement, took it back."""
    if payment["status"] != "captured":
        raise Refused(409, "wrong_state", f"the payment is {payment['status']}")
    if code not in RETURNS:
        raise Refused(422, "return_unknown", f"a return is one of {', '.join(RETURNS)}")
    made = {"id": _id(books, "rt"), "amount": payment["amount_captured"], "code": code, "at": books.now()}
    made |= {"message": RETURNS[code], "fee": RETURN_FEE if code.startswith("R") else 0, "reversed": None}
    payment["returns"].append(made)
    payment["status"], payment["returns_at"] = "returned", None
    books.move("return", payment, -made["amount"], source=made["id"], fee=made["fee"])
    books.save(payment)
    books.emit("payment.returned", payment)
    return payment


def reverse_return(books: Books, payment: Doc) -> Doc:
    """What came back is the merchant's again."""
    if payment["status"] != "returned":
        raise Refused(409, "wrong_state", f"the payment is {payment['status']}")
    last = payment["returns"][-1]
    last["reversed"] = {"id": _id(books, "rr"), "at": books.now()}
    payment["status"] = "captured"
    books.move("return_reversed", payment, last["amount"], source=last["reversed"]["id"])
    books.save(payment)
    books.emit("payment.return_reversed", payment)
    return payment


def decide(books: Books, id_: str, result: str, *, base_url: str, code: str = "") -> Doc:
    """End what is processing, in review, waiting for its payer or pending; also fail a refund late, have a capture come
    back (`returned`, for a reason that `code` names) and come again (`reversed`)."""
    if id_.startswith("re_"):
        made = books.get("refund", id_)
        payment = books.get("payment", made["payment"])
        if result == "failed" and made["status"] in ("pending", "succeeded"):
            payment["amount_refunded"] -= made["amount"]
            books.save(payment)
            if made["status"] == "succeeded":
                books.move("refund_failed", payment, made["amount"], source=id_, reference=made["reference"])
        elif result == "succeeded" and made["status"] != "succeeded":
            if made["status"] == "failed":  # it went out after all
                payment["amount_refunded"] += made["amount"]
                books.save(payment)
            books.move("refund", payment, -made["amount"], source=id_, reference=made["reference"])
        made["status"], made["settles_at"] = result, None
        books.save(made)
        books.emit(f"refund.{result}", made)
        return made
    payment = books.get("payment", id_)
    if result == "returned":
        return come_back(books, payment, code or "settlement_failed")
    if result == "reversed":
        return reverse_return(books, payment)
    if payment["status"] not in ("processing", "in_review", "requires_action"):
        raise Refused(409, "wrong_state", f"the payment is {payment['status']}")
    if result == "captured":
        _approve(books, payment, payment["amount"])
        books.save(payment)
    elif result == "declined":
        _decline(books, payment, "authentication_failed" if payment["next_action"] else "card_declined")
    else:
        payment["status"], payment["settles_at"], payment["next_action"] = "failed", None, None
        if why := code or behaviour(payment["method"]["acts_as"], payment["amount"]).why:
            payment["decline"] = {"code": why, "message": RETURNS[why]}
        books.save(payment)
        books.emit("payment.failed", payment)
    if payment["checkout"]:
        page = books.get("checkout", payment["checkout"])
        if payment["status"] == "captured":
            _complete(books, page, payment["id"])
        elif page["status"] == "open":
            books.save({**page, "payment": None})  # the payer may try again
    return payment


def tick(books: Books, *, base_url: str) -> None:
    """What time alone brings about: processing ends, pending refunds end, authorizations and pages expire."""
    now = books.now()
    for doc in books.all("payment") + books.all("refund"):
        if doc["settles_at"] is not None and doc["settles_at"] <= now:
            if doc["object"] == "refund":
                result = doc["comes_to"]
            else:
                result = behaviour(doc["method"]["acts_as"], doc["amount"]).later
            decide(books, doc["id"], result, base_url=base_url)
        elif doc["status"] == "captured" and doc.get("returns_at") and doc["returns_at"] <= now:
            returns = behaviour(doc["method"]["acts_as"], doc["amount"]).returns
            assert returns is not None
            come_back(books, doc, returns.code)
        if doc["status"] == "authorized" and doc["authorization"]["expires_at"] <= now:
            doc["status"] = "expired"
            books.save(doc)
            books.emit("payment.expired", doc)
    for page in books.all("checkout"):
        if page["status"] == "open" and page["expires_at"] <= now:
            expire(books, page)


# ── the processor's own pages ─────────────────────────────────────────────────────────────────────────────────────


def open_page(books: Books, body: Doc, *, base_url: str) -> Doc:
    """A page on which a payer pays (`mode` payment) or stores a method (`mode` setup)."""
    mode = body.get("mode", "payment")
    if mode not in ("payment", "setup"):
        raise Refused(422, "mode_invalid", "mode is payment or setup")
    amount, currency = _amount(body) if mode == "payment" else (0, "")
    page = books.new(
        "cs",
        "checkout",
        str(body.get("reference", "")),
        mode=mode,
        status="open",
        amount=amount,
        currency=currency,
        descriptor=body.get("descriptor", ""),
        return_url=str(body.get("return_url", "")),
        methods=list(body.get("methods", ["card"])),
        payment=None,
        method=None,
        tries=0,
        expires_at=books.now() + PAGE_LIVES_S,
    )
    page["url"] = f"{base_url}checkout/{page['id']}"
    books.save(page)
    return page


def pay_on_page(books: Books, page: Doc, number: str, *, base_url: str, late: bool = False) -> Doc:
    """What a payer does on the page. A decline is one try: the page stays open. Returns the page."""
    if page["status"] != "open" and not late:
        raise Refused(409, "wrong_state", f"this page is {page['status']}")
    digits = "".join(filter(str.isdigit, number))
    card = {**CARDS, **ACCOUNTS}.get(digits)
    if card is None or card.kind not in page["methods"]:
        raise Refused(422, "card_unknown", "Only the test cards work here.")
    page["tries"] += 1
    if page["mode"] == "setup":
        fields: dict[str, Any] = {"brand": card.brand, "last4": card.last4, "acts_as": card.token, "kind": card.kind}
        fields["expires"] = "2031-12" if card.kind == "card" else ""
        fields["mandate"] = _id(books, "ma") if card.kind == "bank" else ""
        page["method"] = books.new("sm", "method", page["reference"], detached=False, **fields)["id"]
        _complete(books, page, None)
        return page
    _forget_try(books, page)
    order = {"amount": page["amount"], "currency": page["currency"], "reference": page["reference"]}
    payment = create(books, {**order, "method": card.token, "descriptor": page["descriptor"]})
    payment["checkout"] = page["id"]
    confirm(books, payment, capture=True, base_url=base_url)
    if payment["status"] == "declined":
        books.save(page)
    else:
        page["payment"] = payment["id"]
        if payment["status"] == "requires_action":
            books.save(page)
        else:
            _complete(books, page, payment["id"])
    return page


def _forget_try(books: Books, page: Doc) -> None:
    """Who pays again has given up the try that waits for them: a page takes its amount once."""
    if page["payment"] is None:
        return
    before = books.get("payment", page["payment"])
    page["payment"] = None
    if before["status"] == "requires_action":
        before["status"], before["next_action"] = "canceled", None
        books.save(before)


def _complete(books: Books, page: Doc, payment: str | None) -> None:
    page["status"], page["payment"] = "complete", payment
    books.save(page)
    books.emit("checkout.complete", page)


def expire(books: Books, page: Doc) -> Doc:
    if page["status"] != "open":
        raise Refused(409, "wrong_state", f"this page is {page['status']}")
    page["status"] = "expired"
    books.save(page)
    books.emit("checkout.expired", page)
    if page["payment"]:  # its payer was about to confirm it
        void(books, books.get("payment", page["payment"]))
    return page
