"""More stories of a till: what goes back to payers, and what is owed meanwhile. As in stories.py."""

from __future__ import annotations

from sim_till import Till, account_of

from fhirpay.fhir import store as fhir
from fhirpay.simulators import processor_rules
from fhirpay.usecases import staff
from payments_world import usd
from stories import Moves, account, by_card, by_page, document, known, voided_there

# ── refunds ───────────────────────────────────────────────────────────────────────────────────────────────────────


def refunds_that_take_time(till: Till) -> Moves:
    for number, token in enumerate(("tok_refundpending", "tok_refundfails")):
        till.do(till.invoiced(f"pat{number}", 50_00))
        found = till.card(f"Account/pat{number}", token)
        payment = till.do(till.start(f"Account/pat{number}", method_id=found)) or ""
        till.hand()
        yield from known(till)
        till.do(till.refund(payment, 20_00))
        till.hand()
        yield from known(till)
    till.passes(3 * 86400)
    yield from known(till)


def capture_comes_back_and_comes_again(till: Till) -> Moves:
    account(till)
    payment = by_card(till)
    till.hand()
    yield from known(till)
    till.decides(document(till, payment), "returned")
    yield from known(till)
    till.decides(document(till, payment), "reversed")
    yield from known(till)


def refund_fails_late_and_goes_out_after_all(till: Till) -> Moves:
    account(till)
    payment = by_card(till)
    till.hand()
    yield from known(till)
    till.do(till.refund(payment, 20_00))
    till.hand()
    yield from known(till)
    made = till.processor.simulator.books.all("refund")[-1]["id"]
    till.decides(made, "failed")
    yield from known(till)


def refund_said_to_fail_goes_out(till: Till) -> Moves:
    account(till)
    payment = by_card(till, "tok_refundpending")
    till.hand()
    yield from known(till)
    till.do(till.refund(payment, 20_00))
    till.hand()
    yield from known(till)
    made = till.processor.simulator.books.all("refund")[-1]["id"]
    till.decides(made, "failed")
    yield from known(till)
    till.decides(made, "succeeded")
    yield from known(till)


def refund_refused(till: Till) -> Moves:
    """The processor's people give the whole back while ours is on its way: there is nothing left for it."""
    account(till)
    payment = by_card(till)
    till.hand()
    yield from known(till)
    till.do(till.refund(payment, 50_00))
    body = {"payment": document(till, payment), "amount": 60_00, "reference": ""}
    till.at_processor(processor_rules.refund, body)
    yield
    till.hand()
    yield from known(till)


def refund_overtaken_by_a_void(till: Till) -> Moves:
    """Voided at the processor: refunds that were approved or on their way are given up; one of them went out."""
    account(till)
    payment = by_card(till)
    till.hand()
    yield from known(till)
    till.do(till.refund(payment, 20_00))
    voided_there(till, payment)
    till.tells()
    till.do(till.inbox.drain())
    yield
    till.hand()
    yield from known(till)


def refund_sent_and_voided(till: Till) -> Moves:
    """The refund's call is lost before it arrives, and the payment is voided there meanwhile."""
    account(till)
    payment = by_card(till)
    till.hand()
    yield from known(till)
    till.do(till.refund(payment, 20_00))
    till.net.fates = ["lost_before"]
    till.hand()
    yield
    voided_there(till, payment)
    till.tells()
    till.do(till.inbox.drain())
    yield
    till.passes(100)
    till.hand()
    yield from known(till)


def refund_made_there(till: Till) -> Moves:
    account(till)
    payment = by_card(till)
    till.hand()
    yield from known(till)
    body = {"payment": document(till, payment), "amount": 30_00, "reference": ""}
    till.at_processor(processor_rules.refund, body)
    yield from known(till)
    made = till.processor.simulator.books.all("refund")[-1]["id"]
    till.decides(made, "failed")
    yield from known(till)


def refund_fails_while_it_is_looked_up(till: Till) -> Moves:
    """The processor says that it is done, and before that arrives that it has failed: the later of the two is so."""
    account(till)
    payment = by_card(till)
    till.hand()
    yield from known(till)
    till.do(till.refund(payment, 20_00))
    till.net.fates = ["lost_after"]
    till.hand()
    till.tells()
    yield
    till.passes(2)
    till.net.fates = ["slow"]
    till.hand(seconds=5, inbox=False)  # the look has been served, and its answer is on its way
    till.decides(till.processor.simulator.books.all("refund")[-1]["id"], "failed")
    till.tells(newest_first=True)
    till.do(till.inbox.drain())
    yield
    till.hand()
    yield from known(till)


