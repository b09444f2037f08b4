"""Payouts as a processor shows them, files as the bank gives them, into one tenant: for tests of matching."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, time
from datetime import date as day_of
from typing import Any

from bank_files import CSV, Line, csv_of
from fhirpay.config import BankAccount, Tenant
from fhirpay.db.unit import Units
from fhirpay.domain.money import Money
from fhirpay.domain.payout import PayoutState
from fhirpay.payments import store as payments
from fhirpay.payments.port import Reference
from fhirpay.payments.settlement_port import PayoutSeen
from fhirpay.usecases.book_settlement import hear_payout
from fhirpay.usecases.match_bank import match_account
from fhirpay.usecases.take_bank_file import TakeBankFile, Taken
from payments_world import tenant_of
from processor_sides import SIMULATED

KEY = b"a key of tests that is long enough"


class BankWorld:
    """`account` is the bank's, of merchant `main`."""

    def __init__(self, units: Units, account: BankAccount = CSV) -> None:
        self.units, self.account = units, account
        base = tenant_of(SIMULATED, "https://processor.test", 10)
        self.tenant: Tenant = base.model_copy(update={"bank_accounts": (account,)})
        self.files = TakeBankFile(units, self.tenant, KEY)

    async def pays(
        self, name: str, minor: int, day: str, state: PayoutState = PayoutState.PAID, *, trace: str = ""
    ) -> None:
        """A payout as the processor shows it, that is to arrive on this day."""
        made = datetime.combine(day_of.fromisoformat(day), time(5), UTC)
        amount = Money(minor, self.account.currency)
        seen = PayoutSeen(Reference(name), state, amount, made, day, itemised=True, trace=trace)
        await self.units.write(hear_payout, self.tenant, "main", seen)

    async def bank(self, lines: Sequence[Line]) -> Taken:
        return await self.files.take(self.account.name, "statement.csv", csv_of(lines))

    async def match(self) -> int:
        return await self.units.write(match_account, self.tenant, self.account, KEY)

    async def state(self) -> dict[str, Any]:
        """What matching has come to, without ids of ours."""
        return await self.units.read(_state)

    async def breaks(self, kinds: Iterable[str] = ()) -> set[str]:
        found = await self.units.read(payments.breaks)
        return {one.kind for one in found if not kinds or one.kind in kinds}


def _state(tx: Any) -> dict[str, Any]:
    from sqlalchemy import text

    def rows(query: str) -> list[tuple[Any, ...]]:
        return sorted(tuple(row) for row in tx.execute(text(query)))

    sums = "SELECT account, sum(CASE side WHEN 'debit' THEN amount_minor ELSE -amount_minor END) FROM ledger_posting"
    matched = (
        "SELECT p.processor_ref, d.what, m.rule, m.confidence, m.gap_minor, l.booked_on, l.amount_minor, l.reference"
    )
    matched += " FROM bank_matched d JOIN payout p ON p.payout_id = d.subject"
    matched += " JOIN bank_match m ON m.match_id = d.match_id JOIN bank_line l ON l.match_id = d.match_id"
    return {
        "entries": rows("SELECT kind, key FROM ledger_entry"),
        "books": {account: int(minor) for account, minor in rows(f"{sums} GROUP BY account") if minor},
        "payouts": rows("SELECT processor_ref, state FROM payout"),
        "matches": rows(matched),
        "lines": rows("SELECT booked_on, amount_minor, reference, match_id <> '' FROM bank_line"),
        "breaks": rows("SELECT kind, amount_minor, merchant FROM payment_break WHERE closed_at IS NULL"),
    }
