"""Payments of one practice and what its processor lists of their payouts, with no processor and no network: for tests
that stop, kill or interleave what reads it, on any executor.

`listed` is the processor's list, which a test fills; whoever pulls reads it as any processor's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

from bank_files import CSV
from fhirpay.config import Connection, Tenant
from fhirpay.db.unit import Tx, Units
from fhirpay.domain.money import Money
from fhirpay.domain.payout import PayoutState
from fhirpay.domain.settlement import LineKind
from fhirpay.payments import store
from fhirpay.payments.port import Approved, Reference
from fhirpay.payments.registry import Registry, build
from fhirpay.payments.settlement_port import LinePage, PayoutPage, PayoutSeen, Reported, SettlementLine
from fhirpay.usecases.pull_settlements import PullSettlements
from fhirpay.usecases.settle_outcome import settle
from fhirpay.usecases.start_payment import NewPayment, start
from payments_world import World, tenant_of, usd
from processor_sides import SIMULATED

MADE = datetime(2026, 11, 18, 5, 0, tzinfo=UTC)
CASH = Connection(name="cash", base_url="http://127.0.0.1:1", organization="clinic", payout_target=True)


def practice(**more: Any) -> Tenant:
    """One merchant, one bank account and an EHR that takes payouts."""
    base = tenant_of(SIMULATED, "http://127.0.0.1:1", 1)
    return base.model_copy(update={"bank_accounts": (CSV,), "connections": (CASH,), **more})


class Listed:
    """Payouts with their lines, as a processor that has them would show them."""

    def __init__(self) -> None:
        self.payouts: dict[str, tuple[PayoutSeen, tuple[SettlementLine, ...]]] = {}
        self.capabilities = dataclasses.replace(
            build(practice()).of("main").capabilities, balance=False, settlement_reports=False
        )

    def has(
        self,
        name: str,
        minor: int,
        *lines: SettlementLine,
        state: PayoutState = PayoutState.PAID,
        day: str = "2026-11-19",
    ) -> None:
        """`day`: on which it is to arrive."""
        seen = PayoutSeen(Reference(name), state, usd(minor), MADE, day)
        self.payouts[name] = seen, lines

    async def list_payouts(self, since: datetime, *, after: str = "") -> PayoutPage:
        return PayoutPage(tuple(seen for seen, _ in self.payouts.values()))

    async def payout_lines(self, payout: PayoutSeen, *, after: str = "") -> LinePage:
        return LinePage(self.payouts[payout.reference][1])

    def read_report(self, name: str, data: bytes) -> tuple[Reported, ...]:
        return tuple(Reported(seen, lines) for seen, lines in self.payouts.values())

    def missing_reports(self, payouts: Sequence[str]) -> tuple[str, ...]:
        return ("report_2.csv",)

    @property
    def registry(self) -> Registry:
        return cast(
            Registry, SimpleNamespace(of=lambda _: self, settlement=lambda _: self, settlement_reports=lambda _: self)
        )


def line(name: str, minor: int, fee: int, *, payment: str = "", kind: LineKind = LineKind.PAYMENT) -> SettlementLine:
    """`payment`: ours that it is of."""
    of = Reference(f"ch_{payment}") if payment else None
    named = {"payment": Reference(f"pi_{payment}") if payment else None, "our_reference": payment}
    return SettlementLine(Reference(name), kind, str(kind), usd(minor), usd(fee), MADE, of=of, **named)  # type: ignore[arg-type]


def pull_of(units: Units, tenant: Tenant, listed: Listed) -> PullSettlements:
    return PullSettlements(units, tenant, listed.registry, now=lambda: datetime(2026, 11, 20, 15, 0, tzinfo=UTC))


def charged(tx: Tx, name: str, *amounts: int) -> str:
    """An account with an invoice of each amount."""
    stand_in: Any = SimpleNamespace(tenant=practice())
    return World._invoiced(stand_in, tx, name, [usd(one) for one in amounts])


def paid(tx: Tx, account: str, minor: int, *, known: bool = True) -> str:
    """A payment on the processor's page; `known`: its capture is told, else nobody knows what became of it."""
    tenant = practice()
    payment_id = start(tx, NewPayment(account, "desk", amount=Money(minor, "USD")), tenant)
    (operation,) = store.operations_of(tx, payment_id)
    store.sent(tx, operation, processor_ref=f"pi_{payment_id}")
    if known:
        took = Approved(Reference(f"ch_{payment_id}"), operation.amount, payment=Reference(f"pi_{payment_id}"))
        settle(tx, tenant, operation.operation_id, took, source=f"operation:{operation.operation_id}")
    return payment_id


async def three_payments(units: Units) -> None:
    """Of the last nobody knows what became of it."""
    ref = await units.write(charged, "ana", 500_00)
    for minor, known in ((80_00, True), (50_00, True), (30_00, False)):
        await units.write(paid, ref, minor, known=known)


async def listed_of(units: Units) -> Listed:
    """A payout that is right, and one that is short, with lines of nothing and of nobody."""
    found = await units.read(lambda tx: sorted(store.of_account(tx, "Account/ana"), key=lambda one: -one.amount.minor))
    first, second, third = (one.payment_id for one in found)
    listed = Listed()
    listed.has(
        "po_right01", 80_00 + 30_00 - 3_52, line("l1", 80_00, 2_62, payment=first), line("l2", 30_00, 90, payment=third)
    )
    odd = (line("l4", 7_00, 0, kind=LineKind.OTHER), line("l5", 12_00, 50, payment="nobody's"))
    listed.has("po_short01", 60_00, line("l3", 45_00, 1_75, payment=second), *odd)
    listed.has("po_back01", 20_00, state=PayoutState.FAILED)
    return listed
