"""Stories of one till, each a way through the legal moves that chance alone would seldom find. Move after move.

A story is a function; what it promises is said by the audit after each of its moves. To reach another pair of
books_and_states.toml: a story here.
"""

from __future__ import annotations

from collections.abc import Iterator

from sim_till import URL, Till

from fhirpay.simulators import processor_rules
from fhirpay.usecases import by_hand
from fhirpay.usecases.by_hand import Found

Moves = Iterator[None]
VISA, DECLINED, ACTION, PROCESSING, REVIEW = (
    "4242424242424242",
    "4000000000000002",
    "4000000000003220",
    "4000000000000077",
    "4000000000009235",
)


def account(till: Till, *amounts: int, name: str = "ana") -> str:
    """Invoices, owed now."""
    return till.do(till.invoiced(name, *(amounts or (80_00,)))) or ""


def by_card(till: Till, token: str = "tok_visa", *, capture: bool = True, minor: int | None = None) -> str:
    """A payment of the account by a stored method, not sent yet."""
    found = till.card("Account/ana", token)
    return till.do(till.start("Account/ana", minor=minor, method_id=found, capture=capture)) or ""


def by_page(till: Till, minor: int | None = None) -> str:
    return till.do(till.start("Account/ana", minor=minor)) or ""


def document(till: Till, payment_id: str) -> str:
    """The processor's id of the payment."""
    return till.theirs(payment_id)[-1]["id"]


def voided_there(till: Till, payment_id: str) -> None:
    theirs = document(till, payment_id)
    till.at_processor(lambda books: processor_rules.void(books, books.get("payment", theirs)))


def known(till: Till) -> Moves:
    """Everything is told and taken in."""
    yield
    till.tells()
    till.hand()
    yield


# ── cards ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def sale_and_refunds(till: Till) -> Moves:
    account(till, 80_00, 30_00)
    payment = by_card(till)
    yield
    till.hand()
    yield from known(till)
    for minor in (10_00, 40_00, 60_00):
        till.do(till.refund(payment, minor))
        yield
        till.hand()
        yield
    till.do(till.refund(payment, 1))
    assert till.refused == ["rule-broken"]


def sent_in_vain(till: Till) -> Moves:
    account(till)
    by_card(till)
    till.net.fates = ["", "refused"]  # the second call: nobody listens
    till.hand()
    yield
    till.passes(60)
    till.hand()
    yield from known(till)


def answers_lost(till: Till) -> Moves:
    """Every way in which a call ends without an answer, of a sale, and then of a refund."""
    for number, fate in enumerate(("reset_before", "lost_before", "reset_after", "lost_after")):
        till.do(till.invoiced(f"pat{number}", 50_00))
        found = till.card(f"Account/pat{number}")
        payment = till.do(till.start(f"Account/pat{number}", method_id=found)) or ""
        till.net.fates = ["", fate]
        till.hand()
        yield
        for seconds in (2, 10, 70, 200):
            till.passes(seconds)
            till.hand()
            yield
        till.net.fates = [fate]
        till.do(till.refund(payment, 10_00))
        till.hand()
        yield
        for seconds in (2, 10, 70, 200):
            till.passes(seconds)
            till.hand()
            yield


def proven_absent(till: Till) -> Moves:
    """The key can't be used (a stored 500): only the horizon proves that nothing happened."""
    account(till)
    by_card(till)
    till.fault("confirm", "error500")
    till.hand()
    yield
    for seconds in (5, 5, 20, 60, 100):
        till.passes(seconds)
        till.hand()
        yield
    yield from known(till)


def unknown_at_last(till: Till) -> Moves:
    """What was unknown turns out to be each of the results."""
    tokens = ("tok_decline", "tok_action", "tok_processing", "tok_review", "tok_partial", "tok_visa")
    for number, token in enumerate(tokens):
        till.do(till.invoiced(f"pat{number}", 50_00))
        found = till.card(f"Account/pat{number}", token)
        till.do(till.start(f"Account/pat{number}", method_id=found))
        till.net.fates = ["", "lost_after"]
        till.hand()
        yield
        till.passes(2)
        till.hand()
        yield from known(till)


def said_by_hand(till: Till) -> Moves:
    """What nobody knows for long is said by a person: not done, and it wasn't."""
    account(till)
    by_card(till)
    till.fault("confirm", "error500", times=99)
    till.fault("get", "before", times=999)
    till.hand()
    yield
    for _ in range(6):
        till.passes(1800)
        till.hand()
        yield
    unknown = till.rows("SELECT operation_id FROM operation WHERE state = 'unknown'")[0][0]
    found = Found(unknown, "not_done", "mia", "asked the processor", "its dashboard")
    till.write(by_hand.say, found, till.tenant, till.registry)
    yield
    till.do(till.processor.http.delete(f"{URL}/control/faults"))
    till.hand()
    yield from known(till)
    assert till.rows("SELECT state FROM payment") == [("canceled",)]


def in_every_way(till: Till) -> Moves:
    """A sale by each behaviour that a method can have, each to its end."""
    tokens = "decline funds partial action processing returns review timeout weird refundpending refundfails".split()
    for number, token in enumerate(tokens):
        till.do(till.invoiced(f"pat{number}", 50_00))
        found = till.card(f"Account/pat{number}", f"tok_{token}")
        payment = till.do(till.start(f"Account/pat{number}", method_id=found)) or ""
        till.hand()
        yield from known(till)
        till.do(till.refund(payment))
        till.hand()
        yield
    till.passes(3 * 86400)
    till.hand()
    yield from known(till)


