"""An opening balance is paid, given back, posted to the EHR and taken back like anything else that is owed."""

from __future__ import annotations

from datetime import date

from chain_built import Built, paid, refunded, tenant

from fhirpay.billing import cutover, worklist
from fhirpay.billing import store as obligations
from fhirpay.billing.cutover import Stage
from fhirpay.db.unit import Tx, Units
from fhirpay.domain.money import Money
from fhirpay.fhir import store as fhir
from fhirpay.ledger import store as ledger
from fhirpay.usecases.collect import reassess_accounts
from fhirpay.usecases.explain import explain
from fhirpay.usecases.opening_balances import reverse
from fhirpay.usecases.posted_facts import posted_facts
from fhirpay.writeback import store
from fhirpay.writeback.posted import PostedPayment

OWNER = tenant()
ACCOUNT = {"type": "Account", "identifier": {"system": "urn:lab", "value": "A100"}}


def _opened(tx: Tx) -> Built:
    cutover.go_live(tx, Stage("lab", date(2026, 11, 1)), by="ann", why="through")
    patient = {"reference": fhir.put(tx, {"resourceType": "Patient", "id": "p-1"})[0].reference}
    number = [{"system": "urn:lab", "value": "A100"}]
    account = {"resourceType": "Account", "id": "a1", "status": "active", "identifier": number, "subject": [patient]}
    fhir.put(tx, account)
    line = {"reference": "LEG-1", "feed": "lab", "account_ref": "Account/a1", "number": "A100"}
    assert cutover.add_opening(tx, **line, amount=Money(80_00, "USD"), by="ann", why="trial balance")
    assert not cutover.add_opening(tx, **line, amount=Money(80_00, "USD"), by="bob", why="once more")
    reassess_accounts(tx, ["Account/a1"], OWNER)
    return Built("", "", "Account/a1", "", "")


def _posted(tx: Tx, subject: str) -> PostedPayment:
    (posting,) = [one for one in store.find(tx, subject) if one.subject == subject]
    return posted_facts(tx, posting, OWNER)


def _books(tx: Tx) -> dict[str, int]:
    return {one.account: one.amount.minor for one in ledger.balances(tx) if one.amount.minor}


def _state(tx: Tx) -> tuple[str, int, int]:
    (one,) = obligations.obligations_of(tx, "Account/a1")
    return str(one.state), one.paid.minor, one.askable.minor


async def test_it_is_paid_refunded_posted_and_taken_back(units: Units) -> None:
    built = await units.write(lambda tx: paid(tx, OWNER, _opened(tx)))
    assert await units.read(_state) == ("paid", 80_00, 0)
    (line,) = (await units.read(_posted, built.payment)).lines
    assert (line.pays, line.account, str(line.amount)) == (ACCOUNT, ACCOUNT, "80.00 USD")
    chain = await units.read(explain, "LEG-1")
    assert "opening balance of 80.00 USD, LEG-1, taken over at go-live" in str(chain)

    built = await units.write(lambda tx: refunded(tx, OWNER, built))
    assert await units.read(_state) == ("on_hold", 50_00, 0)  # a person says whether it is asked for again
    (line,) = (await units.read(_posted, built.refund)).lines
    assert (line.takes_back, str(line.amount)) == (f"{built.payment}-1", "30.00 USD")

    await units.write(reverse, "LEG-1", by="ann", why="it was paid before", tenant=OWNER)
    assert (await units.read(_state))[0] == "void"
    assert await units.read(_books) == {"processor_clearing": 50_00, "unapplied_credit": 50_00}
    (credit,) = [one for one in await units.read(worklist.list_open) if one.kind == "unapplied_credit"]
    assert str(credit.amount) == "50.00 USD"
