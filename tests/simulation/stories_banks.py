"""Stories of a till whose payers pay from bank accounts: what stops a mandate, and what lets it be used again."""

from __future__ import annotations

from sim_till import Till

from fhirpay.domain.mandate import MandateState
from fhirpay.simulators import processor_rules
from fhirpay.usecases import bank_codes
from stories import Moves, account, document, known

CLEARS_S = 3 * 86400


def debits(till: Till, name: str, count: int = 1) -> tuple[str, list[str]]:
    """An account of the payer's and as many debits of it, all of them on their way."""
    account(till, *[50_00] * count, name=name)
    method = till.do(till.method(f"Account/{name}", "ba_ok", bank=True)) or ""
    made = [till.do(till.start(f"Account/{name}", minor=50_00, method_id=method)) or "" for _ in range(count)]
    till.hand()
    return method, made


def comes_back(till: Till, payment_id: str, code: str) -> Moves:
    theirs = document(till, payment_id)
    till.at_processor(processor_rules.decide, theirs, "returned", base_url="http://processor.test/", code=code)
    yield from known(till)


def says(till: Till, method: str, state: MandateState) -> None:
    till.write(bank_codes.decided, method, state, by="ann", why="asked the payer")


def want_of_funds_and_agreed_anew(till: Till) -> Moves:
    method, (first, second) = debits(till, "ana", 2)
    yield from known(till)
    till.passes(CLEARS_S)
    yield from known(till)
    yield from comes_back(till, first, "R01")
    says(till, method, MandateState.ACTIVE)
    yield
    yield from comes_back(till, second, "R10")


def closed_account(till: Till) -> Moves:
    _, (paid,) = debits(till, "ben")
    till.passes(CLEARS_S)
    yield from known(till)
    yield from comes_back(till, paid, "R02")


def later_returns_of_what_is_suspended(till: Till) -> Moves:
    """Each by a payer of its own: the token names the account at the processor."""
    _, (first, second) = debits(till, "cyd", 2)
    till.passes(CLEARS_S)
    yield from known(till)
    yield from comes_back(till, first, "R11")
    yield from comes_back(till, second, "R20")


def revoked_while_suspended(till: Till) -> Moves:
    method, (first,) = debits(till, "dan")
    till.passes(CLEARS_S)
    yield from known(till)
    yield from comes_back(till, first, "R08")
    says(till, method, MandateState.REVOKED)
    yield


STORIES = [
    want_of_funds_and_agreed_anew,
    closed_account,
    later_returns_of_what_is_suspended,
    revoked_while_suspended,
]