def reviewed(till: Till) -> Moves:
    for number, (capture, result) in enumerate(((True, "captured"), (True, "declined"), (False, "captured"))):
        till.do(till.invoiced(f"pat{number}", 50_00))
        found = till.card(f"Account/pat{number}", "tok_review")
        payment = till.do(till.start(f"Account/pat{number}", method_id=found, capture=capture)) or ""
        till.hand()
        yield from known(till)
        till.decides(document(till, payment), result)
        yield from known(till)


def given_up(till: Till) -> Moves:
    """The processor can't be reached for so long that the payment is canceled; another one for whom it is no longer
    owed when it would be sent."""
    account(till)
    by_card(till)
    for seconds in (0, 300, 300, 400):
        till.passes(seconds)
        till.net.fates = ["refused"]
        till.hand()
        yield
    by_card(till)
    till.do(till.cancel_invoice("ana-1"))
    yield
    till.hand()
    yield


# ── authorize, then capture ───────────────────────────────────────────────────────────────────────────────────────


def held_and_taken(till: Till) -> Moves:
    for number, minor in enumerate((None, 30_00)):
        till.do(till.invoiced(f"pat{number}", 50_00))
        found = till.card(f"Account/pat{number}")
        payment = till.do(till.start(f"Account/pat{number}", method_id=found, capture=False)) or ""
        till.hand()
        yield from known(till)
        till.do(till.capture(payment, minor))
        till.hand()
        yield from known(till)
        till.do(till.void(payment))
        till.hand()
        yield from known(till)


def held_and_let_go(till: Till) -> Moves:
    for number in range(2):
        till.do(till.invoiced(f"pat{number}", 50_00))
        found = till.card(f"Account/pat{number}")
        payment = till.do(till.start(f"Account/pat{number}", method_id=found, capture=False)) or ""
        till.hand()
        yield from known(till)
        if number:
            till.passes(8 * 86400)
            till.hand()
        else:
            till.do(till.void(payment))
            till.hand()
        yield from known(till)


def capture_never_sent(till: Till) -> Moves:
    """It was asked for, and the authorization is gone before it leaves."""
    account(till)
    payment = by_card(till, capture=False)
    till.hand()
    yield from known(till)
    till.do(till.capture(payment))
    voided_there(till, payment)
    till.tells()
    till.do(till.inbox.drain())
    yield
    till.hand()
    yield from known(till)


def action_of_the_bank(till: Till) -> Moves:
    """Confirmed, of a sale and of an authorization; refused; given up by us."""
    for number, (capture, result) in enumerate(
        ((True, "captured"), (False, "captured"), (True, "declined"), (True, ""))
    ):
        till.do(till.invoiced(f"pat{number}", 50_00))
        found = till.card(f"Account/pat{number}", "tok_action")
        payment = till.do(till.start(f"Account/pat{number}", method_id=found, capture=capture)) or ""
        till.hand()
        yield from known(till)
        if result:
            till.decides(document(till, payment), result)
        else:
            till.do(till.void(payment))
            till.hand()
        yield from known(till)


# ── pages ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def page_tried_and_paid(till: Till) -> Moves:
    account(till)
    payment = by_page(till)
    till.hand()
    yield
    till.pays(payment, DECLINED)
    yield from known(till)
    till.pays(payment, ACTION)
    yield from known(till)
    till.pays(payment, VISA)
    yield from known(till)


def page_reviewed_or_processing(till: Till) -> Moves:
    for number, card in enumerate((REVIEW, PROCESSING)):
        till.do(till.invoiced(f"pat{number}", 50_00))
        payment = till.do(till.start(f"Account/pat{number}")) or ""
        till.hand()
        yield
        till.pays(payment, card)
        yield from known(till)
    till.passes(3 * 86400)
    yield from known(till)


def page_expired_and_paid_late(till: Till) -> Moves:
    account(till)
    payment = by_page(till)
    till.hand()
    yield
    till.passes(25 * 3600)
    yield from known(till)
    till.pays(payment, VISA, late=True)
    yield from known(till)


def page_closed(till: Till) -> Moves:
    account(till)
    by_page(till)
    till.hand()
    yield
    till.do(till.cancel_invoice("ana-1"))
    till.hand()
    yield from known(till)


def page_ends_before_we_know_it(till: Till) -> Moves:
    """The worker dies right after it has sent the page; when somebody looks, it has expired. And one that was paid, in
    review, processing."""
    for number, card in enumerate(("", VISA, REVIEW, PROCESSING)):
        till.do(till.invoiced(f"pat{number}", 50_00))
        payment = till.do(till.start(f"Account/pat{number}")) or ""
        till.dies(3, commits=True)  # the claims, and the page stored
        yield
        if card:
            till.pays(payment, card)
        else:
            till.passes(25 * 3600)
        till.tells()
        till.do(till.inbox.drain())
        yield
        till.hand()
        yield


STORIES = [
    sale_and_refunds,
    sent_in_vain,
    answers_lost,
    proven_absent,
    unknown_at_last,
    said_by_hand,
    in_every_way,
    reviewed,
    given_up,
    held_and_taken,
    held_and_let_go,
    capture_never_sent,
    action_of_the_bank,
    page_tried_and_paid,
    page_reviewed_or_processing,
    page_expired_and_paid_late,
    page_closed,
    page_ends_before_we_know_it,
]