def refund_fails_before_its_answer_comes(till: Till) -> Moves:
    account(till)
    payment = by_card(till)
    till.hand()
    yield from known(till)
    till.do(till.refund(payment, 20_00))
    till.net.fates = ["slow"]
    till.hand(seconds=5, inbox=False)
    till.decides(till.processor.simulator.books.all("refund")[-1]["id"], "failed")
    till.tells()
    till.do(till.inbox.drain())
    yield
    till.hand()
    yield from known(till)


# ── what is owed ──────────────────────────────────────────────────────────────────────────────────────────────────


def charge_to_self_pay(till: Till, name: str = "bob", minor: int = 60_00) -> tuple[str, str]:
    """A charge whose patient pays it; the account, and the staff's entry."""
    for resource in account_of(name):
        till.write(fhir.put, resource)
    till.charged(name, minor)
    entry = till.write(staff.confirm_self_pay, f"Account/{name}", reason="uninsured", by="desk", tenant=till.tenant)
    return f"Account/{name}", str(entry)


def insurance_found(till: Till) -> Moves:
    """Before anybody pays, while a page is open, and while nothing may be collected."""
    for number, when in enumerate(("at once", "page open", "held")):
        name = f"pat{number}"
        ref, entry = charge_to_self_pay(till, name)
        yield
        if when == "page open":
            till.do(till.start(ref))
            till.hand()
        if when == "held":
            till.write(staff.open_hold, ref, "deceased", says="a call", by="desk", tenant=till.tenant)
        yield
        till.write(staff.withdraw, entry, by="desk", why="covered", tenant=till.tenant)
        yield
        till.hand()
        yield from known(till)


def charges_taken_back(till: Till) -> Moves:
    """Entered in error: while pending, collectable, held."""
    for number, when in enumerate(("pending", "collectable", "held")):
        name = f"pat{number}"
        ref, entry = charge_to_self_pay(till, name)
        if when == "pending":
            till.write(staff.withdraw, entry, by="desk", why="covered", tenant=till.tenant)
        if when == "held":
            till.write(staff.open_hold, ref, "deceased", says="a call", by="desk", tenant=till.tenant)
        yield
        till.charged(name, 60_00, status="entered-in-error")
        yield


def charges_billed(till: Till) -> Moves:
    """An invoice claims the charge: while pending, collectable, held, and while a page for it is open."""
    for number, when in enumerate(("pending", "collectable", "held", "page open")):
        name = f"pat{number}"
        ref, entry = charge_to_self_pay(till, name)
        if when == "pending":
            till.write(staff.withdraw, entry, by="desk", why="covered", tenant=till.tenant)
        if when == "held":
            till.write(staff.open_hold, ref, "deceased", says="a call", by="desk", tenant=till.tenant)
        if when == "page open":
            till.do(till.start(ref))
            till.hand()
        yield
        till.billed(name, 60_00)
        yield
        till.hand()
        yield from known(till)


def held_while_paying(till: Till) -> Moves:
    """A hold is opened while a part is being paid, and released again."""
    ref = account(till)
    by_page(till, 30_00)
    till.hand()
    yield
    hold = till.write(staff.open_hold, ref, "deceased", says="a call", by="desk", tenant=till.tenant)
    yield
    till.hand()
    yield from known(till)
    till.write(staff.release_hold, hold, by="desk", why="a mistake", tenant=till.tenant)
    yield


def given_up_and_recovered(till: Till) -> Moves:
    ref = account(till, 80_00)
    (one,) = till.owed(ref)
    for held in (False, True):
        hold = ""
        if held:
            hold = till.write(staff.open_hold, ref, "deceased", says="a call", by="desk", tenant=till.tenant)
            yield
        entry = till.write(
            staff.write_off,
            one.obligation_id,
            kind="bad_debt",
            amount=usd(80_00),
            reason="too old",
            by="desk",
            tenant=till.tenant,
        )
        yield
        if hold:
            till.write(staff.release_hold, hold, by="desk", why="a mistake", tenant=till.tenant)
            yield
        till.write(staff.recover, entry, by="desk", why="paid after all", tenant=till.tenant)
        yield


STORIES = [
    capture_comes_back_and_comes_again,
    refunds_that_take_time,
    refund_fails_late_and_goes_out_after_all,
    refund_said_to_fail_goes_out,
    refund_fails_while_it_is_looked_up,
    refund_fails_before_its_answer_comes,
    refund_refused,
    refund_overtaken_by_a_void,
    refund_sent_and_voided,
    refund_made_there,
    insurance_found,
    charges_taken_back,
    charges_billed,
    held_while_paying,
    given_up_and_recovered,
]
