"""What `fhirpay doctor` finds, each by a hand in the database, on a chain that was whole before."""

from __future__ import annotations

import pytest
from chain_built import charged, paid, refunded, tenant
from sqlalchemy import text

from fhirpay.db.unit import Tx, Units
from fhirpay.usecases.doctor import examine

pytestmark = pytest.mark.unsound("hands in the database")

HANDS = {
    "books": "UPDATE ledger_posting SET amount_minor = amount_minor + 1 WHERE account = 'bank' OR line = 1",
    "shares": "UPDATE obligation SET paid_minor = paid_minor + 1 WHERE paid_minor > 0",
    "receivable": "UPDATE obligation SET posted_minor = posted_minor + 1 WHERE posted_minor > 0",
    "pending": "UPDATE obligation SET pending_minor = pending_minor + 1",
    "credit": "UPDATE obligation_share SET allocated_minor = allocated_minor - 1 WHERE allocated_minor > 0",
    "payable": "UPDATE refund SET state = 'approved'",
    "clearing": "UPDATE payment SET refunded_minor = 0 WHERE refunded_minor > 0",
    "folded": "UPDATE payment SET state = 'declined'",
    "accounts": "UPDATE obligation SET account_ref = 'Account/another'",
    "settlement": "UPDATE ledger_posting SET account = 'reserve_held' WHERE account = 'processor_clearing'",
    "in hand": "UPDATE work SET state = 'done' WHERE queue = 'outbox'",
    "listed": "UPDATE work SET state = 'parked' WHERE queue = 'outbox'",
}


def whole(tx: Tx) -> None:
    owner = tenant()
    refunded(tx, owner, paid(tx, owner, charged(tx, owner)))


async def test_a_chain_that_our_units_made_is_whole(units: Units) -> None:
    await units.write(whole)
    assert await units.read(examine) == []


@pytest.mark.parametrize("check", HANDS)
async def test_a_hand_in_the_database_is_found(units: Units, check: str) -> None:
    await units.write(whole)

    def hand(tx: Tx) -> int:
        if check in ("books", "settlement"):  # the ledger's own guard against changes is out of the way
            for trigger in tx.execute(text(_GUARDS[tx.dialect])).scalars().all():
                tx.execute(
                    text(
                        f"DROP TRIGGER {trigger} ON ledger_posting"
                        if tx.dialect == "postgresql"
                        else f"DROP TRIGGER {trigger}"
                    )
                )
        return tx.execute(text(HANDS[check])).rowcount

    assert await units.write(hand) > 0
    assert check in {finding.check for finding in await units.read(examine)}


_GUARDS = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'ledger_posting'",
    "postgresql": "SELECT tgname FROM pg_trigger WHERE tgrelid = 'ledger_posting'::regclass AND NOT tgisinternal",
}
