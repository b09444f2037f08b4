"""Terminal readers, driven from the server (API reference, Terminal Reader; Collect card payments, Server-driven).

Two simulated WisePOS E stand at one location, `tmr_front…` and `tmr_back…`. A cardholder is the test helper that Stripe
has for simulated readers (API reference, Simulate presenting a payment method); what it has none for, a card that is
being read and a reader that is offline, is `/control/readers`.
"""

from __future__ import annotations

from . import cards, payment_intents
from .books import Books
from .errors import Doc, Refused, invalid
from .expand import as_list, shown
from .forms import EXPAND, PAGE, Form, boolean, hash_of, one_of, string

READERS = ("tmr_frontFDOt2wlRZE", "tmr_backGEPu3xmSAF")
_STATUS = one_of("online", "offline")
# API reference, Hand off a PaymentIntent to a reader
PROCESS = Form(
    {
        "payment_intent": string(),
        "process_config": hash_of(Form({"enable_customer_cancellation": boolean, "skip_tipping": boolean})),
        "expand": EXPAND,
    },
    ("payment_intent",),
)
CANCEL = Form({"expand": EXPAND})  # Cancel the current reader action: no parameters
RETRIEVE = Form({"expand": EXPAND})
LIST = Form({**PAGE, "device_type": string(), "location": string(), "serial_number": string(), "status": _STATUS})
# Simulate presenting a payment method
PRESENT = Form(
    {
        "type": one_of("card_present", "interac_present", "card"),
        "card_present": hash_of(Form({"number": string()})),
        "amount_tip": string(),
        "expand": EXPAND,
    },
    (),
    frozenset({"amount_tip"}),
)


def add_readers(books: Books) -> None:
    for number, id_ in enumerate(READERS, start=1):
        books.add(
            {
                "id": id_,
                "object": "terminal.reader",
                "action": None,
                "device_sw_version": "2.37.2.0",
                "device_type": "simulated_wisepos_e",
                "ip_address": "0.0.0.0",
                "label": f"Desk {number}",
                "last_seen_at": books.now() * 1000,
                "livemode": False,
                "location": "tml_FDOtHwxAAdIJOh",
                "metadata": {},
                "serial_number": f"259cd19c-b902-4730-96a1-09183be6e7f{number}",
                "status": "online",
            },
            reading=False,
        )


def reader(books: Books, id_: str) -> Doc:
    return books.get("terminal.reader", id_, param="reader", in_path=True)


def _reachable(books: Books, doc: Doc) -> None:
    if doc["status"] == "offline":
        # Error codes: terminal_reader_offline
        raise invalid("Reader is currently offline, please ensure the reader is powered on and connected to the "
                      "internet before retrying your request.", code="terminal_reader_offline")  # fmt: skip


def _in_progress(doc: Doc) -> bool:
    return bool(doc["action"]) and doc["action"]["status"] == "in_progress"


def process(books: Books, id_: str, params: Doc) -> Doc:
    doc = reader(books, id_)
    intent = books.get("payment_intent", params["payment_intent"], param="payment_intent")
    _reachable(books, doc)
    if _in_progress(doc):
        # Handle errors, Reader busy: a reader can only process one request at a time
        raise invalid("Reader is currently busy processing another request, please reference the integration guide "
                      "for handling reader errors.", code="terminal_reader_busy")  # fmt: skip
    if "card_present" not in intent["payment_method_types"]:
        # Create a PaymentIntent: the payment_method_types parameter must include card_present
        raise invalid("The PaymentIntent must have card_present in its payment_method_types.", param="payment_intent")
    if intent["status"] != "requires_payment_method":
        # Avoiding double charges: it must be in requires_payment_method, else intent_invalid_state
        raise invalid(
            f"Payment intents must be in the requires_payment_method state to be processed; it is {intent['status']}.",
            code="intent_invalid_state",
        )
    inside = {"payment_intent": intent["id"]}
    if "process_config" in params:
        inside["process_config"] = params["process_config"]
    doc["action"] = {
        "failure_code": None,
        "failure_message": None,
        "process_payment_intent": inside,
        "status": "in_progress",
        "type": "process_payment_intent",
    }
    books.known[id_]["reading"] = False
    return doc


def cancel_action(books: Books, id_: str) -> Doc:
    doc = reader(books, id_)
    _reachable(books, doc)
    if _in_progress(doc) and books.known[id_]["reading"]:
        # Payment cancellation: not in the middle of an authorization, terminal_reader_busy
        raise invalid("Reader is currently busy processing another request.", code="terminal_reader_busy")
    doc["action"] = None
    return doc


def present(books: Books, id_: str, params: Doc, *, base_url: str) -> Doc:
    """A cardholder taps: the card is authorized, and the action ends."""
    doc = reader(books, id_)
    if not _in_progress(doc):
        raise invalid("The reader is not waiting for a payment method.")
    intent = books.things[doc["action"]["process_payment_intent"]["payment_intent"]]
    card = cards.NUMBERS[params.get("card_present", {}).get("number", "4242424242424242")]
    method = cards.card_present(books, card)
    books.known[id_]["reading"] = False
    if intent["status"] != "requires_payment_method":
        _fail(books, doc, "intent_invalid_state", "The PaymentIntent can not be processed any more.")
        return doc
    try:
        payment_intents.attempt(books, intent, method, {}, base_url=base_url)
    except Refused as no:
        _fail(books, doc, no.error.get("decline_code") or no.error["code"], no.error["message"])
        return doc
    doc["action"] |= {"status": "succeeded"}
    books.emit("terminal.reader.action_succeeded", doc)
    return doc


def _fail(books: Books, doc: Doc, code: str, message: str) -> None:
    """The Reader object, action: failure_code and failure_message only where it failed."""
    doc["action"] |= {"status": "failed", "failure_code": code, "failure_message": message}
    books.emit("terminal.reader.action_failed", doc)


def happens(books: Books, id_: str, body: Doc) -> Doc:
    """What Stripe has no helper for: `{"status": "offline"}`, or `{"does": "read"}`, `customer_canceled`,
    `connection_error` (Payment timeout: the reader may have been told nothing of what Stripe did), `let_go` (somebody
    resets it from the dashboard)."""
    doc = reader(books, id_)
    if "status" in body:
        doc["status"] = body["status"]
    match body.get("does"):
        case "read":
            books.known[id_]["reading"] = True
        case "let_go":
            doc["action"] = None
        case "customer_canceled" | "connection_error" as code:
            _fail(books, doc, code, "The reader says so.")
        case _:
            pass
    return shown(books, doc)


def listed(books: Books, query: Doc) -> Doc:
    names = ("device_type", "location", "serial_number", "status")
    docs = [one for one in books.all("terminal.reader") if all(query.get(n) in (None, one[n]) for n in names)]
    return as_list([shown(books, one) for one in docs[: query.get("limit", 10)]], "/v1/terminal/readers")
