"""What the simulated processor does with disputes: opened by the payer's bank, answered or not, and how they end.

Called by `processor.py` (API: read, accept) and `processor_control.py` (the bank, and whoever decides), inside their
transaction. Money moves when it is told to, in lines of its own and not with the state: in any order, and in parts.
"""

from __future__ import annotations

from .processor_books import Books, Doc, Refused

RESPONDS_S = 10 * 24 * 3600  # evidence is taken for so long; then the dispute is lost
FEE = 15_00
STATUS = "inquiry inquiry_closed needs_response under_review won lost".split()
_CLOSED = ("inquiry_closed", "won", "lost")


def open_dispute(books: Books, body: Doc) -> Doc:
    """`{"payment": "sp_…", "amount": 5000, "status": "inquiry", "reason": "fraudulent", "withdraw": true}`

    Without an amount: all of the payment. An inquiry takes no money unless it is told to.
    """
    payment = books.get("payment", str(body.get("payment")))
    if not payment["capture"]:
        raise Refused(409, "wrong_state", f"the payment is {payment['status']}")
    status = body.get("status", "needs_response")
    if status not in STATUS:
        raise Refused(422, "status_unknown", f"status is one of {', '.join(STATUS)}")
    dispute = books.new(
        "dp",
        "dispute",
        payment["reference"],
        payment=payment["id"],
        amount=body.get("amount", payment["amount_captured"]),
        currency=payment["currency"],
        status=status,
        reason=body.get("reason", "fraudulent"),
        round=1,
        respond_by=books.now() + RESPONDS_S if status in ("inquiry", "needs_response") else None,
        money=[],
    )
    books.emit("dispute.created", dispute)
    if body.get("withdraw", status != "inquiry"):
        withdraw(books, dispute, dispute["amount"], body.get("fee", FEE))
    return dispute


def change(books: Books, dispute: Doc, body: Doc) -> Doc:
    """`{"status": "won", "reinstate": 5000}`, `{"withdraw": 2500, "fee": 0}`, `{"status": "needs_response"}` again."""
    status = body.get("status", dispute["status"])
    if status not in STATUS:
        raise Refused(422, "status_unknown", f"status is one of {', '.join(STATUS)}")
    if status != dispute["status"]:
        if dispute["status"] == "won" and status in ("needs_response", "under_review", "lost"):
            dispute["round"] += 1
        dispute["status"] = status
        waits = status in ("inquiry", "needs_response")
        dispute["respond_by"] = books.now() + RESPONDS_S if waits else dispute["respond_by"]
        books.save(dispute)
        books.emit("dispute.closed" if status in _CLOSED else "dispute.updated", dispute)
    if body.get("withdraw"):
        withdraw(books, dispute, body["withdraw"], body.get("fee", FEE))
    if body.get("reinstate"):
        reinstate(books, dispute, body["reinstate"], body.get("fee_back", 0))
    return dispute


def withdraw(books: Books, dispute: Doc, amount: int, fee: int) -> None:
    _line(books, dispute, "withdrawn", amount, fee)


def reinstate(books: Books, dispute: Doc, amount: int, fee_back: int) -> None:
    _line(books, dispute, "reinstated", amount, -fee_back)


def _line(books: Books, dispute: Doc, type_: str, amount: int, fee: int) -> None:
    line = {"id": f"mv_{books.token(10)}", "type": type_, "amount": amount, "fee": fee, "at": books.now()}
    dispute["money"].append({**line, "round": dispute["round"]})
    books.save(dispute)
    payment = books.get("payment", dispute["payment"])
    moved = amount if type_ == "reinstated" else -amount
    books.move(f"dispute_{type_}", payment, moved, source=dispute["id"], line=line["id"], fee=fee)
    books.emit(f"dispute.funds_{type_}", dispute)


def accept(books: Books, dispute: Doc) -> Doc:
    """The merchant gives it up: it is lost."""
    if dispute["status"] != "needs_response":
        raise Refused(409, "wrong_state", f"the dispute is {dispute['status']}")
    return change(books, dispute, {"status": "lost"})


def tick(books: Books) -> None:
    """Nobody answered in time."""
    for dispute in books.all("dispute"):
        late = dispute["respond_by"] is not None and dispute["respond_by"] <= books.now()
        if dispute["status"] == "needs_response" and late:
            change(books, dispute, {"status": "lost"})
        elif dispute["status"] == "inquiry" and late:
            change(books, dispute, {"status": "inquiry_closed"})
